import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What clients of other processes see of a run.
@Suite struct WatchTests {
  private let world = VirtualWorld()

  @Test func `events of a run that another process drives come as they are in the log`() throws {
    let first = world.launch(model: ScriptedModel { request in request.turn == 0 ? .held : .say("ok") })
    let second = world.launch(model: ScriptedModel([]))
    let run = try #require(first.start("hi", startParams(tools: [clientTool("a")])).runID)
    first.parent.answer = { _ in .text("done") }
    second.watch(run, after: 2)
    #expect(second.parent.events[run] == nil)
    try first.model.call(0).finish(.call([("a", "{}")]))
    world.advance(milliseconds: 100)
    let log = world.disk.records(of: run).compactMap(\.event)
    #expect(second.parent.events[run]?.map(\.bytes) == Array(log.dropFirst(2)))
    #expect(second.parent.events[run]?.map(\.sequence) == Array(3...log.count))
    #expect(second.parent.events[run]?.last?.type == "run.completed")
    #expect(first.parent.events[run]?.map(\.bytes) == log)
  }

  @Test func `streamed text reaches a watcher in another process in pieces`() throws {
    let first = world.launch(model: ScriptedModel { _ in .held })
    let second = world.launch(model: ScriptedModel([]))
    let run = try #require(first.start("hi", startParams()).runID)
    let call = try first.model.call(0)
    call.send(.text("before "))
    world.advance(milliseconds: 1500)
    second.watch(run, after: 2)
    world.advance(milliseconds: 200)
    for piece in ["hel", "lo ", "wor"] { call.send(.text(piece)) }
    world.advance(milliseconds: 250)
    call.send(.text("ld"))
    call.finish(.say("before hello world"))
    world.advance(milliseconds: 250)
    let texts = second.parent.foreignChunks.compactMap { CarriedJSON(trusted: $0.event)["data"]?["text"]?.stringValue }
    // What nobody had seen yet comes first, however old.
    #expect(texts == ["before ", "hello wor", "ld"])
    #expect(second.parent.foreignChunks.allSatisfy { CarriedJSON(trusted: $0.event)["seq"] == nil })
  }

  @Test func `streamed text stands between the events that it came between, however late they are read`() throws {
    let first = world.launch(model: ScriptedModel { _ in .held })
    let second = world.launch(model: ScriptedModel([]))
    let run = try #require(first.start("hi", startParams(tools: [clientTool("a")])).runID)
    first.parent.answer = { _ in .text("done") }
    second.watch(run, after: 2)
    world.advance(milliseconds: 100)
    try first.model.call(0).send(.text("void"))
    try first.model.call(0).send(.retried(attempt: 1, reason: "a cut", retryAfterMilliseconds: 1))
    try first.model.call(0).send(.text("calling"))
    try first.model.call(0).finish(.call([("a", "{}")], text: "calling"))
    world.settle()
    try first.model.call(1).send(.text("bye"))
    try first.model.call(1).finish(.say("bye"))
    world.advance(milliseconds: 100)
    #expect(
      second.parent.order == [
        "text", "model.retried", "text", "model.completed", "tool.started", "run.paused", "tool.completed", "run.resumed", "model.started",
        "text", "model.completed", "run.completed",
      ])
  }

  @Test func `who stops watching sees nothing more`() throws {
    let first = world.launch(model: ScriptedModel { _ in .held })
    let second = world.launch(model: ScriptedModel([]))
    let run = try #require(first.start("hi", startParams()).runID)
    second.watch(run, after: 2)
    second.act { $0.unwatch(run) }
    first.act { $0.unwatch(run) }
    let before = first.parent.transcript.lines
    try first.model.call(0).finish(.say("ok"))
    world.advance(milliseconds: 250)
    #expect(second.parent.events[run] == nil)
    #expect(first.parent.transcript.lines == before + ["text 'ok'", "start -> success"].dropFirst())
  }

  @Test func `a run is published once, though it is asked for again while it goes on`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(process.start("hi", startParams()).runID)
    process.watch(run, after: 2)
    try process.model.call(0).finish(.say("ok"))
    world.settle()
    #expect(process.parent.events[run]?.map(\.sequence) == [1, 2, 3, 4])
  }

  @Test func `progress of tools is shown while they run`() throws {
    let process = world.launch(model: ScriptedModel([.call(("s", "{}")), .say("ok")]))
    _ = process.start("hi", startParams(tools: [serverTool("s")]))
    process.tools.runs.first?.progress("stdout", "one line")
    #expect(process.transcript.lines.last == #"progress s {"stream":"stdout","text":"one line"}"#)
  }

  @Test func `the text of a message that was cancelled is kept, that of one that was begun again is not`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let started = process.start("hi", startParams())
    let call = try process.model.call(0)
    call.send(.text("lost "))
    call.send(.retried(attempt: 1, reason: "broken", retryAfterMilliseconds: 1))
    world.settle()
    call.send(.text("kept"))
    _ = process.cancel(try #require(started.runID))
    #expect(process.transcript.lines.contains("4 run.cancelled cancelled partial 'kept'"))
    call.send(.text(" and more"))
    call.finish(.say("all"))
    world.settle()
    #expect(world.disk.records(of: try #require(started.runID)).count == 4)
  }
}
