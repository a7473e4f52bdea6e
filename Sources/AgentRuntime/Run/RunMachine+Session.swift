import JSON

/// What other turns of a session do to one that waits.
extension RunMachine {
  /// Begins a turn that waited, with what the turn before it has left.
  mutating func begin(with changed: ChangedToolbox?, decisions: [StandingDecision] = []) {
    guard !state.hasBegun, state.mergedInto == nil, context.mayBegin, state.status == .queued else { return }
    if let changed { take(changed) }
    if decisions != state.standingDecisions { append(.decisionsTaken(decisions)) }
    advance(cause: .resume)
  }

  /// It could not begin, and never can.
  mutating func failToBegin(_ fault: RunFault) {
    guard !state.hasBegun, state.mergedInto == nil, context.mayBegin, state.status == .queued else { return }
    fail(fault)
  }

  /// A newer message takes its place; its input stays in the transcript.
  ///
  /// One that has become part of another turn ends with that one, however late this comes: that turn may be at work on it.
  mutating func supersede(by other: ULID) {
    guard !state.status.hasEnded, !state.hasBegun, state.mergedInto == nil else { return }
    var end = RunEnd(.cancelled)
    end.fault = RunFault(.runSuperseded, "run \(other) came after it and took its place")
    finish(end, openCallsSay: "The run was superseded.")
  }

  /// Its input becomes part of another turn, or of the one that this is passed on to.
  mutating func merge(into other: ULID) {
    guard !state.status.hasEnded, !state.hasBegun, state.mergedInto == nil else { return }
    append(.merged(into: other))
  }

  /// The turn that took its input has ended so; `isWithdrawn`: before it began, and without leaving its own.
  mutating func endAsMerged(_ other: RunOutcome, isWithdrawn: Bool) {
    guard !state.status.hasEnded, state.mergedInto != nil else { return }
    var end = RunEnd(other.status)
    end.stopReason = other.stopReason
    end.answer = other.answer
    end.structuredAnswer = other.structuredAnswer
    end.fault = other.fault
    end.mergedInto = other.runID
    end.isWithdrawn = isWithdrawn
    finish(end, openCallsSay: "The run ended.")
  }

  /// The turn that took its input was deleted before this run could end with it.
  mutating func endWithoutItsTurn(_ other: ULID) {
    guard !state.status.hasEnded, state.mergedInto != nil else { return }
    var end = RunEnd(.error)
    end.fault = RunFault(.runNotFound, "run \(other), which this message was part of, was deleted before its answer could be taken over")
    end.mergedInto = other
    finish(end, openCallsSay: "The run ended.")
  }
}
