import JSON
import TestSupport
import Testing

@testable import AgentRuntime

@Suite struct FoldTests {
  @Test("a told scenario has its story", arguments: allScenarios)
  func isTold(scenario: Scenario) { #expect(!scenario.story.isEmpty) }

  @Test("a run in memory is the fold of its log after every commit", arguments: disturbedScenarios)
  func fold(scenario: Scenario) throws {
    let stage = Stage(scenario)
    let first = stage.first
    let disk = stage.world.disk
    var compared = 0
    first.store.afterSubmit = { _ in
      for run in first.engine.live.values {
        let records = disk.records(of: run.runID)
        do {
          #expect(describe(run.state) == describe(try AgentRuntimeTests.fold(records)))
          compared += 1
        } catch { Issue.record("the log does not fold: \(error)") }
      }
    }
    stage.play()
    #expect(compared > 0)
    try Story(stage).check(hasEnded: false)
    if !scenario.story.isEmpty { #expect(first.parent.transcript.lines == scenario.story) }
  }

  @Test("every record decodes to the event that made it, and is written the same again", arguments: allScenarios)
  func roundTrip(scenario: Scenario) throws {
    let stage = Stage(scenario)
    stage.play()
    let records = stage.world.disk.records(of: stage.run)
    for index in records.indices {
      let record = records[index]
      let state = try AgentRuntimeTests.fold(Array(records[...index]))
      let (event, time) = try RunEvent.decode(record)
      // Written while its process lived, but for the events of its end.
      let outcome = state.outcome(own: stage.first.store.owner) { _ in !stage.first.engine.isEnding || index < records.count - 1 }
      let again = event.record(state: state, at: time ?? state.updatedAt, outcome: event.showsOutcome ? outcome : nil)
      #expect(again == record, "\(again.event?.string ?? "") instead of \(record.event?.string ?? "")")
      #expect(try RunEvent.decode(again).event == event)
    }
  }
}
