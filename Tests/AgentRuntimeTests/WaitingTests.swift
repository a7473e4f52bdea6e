import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// When a request that waits for a run is answered.
@Suite struct WaitingTests {
  private let world = VirtualWorld()
  private let asking = startParams(tools: [clientTool("a")])

  @Test func `a start that does not wait is answered before the run's events`() {
    let process = world.launch(model: ScriptedModel([.say("ok")]))
    let answer = process.start("hi", startParams(), wait: false)
    #expect(answer.outcome?.status == .running)
    #expect(answer.outcome?.lastSequence == 2)
    #expect(process.transcript.lines.prefix(2) == ["start -> running", "1 run.started"])
  }

  @Test func `a wait ends when the run ends, pauses, or waits with no call open at a living client`() throws {
    let process = world.launch(model: ScriptedModel { request in request.turn == 0 ? .call(("a", "{}")) : .held })
    let started = process.start("hi", asking)
    let run = try #require(started.runID)
    #expect(!started.isThere)
    process.parent.invocations.first?.answer(.result(.later, bytes: 1))
    world.settle()
    #expect(started.outcome?.status == .waitingClientTool)
    #expect(started.outcome?.pendingCalls.map(\.state) == [.deferred])
    #expect(process.wait(run).outcome?.status == .waitingClientTool)

    let call = try #require(started.outcome?.pendingCalls.first?.callID.text)
    let submitted = process.submit(run, [(call, .text("done"))])
    let waiting = process.wait(run)
    #expect(!submitted.isThere && !waiting.isThere)
    _ = process.pause(run)
    try process.model.call(0 + 1).finish(.call([("a", "{}")]))
    world.settle()
    #expect(submitted.outcome?.status == .paused)
    #expect(waiting.outcome?.status == .paused)
  }

  @Test func `a pause between two attempts at a model call is at once, and a resume asks the model anew`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let started = process.start("hi", startParams())
    let run = try #require(started.runID)
    let call = try process.model.call(0)
    call.send(.retried(attempt: 1, reason: "overloaded", retryAfterMilliseconds: 60_000))
    call.isWaiting = true
    world.settle()
    #expect(!started.isThere)
    let paused = process.pause(run)
    #expect(paused.outcome?.status == .paused && paused.outcome?.fault == nil && call.isCancelled)
    #expect(started.outcome?.status == .paused)
    call.finish(.say("late"))
    world.settle()
    #expect(process.look(run)?.status == .paused)

    let resumed = process.resume(run)
    try process.model.call(1).finish(.say("ok"))
    world.settle()
    #expect(resumed.outcome?.status == .success)
    #expect(process.model.calls.count == 2)
  }

  @Test func `a pause that was asked during an attempt comes before the next one, also when another process asks`() throws {
    for isElsewhere in [false, true] {
      let world = VirtualWorld()
      let process = world.launch(model: ScriptedModel { _ in .held })
      let run = try #require(process.start("hi", startParams()).runID)
      let pausing = (isElsewhere ? world.launch(model: ScriptedModel([])) : process).pause(run)
      #expect(!pausing.isThere)
      let call = try process.model.call(0)
      call.send(.retried(attempt: 1, reason: "overloaded", retryAfterMilliseconds: 60_000))
      world.advance(milliseconds: 250)
      #expect(pausing.outcome?.status == .paused && pausing.outcome?.fault == nil && call.isCancelled)
    }
  }

  @Test func `a run with a call open at the client of another process is waited for`() throws {
    let first = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let second = world.launch(model: ScriptedModel([]))
    let run = try #require(first.start("hi", asking).runID)
    let waiting = second.wait(run)
    #expect(!waiting.isThere)
    first.parent.invocations.first?.answer(.text("done"))
    world.advance(milliseconds: 250)
    #expect(waiting.outcome?.status == .success)
  }

  @Test func `a run whose call was open at a process that died is settled`() throws {
    let first = world.launch(model: ScriptedModel([.call(("a", "{}"))]))
    let second = world.launch(model: ScriptedModel([]))
    let run = try #require(first.start("hi", asking).runID)
    let waiting = second.wait(run)
    first.kill()
    world.advance(milliseconds: 250)
    #expect(waiting.outcome?.pendingCalls.map(\.state) == [.parked])
  }

  @Test func `a run that another process drives is waited for, and one that nobody drives is not`() throws {
    let first = world.launch(model: ScriptedModel { _ in .held })
    let second = world.launch(model: ScriptedModel([]))
    let run = try #require(first.start("hi", startParams()).runID)
    let waiting = second.wait(run)
    world.advance(milliseconds: 1000)
    #expect(!waiting.isThere)
    first.kill()
    #expect(second.wait(run).outcome?.driver == RunOutcome.Driver.none)
    world.advance(milliseconds: 250)
    #expect(waiting.outcome?.status == .running)
  }

  @Test func `a wait with a timeout is answered with the outcome as it stands`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(process.start("hi", startParams()).runID)
    let now = process.wait(run, timeout: 0)
    let later = process.wait(run, timeout: 100)
    world.advance(milliseconds: 0)
    #expect(now.outcome?.status == .running)
    world.advance(milliseconds: 99)
    #expect(!later.isThere)
    world.advance(milliseconds: 1)
    #expect(later.outcome?.status == .running)
    #expect(later.outcome?.driver == .own)
    try process.model.call(0).finish(.say("ok"))
    world.settle()
    #expect(now.results.count == 1 && later.results.count == 1)
  }

  @Test func `a wait that is cancelled is not answered, and the run goes on`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let started = process.start("hi", startParams())
    let waiting = process.wait(try #require(started.runID))
    let token = try #require(waiting.token)
    process.act { #expect($0.cancelWait(token)) }
    process.act { #expect(!$0.cancelWait(token)) }
    try process.model.call(0).finish(.say("ok"))
    world.settle()
    #expect(!waiting.isThere)
    #expect(started.outcome?.status == .success)
  }

  @Test func `a run leaves memory when nobody needs it`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let run = try #require(process.start("hi", asking, delivery: .pause).runID)
    #expect(process.engine.live.isEmpty)
    _ = process.look(run)
    #expect(process.engine.live.isEmpty)
    process.act { #expect((try? $0.delete(run)) == nil) }
    #expect(process.engine.live.isEmpty)
    #expect(process.note(run, "x").outcome?.status == .waitingClientTool)
    #expect(process.engine.live.isEmpty)
    _ = process.resume(run, wait: false)
    #expect(process.engine.live.count == 1)
    process.parent.invocations.first?.answer(.text("done"))
    world.settle()
    #expect(process.look(run)?.status == .success)
    #expect(process.engine.live.isEmpty)
  }

  @Test func `a late answer to a parked call goes on with the parent that gives it`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .call(("a", "{}")), .say("ok")]))
    let params = startParams(tools: [clientTool("a", #""timeoutMs":50,"onTimeout":"park""#)])
    let run = try #require(process.start("hi", params).runID)
    world.advance(milliseconds: 50)
    #expect(process.engine.live.isEmpty)
    try process.parent.request(0).answer(.text("late"))
    world.settle()
    #expect(process.look(run)?.pendingCalls.map(\.state) == [.open])
    try process.parent.request(1).answer(.text("in time"))
    world.settle()
    #expect(process.look(run)?.status == .success)
  }

  @Test func `a resume sends a deferred call again only when it is named, and an open one never`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}"), ("b", "{}"), ("c", "{}"))]))
    let params = startParams(tools: [clientTool("a"), clientTool("b", #""timeoutMs":50,"onTimeout":"park""#), clientTool("c")])
    let run = try #require(process.start("hi", params).runID)
    try process.parent.request(0).answer(.result(.later, bytes: 1))
    world.advance(milliseconds: 50)
    func attempts() -> [String] { process.look(run)?.pendingCalls.map { "\($0.name)#\($0.attempt) \($0.state)" } ?? [] }
    #expect(attempts() == ["a#1 deferred", "b#1 parked", "c#1 open"])
    _ = process.resume(run, wait: false)
    #expect(attempts() == ["a#1 deferred", "b#2 open", "c#1 open"])
    let deferred = try #require(process.look(run)?.pendingCalls.first?.callID)
    _ = process.resume(run, reissue: [deferred], wait: false)
    #expect(attempts() == ["a#2 open", "b#2 open", "c#1 open"])
    #expect(process.parent.invocations.map { "\($0.request.name)#\($0.request.attempt)" } == ["a#1", "b#1", "c#1", "b#2", "a#2"])
  }
}
