import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// How a process leaves its runs, and what it answers then.
@Suite struct EndingTests {
  private let world = VirtualWorld()

  @Test func `everybody who waits is answered with the outcome as it stands`() throws {
    let process = world.launch(model: ScriptedModel { request in request.agent.name == "asks" ? .call(("a", "{}")) : .held })
    let driven = process.start("one", startParams())
    let asking = process.start("two", startParams(agent: #""name":"asks""#, tools: [clientTool("a")]))
    let waiting = process.wait(try #require(asking.runID))
    process.act { $0.end(.hangUp) }
    #expect(driven.outcome?.status == .running)
    #expect(driven.outcome?.driver == RunOutcome.Driver.none)
    #expect(process.model.calls[0].isCancelled)
    #expect(asking.outcome?.pendingCalls.map(\.state) == [.parked])
    #expect(waiting.outcome?.status == .waitingClientTool)
    #expect([driven, asking, waiting].map(\.results.count) == [1, 1, 1])
    // Nothing begins any more, and what comes late changes nothing.
    #expect(process.start("three", startParams()).error?.kind == .shuttingDown)
    #expect(process.resume(try #require(driven.runID)).error?.kind == .shuttingDown)
    #expect(process.submit(try #require(asking.runID), []).error?.kind == .shuttingDown)
    try process.model.call(0).finish(.say("late"))
    world.advance(milliseconds: 1000)
    #expect(world.disk.records(of: try #require(driven.runID)).map(\.type) == ["run.started", "model.started"])
  }

  @Test func `an answer that came before the end is honoured`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .held]))
    let started = process.start("hi", startParams(tools: [clientTool("a", #""onDisconnect":"failFast""#)]))
    let run = try #require(started.runID)
    try process.parent.request(0).answer(.text("just in time"))
    process.host.post { $0.end(.hangUp) }
    world.settle()
    #expect(started.outcome?.status == .running)
    #expect(process.parent.transcript.lines.contains("6 tool.completed a 'just in time'"))
    #expect(world.disk.records(of: run).last?.type == "model.started")
    // Whoever takes the run up asks the model.
    #expect(process.model.calls.count == 1)
  }

  @Test func `the commands that run are stopped`() throws {
    let process = world.launch(model: ScriptedModel([.call(("s", "{}"))]))
    let started = process.start("hi", startParams(tools: [serverTool("s")]))
    process.act { $0.end(.signal) }
    #expect(process.tools.runs.map(\.isStopped) == [true])
    #expect(started.outcome?.status == .running)
    #expect(world.disk.records(of: try #require(started.runID)).last?.type == "tool.started")
  }

  @Test func `a drain works on until nothing is left but what needs the client`() throws {
    let process = world.launch(
      model: ScriptedModel { request in
        switch (request.agent.name, request.turn) {
        case ("asks", 0): .call(("s", "{}"), ("a", "{}"))
        case (nil, 0): .held
        default: .say("ok")
        }
      })
    var idle = 0
    let plain = process.start("one", startParams())
    let asking = process.start("two", startParams(agent: #""name":"asks""#, tools: [serverTool("s"), clientTool("a")]))
    process.act { engine in
      process.parent.answersInvocations = false
      engine.drain()
      engine.whenIdle = { idle += 1 }
    }
    #expect(idle == 0)
    #expect(process.engine.leavesWork)
    try process.model.call(0).finish(.say("done"))
    world.settle()
    #expect(plain.outcome?.status == .success)
    #expect(idle == 0)
    process.tools.runs.first?.complete(.text("s ran"))
    world.settle()
    #expect(asking.outcome?.pendingCalls.map(\.state) == [.parked])
    #expect(process.parent.invocations.isEmpty)
    #expect(idle > 0)
    #expect(process.engine.leavesWork)
  }

  @Test func `a process whose runs have all ended leaves no work`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let started = process.start("hi", startParams(tools: [clientTool("a")]), delivery: .pause)
    #expect(process.engine.leavesWork)
    _ = process.cancel(try #require(started.runID))
    #expect(!process.engine.leavesWork)
  }

  @Test func `runs end as their log has it when the store fails at the end`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let started = process.start("hi", startParams(tools: [clientTool("a")]))
    process.store.faults = [.refused(StoreError(.full, "the disk is full"))]
    process.act { $0.end(.hangUp) }
    #expect(started.error?.kind == .storeFull)
    process.kill()
    let second = world.launch(model: ScriptedModel([.call(), .say("ok")]))
    #expect(second.look(try #require(started.runID))?.pendingCalls.map(\.state) == [.parked])
  }
}
