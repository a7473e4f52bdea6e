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
    /// Before this turn.
    var branch: Branch
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
    return TurnPlan(place: next.place, writes: next.writes, isQueued: isBusy || concurrency.quietMilliseconds > 0, branch: branch)
  }

  /// What a turn does to those that wait before it, as its agent wants it. Done again whenever it might begin: the process may have died.
  ///
  /// It begins no sooner than the log has that: another process may have begun one of them meanwhile.
  private func settleQueue(before run: LiveRun) throws(RuntimeError) {
    let concurrency = concurrency(of: run)
    guard let turn = run.state.turn, concurrency.supersedes || concurrency == .merge else { return }
    // With the last of them the run is looked after again, unless one could not be written now.
    let unanswered = Shared(0)
    let allWritten = Shared(true)
    try forEachWaiting(before: turn) { (earlier) throws(RuntimeError) in
      // One that was passed on already is part of a turn behind it, which is among these as well.
      if earlier.state.mergedInto != nil { return }
      unanswered.value += 1
      input(earlier) { (machine) throws(RuntimeError) in
        if concurrency.supersedes { machine.supersede(by: run.runID) } else { machine.merge(into: run.runID) }
      } answered: { [unowned self, runID = run.runID] _, error in
        unanswered.value -= 1
        if error != nil { allWritten.value = false }
        if unanswered.value == 0, allWritten.value { lookAfterQueued(runID) }
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
    var nearest: ULID?
    try forEachOpen(before: turn) { (earlier) throws(RuntimeError) in
      guard let found = try progress(of: earlier, in: turn.branchID) else { return true }
      let decided = trustingDecided ? live[earlier.runID]?.state : nil
      let hasEnded = found.hasEnded || decided?.status.hasEnded == true
      // One that has begun did so when all before it had ended.
      if found.hasBegun {
        if !hasEnded { nearest = earlier.runID }
        return false
      }
      if hasEnded { return true }
      let logged = try glance(earlier.runID).mergedInto
      if let next = decided?.mergedInto ?? logged {
        guard try hasGone(try taker(of: next, after: turn)) else {
          if let logged { note(earlier, passedOnTo: logged, in: turn.branchID) }
          return true
        }
      }
      nearest = earlier.runID
      return false
    }
    if nearest == nil { nearest = try firstLost(before: turn, trustingDecided: trustingDecided) }
    return nearest
  }

  /// The turn that keeps what was said up to a run's own input from being complete. Before one that has begun, all have ended.
  func openTurn(before runID: ULID) throws(RuntimeError) -> ULID? {
    guard let turn = try glance(runID).turn, let found = try progress(of: runID), !found.hasBegun else { return nil }
    return try firstUnended(before: turn)
  }

  /// Nil for a run that was deleted.
  func glanceIfThere(_ runID: ULID) throws(RuntimeError) -> RunState? {
    do throws(RuntimeError) { return try glance(runID) } catch {
      if error.kind == .runNotFound { return nil }
      throw error
    }
  }

  /// How far a turn is; nil for a run that was deleted. That it begins is believed as soon as it is decided here, that it has ended when the log has
  /// it: nothing begins too soon, whatever becomes of what was decided.
  func progress(of runID: ULID) throws(RuntimeError) -> TurnProgress? {
    let run = live[runID]
    // On its way to the log, or as the log has it for good.
    if let run, run.committed == 0 || run.isInLog && run.state.status.hasEnded {
      return TurnProgress(hasBegun: run.state.hasBegun, hasEnded: run.committed > 0, isCertain: run.committed > 0)
    }
    guard let row = try read({ () throws(StoreError) in try store.summary(of: runID) }) else { return nil }
    let isDecided = row.epoch == 0 && run?.state.hasBegun == true
    return TurnProgress(hasBegun: row.epoch > 0 || isDecided, hasEnded: row.status.hasEnded, isCertain: !isDecided)
  }

  /// The turns directly before `turn` that have not begun and are part of no later one, as far as that is known, the nearest first.
  private func forEachWaiting(before turn: TurnPlace, _ body: (LiveRun) throws(RuntimeError) -> Void) throws(RuntimeError) {
    try forEachOpen(before: turn) { (earlier) throws(RuntimeError) in
      guard let found = try progress(of: earlier, in: turn.branchID) else { return true }
      if found.hasBegun { return false }
      if found.hasEnded { return true }
      let run = try run(earlier.runID)
      if !run.state.hasBegun, !run.state.status.hasEnded { try body(run) }
      release(run)
      return true
    }
  }

  /// The turns directly before one that are part of a later one, and have not ended with it, the nearest first.
  private func forEachMerged(before turn: TurnPlace, _ body: (LiveRun) throws(RuntimeError) -> Void) throws(RuntimeError) {
    var earlier = EarlierTurns(turn)
    while let runID = try earlier.next(self) {
      guard let found = try progress(of: runID) else { continue }
      if found.hasBegun { return }
      if found.hasEnded { continue }
      let run = try run(runID)
      if run.state.mergedInto != nil, !run.state.hasBegun, !run.state.status.hasEnded { try body(run) }
      release(run)
    }
  }

  /// The number of the first turn at the end of a branch that still waits to begin; of the next one to come when none does.
  func firstWaiting(in branch: Branch) throws(RuntimeError) -> Int {
    var first = branch.turns
    var number = branch.turns
    var earlier = EarlierTurns(in: branch, before: branch.turns)
    while let runID = try earlier.next(self) {
      number -= 1
      guard let found = try progress(of: runID) else { continue }
      if found.hasBegun { break }
      if !found.hasEnded { first = number }
    }
    return first
  }

  /// The run that keeps a queued one from beginning, as far as it goes back. One that is being got out of its way does not.
  func blocker(of state: RunState) throws(RuntimeError) -> ULID? {
    var state = state
    var blocker: ULID?
    var passed: [ULID] = []
    while let turn = state.turn, !state.hasBegun, !state.status.hasEnded {
      if let known = knownBlockers[state.runID] {
        blocker = known ?? blocker
        break
      }
      passed.append(state.runID)
      if let next = state.mergedInto {
        let other = try taker(of: next, after: turn)
        guard let target = try glanceIfThere(other), !target.status.hasEnded else { break }
        (state, blocker) = (target, other)
      } else {
        guard let nearest = try firstUnended(before: turn, trustingDecided: true) else { break }
        blocker = nearest
        state = try glance(nearest)
      }
      if state.status == .paused { break }
    }
    // Nothing is before the one that blocks the others.
    for runID in passed { knownBlockers[runID] = .some(runID == blocker ? nil : blocker) }
    return blocker
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
      if let next = run.state.mergedInto { return try endMerged(run, passedOnTo: next) }
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
      // It is begun when a place is free.
      if run.waitsForPlace { return }
      guard mayBegin(run) else { return try endMerged(before: run) }
      if try givesWay(run) { return }
      // What this bridge cannot carry on stays queued, for one that can.
      try checkDrivable(run.state)
      try begin(run)
      run.couldNotBegin = false
    } catch {
      if !run.couldNotBegin { host.log("run \(run.runID) could not be begun: \(error.message)") }
      run.couldNotBegin = true
    }
  }

  /// Whether a newer message takes the place of a run that may begin, or takes its input along: what its maker has not come to say of those that
  /// wait is said now.
  private func givesWay(_ run: LiveRun) throws(RuntimeError) -> Bool {
    guard let turn = run.state.turn else { return false }
    let branch = try branch(turn.branchID, of: turn.sessionID)
    try followQueue(of: branch)
    var number = branch.turns
    while let taker = BranchQueue.last(of: queues[turn.branchID]?.takers ?? [], before: number), taker.number > turn.number {
      number = taker.number
      // Those of this process that are in memory have said it.
      guard live[taker.runID]?.state.creator != store.owner else { continue }
      guard let found = try progress(of: taker, in: turn.branchID), !found.hasBegun, !found.hasEnded else { continue }
      let later = try self.run(taker.runID)
      defer { release(later) }
      let concurrency = concurrency(of: later)
      if !concurrency.supersedes, concurrency != .merge { queues[turn.branchID]?.takesNone(taker) }
      guard later.state.mergedInto == nil, later.state.status == .queued else { continue }
      try settleQueue(before: later)
      if run.isDeciding { return true }
    }
    return false
  }

  private func begin(_ run: LiveRun) throws(RuntimeError) {
    let toolbox: ChangedToolbox?
    do throws(RuntimeError) { toolbox = try toolboxNow(for: run) } catch {
      // What it asked for went while it waited, and does not come back by waiting.
      guard error.kind == .toolkitNotFound || error.kind == .toolNotFound || error.kind == .invalidParams else { throw error }
      let fault = RunFault(error.kind, error.message)
      return input(run) { (machine) throws(RuntimeError) in machine.failToBegin(fault) }
    }
    let decisions = try decisionsNow(for: run)
    input(run) { (machine) throws(RuntimeError) in machine.begin(with: toolbox, decisions: decisions) }
  }

  /// The nearest run before one that waits may itself wait only for its end: its maker is perhaps gone.
  private func endMerged(before run: LiveRun) throws(RuntimeError) {
    guard let turn = run.state.turn, run.state.status == .queued, let nearest = try firstUnended(before: turn) else { return }
    let earlier = try self.run(nearest)
    if earlier.state.mergedInto != nil { lookAfterQueued(earlier) }
    release(earlier)
  }

  // MARK: The end of a turn

  /// Once, when a run of a session has ended here or was seen to have.
  func turnEnded(_ run: LiveRun) {
    // What is decided and not in the log yet may come out otherwise.
    guard let turn = run.state.turn, run.state.status.hasEnded, !run.turnIsOver, !run.isDeciding else { return }
    run.turnIsOver = true
    rememberHistory(of: run)
    if isEnding { return }
    do throws(RuntimeError) {
      // What was passed on to one that was passed on itself is part of a later turn.
      if run.state.passedOnTo == nil, concurrency(of: run) == .merge {
        try forEachMerged(before: turn) { (earlier) throws(RuntimeError) in lookAfterQueued(earlier) }
      }
      var place = try firstOpen(behind: turn)
      while let next = place {
        place = nextOpen(behind: next.number, in: turn.branchID)
        guard let found = try progress(of: next, in: turn.branchID) else { continue }
        if found.hasEnded {
          // One that has begun did so after this end, and what comes behind it waits for its own.
          if found.hasBegun { return }
          continue
        }
        let run = try self.run(next.runID)
        // Made elsewhere by a process that lives, it is begun there.
        if run.state.mergedInto == nil { return afterChange(run) }
        release(run)
      }
    } catch { host.log("the turn after run \(run.runID) could not be begun: \(error.message)") }
  }

  /// The run of a turn.
  func turnRun(_ branchID: ULID, _ number: Int) throws(RuntimeError) -> ULID? { try turnDocument(branchID, number)?.runID }
}
