import JSON

/// The turns of a session: where a new one goes, when one that waits begins, what follows from the end of one.
///
/// A branch is a chain of runs. Its document says which is the last, and two processes that both add a turn are told apart by its version. A turn
/// begins when none before it in its branch is at work any more; whoever made it looks after that as long as it lives, and whoever ends the turn
/// before it when not.
extension RunEngine {
  // MARK: A new turn

  struct TurnPlan {
    var place: TurnPlace
    var writes: [DocumentWrite]
    var isQueued: Bool
  }

  /// - Throws: `session.notFound`; `run.dropped` when the branch is busy and the message is not to wait.
  func planTurn(_ runID: ULID, sessionID: ULID, branchID: ULID?, _ concurrency: MessageConcurrency) throws(RuntimeError) -> TurnPlan {
    let session = try session(sessionID)
    let branch = try branch(branchID ?? session.mainBranch, of: sessionID)
    let next = branch.adding(runID, at: host.wallClock())
    let isBusy = try firstUnended(before: next.place) != nil
    // One whose end is decided here, and on its way to the log, is no reason to refuse a message.
    if isBusy, concurrency == .drop, try firstUnended(before: next.place, trustingDecided: true) != nil {
      throw RuntimeError(.runDropped, "a turn of the branch is not ended, and the agent drops messages that come meanwhile")
    }
    return TurnPlan(place: next.place, writes: next.writes, isQueued: isBusy || concurrency.quietMilliseconds > 0)
  }

  /// What a turn does to those that wait before it, as its agent wants it. Done again whenever it might begin: the process may have died.
  ///
  /// It begins no sooner than the log has that: another process may have begun one of them meanwhile.
  private func settleQueue(before run: LiveRun) throws(RuntimeError) {
    let concurrency = concurrency(of: run)
    guard let turn = run.state.turn, concurrency.supersedes || concurrency == .merge else { return }
    try forEachWaiting(before: turn) { (earlier) throws(RuntimeError) in
      if concurrency.supersedes ? earlier.state.mergedInto != nil : earlier.state.mergedInto == run.runID { return }
      input(earlier) { (machine) throws(RuntimeError) in
        if concurrency.supersedes { machine.supersede(by: run.runID) } else { machine.merge(into: run.runID) }
      } answered: { [unowned self, runID = run.runID] _, error in
        // What could not be written now is not tried again at once.
        if error == nil { lookAfterQueued(runID) }
      }
    }
  }

  private func concurrency(of run: LiveRun) -> MessageConcurrency {
    // It was checked when the run was made.
    (try? MessageConcurrency(reading: run.state.agent.messageConcurrency, at: "")) ?? .queue
  }

  // MARK: What waits

  /// The nearest run before a turn that has neither ended nor became part of a later one, as the log has it.
  ///
  /// - Parameter trustingDecided: What was decided here and is on its way to the log counts as well. It may come out otherwise.
  private func firstUnended(before turn: TurnPlace, trustingDecided: Bool = false) throws(RuntimeError) -> ULID? {
    var number = turn.number
    var previous = turn.previous
    while let runID = previous {
      guard let found = try progress(of: runID) else { return nil }
      let decided = trustingDecided ? live[runID]?.state : nil
      let hasEnded = found.hasEnded || decided?.status.hasEnded == true
      // One that has begun did so when all before it had ended.
      if found.hasBegun { return hasEnded ? nil : runID }
      if !hasEnded, decided?.mergedInto == nil, try glance(runID).mergedInto == nil { return runID }
      number -= 1
      previous = try number > 0 ? turnRun(turn.branchID, number - 1) : nil
    }
    return nil
  }

  /// The turn that keeps what was said up to a run's own input from being complete. Before one that has begun, all have ended.
  func openTurn(before runID: ULID) throws(RuntimeError) -> ULID? {
    guard let turn = try glance(runID).turn, let found = try progress(of: runID), !found.hasBegun else { return nil }
    return try firstUnended(before: turn)
  }

  /// How far a turn is; nil for a run that was deleted. That it begins is believed as soon as it is decided here, that it has ended when the log has
  /// it: nothing begins too soon, whatever becomes of what was decided.
  private func progress(of runID: ULID) throws(RuntimeError) -> (hasBegun: Bool, hasEnded: Bool)? {
    guard let row = try read({ () throws(StoreError) in try store.summary(of: runID) }) else { return nil }
    return (row.epoch > 0 || live[runID]?.state.hasBegun == true, row.status.hasEnded)
  }

  /// The turns directly before `turn` that have not begun, the nearest first.
  private func forEachWaiting(before turn: TurnPlace, _ body: (LiveRun) throws(RuntimeError) -> Void) throws(RuntimeError) {
    var number = turn.number
    var previous = turn.previous
    while let runID = previous, let found = try progress(of: runID), !found.hasBegun {
      if !found.hasEnded {
        let run = try run(runID)
        if !run.state.hasBegun, !run.state.status.hasEnded { try body(run) }
        release(run)
      }
      number -= 1
      previous = try number > 0 ? turnRun(turn.branchID, number - 1) : nil
    }
  }

  /// The run that keeps a queued one from beginning, as far as it goes back. One that is being got out of its way does not.
  func blocker(of state: RunState) throws(RuntimeError) -> ULID? {
    guard let turn = state.turn, !state.hasBegun, !state.status.hasEnded else { return nil }
    if let other = state.mergedInto {
      let target = try glance(other)
      return target.status.hasEnded ? nil : try blocker(of: target) ?? other
    }
    guard let nearest = try firstUnended(before: turn, trustingDecided: true) else { return nil }
    let found = try glance(nearest)
    return found.status == .paused ? nearest : try blocker(of: found) ?? nearest
  }

  /// Whether a run that has not begun may do so now.
  func mayBegin(_ run: LiveRun) -> Bool {
    guard let turn = run.state.turn, run.state.status == .queued, run.state.mergedInto == nil, run.quietTimer == nil else { return false }
    do throws(RuntimeError) { return try firstUnended(before: turn) == nil } catch {
      host.log("whether run \(run.runID) may begin cannot be said: \(error.message)")
      return false
    }
  }

  private func lookAfterQueued(_ runID: ULID) {
    do throws(RuntimeError) {
      let run = try run(runID)
      lookAfterQueued(run)
      release(run)
    } catch { host.log("whether run \(runID) may begin cannot be said: \(error.message)") }
  }

  /// Begins a queued run when it may, and ends one whose input has become part of a turn that has ended.
  func lookAfterQueued(_ run: LiveRun) {
    guard !isEnding, !run.state.hasBegun, !run.state.status.hasEnded, !run.isDeciding else { return }
    guard run.state.creator == store.owner || !isAlive(run.state.creator) else { return }
    do throws(RuntimeError) {
      if let other = run.state.mergedInto {
        let target = try glance(other)
        guard target.status.hasEnded else { return }
        let (outcome, isWithdrawn) = (outcome(of: target), target.leftNothing)
        return input(run) { (machine) throws(RuntimeError) in machine.endAsMerged(outcome, isWithdrawn: isWithdrawn) }
      }
      try settleQueue(before: run)
      let quiet = concurrency(of: run).quietMilliseconds
      let left = run.state.createdAt.milliseconds + quiet - host.wallClock().milliseconds
      if quiet > 0, left > 0 {
        guard run.quietTimer == nil else { return }
        run.quietTimer = after(milliseconds: min(left, quiet)) { [unowned self, weak run] in
          run?.quietTimer = nil
          if let run { lookAfterQueued(run) }
        }
        return
      }
      guard mayBegin(run) else { return }
      // What this bridge cannot carry on stays queued, for one that can.
      try checkDrivable(run.state)
      let toolbox = try toolboxNow(for: run)
      let decisions = try decisionsNow(for: run)
      input(run) { (machine) throws(RuntimeError) in machine.begin(with: toolbox, decisions: decisions) }
      run.couldNotBegin = false
    } catch {
      if !run.couldNotBegin { host.log("run \(run.runID) could not be begun: \(error.message)") }
      run.couldNotBegin = true
    }
  }

  /// Whether a run that is to be merged, and is being cancelled, has not been said to a model yet. What is decided then is appended only if the
  /// turn that it was to be part of still has not begun.
  func isToBeMerged(_ run: LiveRun, _ state: RunState) throws(RuntimeError) -> Bool {
    run.restsOn = nil
    guard !state.status.hasEnded, !state.hasBegun, let other = state.mergedInto else { return false }
    // By its row: runs in memory must not be touched while one decides. Without a row it has ended, and was deleted.
    guard let row = try read({ () throws(StoreError) in try store.summary(of: other) }) else { return true }
    if row.epoch == 0 { run.restsOn = row }
    return row.epoch == 0
  }

  // MARK: The end of a turn

  /// Once, when a run of a session has ended here or was seen to have.
  func turnEnded(_ run: LiveRun) {
    // What is decided and not in the log yet may come out otherwise.
    guard let turn = run.state.turn, run.state.status.hasEnded, !run.turnIsOver, !run.isDeciding else { return }
    run.turnIsOver = true
    rememberHistory(of: run)
    guard run.state.mergedInto == nil, !isEnding else { return }
    do throws(RuntimeError) {
      try forEachWaiting(before: turn) { (earlier) throws(RuntimeError) in lookAfterQueued(earlier) }
      var number = turn.number + 1
      while let nextID = try turnRun(turn.branchID, number) {
        number += 1
        guard let row = try read({ () throws(StoreError) in try store.summary(of: nextID) }), !row.status.hasEnded else { continue }
        let next = try self.run(nextID)
        if next.state.mergedInto != nil { continue }
        // Made elsewhere by a process that lives, it is begun there.
        return afterChange(next)
      }
    } catch { host.log("the turn after run \(run.runID) could not be begun: \(error.message)") }
  }

  /// The run of a turn.
  func turnRun(_ branchID: ULID, _ number: Int) throws(RuntimeError) -> ULID? { try turnDocument(branchID, number)?.runID }
}
