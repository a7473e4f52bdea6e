import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What is kept of answers that come when their call has its result.
@Suite struct EvidenceTests {
  private let world = VirtualWorld()

  /// A run whose call was answered by a submit while its request was out, and whose model is at work.
  private func answered() throws -> (VirtualProcess, ULID) {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .held]))
    let run = try #require(process.start("hi", startParams(tools: [clientTool("a")])).runID)
    let call = try #require(process.look(run)?.pendingCalls.first?.callID.text)
    _ = process.submit(run, [(call, .text("by submit"))], wait: false)
    process.transcript.note("---")
    return (process, run)
  }

  private func said(_ process: VirtualProcess) -> [String] {
    Array(process.transcript.lines.drop { $0 != "---" }.dropFirst())
  }

  @Test func `another answer to a call that has its result is kept as a conflict`() throws {
    let (process, run) = try answered()
    #expect(try process.parent.request(0).isCancelled)
    try process.parent.request(0).answer(.text("by the parent"))
    world.settle()
    #expect(said(process) == ["9 tool.resultRejected a conflict"])
    #expect(try process.engine.details(of: run).rejectedResults == 1)
  }

  @Test func `the same answer is not`() throws {
    let (process, _) = try answered()
    try process.parent.request(0).answer(.text("by submit"))
    world.settle()
    #expect(said(process) == [])
  }

  @Test func `a late error is`() throws {
    let (process, _) = try answered()
    try process.parent.request(0).answer(.error("too late", bytes: 8))
    world.settle()
    #expect(said(process) == ["9 tool.resultRejected a conflict"])
  }

  @Test func `an answer that comes after the end is kept as terminal, and only that follows the end`() throws {
    let (process, run) = try answered()
    try process.model.call(1).finish(.say("ok"))
    world.settle()
    #expect(process.engine.live.isEmpty)
    try process.parent.request(0).answer(.text("by the parent"))
    world.settle()
    #expect(said(process).suffix(2) == ["start -> success", "11 tool.resultRejected a terminal"])
    #expect(process.look(run)?.status == .success)
    #expect(process.look(run)?.lastSequence == 11)
    #expect(process.engine.live.isEmpty)
  }

  @Test func `an answer to a call of a run that is gone is dropped with a word in the log`() throws {
    let (process, run) = try answered()
    _ = process.cancel(run)
    process.act { #expect((try? $0.delete(run)) != nil) }
    try process.parent.request(0).answer(.text("by the parent"))
    world.settle()
    #expect(process.host.messages.count == 1)
    #expect(world.disk.runIDs.isEmpty)
  }
}
