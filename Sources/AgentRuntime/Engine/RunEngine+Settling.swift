import JSON

/// When a run has come to rest, so that whoever waits for that is answered.
extension RunEngine {
  /// It ended, is paused, nobody drives it, or it waits with no call out at a parent that lives.
  func isSettled(_ run: LiveRun) -> Bool { run.isOver || (!run.waitsForPlace && run.quietTimer == nil && isSettled(run.state)) }

  func isSettled(_ state: RunState) -> Bool {
    switch state.status {
    case .success, .error, .cancelled, .maxIterations, .paused: return true
    case .running: return driver(of: state) == .none && !hasGoneOn(state)
    case .queued:
      if let blocked = blockedBy(state) { return blocked.isSettled }
      // Nothing is before it: whoever made it begins it, if it can.
      if let run = live[state.runID] { return run.couldNotBegin }
      return !isAlive(state.creator) && !hasGoneOn(state)
    case .waitingClientTool, .waitingApproval, .waitingHumanInput:
      return !hasOpenCall(state) && driver(of: state) == .none && (state.parent == nil || !hasGoneOn(state))
    }
  }

  /// At a parent that lives, of the run or one below it, or about to be sent to one.
  private func hasOpenCall(_ state: RunState) -> Bool {
    if state.batch.contains(where: { state.isOpen($0, isAlive: { isAlive($0) }) }) { return true }
    if state.delivery == .invoke, let taker = state.callTaker, isAlive(taker), state.batch.tally.unsent > 0 { return true }
    if hasGoneOn(state) { return true }
    return state.pendingChildren.contains { below($0).map(hasOpenCall) ?? false }
  }

  /// Who drives the run; nobody's as long as it waits. One of a sub-agent that has all it waited for is about to be taken up by whoever drives its tree.
  func driver(of state: RunState) -> RunOutcome.Driver {
    let claimed = state.driver(own: store.owner, isAlive: { isAlive($0) })
    guard claimed == .none, let parent = state.parent, state.shownStatus == .running else { return claimed }
    return driver(ofTreeOf: parent.runID)
  }

  func driver(of row: RunSummary) -> RunOutcome.Driver {
    // One that this process had to let go is claimed by it in the log, and driven by nobody.
    if let owner = row.owner, isAlive(owner), !letGo.contains(row.runID) { return owner == store.owner ? .own : .other }
    guard row.status == .running, let parent = row.parentRunID else { return .none }
    return driver(ofTreeOf: parent)
  }

  private func driver(ofTreeOf runID: ULID) -> RunOutcome.Driver {
    do throws(RuntimeError) {
      var row = try read { () throws(StoreError) in try store.summary(of: runID) }
      while let parent = row?.parentRunID { row = try read { () throws(StoreError) in try store.summary(of: parent) } }
      return row.map { driver(of: $0) } ?? .none
    } catch {
      host.log("who drives the tree of run \(runID) cannot be said: \(error.message)")
      return .none
    }
  }

  /// Whether another process has gone on with a run since it was read; the store is looked at again soon then.
  ///
  /// A process that claims nothing any more may be dead, or have done all that the run wanted meanwhile: that it is gone says something of the run only if
  /// the log, read after that was seen, still ends where it did.
  func hasGoneOn(_ state: RunState) -> Bool {
    guard state.isClaimed(besides: store.owner) || (state.parent != nil && state.shownStatus == .running) else { return false }
    do throws(RuntimeError) {
      let positions = try read { () throws(StoreError) in try store.positions(of: [state.runID]) }
      if let position = positions[state.runID], position <= state.position { return false }
    } catch {
      host.log("whether run \(state.runID) has gone on cannot be said: \(error.message)")
      return false
    }
    looksAgain = true
    startTicking()
    return true
  }

  /// The run that keeps a queued one from beginning, and whether it has settled without ending.
  func blockedBy(_ state: RunState) -> (runID: ULID, isSettled: Bool)? {
    do throws(RuntimeError) {
      guard let runID = try blocker(of: state), runID != state.runID else { return nil }
      // It may have ended since it was found.
      if let run = live[runID] { return (runID, !run.state.status.hasEnded && isSettled(run)) }
      let found = try glance(runID)
      return (runID, !found.status.hasEnded && isSettled(found))
    } catch {
      host.log("what run \(state.runID) waits for cannot be said: \(error.message)")
      return nil
    }
  }
}
