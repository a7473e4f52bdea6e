import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// `deadlineMs` counts only while somebody drives the run.
@Suite struct DeadlineTests {
  private let world = VirtualWorld()

  @Test func `the time that a run waits does not count`() throws {
    let process = world.launch(model: ScriptedModel { $0.turn == 1 ? .held : .call(("a", "{}")) })
    let params = startParams(tools: [clientTool("a", #""timeoutMs":100000"#)], limits: #"{"deadlineMs":300}"#)
    let started = process.start("hi", params)
    world.advance(milliseconds: 50_000)
    try process.parent.request(0).answer(.text("done"))
    world.advance(milliseconds: 299)
    #expect(!started.isThere)
    world.advance(milliseconds: 1)
    #expect(started.outcome?.fault?.kind == .runLimitExceeded)
    #expect(try process.model.call(1).isCancelled)
  }

  @Test func `the time between a driver's death and the resume does not count`() throws {
    let first = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(first.start("hi", startParams(limits: #"{"deadlineMs":300}"#)).runID)
    world.advance(milliseconds: 100)
    try first.model.call(0).send(.retried(attempt: 1, reason: "overloaded", retryAfterMilliseconds: 10))
    world.settle()
    world.advance(milliseconds: 50)
    _ = first.note(run, "what the driver last wrote is the end of its time, a note is not")
    first.kill()
    world.advance(milliseconds: 86_400_000)

    let second = world.launch(model: ScriptedModel { _ in .held })
    _ = second.note(run, "a day later")
    let resumed = second.resume(run)
    world.advance(milliseconds: 199)
    #expect(second.look(run)?.status == .running)
    world.advance(milliseconds: 1)
    #expect(resumed.outcome?.fault?.kind == .runLimitExceeded)
  }

  @Test func `a tool that the deadline has stopped is settled as after a crash`() throws {
    let process = world.launch(model: ScriptedModel([.call(("s", "{}"), ("t", "{}")), .say("ok")]))
    let params = startParams(tools: [serverTool("s"), serverTool("t", idempotent)], limits: #"{"deadlineMs":300,"onLimit":"pause"}"#)
    let started = process.start("hi", params)
    let run = try #require(started.runID)
    world.advance(milliseconds: 300)
    #expect(started.outcome?.status == .paused)
    #expect(started.outcome?.fault?.kind == .runLimitExceeded)
    #expect(process.tools.runs.map(\.isStopped) == [true, true])

    process.tools.answer = { .text("\($0.tool.name) ran") }
    let resumed = process.resume(run, limits: json(#"{"deadlineMs":1000}"#))
    #expect(resumed.outcome?.status == .success)
    #expect(process.tools.runs.map { "\($0.call.tool.name)#\($0.call.attempt)" } == ["s#1", "t#1", "t#2"])
    #expect(
      process.model.shown.last?.suffix(2) == [
        "s failed: The tool 's' was interrupted and was not run again; whether it took effect is unknown.", "t: t ran",
      ])
  }

  @Test func `a note does not put the deadline off`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let started = process.start("hi", startParams(limits: #"{"deadlineMs":300}"#))
    world.advance(milliseconds: 100)
    _ = process.note(try #require(started.runID), "by the way")
    world.advance(milliseconds: 199)
    #expect(!started.isThere)
    world.advance(milliseconds: 1)
    #expect(started.outcome?.fault?.kind == .runLimitExceeded)
  }

  @Test func `a resume with no more time pauses again`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(process.start("hi", startParams(limits: #"{"deadlineMs":300,"onLimit":"pause"}"#)).runID)
    world.advance(milliseconds: 300)
    #expect(process.resume(run).outcome?.fault?.kind == .runLimitExceeded)
    let resumed = process.resume(run, limits: json(#"{"deadlineMs":350}"#))
    world.advance(milliseconds: 49)
    #expect(!resumed.isThere)
    world.advance(milliseconds: 1)
    #expect(resumed.outcome?.status == .paused)
  }
}
