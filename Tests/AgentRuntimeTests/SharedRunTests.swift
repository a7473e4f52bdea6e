import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// One run, several processes on its store.
@Suite struct SharedRunTests {
  private let world = VirtualWorld()

  private func launch(_ turns: ScriptedModel.Answer...) -> VirtualProcess { world.launch(model: ScriptedModel(turns)) }

  @Test func `calls that were held back go out when another process has answered those before them`() throws {
    let first = launch(.call(("a", "{}"), ("b", "{}")), .say("ok"))
    let second = launch(.call(), .say("ok"))
    let params = startParams(agent: #""clientTools":{"maxParallelInvocations":1}"#, tools: [clientTool("a"), clientTool("b")])
    let started = first.start("hi", params)
    let run = try #require(started.runID)
    let call = try #require(first.look(run)?.pendingCalls.first?.callID.text)
    _ = second.submit(run, [(call, .text("by another"))], partial: true, delivery: .pause)
    world.advance(milliseconds: 100)
    #expect(first.parent.invocations.map { "\($0.request.name)#\($0.request.attempt) \($0.isCancelled)" } == ["a#1 true", "b#1 false"])
    try first.parent.request(1).answer(.text("b done"))
    world.settle()
    #expect(started.outcome?.status == .success)
  }

  @Test func `calls that another process holds back are not sent here`() throws {
    let first = launch(.call(("a", "{}")))
    let second = launch(.call(), .call(("a", "{}"), ("a", #"{"second":true}"#)), .say("ok"))
    let params = startParams(agent: #""clientTools":{"maxParallelInvocations":1}"#, tools: [clientTool("a")])
    let run = try #require(first.start("hi", params).runID)
    let waiting = first.wait(run)
    let call = try #require(first.look(run)?.pendingCalls.first?.callID.text)
    _ = second.submit(run, [(call, .text("done"))], wait: false)
    world.advance(milliseconds: 100)
    #expect(first.parent.invocations.count == 1)
    #expect(second.parent.invocations.count == 1)
    try second.parent.request(0).answer(.text("one"))
    world.settle()
    try second.parent.request(1).answer(.text("two"))
    world.advance(milliseconds: 100)
    #expect(waiting.outcome?.status == .success)
    #expect(first.parent.invocations.count == 1)
  }

  /// Has another process finish its run, and claim nothing any more, just before this one looks whether it lives.
  private func finishBeforeNextLook(of process: VirtualProcess, _ other: VirtualProcess) {
    process.store.beforeLook = { [unowned process] in
      process.store.beforeLook = nil
      try? other.parent.request(0).answer(.text("done"))
      other.turn()
      other.store.keepLease(false)
    }
  }

  @Test func `whoever waits is not told that a process is gone which has finished the run`() throws {
    let (first, second) = (launch(), launch(.call(("a", "{}")), .say("ok")))
    let run = try #require(second.start("hi", startParams(tools: [clientTool("a")])).runID)
    let waiting = first.wait(run)
    world.advance(milliseconds: 100)
    #expect(!waiting.isThere)
    finishBeforeNextLook(of: first, second)
    world.advance(milliseconds: 100)
    #expect(waiting.outcome?.status == .success)
  }

  @Test func `nor whoever looks`() throws {
    let (first, second) = (launch(), launch(.call(("a", "{}")), .say("ok")))
    let run = try #require(second.start("hi", startParams(tools: [clientTool("a")])).runID)
    finishBeforeNextLook(of: first, second)
    #expect(first.look(run)?.status == .success)
  }

  @Test func `calls are not sent here any more when another process has taken them from this parent`() throws {
    let first = launch(.call(("a", "{}"), ("b", "{}")))
    let params = startParams(agent: #""clientTools":{"maxParallelInvocations":1}"#, tools: [clientTool("a"), clientTool("b")])
    let run = try #require(first.start("hi", params).runID)
    _ = launch().resume(run, delivery: .pause, wait: false)
    world.advance(milliseconds: 100)
    try first.parent.request(0).answer(.text("done"))
    world.settle()
    #expect(first.parent.invocations.count == 1)
    #expect(first.look(run)?.pendingCalls.map { "\($0.name)#\($0.attempt) \($0.state)" } == ["b#0 parked"])
  }

  /// Has another process write to the run just before the next append of this one.
  private func disturbNextAppend(of process: VirtualProcess, _ run: ULID) {
    let other = launch()
    process.store.beforeSubmit = { [unowned process] _ in
      process.store.beforeSubmit = nil
      _ = other.note(run, "in between")
    }
  }

  @Test func `a call that waits for another attempt does so still when the log has moved on`() throws {
    let first = launch(.call(("a", "{}")), .say("ok"))
    let started = first.start(
      "hi", startParams(tools: [clientTool("a", #""timeoutMs":100,"onTimeout":"retryWithBackoff",\#(idempotent)"#)]))
    let run = try #require(started.runID)
    world.advance(milliseconds: 100)
    disturbNextAppend(of: first, run)
    _ = first.note(run, "mine")
    try first.parent.request(0).answer(.error("cancelled", bytes: 9))
    world.advance(milliseconds: 250)
    try first.parent.request(1).answer(.text("done"))
    world.settle()
    #expect(started.outcome?.status == .success)
    #expect(first.model.shown.last == ["user: hi", "assistant:  a{}", "a: done", "user: in between", "user: mine"])
  }

  @Test func `calls that are to be sent again are so still when the log has moved on`() throws {
    let first = launch(.call(("a", "{}"), ("b", "{}")), .say("ok"))
    let parking = #""timeoutMs":100,"onTimeout":"park""#
    let params = startParams(
      agent: #""clientTools":{"maxParallelInvocations":1}"#, tools: [clientTool("a", parking), clientTool("b", parking)])
    let run = try #require(first.start("hi", params).runID)
    world.advance(milliseconds: 200)
    #expect(first.look(run)?.pendingCalls.map(\.state) == [.parked, .parked])
    _ = first.resume(run, wait: false)
    disturbNextAppend(of: first, run)
    _ = first.note(run, "mine")
    try first.parent.request(2).answer(.text("a done"))
    world.settle()
    #expect(first.parent.invocations.map { "\($0.request.name)#\($0.request.attempt)" } == ["a#1", "b#1", "a#2", "b#2"])
  }

  @Test func `a request is cancelled when another process has answered its call, even before its time runs`() throws {
    let first = launch(.call(("a", "{}")), .say("ok"))
    let second = launch(.call(), .say("ok"))
    first.parent.holdsRequests = true
    let run = try #require(first.start("hi", startParams(tools: [clientTool("a")])).runID)
    let call = try #require(first.look(run)?.pendingCalls.first?.callID.text)
    #expect(second.submit(run, [(call, .text("by another"))]).outcome?.status == .success)
    world.advance(milliseconds: 100)
    #expect(try first.parent.request(0).isCancelled)
    #expect(first.engine.live.isEmpty)
  }

  @Test func `a run that another process took on and left can be driven here again at once`() throws {
    let first = launch(.call(("a", "{}")), .call(("a", "{}")), .say("ok"))
    let second = launch(.call(), .call(("a", "{}")))
    let run = try #require(first.start("hi", startParams(tools: [clientTool("a")])).runID)
    var call = try #require(first.look(run)?.pendingCalls.first?.callID.text)
    _ = second.submit(run, [(call, .text("one"))], wait: false, delivery: .pause)
    call = try #require(second.look(run)?.pendingCalls.first?.callID.text)
    // Before the first process has noticed.
    _ = first.submit(run, [(call, .text("two"))], wait: false, delivery: .pause)
    world.settle()
    #expect(first.look(run)?.status == .success)
  }

  @Test func `more changes than one read returns are all taken at once`() throws {
    let first = launch(.held, .say("ok"))
    let second = launch()
    let started = first.start("hi", startParams())
    let run = try #require(started.runID)
    second.store.portionBytes = 1
    let waiting = second.wait(run)
    second.watch(run, after: 2)
    try first.model.call(0).finish(.say("done"))
    world.advance(milliseconds: 100)
    #expect(waiting.outcome?.status == .success)
    #expect(second.parent.events[run]?.map(\.sequence) == [3, 4])
  }

  @Test func `two waits that time out together when the driver has died are both answered`() throws {
    let first = launch(.held)
    let second = launch()
    let run = try #require(first.start("hi", startParams()).runID)
    let one = second.wait(run, timeout: 10)
    let other = second.wait(run, timeout: 10)
    first.kill()
    world.advance(milliseconds: 10)
    #expect(one.results.count == 1)
    #expect(other.results.count == 1)
    #expect(one.outcome?.status == .running)
    #expect(one.outcome?.driver == RunOutcome.Driver.none)
  }

  @Test func `what was asked of a driver that died does not bind the next one`() throws {
    let first = launch(.held)
    let run = try #require(first.start("hi", startParams()).runID)
    let second = launch(.say("ok"))
    let pausing = second.pause(run)
    #expect(!pausing.isThere)
    first.kill()
    world.advance(milliseconds: 100)
    #expect(pausing.outcome?.status == .paused)
    #expect(pausing.outcome?.driver == RunOutcome.Driver.none)
    #expect(second.resume(run).outcome?.status == .success)
  }

  @Test func `a pause that was asked of a driver that died is carried out by the process that adopts the run`() throws {
    let first = launch(.held)
    let run = try #require(first.start("hi", startParams()).runID)
    let second = launch()
    _ = second.pause(run)
    first.kill()
    second.kill()
    let third = launch(.say("never"))
    third.act { $0.adoptOrphans() }
    #expect(third.look(run)?.status == .paused)
    #expect(third.model.calls.isEmpty)
    #expect(third.resume(run).outcome?.status == .success)
  }

  @Test func `a cancel that was asked of a driver that died is carried out by whoever is left`() throws {
    let first = launch(.held)
    let run = try #require(first.start("hi", startParams()).runID)
    let second = launch()
    let cancelling = second.cancel(run, reason: "enough")
    #expect(!cancelling.isThere)
    first.kill()
    world.advance(milliseconds: 100)
    #expect(cancelling.outcome?.status == .cancelled)
    #expect(second.model.calls.isEmpty)
  }

  @Test func `a cancel that was asked of a driver that died is carried out by the resume`() throws {
    let first = launch(.held)
    let run = try #require(first.start("hi", startParams()).runID)
    let second = launch()
    _ = second.cancel(run)
    first.kill()
    second.kill()
    let third = launch(.say("never"))
    #expect(third.resume(run).outcome?.status == .cancelled)
    #expect(third.model.calls.isEmpty)
  }

  @Test func `a pause does not come before a cancel that was asked of a driver that died`() throws {
    let first = launch(.held)
    let run = try #require(first.start("hi", startParams()).runID)
    let second = launch()
    _ = second.cancel(run, reason: "enough")
    first.kill()
    second.kill()
    #expect(launch().pause(run).outcome?.status == .cancelled)
  }

  @Test func `the driver hears of a cancel, a pause and a note within a quarter of a second`() throws {
    let second = launch()
    for (index, ask) in [VirtualProcess.cancelPlain, VirtualProcess.pause, VirtualProcess.noteText].enumerated() {
      let first = world.launch(model: ScriptedModel { $0.turn == 0 ? .held : .say("ok") })
      let started = first.start("hi", startParams(tools: [clientTool("a")]))
      let run = try #require(started.runID)
      _ = ask(second)(run)
      world.advance(milliseconds: 250)
      if index == 0 {
        #expect(started.outcome?.status == .cancelled)
        #expect(try first.model.call(0).isCancelled)
        continue
      }
      #expect(!started.isThere)
      try first.model.call(0).finish(.say("hello"))
      world.settle()
      #expect(started.outcome?.status == .success)
      #expect(first.model.calls.count == index)
    }
  }
}

extension VirtualProcess {
  fileprivate func cancelPlain(_ run: ULID) -> Answer { cancel(run) }
  fileprivate func noteText(_ run: ULID) -> Answer { note(run, "by the way") }
}
