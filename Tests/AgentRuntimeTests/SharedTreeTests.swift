import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// One tree of runs, of which several things are decided at once, by several processes or in one turn.
@Suite struct SharedTreeTests {
  private let world = VirtualWorld()
  private static let task = #"{"input":"do it"}"#

  private func launch(_ turns: [String: [ScriptedModel.Answer]]) -> VirtualProcess {
    world.launch(model: SubAgentTests.models(turns), tools: { _ in nil })
  }

  private func log(_ run: ULID, _ type: String) -> [CarriedJSON] {
    world.disk.records(of: run).filter { $0.type == type }.compactMap { $0.event.flatMap { CarriedJSON(trusted: $0)["data"] } }
  }

  private func pauses(_ run: ULID) -> [String] {
    log(run, "run.paused").map { data in
      let calls = data["pendingToolCalls"]?.elements.map { "\($0["name"]?.stringValue ?? "") \($0["needs"]?.stringValue ?? "")" } ?? []
      return ([data["status"]?.stringValue ?? ""] + calls).joined(separator: ", ")
    }
  }

  // MARK: Answers that others store

  /// A run that runs a command, and whose sub-agent has a call that needs approval.
  private struct Asking {
    var first: VirtualProcess
    var started: Answer
    var root: ULID
    var child: ULID
    var call: String
  }

  private func ask(delivery: Delivery, _ calls: [String] = ["g"]) throws -> Asking {
    let first = launch([
      "x": [.call(("s", "{}"), ("a", Self.task)), .say("ok")], "a": [.turn(.call(calls.map { ($0, "{}") })), .say("a says")],
    ])
    let a = subAgent("a", tools: calls.map { clientTool($0, gatedCalls) })
    let started = first.start("hi", startParams(tools: [serverTool("s"), a]), delivery: delivery)
    let root = try #require(started.runID)
    let call = try #require(first.look(root)?.pendingCalls.first)
    return Asking(first: first, started: started, root: root, child: call.runID, call: call.callID.text)
  }

  @Test func `a sub-agent's call that another process approves while the run is driven goes out at once`() throws {
    let asking = try ask(delivery: .invoke)
    let second = launch([:])
    _ = second.approve(asking.child, [(asking.call, .init(.approve))], wait: false, delivery: nil)
    world.advance(milliseconds: 100)
    #expect(second.parent.invocations.isEmpty)
    #expect(pauses(asking.child) == ["waiting_approval, g approval", "waiting_client_tool, g result"])
    asking.first.tools.run(of: "s")?.complete(.text("s ran"))
    world.settle()
    #expect(!asking.started.isThere)
    try asking.first.parent.request(0).answer(.text("done"))
    world.settle()
    #expect(asking.started.outcome?.status == .success)
  }

  @Test func `of several calls of a sub-agent, the one that another process approves goes out while the others wait`() throws {
    let asking = try ask(delivery: .invoke, ["g", "h"])
    _ = launch([:]).approve(asking.child, [(asking.call, .init(.approve))], partial: true, wait: false, delivery: nil)
    world.advance(milliseconds: 100)
    #expect(asking.first.parent.invocations.map(\.request.name) == ["g"])
    #expect(asking.first.look(asking.child)?.status == .waitingApproval)
  }

  @Test(arguments: [false, true])
  func `who drives a tree says what a sub-agent waits for after an approval by another process`(isAtOnce: Bool) throws {
    let asking = try ask(delivery: .pause)
    _ = launch([:]).approve(asking.child, [(asking.call, .init(.approve))], wait: false, delivery: .pause)
    // The driver finds out before its command ends, or by what it decides then.
    if !isAtOnce { world.advance(milliseconds: 100) }
    asking.first.tools.run(of: "s")?.complete(.text("s ran"))
    world.settle()
    #expect(asking.started.outcome?.status == .waitingClientTool)
    #expect(asking.first.look(asking.child)?.status == .waitingClientTool)
    #expect(pauses(asking.child) == ["waiting_approval, g approval", "waiting_client_tool, g result"])
    #expect(pauses(asking.root).last == "waiting_client_tool, g result")
    let submitted = asking.first.submit(asking.root, [(asking.call, .text("done"))], delivery: .pause)
    #expect(submitted.outcome?.status == .success)
  }

  // MARK: Several things in one turn

  @Test(arguments: ["run", "sub-agent"])
  func `a run that is cancelled has in its usage all that the logs of its sub-agents have`(cancelled: String) throws {
    let process = launch(["x": [.call(("a", Self.task)), .held], "a": [.call(("b", Self.task)), .say("a says")], "b": [.held]])
    let started = process.start("hi", startParams(tools: [subAgent("a", tools: [subAgent("b")])]), wait: false)
    let root = try #require(started.runID)
    let middle = try #require(process.engine.subAgents(of: root).first)
    let bottom = try #require(process.engine.subAgents(of: middle).first)
    try process.model.call(2).send(.text("b s"))
    process.isStepped = true
    // The model has answered when the cancel is decided and not in the log yet.
    _ = process.cancel(cancelled == "run" ? root : middle)
    try process.model.call(2).finish(.say("b says"))
    process.step()
    process.isStepped = false
    if cancelled != "run" { _ = process.cancel(root) }
    let turns = [root, middle, bottom].flatMap { log($0, "model.completed") }.count
    #expect(process.look(root)?.usage.modelCalls == turns)
    #expect(process.look(root)?.status == .cancelled)
    #expect(log(bottom, "run.cancelled").map { $0["partialText"]?.stringValue } == ["b s"])
  }

  @Test func `who reads of a sub-agent's result before it reads of its end writes nothing, and comes to rest`() throws {
    let turns: [String: [ScriptedModel.Answer]] = ["x": [.call(("a", Self.task)), .held], "a": [.held]]
    let first = launch(turns)
    let root = try #require(first.start("hi", startParams(tools: [subAgent("a")]), wait: false).runID)
    let child = try #require(first.engine.subAgents(of: root).first)
    let second = launch(turns)
    let waiting = second.wait(child)
    var submits = 0
    second.store.beforeSubmit = { _ in submits += 1 }
    _ = first.cancel(child)
    #expect(second.look(root)?.usage.toolCalls == 1)
    second.step()
    #expect(submits == 0)
    #expect(second.host.messages == [])
    world.advance(milliseconds: 100)
    #expect(waiting.outcome?.status == .cancelled)
  }

  @Test(arguments: ["stop", "pause"])
  func `a sub-agent that is named in the turn in which its run comes to its deadline is there`(onLimit: String) throws {
    let process = launch(["x": [.held, .say("ok")], "a": [.held, .say("a says")]])
    let limits = "{\"deadlineMs\":100,\"onLimit\":\"\(onLimit)\"}"
    let started = process.start("hi", startParams(tools: [subAgent("a")], limits: limits))
    let root = try #require(started.runID)
    try process.model.call(0).finish(.call([("a", Self.task)]))
    world.clock.advance(to: 100)
    process.step()
    world.settle()
    let child = try #require(process.engine.subAgents(of: root).first)
    #expect(log(root, "tool.started").map { $0["childRunId"]?.stringValue } == [child.text])
    #expect(started.outcome?.status == (onLimit == "stop" ? .error : .paused))
    #expect(process.look(child)?.status == (onLimit == "stop" ? .cancelled : .paused))
    #expect(started.outcome?.usage.modelCalls == 1)
  }

  @Test func `a sub-agent that is named in the turn in which its run is cancelled is there`() throws {
    let process = launch(["x": [.held], "a": [.call(("b", Self.task))], "b": [.held]])
    let root = try #require(process.start("hi", startParams(tools: [subAgent("a", tools: [subAgent("b")])]), wait: false).runID)
    try process.model.call(0).finish(.call([("a", Self.task)]))
    process.isStepped = true
    // The answer is taken, then the cancel is decided in the same turn.
    process.host.post { engine in engine.cancel(root, reason: nil, waiting: { _ in }, reply: { _ in }) }
    process.step()
    process.isStepped = false
    world.settle()
    let child = try #require(process.engine.subAgents(of: root).first)
    #expect(process.look(child)?.status == .cancelled)
    #expect(process.model.calls.count == 1)
  }

  // MARK: One submit to several runs

  @Test func `a run that goes on with a submit that its sub-agent goes on with does not pause before`() throws {
    let process = launch([
      "x": [.call(("u", "{}"), ("a", Self.task)), .say("ok")], "a": [.call(("b", Self.task)), .say("a says")],
      "b": [.call(("t", "{}")), .say("b says")],
    ])
    let a = subAgent("a", tools: [subAgent("b", tools: [clientTool("t")])])
    let started = process.start("hi", startParams(tools: [clientTool("u", gatedCalls), a]), delivery: .pause)
    let root = try #require(started.runID)
    let calls = try #require(started.outcome?.pendingCalls)
    #expect(calls.map { "\($0.name) \($0.needs)" } == ["u approval", "t result"])
    let submitted = process.submit(
      root, results: [(calls[1].callID.text, .text("done"))], approvals: [(calls[0].callID.text, .init(.deny))], delivery: .pause)
    #expect(submitted.outcome?.status == .success)
    #expect(pauses(root) == ["waiting_approval, u approval, t result"])
    #expect(try pauses(#require(process.engine.subAgents(of: root).first)) == ["waiting_client_tool, t result"])
  }

  @Test func `a submit after which run and sub-agent wait for something else has each say so once`() throws {
    let process = launch([
      "x": [.call(("u", "{}"), ("a", Self.task))], "a": [.call(("g", "{}"))],
    ])
    let a = subAgent("a", tools: [clientTool("g", gatedCalls)])
    let started = process.start("hi", startParams(tools: [clientTool("u", gatedCalls), a]), delivery: .pause)
    let root = try #require(started.runID)
    let calls = try #require(started.outcome?.pendingCalls)
    let submitted = process.submit(root, approvals: calls.map { ($0.callID.text, .init(.approve)) }, delivery: .pause)
    #expect(submitted.outcome?.status == .waitingClientTool)
    #expect(pauses(root) == ["waiting_approval, u approval, g approval", "waiting_client_tool, u result, g result"])
    #expect(pauses(calls[1].runID) == ["waiting_approval, g approval", "waiting_client_tool, g result"])
  }

  // MARK: Looking

  private func told(_ outcome: RunOutcome?) -> [String] {
    guard let outcome else { return [] }
    let calls = outcome.pendingCalls.map { "\($0.name) \($0.needs)" }
    return ["\(outcome.status) by \(outcome.driver)", "\(outcome.usage.modelCalls) turns"] + calls
  }

  private static let asks: [String: [ScriptedModel.Answer]] = [
    "x": [.call(("a", task)), .say("ok")], "a": [.call(("t", "{}"), ("u", "{}")), .held],
  ]

  @Test func `a look at a run tells of its sub-agent only what is in the log too`() throws {
    let process = launch(Self.asks)
    let started = process.start("hi", startParams(tools: [subAgent("a", tools: [clientTool("t"), clientTool("u", gatedCalls)])]))
    let root = try #require(started.runID)
    var seen: [[String]] = []
    process.store.beforeSubmit = { [unowned process] _ in if seen.count < 3 { seen.append(self.told(process.look(root))) } }
    let calls = try #require(process.look(root)?.pendingCalls)
    _ = process.approve(root, [(calls[1].callID.text, .init(.deny))], partial: true)
    try process.parent.request(0).answer(.text("done"))
    world.settle()
    try process.model.call(2).finish(.call([("nobody", "{}")]))
    world.settle()
    #expect(
      seen == [
        ["waitingApproval by none", "2 turns", "t result", "u approval"], ["waitingClientTool by none", "2 turns", "t result"],
        ["running by own", "2 turns"],
      ])
  }

  @Test func `a look from another process tells of one moment`() throws {
    let first = launch(Self.asks)
    let second = launch(Self.asks)
    let params = startParams(tools: [subAgent("a", tools: [clientTool("t"), clientTool("u", gatedCalls)])])
    let root = try #require(first.start("hi", params).runID)
    let waiting = second.wait(root)
    #expect(told(second.look(root)) == ["waitingApproval by none", "2 turns", "t result", "u approval"])
    let calls = try #require(first.look(root)?.pendingCalls)
    let (result, denial) = ((calls[0].callID.text, ToolResult.text("done")), (calls[1].callID.text, ApprovalAnswer(.deny)))
    _ = first.submit(root, results: [result], approvals: [denial], wait: false, delivery: .pause)
    // Before the second process has noticed.
    #expect(told(second.look(root)) == ["running by other", "2 turns"])
    #expect(!waiting.isThere)
  }
}
