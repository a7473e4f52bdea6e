import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What Tests/Simulation found, each as a story of its own.
@Suite struct FoundBySimulationTests {
  private let world = VirtualWorld()

  @Test func `an interrupted server call does not make the model go on while others of its batch wait for their client`() throws {
    let first = world.launch(model: ScriptedModel([.call(("t", "{}"), ("a", "{}"), ("b", "{}"))]))
    let params = startParams(tools: [serverTool("t"), clientTool("a"), clientTool("b")])
    let run = try #require(first.start("hi", params, delivery: .pause).runID)
    first.kill()
    let second = world.launch(model: ScriptedModel([.call(), .say("ok")]))
    let calls = try second.engine.glance(run).awaitedCalls.map(\.callID.text)
    _ = second.submit(run, [(calls[0], .text("done"))], partial: true, wait: false, delivery: .pause)
    #expect(second.look(run)?.status == .waitingClientTool)
    #expect(second.model.calls.isEmpty)
    _ = second.submit(run, [(calls[1], .text("done"))], wait: false, delivery: .pause)
    #expect(second.look(run)?.status == .success)
  }

  @Test func `a client that watches a run sees the event that came just before its own request`() throws {
    let first = world.launch(model: ScriptedModel([.call(("a", "{}"))]))
    let run = try #require(first.start("hi", startParams(tools: [clientTool("a")]), delivery: .pause, wait: false).runID)
    #expect(first.engine.live.isEmpty)
    // The first process has not looked since.
    _ = world.launch(model: ScriptedModel([])).note(run, "from another")
    _ = first.note(run, "from here")
    let seen = first.parent.events[run, default: []].map(\.sequence)
    #expect(seen == Array(1...(first.look(run)?.lastSequence ?? 0)))
  }

  @Test func `a wait whose time is over is not answered with what the turn has decided, before that is in the log`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(process.start("hi", startParams(), wait: false).runID)
    let waiting = process.wait(run, timeout: 100)
    var wasAnswered: Bool?
    process.store.beforeSubmit = { _ in wasAnswered = waiting.isThere }
    // The model answers in the turn in which the time is over.
    try process.model.call(0).finish(.say("ok"))
    world.clock.advance(to: 100)
    process.step()
    #expect(wasAnswered == false)
    #expect(waiting.outcome?.status == .success)
  }

  @Test func `a look does not tell what is decided and not in the log yet`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(process.start("hi", startParams(), wait: false).runID)
    var seen: RunStatus?
    process.store.beforeSubmit = { [unowned process] _ in seen = process.look(run)?.status }
    try process.model.call(0).finish(.say("ok"))
    world.settle()
    #expect(seen == .running)
    #expect(process.look(run)?.status == .success)
  }

  @Test func `a process that let its runs go because its store failed does not keep others from taking them up`() throws {
    let first = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(first.start("hi", startParams(), wait: false).runID)
    first.store.faults = [.refused(StoreError(.full, "full"))]
    try first.model.call(0).finish(.say("lost"))
    world.advance(milliseconds: 100)
    let second = world.launch(model: ScriptedModel([.say("by the second")]))
    #expect(second.look(run)?.driver == RunOutcome.Driver.none)
    #expect(second.resume(run).outcome?.status == .success)
  }
}
