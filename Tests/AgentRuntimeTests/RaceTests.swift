import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What another process does to a run just before one of its driver's appends.
enum Intrusion: String, CaseIterable, Sendable {
  case note, pause, cancel, submit, partialSubmit, resume, approve, deny, answer

  /// What it came to; nil when there was nothing to do.
  func carryOut(_ run: ULID, in process: VirtualProcess) -> Answer? {
    switch self {
    case .note: return process.note(run, "from outside")
    case .pause: return process.pause(run)
    case .cancel: return process.cancel(run, reason: "from outside")
    case .resume: return process.resume(run, wait: false)
    case .approve, .deny, .answer:
      guard let calls = try? process.engine.glance(run).awaitedCalls else { return nil }
      let decision = self == .deny ? ApprovalAnswer(.deny, reason: "from outside") : ApprovalAnswer(.approve, scope: .session)
      let approvals = calls.filter { $0.need == .approval }.map { ($0.callID.text, decision) }
      let content = json(#"{"answer":"from outside"}"#)
      let inputs = calls.filter { $0.need == .input }.map { ($0.callID.text, InputAnswer(.accept, content: content)) }
      if self == .answer { return inputs.isEmpty ? nil : process.input(run, inputs, wait: false) }
      return approvals.isEmpty ? nil : process.approve(run, approvals, wait: false)
    case .submit, .partialSubmit:
      // Also calls that are not listed while a server tool runs.
      guard let state = try? process.engine.glance(run) else { return nil }
      let calls = self == .submit ? state.pendingClientCalls : Array(state.pendingClientCalls.prefix(1))
      guard !calls.isEmpty else { return nil }
      return process.submit(run, calls.map { ($0.callID.text, .text("from outside")) }, partial: self == .partialSubmit, wait: false)
    }
  }
}

@Suite struct RaceTests {
  @Test("an append that comes second is decided again", arguments: disturbedScenarios, Intrusion.allCases)
  func conflicts(scenario: Scenario, intrusion: Intrusion) throws {
    let whole = Stage(scenario)
    whole.play()
    let appends = whole.first.store.commitCount
    guard appends > 1 else { return }
    for append in 2...appends { try disturb(scenario, intrusion, at: append) }
  }

  private func disturb(_ scenario: Scenario, _ intrusion: Intrusion, at append: Int) throws {
    var scenario = scenario
    let turns = scenario.model
    // A note makes turns that the list does not have: they are as the last one.
    scenario.model = { request, life in
      var request = request
      while request.turn > 0, case .fault(let fault) = turns(request, life), fault.kind == .scriptExhausted { request.turn -= 1 }
      return turns(request, life)
    }
    let stage = Stage(scenario)
    let intruder = stage.another()
    let disk = stage.world.disk
    var count = 0
    var firstSeen = 0
    var standing: RunStatus?
    var answer: Answer?
    stage.first.store.beforeSubmit = { _ in
      count += 1
      guard count == append, let row = disk.runIDs.lazy.compactMap({ disk.summary(of: $0) }).first(where: { $0.parentRunID == nil }) else {
        return
      }
      intruder.watch(row.runID, after: row.lastSequence)
      firstSeen = row.lastSequence + 1
      standing = row.status
      answer = intrusion.carryOut(row.runID, in: intruder)
    }
    stage.play()
    let place = "\(intrusion.rawValue) before append \(append)"
    stage.world.advance(milliseconds: 300)
    stage.finish(in: stage.another())
    stage.world.advance(milliseconds: 300)
    guard let outcome = stage.processes[2].look(stage.run), let standing else { return }

    if intrusion == .cancel, !standing.hasEnded {
      #expect(outcome.status == .cancelled, "\(place): a cancel was lost: \(outcome.status)")
    } else {
      #expect(scenario.ends.contains(outcome.status), "\(place): \(outcome.status)")
    }
    let story = try Story(stage)
    try Story.checkAll(stage, hasEnded: true)
    if intrusion == .note, answer?.error == nil {
      #expect(
        story.events.count { $0.type == "note.added" && $0 == .noteAdded(text: .inline(CarriedJSON(string: "from outside"))) } == 1,
        "\(place)")
    }
    for (call, verdict) in answer?.verdicts?.list ?? [] where verdict == .accepted {
      let stored = story.events.contains { event in
        if case .toolCompleted(let callID, let result) = event {
          callID.text == call && (result.content == [.text("from outside")] || result.isError || intrusion == .answer)
        } else {
          if case .approvalDecided(let callID, let decision) = event { callID.text == call && decision.by == .submit } else { false }
        }
      }
      #expect(stored, "\(place): an accepted result was lost")
    }
    // Both clients were told the same, each from where it began to look, and without a gap.
    let log = story.records.compactMap(\.event)
    if !stage.first.engine.isEnding {
      #expect(stage.first.parent.events[stage.run]?.map(\.bytes) == log, "\(place): the first client's story")
    }
    #expect((intruder.parent.events[stage.run] ?? []).map(\.bytes) == Array(log.dropFirst(firstSeen - 1)), "\(place): the intruder's story")
    for process in stage.processes where !process.isKilled { #expect(process.engine.live.isEmpty, "\(place): the run stays in memory") }
  }
}
