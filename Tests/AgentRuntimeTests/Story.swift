import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What must hold of a run's log, and of what was done outside, however the run came about.
struct Story {
  let stage: Stage
  let runID: ULID
  let records: [LogRecord]
  let events: [RunEvent]

  /// Of one run; when it is not said, of the one that was started.
  init(_ stage: Stage, _ run: ULID? = nil) throws {
    self.stage = stage
    runID = run ?? stage.run
    records = stage.world.disk.records(of: runID)
    events = try records.map { record throws(RuntimeError) in try RunEvent.decode(record).event }
  }

  /// Of all runs that there are: of the one that was started, and those of its sub-agents.
  static func checkAll(_ stage: Stage, hasEnded: Bool) throws {
    for run in stage.world.disk.runIDs { try Story(stage, run).check(hasEnded: hasEnded) }
  }

  /// - Parameter hasEnded: the run is at its end.
  func check(hasEnded: Bool) throws {
    numbers()
    if hasEnded { terminal() }
    completions(hasEnded: hasEnded)
    attempts()
    continuations()
    outside()
    try decisions()
    questions(hasEnded: hasEnded)
    try summary()
  }

  private func numbers() {
    #expect(records.map(\.position) == Array(1..<records.count + 1), "positions have gaps")
    let sequences = records.compactMap(\.sequence)
    #expect(sequences == Array(1..<sequences.count + 1), "sequences have gaps")
    for record in records {
      #expect((record.sequence == nil) == (record.event == nil))
      if let event = record.event { #expect(CarriedJSON(trusted: event)["seq"]?.intValue == record.sequence) }
    }
  }

  private func terminal() {
    let ends = events.indices.filter { if case .ended = events[$0] { true } else { false } }
    #expect(ends.count == 1, "\(ends.count) terminal events")
    for event in events.dropFirst((ends.first ?? events.count) + 1) {
      switch event {
      case .toolRejected, .rejectionCounted: break
      default: Issue.record("\(event.type) after the end")
      }
    }
  }

  private func completions(hasEnded: Bool) {
    var made: [ULID] = []
    var completed: [ULID] = []
    for event in events {
      if case .modelCompleted(let message) = event { made += message.calls.map(\.callID) }
      if case .toolCompleted(let callID, _) = event { completed.append(callID) }
    }
    #expect(Set(completed).count == completed.count, "a call was completed twice")
    #expect(Set(completed).isSubset(of: made))
    if hasEnded { #expect(Set(made) == Set(completed), "a call has no result") }
  }

  private func attempts() {
    var attempts: [ULID: Int] = [:]
    for event in events {
      guard case .toolStarted(let callID, let attempt, _) = event else { continue }
      #expect(attempt == attempts[callID, default: 0] + 1, "attempt \(attempt) after \(attempts[callID, default: 0])")
      attempts[callID] = attempt
    }
  }

  /// A model call begins when none is at work, and no call of the last message is open; an interrupted one is begun again only under a new claim.
  private func continuations() {
    var open: Set<ULID> = []
    var isAtWork = false
    for event in events {
      switch event {
      case .modelStarted:
        #expect(!isAtWork, "a model call began while another was at work")
        #expect(open.isEmpty, "a model call began while calls were open")
        isAtWork = true
      case .modelCompleted(let message):
        #expect(isAtWork, "a turn came from nowhere")
        isAtWork = false
        open = Set(message.calls.map(\.callID))
      case .toolCompleted(let callID, _): open.remove(callID)
      case .resumed, .paused, .ended: isAtWork = false
      default: break
      }
    }
  }

  private func outside() {
    let sent = stage.invocations.map { "\($0.callID)#\($0.attempt)" }
    #expect(Set(sent).count == sent.count, "a call was sent twice with one attempt")
    let ran = stage.serverRuns.map { "\($0.callID)#\($0.attempt)" }
    #expect(Set(ran).count == ran.count, "a server tool ran twice with one attempt")
    let once = stage.serverRuns.filter { !$0.tool.isIdempotent }.map(\.callID)
    #expect(Set(once).count == once.count, "a server tool that is not idempotent ran twice")
  }

  /// Nothing that needs approval is dispatched before its decision is in the log, and no call is decided twice.
  private func decisions() throws {
    var state: RunState?
    var decided: Set<ULID> = []
    for (index, event) in events.enumerated() {
      switch event {
      case .toolStarted(let callID, _, _):
        #expect(state?.call(callID)?.needsApproval == false, "a call was dispatched without approval")
        let isGated = state?.call(callID)?.tool?.requiresApproval == true
        #expect(!isGated || decided.contains(callID), "a gated call was dispatched without a decision in the log")
      case .approvalDecided(let callID, _): #expect(decided.insert(callID).inserted, "a call was decided twice")
      case .approvalRequested(let callID, _, _), .inputRequested(let callID, _, _, _):
        #expect(state?.call(callID)?.isAsked == false, "a call was asked for twice in the log")
      default: break
      }
      try fold(records[index], into: &state)
    }
  }

  /// What is asked of people is in the log first, and is answered or taken back unless its process died.
  private func questions(hasEnded: Bool) {
    let asked = Set(
      events.compactMap { event -> ULID? in
        switch event {
        case .approvalRequested(let callID, _, _), .inputRequested(let callID, _, _, _): callID
        default: nil
        }
      })
    for process in stage.processes {
      for question in process.parent.questions where question.request.runID == runID {
        #expect(question.callID.map(asked.contains) == true, "a question that is not in the log")
      }
      if hasEnded, !process.isKilled { #expect(process.parent.openQuestions.isEmpty, "a question is left open") }
    }
  }

  /// The row of the run says what its log says.
  private func summary() throws {
    let state = try fold(records)
    #expect(stage.world.disk.summary(of: runID) == state.summary)
  }
}

/// The state that a log folds into.
func fold(_ records: [LogRecord]) throws(RuntimeError) -> RunState {
  var state: RunState?
  for record in records { try fold(record, into: &state) }
  guard let state else { throw RuntimeError(.storeUnavailable, "the log is empty") }
  return state
}

/// The state with one more record.
func fold(_ record: LogRecord, into state: inout RunState?) throws(RuntimeError) {
  let (event, time) = try RunEvent.decode(record)
  if var next = state {
    state = nil
    try next.apply(event, at: time ?? next.updatedAt)
    state = next
  } else if case .started(let beginning) = event, let time {
    let id = record.event.flatMap { CarriedJSON(trusted: $0)["runId"]?.stringValue }.flatMap(ULID.init)
    state = try RunState(runID: id ?? ULID(high: 0, low: 0), start: beginning, at: time)
  }
}
