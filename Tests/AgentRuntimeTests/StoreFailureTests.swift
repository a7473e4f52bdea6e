import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// The store fails under a live run: it stops where its log ends, and goes on when it is asked to.
@Suite struct StoreFailureTests {
  private let world = VirtualWorld()
  private let full = StoreError(.full, "the disk is full")
  private let unavailable = StoreError(.unavailable, "the disk is gone")

  @Test func `a run that cannot be stored is refused, and leaves nothing`() {
    let process = world.launch(model: ScriptedModel([.say("ok")]))
    process.store.faults = [.refused(full)]
    let answer = process.start("hi", startParams())
    #expect(answer.error?.kind == .storeFull)
    #expect(answer.runID == nil)
    #expect(world.disk.runIDs.isEmpty)
    #expect(process.model.calls.isEmpty)
    #expect(process.transcript.lines == ["start -> store.full"])
    #expect(!process.engine.leavesWork)
  }

  @Test func `a run whose model was at work goes on in the same process`() throws {
    let process = world.launch(model: ScriptedModel { request in request.turn == 0 ? .held : .say("ok") })
    let started = process.start("hi", startParams(tools: [clientTool("a")]))
    let run = try #require(started.runID)
    process.parent.answer = { _ in .text("done") }
    process.store.faults = [.refused(unavailable)]
    try process.model.call(0).finish(.call([("a", "{}")]))
    world.settle()
    #expect(started.error?.kind == .storeUnavailable)
    #expect(process.parent.invocations.isEmpty)
    #expect(process.look(run)?.driver == RunOutcome.Driver.none)
    #expect(process.look(run)?.status == .running)

    let resumed = process.resume(run)
    #expect(process.model.calls.count == 2)
    try process.model.call(1).finish(.call([("a", "{}")]))
    world.settle()
    #expect(resumed.outcome?.status == .success)
    #expect(
      process.transcript.lines == [
        "1 run.started", "2 model.started", "start -> store.unavailable", "3 run.resumed resume", "4 model.started",
        "5 model.completed '' a",
        "6 tool.started a#1", "7 run.paused waiting_client_tool a#1-open", "invoke a#1 {}", "8 tool.completed a 'done'",
        "9 run.resumed invoke",
        "10 model.started again", "text 'ok'", "11 model.completed 'ok'", "12 run.completed success 'ok'", "resume -> success",
      ])
  }

  /// Two runs whose models are at work; the store has failed under the first of them, and works again.
  private func lettingGo() throws -> (process: VirtualProcess, run: ULID, other: Answer) {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(process.start("hi", startParams()).runID)
    let other = process.start("hi", startParams())
    process.store.faults = [.refused(unavailable)]
    try process.model.call(0).finish(.say("lost"))
    world.settle()
    return (process, run, other)
  }

  @Test func `a run that was let go is free for others, though its process lives and is at work on another`() throws {
    let (process, run, other) = try lettingGo()
    let second = world.launch(model: ScriptedModel([.say("by the second")]))
    #expect(second.resume(run).error?.kind == .runLeaseHeld)
    world.advance(milliseconds: 1000)
    #expect(second.look(run)?.driver == RunOutcome.Driver.none)
    #expect(second.resume(run).outcome?.answer == .inline(CarriedJSON(string: "by the second")))
    try process.model.call(1).finish(.say("by the first"))
    world.settle()
    #expect(other.outcome?.answer == .inline(CarriedJSON(string: "by the first")))
  }

  @Test func `a cancel of a run that was let go is carried out, and a pause`() throws {
    let (_, cancelled, _) = try lettingGo()
    let (_, paused, _) = try lettingGo()
    let second = world.launch(model: ScriptedModel { _ in .held })
    let cancel = second.cancel(cancelled, reason: "enough")
    let pause = second.pause(paused)
    world.advance(milliseconds: 1000)
    #expect(cancel.outcome?.status == .cancelled)
    #expect(pause.outcome?.status == .paused)
  }

  @Test func `a call whose parent's process has let go of it is sent again by whoever resumes`() throws {
    let process = world.launch(model: ScriptedModel { $0.turn == 0 ? .call(("a", "{}"), ("b", "{}")) : .held })
    let run = try #require(process.start("hi", startParams(tools: [clientTool("a"), clientTool("b")])).runID)
    _ = process.start("hi", startParams(tools: [clientTool("a"), clientTool("b")]))
    process.store.faults = [.refused(unavailable)]
    try process.parent.request(0).answer(.text("lost"))
    world.settle()
    world.advance(milliseconds: 1000)
    let second = world.launch(model: ScriptedModel([.say("ok")]))
    #expect(second.look(run)?.pendingCalls.map(\.state) == [.parked, .parked])
    _ = second.resume(run)
    #expect(second.parent.invocations.map { "\($0.request.name)#\($0.request.attempt)" } == ["a#2", "b#2"])
  }

  @Test func `while the store fails nothing is told of a run that was let go but once`() throws {
    let (process, run, _) = try lettingGo()
    process.store.faults = [.refused(full), .refused(full), .refused(full)]
    world.advance(milliseconds: 3000)
    #expect(process.host.messages.count { $0.contains(run.text) } == 1)
    world.advance(milliseconds: 2000)
    let second = world.launch(model: ScriptedModel([.say("ok")]))
    #expect(second.resume(run).outcome?.status == .success)
  }

  @Test func `a server tool that ran when the store failed is not run again`() throws {
    let process = world.launch(model: ScriptedModel([.call(("s", "{}"), ("t", "{}")), .say("ok")]))
    let run = try #require(process.start("hi", startParams(tools: [serverTool("s"), serverTool("t", idempotent)])).runID)
    process.store.faults = [.refused(full)]
    process.tools.run(of: "s")?.complete(.text("s ran"))
    world.settle()
    #expect(process.tools.runs.map(\.isStopped) == [false, true])

    process.tools.answer = { .text("\($0.tool.name) ran") }
    let resumed = process.resume(run)
    #expect(resumed.outcome?.status == .success)
    #expect(process.tools.runs.map { "\($0.call.tool.name)#\($0.call.attempt)" } == ["s#1", "t#1", "t#2"])
    #expect(
      process.model.shown.last == [
        "user: hi", "assistant:  s{} t{}",
        "s failed: The tool 's' was interrupted and was not run again; whether it took effect is unknown.",
        "t: t ran",
      ])
  }

  @Test func `a server tool that is run again is heard, though its first run ends only then`() throws {
    let process = world.launch(model: ScriptedModel([.call(("s", "{}"), ("t", "{}")), .say("ok")]))
    process.tools.lingers = true
    let run = try #require(process.start("hi", startParams(tools: [serverTool("s", idempotent), serverTool("t", idempotent)])).runID)
    process.store.faults = [.refused(full)]
    process.tools.run(of: "s")?.complete(.text("lost"))
    world.settle()
    #expect(process.tools.runs.map(\.isStopped) == [false, true])

    let resumed = process.resume(run)
    #expect(process.tools.runs.map { "\($0.call.tool.name)#\($0.call.attempt)" } == ["s#1", "t#1", "s#2", "t#2"])
    process.tools.runs[1].complete(.failure("stopped"))
    world.settle()
    for place in 2...3 { process.tools.runs[place].complete(.text("second")) }
    world.settle()
    #expect(resumed.outcome?.status == .success)
    #expect(process.model.shown.last?.suffix(2) == ["s: second", "t: second"])
  }

  @Test func `a call that was out when the store failed is sent again by a resume, and its first answer counts`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}"), ("b", "{}")), .say("ok")]))
    let started = process.start("hi", startParams(tools: [clientTool("a"), clientTool("b")]))
    let run = try #require(started.runID)
    process.store.faults = [.refused(unavailable)]
    try process.parent.request(0).answer(.text("first"))
    world.settle()
    #expect(started.error?.kind == .storeUnavailable)
    #expect(process.look(run)?.pendingCalls.map(\.state) == [.parked, .parked])

    let resumed = process.resume(run)
    #expect(process.parent.invocations.map { "\($0.request.name)#\($0.request.attempt)" } == ["a#1", "b#1", "a#2", "b#2"])
    #expect(process.look(run)?.pendingCalls.map(\.state) == [.open, .open])
    try process.parent.request(1).answer(.text("late"))
    try process.parent.request(2).answer(.text("second"))
    world.settle()
    #expect(resumed.outcome?.status == .success)
    #expect(process.model.shown.last?.suffix(2) == ["a: second", "b: late"])
  }

  @Test func `a call that is sent again after a failure of the store has its timeout`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let run = try #require(process.start("hi", startParams(tools: [clientTool("a", "\"timeoutMs\":100")])).runID)
    process.store.faults = [.refused(unavailable)]
    _ = process.note(run, "lost")
    let resumed = process.resume(run)
    world.advance(milliseconds: 100)
    #expect(resumed.outcome?.status == .success)
  }

  @Test func `a turn that was prepared for an append that failed has left nothing behind`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .call(("a", "{}")), .say("ok")]))
    let run = try #require(process.start("hi", startParams(tools: [clientTool("a")])).runID)
    process.store.faults = [.refused(unavailable)]
    // With the result the next turn is decided, and prepared while the store writes.
    try process.parent.request(0).answer(.text("lost"))
    world.settle()
    #expect(process.model.calls.count == 1)
    #expect(process.model.prepared == 2)
    let resumed = process.resume(run)
    try process.parent.request(1).answer(.text("kept"))
    world.settle()
    try process.parent.request(2).answer(.text("last"))
    world.settle()
    #expect(resumed.outcome?.status == .success)
    #expect(process.model.shown[1] == ["user: hi", "assistant:  a{}", "a: kept"])
    #expect(process.model.shown[2] == process.model.shown[1] + ["assistant:  a{}", "a: last"])
  }

  @Test func `an append whose answer was lost is found by the resume`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let run = try #require(process.start("hi", startParams(tools: [clientTool("a")]), delivery: .pause).runID)
    let call = try #require(process.look(run)?.pendingCalls.first?.callID.text)
    process.store.faults = [.answerLost(unavailable)]
    let submitted = process.submit(run, [(call, .text("done"))], delivery: .pause)
    #expect(submitted.error?.kind == .storeUnavailable)
    #expect(process.look(run)?.status == .running)
    #expect(process.look(run)?.driver == RunOutcome.Driver.none)
    #expect(process.submit(run, [(call, .text("done"))], delivery: .pause).verdicts?.list.map(\.verdict) == [.duplicate])
    #expect(process.resume(run, delivery: .pause).outcome?.status == .success)
  }

  @Test func `everybody who waits for a run is told, and other runs go on`() throws {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let lost = process.start("one", startParams())
    let kept = process.start("two", startParams())
    let waiting = process.wait(try #require(lost.runID))
    process.store.faults = [.refused(unavailable)]
    try process.model.call(0).finish(.say("lost"))
    world.settle()
    try process.model.call(1).finish(.say("kept"))
    world.settle()
    #expect(lost.error?.kind == .storeUnavailable)
    #expect(waiting.error?.kind == .storeUnavailable)
    #expect(kept.outcome?.status == .success)
    #expect(process.transcript.lines.filter { $0.hasPrefix("text") || $0.contains("lost") } == [])
  }

  @Test func `a store that cannot be read refuses every request, and is opened again by the next one`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let run = try #require(process.start("hi", startParams(tools: [clientTool("a")]), delivery: .pause, watched: false).runID)
    process.store.readFault = unavailable
    #expect(process.submit(run, [], delivery: .pause).error?.kind == .storeUnavailable)
    #expect(process.resume(run).error?.kind == .storeUnavailable)
    #expect(process.cancel(run).error?.kind == .storeUnavailable)
    #expect(process.pause(run).error?.kind == .storeUnavailable)
    #expect(process.note(run, "x").error?.kind == .storeUnavailable)
    #expect(process.wait(run).error?.kind == .storeUnavailable)
    process.store.readFault = nil
    #expect(process.cancel(run).outcome?.status == .cancelled)
    #expect(process.store.reopenCount > 0)
  }
}
