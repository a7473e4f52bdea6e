package import JSON

/// What `run.start` asks of the engine, checked.
package struct StartRequest: Sendable {
  package var input: CarriedJSON
  /// The params that make the run what it is: without the input, `wait`, `delivery`, `events` and `_meta`.
  package var params: CarriedJSON
  package var meta: CarriedJSON?
  package var delivery: Delivery
  package var canInvoke: Bool
  package var warnings: [String]
  package var idempotencyKey: String?
  package var wait: Bool
  package var sessionID: ULID?
  /// The session's main branch when there is none.
  package var branchID: ULID?
  package var concurrency = MessageConcurrency.queue
  /// A stored agent, instead of `agent` in the params: judged when the run begins.
  package var agentID: String?
  /// Unknown members of a stored agent are refused.
  package var isStrict = false
  /// What `agentID` names.
  var storedAgent: AgentUse?

  package init(input: CarriedJSON, params: CarriedJSON, delivery: Delivery, canInvoke: Bool, wait: Bool) {
    self.input = input
    self.params = params
    self.delivery = delivery
    self.canInvoke = canInvoke
    self.wait = wait
    warnings = []
  }
}

/// The requests of protocol section 3 that change a run or wait for it. All on the engine's thread.
extension RunEngine {
  /// A new run. What it throws is thrown before anything of it is there.
  func begin(
    _ request: StartRequest, durable: @escaping (_ runID: ULID, _ isNew: Bool) -> Void, waiting: @escaping (WaitToken) -> Void,
    reply: @escaping RunReply
  ) throws(RuntimeError) {
    let runID = makeID()
    var plan: TurnPlan?
    if let sessionID = request.sessionID {
      plan = try planTurn(runID, sessionID: sessionID, branchID: request.branchID, request.concurrency)
    }
    let beginLater = { [unowned self] in
      do throws(RuntimeError) { try begin(request, durable: durable, waiting: waiting, reply: reply) } catch {
        couldNotBegin(request, error, durable: durable, waiting: waiting, reply: reply)
      }
    }
    // It follows on a turn that is on its way to the log, and is planned when that is there.
    if let branchID = plan?.branch.branchID, extendedBranches[branchID] != nil {
      extendedBranches[branchID]?.append(beginLater)
      return
    }
    let isQueued = plan?.isQueued ?? false
    if !isQueued, driven.count >= limits.maxConcurrentRuns {
      throw RuntimeError(.overloaded, "\(limits.maxConcurrentRuns) runs are driven already", retryAfterMilliseconds: 1000)
    }
    let params = try RunParams(reading: request.params, agent: request.storedAgent?.json)
    let first = try firstToolbox(for: params, in: plan?.branch)
    var context = context(for: runID, invokesHere: request.canInvoke && request.delivery == .invoke)
    context.asksHere = true
    let machine = try RunMachine(
      runID: runID, input: request.input, params: request.params, meta: request.meta, delivery: request.delivery,
      warnings: request.warnings + first.toolbox.overrides, toolbox: first.isPlain ? nil : first.toolbox,
      changes: first.changes, turn: plan?.place, isQueued: isQueued, decisions: first.decisions,
      storedAgent: request.storedAgent, context: context)
    do throws(RuntimeError) { try checkDrivable(machine.state) } catch {
      throw placed(error, in: params, isStored: request.storedAgent != nil)
    }
    let run = LiveRun(machine: machine, committed: 0)
    live[runID] = run
    run.firstDocuments = plan?.writes ?? []
    if let plan { extendedBranches[plan.branch.branchID] = [] }
    // Another process was quicker: this turn goes behind that.
    run.placeWasTaken = beginLater
    startTicking()
    let token = nextWaitToken()
    if request.wait { waiting(token) }
    input(run) { (_) throws(RuntimeError) in
    } committed: { [unowned self] run in
      touched.insert(runID)
      queueHasGrown(by: run, request.concurrency)
      noteSessionRun(run)
      durable(runID, true)
      if !request.wait { reply(.success(answer(run))) }
    } answered: { [unowned self] run, error in
      defer { hasStarted(request) }
      if let error {
        if error.kind == .runIdempotencyConflict, let other = error.runID {
          return join(other, request, durable: durable, waiting: waiting, reply: reply)
        }
        return reply(.failure(error))
      }
      lookAfterQueued(run)
      if request.wait { wait(run, token, .settled, nil, reply) }
    }
  }

  /// The same key again: the same run, if it was asked for the same.
  func join(
    _ runID: ULID, _ request: StartRequest, durable: (ULID, Bool) -> Void, waiting: @escaping (WaitToken) -> Void,
    reply: @escaping RunReply
  ) {
    do throws(RuntimeError) {
      let run = try run(runID)
      // Refused, it is of no use in memory.
      defer { afterChange(run) }
      let input = try read { () throws(StoreError) in try run.state.input.whole { (value) throws(StoreError) in try load(value) } }
      // Logs of earlier versions have members that are null as they were given.
      let isSameInput = input.isEquivalent(to: request.input) || input.isEquivalent(to: RunInput.tidied(request.input))
      guard run.state.params.json.isEquivalent(to: request.params), isSameInput else {
        var error = RuntimeError(.runIdempotencyConflict, "a run was started with this idempotency key and other params")
        error.details = [("runId", CarriedJSON(string: runID.text))]
        throw error
      }
      durable(runID, false)
      guard run.state.driver(own: store.owner, isAlive: { isAlive($0) }) == .none, !run.state.status.hasEnded else {
        return settle(run, wait: request.wait, nil, waiting: waiting, reply: reply)
      }
      var resumption = RunMachine.Resumption()
      resumption.delivery = request.delivery
      resumption.canInvoke = request.canInvoke
      resume(run, resumption, wait: request.wait, waiting: waiting) { [unowned self] result in
        // Somebody else took it up at the same moment.
        guard case .failure(let error) = result, error.kind == .runLeaseHeld else { return reply(result) }
        do throws(RuntimeError) { settle(try self.run(runID), wait: request.wait, nil, waiting: waiting, reply: reply) } catch {
          reply(.failure(error))
        }
      }
    } catch { reply(.failure(error)) }
  }

  package func wait(_ runID: ULID, timeoutMilliseconds: Int?, waiting: (WaitToken) -> Void, reply: @escaping RunReply) {
    do throws(RuntimeError) {
      let run = try run(runID)
      let token = nextWaitToken()
      waiting(token)
      // To wait for a run is to have it go on where nobody else does.
      takeOverdueCalls(of: run, goesOn: true)
      takeExpiredApprovals(of: run)
      wait(run, token, .settled, nil, reply)
      guard let timeoutMilliseconds, let place = run.waiters.firstIndex(where: { $0.token == token }) else { return }
      run.waiters[place].timer = after(milliseconds: timeoutMilliseconds) { [unowned self, weak run] in
        guard let run else { return }
        guard let place = run.waiters.firstIndex(where: { $0.token == token }) else { return }
        let waiter = run.waiters.remove(at: place)
        // Behind what this turn has decided: that is not in the log yet.
        input(run) { (_) throws(RuntimeError) in
        } answered: { [unowned self] run, error in
          waiter.reply(error.map { .failure($0) } ?? .success(answer(run)))
        }
      }
    } catch { reply(.failure(error)) }
  }

  package func submit(
    _ runID: ULID, _ submission: Submission, wait: Bool, waiting: @escaping (WaitToken) -> Void, reply: @escaping RunReply
  ) {
    do throws(RuntimeError) {
      try refuseWhenEnding()
      let run = try run(runID)
      takeOverdueCalls(of: run, goesOn: true)
      let verdicts = Shared(Verdicts())
      input(run) { [unowned self] (machine) throws(RuntimeError) in
        verdicts.value = try submit(submission, to: run, &machine)
      } answered: { [unowned self] run, error in
        if let error { return reply(.failure(error)) }
        touch(run)
        if submission.isPartial, !run.state.status.isWorking { return reply(.success(answer(run, verdicts.value))) }
        settle(
          run, wait: wait && !submission.isPartial || wait && run.state.batch.pendingCount == 0, verdicts.value, waiting: waiting,
          reply: reply)
      }
    } catch { reply(.failure(error)) }
  }

  package func cancel(_ runID: ULID, reason: String?, waiting: (WaitToken) -> Void, reply: @escaping RunReply) {
    do throws(RuntimeError) {
      let run = try run(runID)
      let token = nextWaitToken()
      waiting(token)
      let partial = run.modelCall?.partial.freeze()
      flushLiveText()
      input(run) { [unowned self] (machine) throws(RuntimeError) in
        // Not said to a model yet.
        let isWithdrawn = try turn(ofInputOf: run, machine.state)?.hasBegun == false
        machine.cancel(reason: reason, partialText: partial, isWithdrawn: isWithdrawn)
      } answered: { [unowned self] run, error in
        if let error { return reply(.failure(error)) }
        wait(run, token, .ended, nil, reply)
      }
    } catch { reply(.failure(error)) }
  }

  package func pause(_ runID: ULID, waiting: (WaitToken) -> Void, reply: @escaping RunReply) {
    do throws(RuntimeError) {
      let run = try run(runID)
      let token = nextWaitToken()
      waiting(token)
      input(run) { (machine) throws(RuntimeError) in
        machine.pause()
      } answered: { [unowned self] run, error in
        if let error { return reply(.failure(error)) }
        wait(run, token, .paused, nil, reply)
      }
    } catch { reply(.failure(error)) }
  }

  package func resume(
    _ runID: ULID, _ resumption: RunMachine.Resumption, wait: Bool, waiting: @escaping (WaitToken) -> Void, reply: @escaping RunReply
  ) {
    do throws(RuntimeError) {
      try refuseWhenEnding()
      resume(try run(runID), resumption, wait: wait, waiting: waiting, reply: reply)
    } catch { reply(.failure(error)) }
  }

  private func resume(
    _ run: LiveRun, _ resumption: RunMachine.Resumption, wait: Bool, waiting: (WaitToken) -> Void, reply: @escaping RunReply
  ) {
    let token = nextWaitToken()
    if wait { waiting(token) }
    takeOverdueCalls(of: run, goesOn: false)
    input(run.tree?.root ?? run) { [unowned self] (machine) throws(RuntimeError) in
      try resume(run, resumption, &machine)
    } answered: { [unowned self] _, error in
      if let error { return reply(.failure(error)) }
      touch(run)
      if wait { self.wait(run, token, .settled, nil, reply) } else { reply(.success(answer(run))) }
    }
  }

  func refuseWhenEnding() throws(RuntimeError) {
    if isEnding { throw RuntimeError(.shuttingDown, "the bridge is about to end") }
  }

  // MARK: Waiting

  private func nextWaitToken() -> WaitToken {
    lastWaitToken += 1
    return lastWaitToken
  }

  func answer(_ run: LiveRun, _ verdicts: Verdicts? = nil) -> RunAnswer {
    RunAnswer(outcome: outcome(of: run.state), verdicts: verdicts)
  }

  private func settle(_ run: LiveRun, wait: Bool, _ verdicts: Verdicts?, waiting: (WaitToken) -> Void, reply: @escaping RunReply) {
    guard wait else { return reply(.success(answer(run, verdicts))) }
    let token = nextWaitToken()
    waiting(token)
    self.wait(run, token, .settled, verdicts, reply)
  }

  private func wait(
    _ run: LiveRun, _ token: WaitToken, _ condition: LiveRun.Waiter.Condition, _ verdicts: Verdicts?, _ reply: @escaping RunReply
  ) {
    run.waiters.append(LiveRun.Waiter(token: token, condition: condition, verdicts: verdicts, timer: nil, reply: reply))
    if live[run.runID] == nil { live[run.runID] = run }
    startTicking()
    afterChange(run)
  }

  /// Ends a wait without an answer; the run goes on. False when it was answered already.
  package func cancelWait(_ token: WaitToken) -> Bool {
    for run in live.values {
      guard let place = run.waiters.firstIndex(where: { $0.token == token }) else { continue }
      if let timer = run.waiters.remove(at: place).timer { timers.cancel(timer) }
      afterChange(run)
      return true
    }
    return false
  }

  func answerWaiters(_ run: LiveRun) {
    guard !run.waiters.isEmpty, !run.isDeciding, run.tree?.isDeciding != true else { return }
    let isSettled = isSettled(run)
    let ready = run.waiters.filter { waiter in
      switch waiter.condition {
      case .settled: isSettled
      // A request that is not there any more was carried out, overtaken or withdrawn; one that a dead driver has left is carried out soon.
      case .paused: run.state.status.hasEnded || run.state.status == .paused || !run.state.pauseRequested
      case .ended: run.state.status.hasEnded
      }
    }
    if ready.isEmpty { return }
    run.waiters.removeAll { waiter in ready.contains { $0.token == waiter.token } }
    for waiter in ready {
      if let timer = waiter.timer { timers.cancel(timer) }
      waiter.reply(.success(answer(run, waiter.verdicts)))
    }
  }

  private func touch(_ run: LiveRun) {
    let run = run.tree?.root ?? run
    if !run.state.status.hasEnded { touched.insert(run.runID) }
  }
}

/// A value that several closures of one turn share.
final class Shared<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}

extension RunStatus {
  var isWorking: Bool { self == .running || self == .queued }
}

extension RuntimeError {
  /// The run that the details name.
  var runID: ULID? { details.first { $0.name == "runId" }?.value.stringValue.flatMap(ULID.init) }
}

extension RunEngine {
  /// - Parameter stored: The agent that `agentId` names.
  /// - Throws: `tool.invalidSchema` for a schema of the run's tools that is none.
  package func checkSchemas(ofParams json: CarriedJSON, agent stored: CarriedJSON? = nil) throws(RuntimeError) {
    let params = try RunParams(reading: json, agent: stored)
    for (pointer, tools, toolkits) in [
      ("/agent", params.agent.tools ?? [], params.agent.toolkits ?? []), ("", params.tools, params.toolkits),
      ("/augmentation/injectToolkits", [], params.augmentation?.injectToolkits ?? []),
    ] {
      try RunAdmission.checkSchemas(of: tools, at: pointer + "/tools", with: schemas)
      for (index, toolkit) in toolkits.enumerated() {
        let place = pointer.hasSuffix("injectToolkits") ? pointer : pointer + "/toolkits"
        try RunAdmission.checkSchemas(of: toolkit.tools, at: "\(place)/\(index)/tools", with: schemas)
      }
    }
    guard let schema = params.outputSchema else { return }
    do throws(RuntimeError) { _ = try schemas.schema(schema) } catch {
      throw RuntimeError(.invalidParams, error.message, pointer: "/outputSchema" + (error.pointer ?? ""))
    }
  }

  package func checkSchemas(ofTools json: CarriedJSON, at pointer: String) throws(RuntimeError) {
    let tools = try RunParams.read([Tool].self, json, at: pointer, carrying: RunParams.toolPaths)
    try RunAdmission.checkSchemas(of: tools, at: pointer, with: schemas)
    try refuse(tools, at: pointer)
    try checkModels(ofAgentsIn: tools, at: pointer)
  }

  /// False for a run that this process has in memory and that has not ended.
  package func hasEndedOrIsUnknown(_ runID: ULID) -> Bool { live[runID]?.state.status.hasEnded ?? true }
}
