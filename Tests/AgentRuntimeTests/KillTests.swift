import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// The process dies, and another one takes the run up.
@Suite struct KillTests {
  /// Where a process dies.
  enum Moment {
    case whenDurable(Int)
    case beforeTheNext(Int)
  }

  @Test("a run whose process dies at any commit ends as it should", arguments: disturbedScenarios)
  func commits(scenario: Scenario) throws {
    let whole = Stage(scenario)
    whole.play()
    let commits = whole.first.store.commitCount
    #expect(commits > 0)
    for commit in 1...commits {
      try recover(scenario, .whenDurable(commit))
      try recover(scenario, .beforeTheNext(commit))
    }
  }

  private func recover(_ scenario: Scenario, _ moment: Moment) throws {
    let stage = Stage(scenario)
    let first = stage.first
    switch moment {
    case .whenDurable(let commit): first.store.afterSubmit = { [unowned first] _ in if first.store.commitCount == commit { first.kill() } }
    case .beforeTheNext(let commit):
      first.store.beforeSubmit = { [unowned first] _ in if first.store.commitCount == commit { first.kill() } }
    }
    stage.play()
    let before = stage.world.disk.records(of: stage.run)
    first.kill()
    let second = stage.another()
    stage.finish(in: second)
    let outcome = try #require(second.look(stage.run), "\(moment): the run is not there")
    #expect(scenario.ends.contains(outcome.status), "\(moment): \(outcome.status), \(outcome.pendingCalls)")
    #expect(Array(stage.world.disk.records(of: stage.run).prefix(before.count)) == before, "\(moment): the log was changed")
    try Story.checkAll(stage, hasEnded: true)
    #expect(second.engine.live.isEmpty, "\(moment): the run stays in memory")
    #expect(second.engine.driven.isEmpty, "\(moment): a place stays taken")
  }

  @Test func `a process that dies before its first commit leaves nothing`() {
    let stage = Stage(Scenario.clientCalls[0])
    stage.first.store.beforeSubmit = { [first = stage.first] _ in first.kill() }
    stage.play()
    #expect(stage.world.disk.runIDs.isEmpty)
    #expect(stage.another().resume(stage.run).error?.kind == .runNotFound)
  }

  @Test func `the model is told that a tool which may not run twice was interrupted`() throws {
    let scenario = try #require(allScenarios.first { $0.name == "server tools in parallel" })
    let stage = Stage(scenario)
    stage.first.store.afterSubmit = { [first = stage.first] _ in if first.tools.runs.count == 2 { first.kill() } }
    stage.play()
    let second = stage.another()
    stage.finish(in: second)
    #expect(second.tools.runs.isEmpty)
    #expect(
      second.model.shown.last == [
        "user: hi", "assistant:  a{} b{}",
        "a failed: The tool 'a' was interrupted and was not run again; whether it took effect is unknown.",
        "b: b ran",
      ])
  }

  @Test func `a process that dies again and again loses nothing`() throws {
    for scenario in disturbedScenarios {
      let stage = Stage(scenario)
      var process = stage.first
      process.store.afterSubmit = { [unowned process] _ in process.kill() }
      stage.play()
      for life in 2..<60 {
        process = stage.another()
        // Every life is a commit long, or two, or three: what is taken up must be left further than it was found. A run with MCP servers needs
        // three: the servers are heard only when the claim is in the log.
        let length = 1 + life % 3
        process.store.afterSubmit = { [unowned process] _ in if process.store.commitCount == length { process.kill() } }
        stage.finish(in: process)
        if stage.world.disk.summary(of: stage.run)?.status.hasEnded == true { break }
        process.kill()
      }
      let last = stage.another()
      let outcome = try #require(last.look(stage.run))
      #expect(scenario.ends.contains(outcome.status), "\(scenario.name): \(outcome.status)")
      try Story.checkAll(stage, hasEnded: true)
    }
  }
}
