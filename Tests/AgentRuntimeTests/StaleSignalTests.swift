import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What comes from work that is no longer the run's changes nothing.
@Suite struct StaleSignalTests {
  private let world = VirtualWorld()

  /// A process whose run has a call out in its second attempt, with the machine of that run.
  private func waiting() throws -> (VirtualProcess, LiveRun, ULID) {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .held]))
    let params = startParams(tools: [clientTool("a", #""timeoutMs":100,"onTimeout":"retryWithBackoff",\#(idempotent)"#)])
    let run = try #require(process.start("hi", params).runID)
    while process.parent.invocations.count < 2 { world.advance(milliseconds: 10) }
    let live = try #require(process.engine.live[run])
    return (process, live, try #require(live.state.pendingClientCalls.first?.callID))
  }

  private func added(_ machine: RunMachine, _ body: (inout RunMachine) throws -> Void) rethrows -> [String] {
    var machine = machine
    try body(&machine)
    return machine.records.map(\.type) + machine.effects.map { "\($0)" }
  }

  @Test func `a timeout of an earlier attempt`() throws {
    let (_, run, call) = try waiting()
    #expect(added(run.machine) { $0.invocationTimedOut(call, attempt: 1) } == [])
    #expect(added(run.machine) { $0.invocationTimedOut(call, attempt: 2) } != [])
  }

  @Test func `a deferral of an earlier attempt`() throws {
    let (process, run, call) = try waiting()
    try process.parent.request(0).answer(.result(.later, bytes: 1))
    world.settle()
    #expect(process.look(run.runID)?.pendingCalls.map(\.state) == [.deferred])
    #expect(try added(run.machine) { try $0.invocationAnswered(call, attempt: 1, .error("late", bytes: 1)) } == [])
    #expect(try added(run.machine) { try $0.invocationAnswered(call, attempt: 2, .result(.later, bytes: 1)) } == [])
  }

  @Test func `a timeout, a retry and an error of a call that is parked, deferred or done`() throws {
    for end in [RunEvent.callParked, RunEvent.callDeferred, { .toolCompleted(callID: $0, result: .text("done")) }] {
      let (_, run, call) = try waiting()
      var machine = run.machine
      machine.append(end(call))
      _ = machine.takeOutput()
      #expect(added(machine) { $0.invocationTimedOut(call, attempt: 2) } == [])
      #expect(added(machine) { $0.retryDue(call) } == [])
    }
    let (_, run, call) = try waiting()
    var machine = run.machine
    machine.append(.callParked(callID: call))
    _ = machine.takeOutput()
    #expect(try added(machine) { try $0.invocationAnswered(call, attempt: 2, .error("late", bytes: 1)) } == [])
  }

  @Test func `a server tool of an earlier attempt or another process`() throws {
    let process = world.launch(model: ScriptedModel([.call(("s", "{}"))]))
    let run = try #require(process.start("hi", startParams(tools: [serverTool("s")])).runID)
    let live = try #require(process.engine.live[run])
    let call = try #require(live.state.pendingServerCalls.first?.callID)
    #expect(added(live.machine) { $0.serverToolFinished(call, attempt: 2, .text("x")) } == [])
    #expect(added(live.machine) { $0.serverToolFinished(ULID(high: 1, low: 1), attempt: 1, .text("x")) } == [])
    var machine = live.machine
    machine.context.own = OwnerID(number: 99)
    #expect(added(machine) { $0.serverToolFinished(call, attempt: 1, .text("x")) } == [])
    #expect(added(live.machine) { $0.serverToolFinished(call, attempt: 1, .text("x")) }.first == "tool.completed")
  }

  @Test func `a turn of another message, or of a run that another process drives`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(process.start("hi", startParams()).runID)
    let live = try #require(process.engine.live[run])
    let message = try #require(live.state.modelAtWork)
    let other = ULID(high: 1, low: 1)
    let fault = RunFault(.modelRejected, "400")
    #expect(added(live.machine) { $0.modelFinished(other, .say("x")) } == [])
    #expect(added(live.machine) { $0.modelFailed(other, fault) } == [])
    #expect(added(live.machine) { $0.modelRetried(other, attempt: 1, reason: "x", retryAfterMilliseconds: 1) } == [])
    var machine = live.machine
    machine.context.own = OwnerID(number: 99)
    #expect(added(machine) { $0.modelFinished(message, .say("x")) } == [])
    #expect(added(machine) { $0.modelFailed(message, fault) } == [])
    #expect(added(machine) { $0.deadlinePassed() } == [])
    #expect(added(live.machine) { $0.modelFailed(message, fault) }.first == "run.error")
  }

  @Test func `signals of a model that was cancelled`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let started = process.start("hi", startParams(limits: #"{"deadlineMs":100,"onLimit":"pause"}"#))
    let run = try #require(started.runID)
    world.advance(milliseconds: 100)
    let before = world.disk.records(of: run).count
    let call = try process.model.call(0)
    #expect(call.isCancelled)
    call.send(.retried(attempt: 1, reason: "late", retryAfterMilliseconds: 1))
    call.finish(.say("late"))
    world.advance(milliseconds: 100)
    #expect(world.disk.records(of: run).count == before)
  }
}
