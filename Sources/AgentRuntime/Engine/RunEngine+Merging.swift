import JSON

/// Messages whose input becomes part of a later turn (`merge`).
///
/// Each says in its log, once, which message it has been passed on to: the next one that waits, which is perhaps passed on itself later. The turn that
/// it is part of is the last of that chain. So a message that comes writes one record, however many wait. A link stays when the message in the middle
/// is cancelled, and in the document of its turn when that is deleted.
extension RunEngine {
  /// The turn that a message has become part of, or is to be, when it was passed on to `other`.
  ///
  /// - Parameter turn: A place before those that it was passed on to.
  func taker(of other: ULID, after turn: TurnPlace?) throws(RuntimeError) -> ULID {
    var ends: Set<ULID> = []
    return try taker(of: other, after: turn, &ends)
  }

  /// - Parameter ends: What was found to be the end of a chain, for whoever follows many.
  private func taker(of other: ULID, after turn: TurnPlace?, _ ends: inout Set<ULID>) throws(RuntimeError) -> ULID {
    var last = other
    var passed: [ULID] = []
    while true {
      var next = links[last]
      if next == nil, !ends.contains(last) { next = try link(of: last, after: turn) }
      guard let next else { break }
      passed.append(last)
      last = next
    }
    ends.insert(last)
    for runID in passed { links[runID] = last }
    return last
  }

  /// As the log has it.
  private func link(of runID: ULID, after turn: TurnPlace?) throws(RuntimeError) -> ULID? {
    if let state = try stored(runID) { return state.passedOnTo }
    guard let turn else { return nil }
    var number = turn.number + 1
    while true {
      let documents = try turnDocuments(of: turn.branchID, from: number, to: number + 64)
      if let document = documents.first(where: { $0.runID == runID }) { return document.remains?.passedOnTo }
      if documents.isEmpty { return nil }
      number += documents.count
    }
  }

  /// Whether a turn that others were to become part of is no more, so that their own ends say what is left of them.
  func hasGone(_ target: ULID) throws(RuntimeError) -> Bool {
    guard let found = try progress(of: target) else { return true }
    guard found.hasEnded, !found.hasBegun, let state = try stored(target) else { return false }
    return state.leftNothing
  }

  /// A turn of a queue that is part of a later one, as the log has it.
  func note(_ turn: BranchQueue.Turn, passedOnTo next: ULID, in branchID: ULID) {
    if links[turn.runID] == nil { links[turn.runID] = next }
    queues[branchID]?.hasMerged(turn)
  }

  /// One of the merged messages before a turn whose turn is no more, and which does not say so yet.
  ///
  /// - Parameter trustingDecided: As for `firstUnended`.
  func firstLost(before turn: TurnPlace, trustingDecided: Bool) throws(RuntimeError) -> ULID? {
    var gone: [ULID: Bool] = [:]
    var ends: Set<ULID> = []
    for merged in queues[turn.branchID]?.merged ?? [] where merged.number < turn.number {
      guard let other = links[merged.runID] else {
        // Forgotten: it is looked at again.
        if let found = try progress(of: merged, in: turn.branchID), !found.hasEnded, let next = try glance(merged.runID).mergedInto,
          try hasGone(try taker(of: next, after: turn))
        {
          return merged.runID
        }
        continue
      }
      let taker = try taker(of: other, after: turn, &ends)
      let isGone: Bool
      if let known = gone[taker] { isGone = known } else { isGone = try hasGone(taker) }
      gone[taker] = isGone
      if !isGone || trustingDecided && live[merged.runID]?.state.status.hasEnded == true { continue }
      if let found = try progress(of: merged, in: turn.branchID), !found.hasEnded { return merged.runID }
    }
    return nil
  }

  /// Ends a run whose input has become part of a turn, when that turn has ended.
  func endMerged(_ run: LiveRun, passedOnTo next: ULID) throws(RuntimeError) {
    let other = try taker(of: next, after: run.state.turn)
    guard let target = try glanceIfThere(other) else {
      return input(run) { (machine) throws(RuntimeError) in machine.endWithoutItsTurn(other) }
    }
    guard target.status.hasEnded else { return }
    let (outcome, isWithdrawn) = (outcome(of: target), target.leftNothing)
    input(run) { (machine) throws(RuntimeError) in machine.endAsMerged(outcome, isWithdrawn: isWithdrawn) }
  }

  /// What has become of the turn that the input of a run which has not begun is part of, or is to be; nil when it is part of none. What is decided
  /// while that turn has not begun is appended only if that is still so.
  ///
  /// - Returns: `row` is nil when the turn has ended and was deleted.
  func turn(ofInputOf run: LiveRun, _ state: RunState) throws(RuntimeError) -> (runID: ULID, row: RunSummary?, hasBegun: Bool)? {
    guard !state.status.hasEnded, !state.hasBegun, let next = state.mergedInto else { return nil }
    while true {
      // By rows and logs: runs in memory must not be touched while one decides.
      let other = try taker(of: next, after: state.turn)
      guard let row = try read({ () throws(StoreError) in try store.summary(of: other) }) else { return (other, nil, false) }
      // Passed on meanwhile?
      if row.epoch == 0, try taker(of: other, after: state.turn) != other { continue }
      if row.epoch == 0 { run.restsOn = row }
      return (other, row, row.epoch > 0)
    }
  }
}
