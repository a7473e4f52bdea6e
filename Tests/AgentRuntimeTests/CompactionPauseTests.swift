import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// A pause that is asked for while room is made in a conversation that its model cannot read whole.
@Suite struct CompactionPauseTests {
  private let world = VirtualWorld()
  private let conversation = json(
    #"[{"role":"user","content":"one"},{"role":"assistant","content":"two"},{"role":"user","content":"three"}]"#)

  /// A run whose model, asked for the first time, has not said yet that this is too long.
  private func begin(_ strategy: String) throws -> (process: VirtualProcess, run: ULID) {
    let process = world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(process.start(conversation, startParams(agent: #""compaction":"\#(strategy)""#)).runID)
    return (process, run)
  }

  private func overflow(_ process: VirtualProcess) throws {
    try process.model.call(0).send(.failed(RunFault(.modelContextOverflow, "too long")))
    world.settle()
  }

  @Test("the call that would follow is not made", arguments: ["truncate", "summarize"])
  func duringTheCall(strategy: String) throws {
    let (process, run) = try begin(strategy)
    let paused = process.pause(run)
    #expect(!paused.isThere)
    try overflow(process)
    #expect(paused.outcome?.status == .paused)
    #expect(process.model.calls.count == 1)
  }

  @Test func `a summary that is there is kept, and the call that would follow is not made`() throws {
    let (process, run) = try begin("summarize")
    try overflow(process)
    let paused = process.pause(run)
    #expect(!paused.isThere)
    try process.model.call(1).finish(.say("they said much"))
    world.settle()
    #expect(paused.outcome?.status == .paused)
    #expect(process.model.calls.count == 2)
    let resumed = process.resume(run)
    try process.model.call(2).finish(.say("ok"))
    world.settle()
    #expect(resumed.outcome?.status == .success)
    #expect(process.model.shown.last?.contains { $0.contains("they said much") } == true)
  }

  @Test func `a summary is not asked for once more`() throws {
    let (process, run) = try begin("summarize")
    try overflow(process)
    let paused = process.pause(run)
    #expect(!paused.isThere)
    let summary = try process.model.call(1)
    summary.send(.retried(attempt: 1, reason: "broken", retryAfterMilliseconds: 1))
    world.settle()
    #expect(paused.outcome?.status == .paused)
    #expect(summary.isCancelled && process.model.calls.count == 2)
  }
}
