import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Who takes up a run that nobody drives, and what is left of one that is deleted.
@Suite struct TakingUpTests {
  private let world = VirtualWorld()

  private func orphan(_ params: CarriedJSON = startParams()) throws -> ULID {
    let first = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(first.start("hi", params).runID)
    first.kill()
    return run
  }

  @Test func `of two that resume at once one drives`() throws {
    let run = try orphan()
    let first = world.launch(model: ScriptedModel { _ in .held })
    let second = world.launch(model: ScriptedModel { _ in .held })
    first.store.beforeSubmit = { [first] _ in
      first.store.beforeSubmit = nil
      _ = second.resume(run)
    }
    let lost = first.resume(run)
    #expect(lost.error?.kind == .runLeaseHeld)
    #expect(lost.error?.retryAfterMilliseconds != nil)
    #expect(first.model.calls.isEmpty)
    #expect(second.model.calls.count == 1)
    #expect(world.disk.summary(of: run)?.epoch == 2)
  }

  @Test func `a driver that was taken for dead writes nothing more`() throws {
    let run = try orphan()
    let second = world.launch(model: ScriptedModel { _ in .held })
    _ = second.resume(run)
    // The claim of the next one is what a lease that has run out would lead to.
    let before = world.disk.records(of: run)
    var state = try fold(before)
    try state.apply(.resumed(cause: .recovery, claim: Claim(owner: OwnerID(number: 99), epoch: 3)), at: world.clock.wall)
    let claim = RunEvent.resumed(cause: .recovery, claim: Claim(owner: OwnerID(number: 99), epoch: 3))
    let record = claim.record(state: state, at: world.clock.wall, outcome: nil)
    let other = MemoryStore(disk: world.disk)
    other.submit([Append(expectedPosition: before.count, summary: state.summary, records: [record])], meanwhile: nil) { _ in }
    try second.model.call(0).finish(.say("too late"))
    world.advance(milliseconds: 100)
    #expect(world.disk.records(of: run).count == before.count + 1)
    #expect(second.model.calls.count == 1)
  }

  @Test func `a process that adopts takes up every orphan, and leaves client calls to a parent that asks`() throws {
    let asking = try orphan(startParams(tools: [clientTool("a")]))
    let plain = try orphan()
    let stored = world.launch(model: ScriptedModel([.call(("a", "{}"))]))
    let waiting = try #require(stored.start("hi", startParams(tools: [clientTool("a")]), delivery: .pause).runID)
    let adopter = world.launch(
      model: ScriptedModel { request in request.runID == asking && request.turn == 0 ? .call(("a", "{}")) : .say("ok") })
    adopter.act { $0.adoptOrphans() }
    #expect(adopter.look(plain)?.status == .success)
    #expect(adopter.look(asking)?.pendingCalls.map(\.state) == [.parked])
    #expect(adopter.look(waiting)?.status == .waitingClientTool)
    #expect(adopter.parent.invocations.isEmpty)
    #expect(world.disk.records(of: plain).map(\.type).contains("run.resumed"))
    let late = try orphan()
    world.advance(milliseconds: 1000)
    #expect(adopter.look(late)?.status == .success)
    #expect(adopter.host.messages == [])
  }

  @Test func `a run with all its results that nobody continues is an orphan too`() throws {
    let first = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let params = startParams(tools: [clientTool("a", #""onDisconnect":"fallbackMessage""#)])
    let run = try #require(first.start("hi", params).runID)
    first.act { $0.end(.hangUp) }
    first.kill()
    let adopter = world.launch(model: ScriptedModel([.call(), .say("ok")]))
    #expect(adopter.look(run)?.status == .running)
    adopter.act { $0.adoptOrphans() }
    #expect(adopter.look(run)?.status == .success)
  }

  @Test func `a submit that takes up a run does not run an interrupted tool again`() throws {
    let first = world.launch(model: ScriptedModel([.call(("s", "{}"), ("a", "{}"))]))
    let run = try #require(first.start("hi", startParams(tools: [serverTool("s"), clientTool("a")])).runID)
    let call = try #require((try first.engine.glance(run)).pendingClientCalls.first?.callID.text)
    first.kill()
    let second = world.launch(model: ScriptedModel([.call(), .say("ok")]))
    #expect(second.submit(run, [(call, .text("done"))]).outcome?.status == .success)
    #expect(second.tools.runs.isEmpty)
  }

  @Test func `a log with a record of a newer version is read but not driven`() throws {
    let run = try orphan()
    let summary = try #require(world.disk.summary(of: run))
    let strange = LogRecord(
      position: 3, sequence: 3, type: "run.teleported", event: Bytes(#"{"runId":"x","seq":3,"type":"run.teleported","time":"","data":{}}"#),
      hidden: nil)
    var row = summary
    row.lastPosition = 3
    row.lastSequence = 3
    MemoryStore(disk: world.disk).submit([Append(expectedPosition: 2, summary: row, records: [strange])], meanwhile: nil) { _ in }
    let process = world.launch(model: ScriptedModel([.say("ok")]))
    #expect(process.resume(run).error?.kind == .storeNewer)
    #expect(process.cancel(run).error?.kind == .storeNewer)
    #expect(try process.engine.events(of: run, after: 0, limit: 10, maxBytes: 1 << 20).map(\.sequence) == [1, 2, 3])
    let listed = try process.engine.runs(matching: RunQuery(), driver: nil).runs
    #expect(listed.map(\.outcome.runID) == [run])
    #expect(listed.map(\.outcome.status) == [.running])
    process.act { $0.adoptOrphans() }
    #expect(process.host.messages.count == 1)
    // It is tried again, and said once.
    world.advance(milliseconds: 3000)
    #expect(process.host.messages.count == 1)
  }

  @Test func `only a run that has ended can be deleted, and then it is gone everywhere`() throws {
    let first = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(first.start("hi", startParams()).runID)
    let second = world.launch(model: ScriptedModel([]))
    second.watch(run, after: 2)
    first.act { engine in
      do throws(RuntimeError) { try engine.delete(run) } catch { return #expect(error.kind == .invalidRequest) }
      Issue.record("a run was deleted under its driver")
    }
    _ = first.cancel(run)
    world.advance(milliseconds: 100)
    let waiting = second.wait(run)
    #expect(waiting.outcome?.status == .cancelled)
    first.act { #expect((try? $0.delete(run)) != nil) }
    world.advance(milliseconds: 100)
    #expect(second.engine.watched.isEmpty)
    for process in [first, second] {
      #expect(process.wait(run).error?.kind == .runNotFound)
      #expect(process.cancel(run).error?.kind == .runNotFound)
    }
  }

  @Test func `evidence for a run that is deleted in between is not kept`() throws {
    let first = world.launch(model: ScriptedModel([.call(("a", "{}"))]))
    let run = try #require(first.start("hi", startParams(tools: [clientTool("a")])).runID)
    _ = first.cancel(run)
    let second = world.launch(model: ScriptedModel([]))
    first.store.beforeSubmit = { [first] _ in
      first.store.beforeSubmit = nil
      second.act { #expect((try? $0.delete(run)) != nil) }
    }
    let refused = first.submit(run, [("x", .text("late"))])
    #expect(refused.error?.kind == .runNotFound)
    #expect(first.engine.live.isEmpty)
    #expect(world.disk.runIDs.isEmpty)
  }
}
