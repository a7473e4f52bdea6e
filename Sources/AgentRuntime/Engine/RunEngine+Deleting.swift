import JSON

/// Deleting runs, and what of a turn its session must not lose with its run.
extension RunEngine {
  package func delete(_ runID: ULID) throws(RuntimeError) {
    let state = try glance(runID)
    guard state.status.hasEnded else {
      throw RuntimeError(.invalidRequest, "only a run that has ended can be deleted: cancel it first")
    }
    // Those below go first: when the process dies in between, what is left can be deleted the same way.
    for child in state.children where try read({ () throws(StoreError) in try store.summary(of: child) }) != nil { try delete(child) }
    if let turn = state.turn {
      try keepRemains(of: state, turn)
      try removeChapters(with: turn)
      // And once more when it is gone, for those that read it again meanwhile: this process may die in between.
      try countDeletion(in: turn.sessionID)
    }
    try read { () throws(StoreError) in try store.delete(run: runID) }
    if let turn = state.turn {
      // It may be part of what the session's next turn is shown.
      histories.removeAll { $0.branch.sessionID == turn.sessionID }
      try countDeletion(in: turn.sessionID)
      // Those that were made meanwhile; after this count, none is made of what was read before it.
      try removeChapters(with: turn)
    }
    if let run = live.removeValue(forKey: runID) { run.tree?.remove(run) }
    unwatch(runID)
  }

  /// The runs below a run of a session that is deleted. What cannot be read does not keep the rest.
  func deleteRuns(below runID: ULID) {
    do throws(RuntimeError) {
      for child in try stored(runID)?.children ?? [] where try read({ () throws(StoreError) in try store.summary(of: child) }) != nil {
        try delete(child)
      }
    } catch { host.log("the sub-agents' runs of run \(runID) could not be deleted: \(error.message)") }
  }

  /// In the document of its turn, before the run goes: as long as the run is there, its log counts.
  private func keepRemains(of state: RunState, _ turn: TurnPlace) throws(RuntimeError) {
    var remains = TurnRemains()
    remains.messages = state.sessionEntries.count
    remains.compactions = state.compactions
    remains.passedOnTo = state.passedOnTo
    for index in remains.compactions.indices { remains.compactions[index].summary = whole(remains.compactions[index].summary) }
    if state.hasBegun, try isFollowed(state.runID, turn) {
      let left = wholeLeft(state)
      remains.left = left
      for messages in try placesLeft(in: turn) {
        guard let then = try stored(state.runID, upTo: messages) else { continue }
        let earlier = TurnRemains.Earlier(messages: messages, compactions: then.compactions.count, left: wholeLeft(then))
        if earlier.left != left || earlier.compactions < remains.compactions.count { remains.earlier.append(earlier) }
      }
    }
    if remains.isEmpty { return }
    while var document = try turnDocument(turn.branchID, turn.number), document.runID == state.runID, document.remains != remains {
      document.remains = remains
      let write = document.write(at: host.wallClock())
      // Another process may delete the run at this moment, or the session.
      if try read({ () throws(StoreError) in try store.write([write]) }) { return }
    }
  }

  /// The value without a blob of the run, which goes with it; empty when that cannot be read.
  private func whole(_ value: StoredValue?) -> StoredValue? {
    guard let value, case .blob = value else { return value }
    do throws(StoreError) { return .inline(try load(value)) } catch {
      host.log("a value of a run that is deleted could not be read: \(error.message)")
      return .inline(CarriedJSON(string: ""))
    }
  }

  private func wholeLeft(_ state: RunState) -> LeftInSession {
    var left = LeftInSession(state)
    for index in left.decisions.indices { left.decisions[index].reason = whole(left.decisions[index].reason) }
    return left
  }

  /// Whether the next turn of a branch begins with what this run has left; also of one that may still be made, at a message of those behind it
  /// whose turns have not begun: superseded or merged ones.
  private func isFollowed(_ runID: ULID, _ turn: TurnPlace) throws(RuntimeError) -> Bool {
    for branch in try branches(of: turn.sessionID) where try lastTurn(of: branch)?.runID == runID { return true }
    var number = turn.number + 1
    while let next = try turnDocument(turn.branchID, number) {
      if let row = try read({ () throws(StoreError) in try store.summary(of: next.runID) }) { return row.epoch == 0 }
      if next.remains?.left != nil { return false }
      number += 1
    }
    return false
  }

  /// After how many messages of a turn branches leave it.
  private func placesLeft(in turn: TurnPlace) throws(RuntimeError) -> [Int] {
    let bases = try branches(of: turn.sessionID).compactMap(\.base)
    return Set(bases.filter { $0.branchID == turn.branchID && $0.turns == turn.number + 1 }.map(\.entries)).sorted()
  }

  /// Has other processes forget what they remember of the session's messages.
  private func countDeletion(in sessionID: ULID) throws(RuntimeError) {
    while true {
      let now = host.wallClock()
      let writes = try branches(of: sessionID).map { branch in
        var changed = branch
        changed.deletions += 1
        return changed.write(at: now)
      }
      if writes.isEmpty { return }
      // A turn was added meanwhile, or another branch: look again.
      if try read({ () throws(StoreError) in try store.write(writes) }) { return }
    }
  }
}
