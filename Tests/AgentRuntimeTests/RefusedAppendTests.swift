import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// The store refuses what was decided, since another process wrote first. Its record says nothing that matters, so all must come out as without it.
@Suite struct RefusedAppendTests {
  /// Has another process write to a run of the batch, before every other submit that adds to one.
  private func refuseEachAppendOnce(of process: VirtualProcess, on disk: MemoryDisk) -> () -> Int {
    let other = MemoryStore(disk: disk)
    var count = 0
    var wasRefused = false
    process.store.beforeSubmit = { batch in
      if wasRefused {
        wasRefused = false
        return
      }
      for append in batch where append.expectedPosition > 0 && !append.records.isEmpty {
        guard let foreign = Self.harmless(append.summary.runID, disk) else { continue }
        other.submit([foreign], meanwhile: nil) { _ in }
        wasRefused = true
        count += 1
      }
    }
    return { count }
  }

  private static func harmless(_ runID: ULID, _ disk: MemoryDisk) -> Append? {
    let records = disk.records(of: runID)
    guard var state = try? fold(records), (try? state.apply(.rejectionCounted, at: state.updatedAt)) != nil else { return nil }
    let record = RunEvent.rejectionCounted.record(state: state, at: state.updatedAt, outcome: nil)
    return Append(expectedPosition: records.count, summary: state.summary, records: [record])
  }

  @Test("a client sees the same when each append is refused once", arguments: allScenarios)
  func sameStory(scenario: Scenario) throws {
    let stage = Stage(scenario)
    _ = refuseEachAppendOnce(of: stage.first, on: stage.world.disk)
    stage.play()
    #expect(stage.first.parent.transcript.lines == scenario.story)
    try Story.checkAll(stage, hasEnded: false)
  }

  /// Calls that a resume named and that wait for room go out when an answer, not the resume, makes room for them.
  @Test func `calls that are to be sent again are so when the answer that makes room for them is refused once`() throws {
    let world = VirtualWorld()
    let process = world.launch(model: ScriptedModel([.call(("a", "{}"), ("b", "{}")), .say("ok")]))
    let parking = #""timeoutMs":100,"onTimeout":"park""#
    let params = startParams(
      agent: #""clientTools":{"maxParallelInvocations":1}"#, tools: [clientTool("a", parking), clientTool("b", parking)])
    let run = try #require(process.start("hi", params).runID)
    world.advance(milliseconds: 200)
    let resumed = process.resume(run)
    let refused = refuseEachAppendOnce(of: process, on: world.disk)
    try process.parent.request(2).answer(.text("a done"))
    world.settle()
    #expect(refused() == 1)
    #expect(process.parent.invocations.map { "\($0.request.name)#\($0.request.attempt)" } == ["a#1", "b#1", "a#2", "b#2"])
    try process.parent.request(3).answer(.text("b done"))
    world.settle()
    #expect(resumed.outcome?.status == .success)
  }

  @Test func `a parent that was to take calls does not when the submit that said so is refused and comes to nothing`() throws {
    let world = VirtualWorld()
    let first = world.launch(model: ScriptedModel([.call(("a", "{}"), ("b", "{}"))]))
    let params = startParams(agent: #""clientTools":{"maxParallelInvocations":1}"#, tools: [clientTool("a"), clientTool("b")])
    let run = try #require(first.start("hi", params).runID)
    let second = world.launch(model: ScriptedModel([]))
    _ = second.wait(run)
    let call = try #require(second.look(run)?.pendingCalls.first).callID.text
    second.store.beforeSubmit = { [unowned second] _ in
      second.store.beforeSubmit = nil
      _ = first.submit(run, [(call, .text("done"))], partial: true, wait: false)
    }
    let submitted = second.submit(run, [(call, .text("done"))], partial: true, wait: false)
    #expect(submitted.verdicts?.list.map(\.verdict) == [.duplicate])
    #expect(first.parent.invocations.map(\.request.name) == ["a", "b"])
    #expect(second.engine.live[run]?.machine.sendsHere == false)
  }
}
