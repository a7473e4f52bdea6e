package import AgentRuntime
package import JSON

/// Processes with one store and one clock, stepped by a test on one thread.
package final class VirtualWorld {
  package let disk: MemoryDisk
  package let clock: VirtualClock
  package private(set) var processes: [VirtualProcess] = []

  package init(clock: VirtualClock = VirtualClock()) {
    disk = MemoryDisk { clock.milliseconds }
    self.clock = clock
  }

  /// A process that has begun.
  package func launch(
    model: ScriptedModel, tools: @escaping (ServerToolCall) -> ToolResult? = { _ in nil }, limits: RunEngine.Limits = RunEngine.Limits()
  ) -> VirtualProcess {
    let process = VirtualProcess(world: self, seed: UInt64(processes.count + 1), model: model, tools: tools, limits: limits)
    processes.append(process)
    return process
  }

  /// Lets every process do what there is to do at this instant.
  package func settle() {
    for _ in 0..<1000 {
      for process in processes { process.turn() }
      if !processes.contains(where: \.hasMore) { return }
    }
    preconditionFailure("the processes do not come to rest")
  }

  /// Lets time pass, from one due timer to the next.
  package func advance(milliseconds: Int) {
    let end = clock.milliseconds + milliseconds
    settle()
    while let due = processes.compactMap(\.nextDue).min(), due <= end {
      clock.advance(to: max(due, clock.milliseconds))
      settle()
    }
    clock.advance(to: max(end, clock.milliseconds))
    settle()
  }
}

/// One process: an engine with all that is around it.
package final class VirtualProcess {
  package let store: MemoryStore
  package let host: VirtualHost
  package let model: ScriptedModel
  package let tools: ScriptedTools
  package let servers: ScriptedServers
  package let parent: ScriptedParent
  package let transcript = Transcript()
  package let engine: RunEngine
  private var due: Int?
  package private(set) var isKilled = false
  package private(set) var isFrozen = false
  private unowned let world: VirtualWorld

  fileprivate init(
    world: VirtualWorld, seed: UInt64, model: ScriptedModel, tools: @escaping (ServerToolCall) -> ToolResult?, limits: RunEngine.Limits
  ) {
    self.world = world
    store = MemoryStore(disk: world.disk)
    host = VirtualHost(clock: world.clock, seed: seed)
    self.model = model
    self.tools = ScriptedTools(transcript: transcript, tools)
    servers = ScriptedServers(transcript: transcript)
    parent = ScriptedParent(transcript: transcript)
    engine = RunEngine(store: store, host: host, models: model, serverTools: self.tools, schemas: ScriptedSchemas(), limits: limits)
    engine.parent = parent
    engine.mcpServers = servers
  }

  private var isStill: Bool { isKilled || isFrozen }
  package var nextDue: Int? { isStill ? nil : due }
  package var hasMore: Bool { !isStill && (host.hasMail || due.map { $0 <= world.clock.milliseconds } ?? false) }

  /// Takes the mail that is there, once.
  package func step() {
    if isStill { return }
    due = engine.turn(host.takeMailbox())
  }

  /// Takes the mail, until there is none.
  package func turn() {
    if isStill { return }
    repeat { due = engine.turn(host.takeMailbox()) } while hasMore
  }

  /// The process dies where it is: nothing that it does from now on is seen.
  package func kill() {
    isKilled = true
    parent.isDeaf = true
    store.kill()
    host.emptyMailbox()
  }

  /// The process stands still, as by SIGSTOP: what comes for it waits.
  package func freeze() {
    isFrozen = true
    if !isKilled { world.disk.freeze(store.owner) }
  }

  package func thaw() {
    isFrozen = false
    if !isKilled { world.disk.thaw(store.owner) }
  }

  /// Requests are decided at once but wait for the next `step` to be committed.
  package var isStepped = false

  /// Has the engine do something, and turns until there is nothing left to do at this instant.
  package func act(_ body: (RunEngine) -> Void) {
    if isStill { return }
    if isStepped {
      step()
      body(engine)
    } else {
      body(engine)
      turn()
    }
  }
}

/// What a request was answered with.
package final class Answer {
  package private(set) var results: [Result<RunAnswer, RuntimeError>] = []
  package var runID: ULID?
  package var isNew: Bool?
  package var token: WaitToken?

  package init() {}

  package var isThere: Bool { !results.isEmpty }
  package var outcome: RunOutcome? { try? results.first?.get().outcome }
  package var verdicts: Verdicts? { (try? results.first?.get())?.verdicts }
  package var error: RuntimeError? {
    if case .failure(let error) = results.first { error } else { nil }
  }

  package func take(_ result: Result<RunAnswer, RuntimeError>) { results.append(result) }
}

extension VirtualProcess {
  private func request(_ name: String, _ body: (RunEngine, Answer, @escaping RunReply) -> Void) -> Answer {
    let answer = Answer()
    act { engine in
      body(engine, answer) { [unowned self] result in
        if isKilled { return }
        answer.take(result)
        switch result {
        case .success(let found): transcript.note("\(name) -> \(found.outcome.status.rawValue)")
        case .failure(let error): transcript.note("\(name) -> \(error.kind.name)")
        }
      }
    }
    return answer
  }

  /// - Parameter params: those of `run.start` that last.
  package func start(
    _ input: String, _ params: CarriedJSON, delivery: Delivery = .invoke, wait: Bool = true, watched: Bool = true, meta: CarriedJSON? = nil,
    session: ULID? = nil, branch: ULID? = nil, concurrency: MessageConcurrency = .queue
  ) -> Answer {
    start(
      CarriedJSON(string: input), params, delivery: delivery, wait: wait, watched: watched, meta: meta, session: session, branch: branch,
      concurrency: concurrency)
  }

  package func start(
    _ input: CarriedJSON, _ params: CarriedJSON, delivery: Delivery = .invoke, wait: Bool = true, watched: Bool = true,
    meta: CarriedJSON? = nil, session: ULID? = nil, branch: ULID? = nil, concurrency: MessageConcurrency = .queue
  ) -> Answer {
    request("start") { engine, answer, reply in
      var request = StartRequest(
        input: input, params: params, delivery: delivery, canInvoke: parent.answersInvocations && delivery == .invoke, wait: wait)
      request.idempotencyKey = params["idempotencyKey"]?.stringValue
      request.agentID = params["agentId"]?.stringValue
      request.meta = meta
      request.sessionID = session
      request.branchID = branch
      request.concurrency = concurrency
      engine.start(
        request,
        durable: { runID, isNew in
          answer.runID = runID
          answer.isNew = isNew
          if watched, isNew { engine.watch(runID, after: 0) }
        }, waiting: { answer.token = $0 }, reply: reply)
    }
  }

  package func submit(
    _ run: ULID, _ results: [(String, ToolResult)], partial: Bool = false, wait: Bool = true, tools: CarriedJSON? = nil,
    delivery: Delivery? = .invoke
  ) -> Answer {
    request("submit") { engine, answer, reply in
      let given = results.map { SubmittedResult(callID: $0.0, result: $0.1, bytes: $0.1.byteCount) }
      let submission = Submission(
        results: given, isPartial: partial, tools: tools, delivery: delivery, canInvoke: parent.answersInvocations && delivery == .invoke)
      engine.submit(run, submission, wait: wait, waiting: { answer.token = $0 }, reply: reply)
    }
  }

  package func approve(
    _ run: ULID, _ approvals: [(String, ApprovalAnswer)], partial: Bool = false, wait: Bool = true, delivery: Delivery? = .invoke
  ) -> Answer {
    submit(run, approvals: approvals, partial: partial, wait: wait, delivery: delivery)
  }

  package func input(_ run: ULID, _ inputs: [(String, InputAnswer)], partial: Bool = false, wait: Bool = true) -> Answer {
    submit(run, inputs: inputs, partial: partial, wait: wait)
  }

  /// A submit of several kinds; those that are nil are not given.
  package func submit(
    _ run: ULID, results: [(String, ToolResult)]? = nil, approvals: [(String, ApprovalAnswer)]? = nil,
    inputs: [(String, InputAnswer)]? = nil,
    partial: Bool = false, wait: Bool = true, delivery: Delivery? = .invoke, insists: Bool = false
  ) -> Answer {
    request("submit") { engine, answer, reply in
      var submission = Submission(
        results: results?.map { SubmittedResult(callID: $0.0, result: $0.1, bytes: $0.1.byteCount) },
        approvals: approvals?.map { SubmittedApproval(callID: $0.0, answer: $0.1, bytes: 10) },
        inputs: inputs?.map { SubmittedInput(callID: $0.0, answer: $0.1, bytes: 10) }, isPartial: partial, delivery: delivery,
        canInvoke: parent.answersInvocations && delivery == .invoke)
      submission.insistsOnDelivery = insists
      engine.submit(run, submission, wait: wait, waiting: { answer.token = $0 }, reply: reply)
    }
  }

  package func resume(
    _ run: ULID, delivery: Delivery? = .invoke, limits: CarriedJSON? = nil, reissue: Set<ULID> = [], wait: Bool = true
  ) -> Answer {
    request("resume") { engine, answer, reply in
      var resumption = RunMachine.Resumption()
      resumption.delivery = delivery
      resumption.canInvoke = parent.answersInvocations && delivery != .pause
      resumption.limits = limits
      resumption.reissue = reissue
      engine.resume(run, resumption, wait: wait, waiting: { answer.token = $0 }, reply: reply)
    }
  }

  package func wait(_ run: ULID, timeout: Int? = nil) -> Answer {
    request("wait") { $0.wait(run, timeoutMilliseconds: timeout, waiting: { [answer = $1] in answer.token = $0 }, reply: $2) }
  }

  package func cancel(_ run: ULID, reason: String? = nil) -> Answer {
    request("cancel") { $0.cancel(run, reason: reason, waiting: { [answer = $1] in answer.token = $0 }, reply: $2) }
  }

  package func pause(_ run: ULID) -> Answer {
    request("pause") { $0.pause(run, waiting: { [answer = $1] in answer.token = $0 }, reply: $2) }
  }

  package func note(_ run: ULID, _ text: String) -> Answer {
    request("note") { $0.addNote(run, CarriedJSON(string: text), reply: $2) }
  }

  package func watch(_ run: ULID, after sequence: Int) { act { $0.watch(run, after: sequence) } }

  /// Where the run stands, as `run.get` says it.
  package func look(_ run: ULID) -> RunOutcome? { try? engine.details(of: run).outcome }
}
