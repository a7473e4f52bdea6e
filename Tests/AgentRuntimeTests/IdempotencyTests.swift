import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// One run for one `idempotencyKey`, in the whole store.
@Suite struct IdempotencyTests {
  private let world = VirtualWorld()

  private func params(_ key: String = "k", agent: String = "", metadata: String = "{}") -> CarriedJSON {
    startParams(agent: agent, tools: [clientTool("a")], more: "\"idempotencyKey\":\"\(key)\",\"metadata\":\(metadata)")
  }

  @Test func `the same key and params join the run`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let first = process.start("hi", params())
    let second = process.start("hi", params(), delivery: .pause)
    let third = process.start("hi", params(), wait: false)
    #expect(first.isNew == true)
    #expect(second.isNew == false && second.runID == first.runID)
    #expect(third.outcome?.status == .running)
    try process.model.call(0).finish(.say("ok"))
    world.settle()
    #expect(first.outcome?.status == .success && second.outcome?.status == .success)
    #expect(process.start("hi", params()).outcome?.status == .success)
    #expect(world.disk.runIDs.count == 1)
    #expect(process.model.calls.count == 1)
  }

  @Test func `the same params may be written otherwise`() throws {
    let process = world.launch(model: ScriptedModel([.say("ok")]))
    _ = process.start(CarriedJSON(string: "hi"), params(metadata: #"{"a":"1","b":"2"}"#))
    let again = process.start(json(#""\u0068i""#), params(metadata: #"{ "b" : "2", "a" : "1" }"#))
    #expect(again.outcome?.status == .success)
    #expect(world.disk.runIDs.count == 1)
  }

  @Test(
    "other params are a conflict that names the run",
    arguments: [("hi", #","name":"x""#, "{}"), ("ho", "", "{}"), ("hi", "", #"{"a":"1"}"#)])
  func conflict(input: String, agent: String, metadata: String) throws {
    let process = world.launch(model: ScriptedModel([.say("ok")]))
    let run = try #require(process.start("hi", params(agent: #""instructions":"be brief""#)).runID)
    let other = process.start(input, params(agent: #""instructions":"be brief""# + agent, metadata: metadata))
    #expect(other.error?.kind == .runIdempotencyConflict)
    #expect(other.error?.details.map { $0.value.stringValue } == [run.text])
    #expect(process.engine.live.isEmpty)
    #expect(!process.engine.leavesWork)
  }

  @Test func `a long input is compared whole`() throws {
    let process = world.launch(model: ScriptedModel([.say("ok")]))
    let long = String(repeating: "x", count: 100_000)
    let run = try #require(process.start(long, params()).runID)
    #expect(process.start(long, params()).runID == run)
    #expect(process.start(long + "y", params()).error?.kind == .runIdempotencyConflict)
    let messages = json("[{\"role\":\"user\",\"content\":\"\(long)\"}]")
    let listed = try #require(process.start(messages, params("l")).runID)
    #expect(process.start(messages, params("l")).runID == listed)
    #expect(process.start(json("[{\"role\":\"user\",\"content\":\"\(long)z\"}]"), params("l")).error?.kind == .runIdempotencyConflict)
  }

  @Test func `a run that nobody drives is taken up`() throws {
    let first = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(first.start("hi", params()).runID)
    first.kill()
    let second = world.launch(model: ScriptedModel([.say("ok")]))
    let joined = second.start("hi", params())
    #expect(joined.runID == run)
    #expect(joined.outcome?.status == .success)
  }

  @Test func `a run that another process drives is waited for`() throws {
    let first = world.launch(model: ScriptedModel { _ in .held })
    _ = first.start("hi", params())
    let second = world.launch(model: ScriptedModel([]))
    let joined = second.start("hi", params())
    #expect(joined.isNew == false)
    #expect(!joined.isThere)
    try first.model.call(0).finish(.say("ok"))
    world.advance(milliseconds: 250)
    #expect(joined.outcome?.status == .success)
    #expect(second.model.calls.isEmpty)
  }

  @Test func `of two that race one begins the run and the other joins it`() throws {
    let first = world.launch(model: ScriptedModel([.say("ok")]))
    let second = world.launch(model: ScriptedModel { _ in .held })
    var other: Answer?
    first.store.beforeSubmit = { [first, params = params()] _ in
      first.store.beforeSubmit = nil
      other = second.start("hi", params)
    }
    let joined = first.start("hi", params())
    #expect(other?.isNew == true)
    #expect(joined.isNew == false)
    #expect(joined.runID == other?.runID)
    // The one that lost can still be given up.
    let token = try #require(joined.token)
    first.act { #expect($0.cancelWait(token)) }
    try second.model.call(0).finish(.say("ok"))
    world.advance(milliseconds: 250)
    #expect(other?.outcome?.status == .success)
    #expect(!joined.isThere)
    #expect(world.disk.runIDs.count == 1)
    #expect(!first.engine.leavesWork)
  }

  @Test func `of two that race with other params one is refused`() throws {
    let first = world.launch(model: ScriptedModel([.say("ok")]))
    let second = world.launch(model: ScriptedModel([.say("ok")]))
    first.store.beforeSubmit = { [first, params = params()] _ in
      first.store.beforeSubmit = nil
      _ = second.start("ho", params)
    }
    let refused = first.start("hi", params())
    #expect(refused.error?.kind == .runIdempotencyConflict)
    #expect(first.model.calls.isEmpty)
    #expect(first.engine.live.isEmpty && first.engine.driven.isEmpty)
    #expect(!first.engine.leavesWork)
  }

  @Test func `two starts of one process at one instant make one run`() throws {
    let process = world.launch(model: ScriptedModel([.say("ok")]))
    var runs: [ULID] = []
    process.act { engine in
      for _ in 0..<2 {
        var request = StartRequest(input: CarriedJSON(string: "hi"), params: params(), delivery: .pause, canInvoke: false, wait: true)
        request.idempotencyKey = "k"
        engine.start(request, durable: { run, _ in runs.append(run) }, waiting: { _ in }, reply: { _ in })
      }
    }
    #expect(Set(runs).count == 1 && runs.count == 2)
    #expect(world.disk.runIDs.count == 1)
  }

  private func session(_ process: VirtualProcess) throws -> ULID {
    try process.engine.createSession(agentID: nil, metadata: nil).sessionID
  }

  /// Two requests that one turn of the engine takes.
  private func startTwice(_ process: VirtualProcess, session: ULID? = nil, _ concurrency: MessageConcurrency = .queue) -> [Answer] {
    let answers = [Answer(), Answer()]
    process.act { engine in
      for answer in answers {
        var request = StartRequest(input: CarriedJSON(string: "hi"), params: params(), delivery: .pause, canInvoke: false, wait: false)
        request.idempotencyKey = "k"
        request.sessionID = session
        request.concurrency = concurrency
        engine.start(
          request,
          durable: { run, isNew in
            answer.runID = run
            answer.isNew = isNew
          }, waiting: { _ in }, reply: { answer.take($0) })
      }
    }
    return answers
  }

  @Test func `of two starts of one instant the second finds the run when what it begins with has been told`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    var told: [String] = []
    process.act { engine in
      for name in ["first", "second"] {
        var request = StartRequest(input: CarriedJSON(string: "hi"), params: params(), delivery: .pause, canInvoke: false, wait: false)
        request.idempotencyKey = "k"
        engine.start(
          request,
          durable: { [parent = process.parent] run, isNew in
            told.append("\(name) \(isNew) \(parent.events[run]?.count ?? 0)")
            if isNew { engine.watch(run, after: 0) }
          }, waiting: { _ in }, reply: { _ in })
      }
    }
    #expect(told == ["first true 0", "second false 2"])
  }

  @Test func `a busy branch does not refuse what the run in it was started with`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let answers = startTwice(process, session: try session(process), .drop)
    #expect(answers.map(\.isNew) == [true, false])
    #expect(answers.map { $0.outcome?.status } == [.running, .running])
    #expect(world.disk.runIDs.count == 1)
  }

  @Test func `a branch that another process makes busy meanwhile does not refuse it either`() throws {
    let first = world.launch(model: ScriptedModel([]))
    let second = world.launch(model: ScriptedModel { _ in .held })
    let id = try session(first)
    var other: Answer?
    first.store.beforeSubmit = { [first, params = params()] _ in
      first.store.beforeSubmit = nil
      other = second.start("hi", params, wait: false, session: id, concurrency: .drop)
    }
    let joined = first.start("hi", params(), wait: false, session: id, concurrency: .drop)
    #expect(other?.isNew == true && joined.isNew == false)
    #expect(joined.runID == other?.runID)
    #expect(joined.outcome?.status == .running)
    // Another key is another message.
    #expect(first.start("hi", params("other"), session: id, concurrency: .drop).error?.kind == .runDropped)
  }

  @Test func `the last place is not refused to the run that has it`() throws {
    var limits = RunEngine.Limits()
    limits.maxConcurrentRuns = 1
    let process = world.launch(model: ScriptedModel { _ in .held }, limits: limits)
    let answers = startTwice(process)
    #expect(answers.map(\.isNew) == [true, false])
    #expect(answers.map { $0.outcome?.status } == [.running, .running])
    #expect(process.start("hi", params("other")).error?.kind == .overloaded)
  }

  @Test func `a queued run is found though all places are taken`() throws {
    var limits = RunEngine.Limits()
    limits.maxConcurrentRuns = 1
    let process = world.launch(model: ScriptedModel { _ in .held }, limits: limits)
    let id = try session(process)
    _ = process.start("one", startParams(), session: id)
    let queued = process.start("hi", params(), wait: false, session: id)
    let again = process.start("hi", params(), wait: false, session: id)
    #expect(again.runID == queued.runID)
    #expect([queued, again].map { $0.outcome?.status } == [.queued, .queued])
  }

  @Test func `whoever waited for a start that fails is next`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    process.store.faults = [.refused(StoreError(.unavailable, "the disk is gone"))]
    let answers = startTwice(process)
    #expect(answers[0].error?.kind == .storeUnavailable)
    #expect(answers[1].isNew == true)
    #expect(answers[1].outcome?.status == .running)
    #expect(process.engine.starting.isEmpty)
  }

  @Test func `a key is free again when its run is deleted`() throws {
    let process = world.launch(model: ScriptedModel([.say("ok")]))
    let run = try #require(process.start("hi", params()).runID)
    process.act { #expect((try? $0.delete(run)) != nil) }
    let again = process.start("ho", params())
    #expect(again.isNew == true && again.runID != run)
  }
}
