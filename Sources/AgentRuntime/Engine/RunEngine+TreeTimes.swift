/// What in a run and those of its sub-agents comes too late: by a timer as long as this process lives, and by whoever touches the run next.
extension RunEngine {
  // MARK: By whoever touches the run

  /// Calls of sub-agents that have not answered in their time, in all of the tree.
  /// - Parameter goesOn: False when the caller has the tree go on.
  func takeOverdueCalls(of run: LiveRun, goesOn: Bool) {
    guard let tree = run.tree, !isEnding else { return }
    let now = host.wallClock()
    let runs = tree.fromTheRoot.filter { member in member.state.batch.contains { $0.isOverdue(at: now) } }
    if runs.isEmpty { return }
    for member in runs { input(member) { (machine) throws(RuntimeError) in machine.childrenDue(goesOn: goesOn) } }
    // Theirs are cancelled before anything is decided about them.
    settle(tree)
  }

  /// Approvals that did not come in time, in all of the tree.
  func takeExpiredApprovals(of run: LiveRun, besides other: LiveRun? = nil) {
    let now = host.wallClock()
    for member in run.tree?.fromTheRoot ?? [run] where member !== other && !member.state.expiredCalls(at: now).isEmpty {
      input(member) { (machine) throws(RuntimeError) in machine.approvalsDue() }
    }
  }

  // MARK: By a timer

  /// Keeps a timer for each call of a sub-agent that may take only so long.
  func armChildTimers(_ run: LiveRun) {
    for (callID, timer) in run.childTimers where !run.state.batch.isPending(callID) {
      timers.cancel(timer)
      run.childTimers[callID] = nil
    }
    guard !isEnding, !run.state.status.hasEnded, run.committed > 0, run.tree.map(isDrivenElsewhere) != true else { return }
    let calls = run.state.batch.filter { call in
      call.child != nil && call.tool?.timeoutMs != nil && run.childTimers[call.callID] == nil
    }
    for call in calls {
      let left = call.since.milliseconds.saturatingAdd(call.tool?.timeoutMs ?? 0) - host.wallClock().milliseconds
      armChildTimer(of: call.callID, run, milliseconds: max(1, left))
    }
  }

  private func armChildTimer(of callID: ULID, _ run: LiveRun, milliseconds: Int, isLast: Bool = false) {
    let runID = run.runID
    run.childTimers[callID] = after(milliseconds: milliseconds) { [unowned self] in childTimeIsOver(callID, of: runID, isLast: isLast) }
  }

  /// The run may be out of memory by then: what waits for a client needs nothing here but this.
  private func childTimeIsOver(_ callID: ULID, of runID: ULID, isLast: Bool) {
    live[runID]?.childTimers[callID] = nil
    sleepingTimers[runID]?[callID] = nil
    if isEnding { return }
    do throws(RuntimeError) {
      let run = try run(runID)
      guard run.state.batch.isPending(callID) else { return afterChange(run) }
      if !isLast, isAttendedElsewhere(run) { return armChildTimer(of: callID, run, milliseconds: 1000, isLast: true) }
      input(run) { (machine) throws(RuntimeError) in machine.childTimedOut(callID) }
    } catch { if error.kind != .runNotFound { host.log("call \(callID) could not be timed out: \(error.message)") } }
  }

  /// The process whose parent is asked comes first.
  private func isAttendedElsewhere(_ run: LiveRun) -> Bool {
    run.tree?.below(run).contains { member in
      member.state.awaitedCalls.contains { call in call.sender != store.owner && member.state.isOpen(call, isAlive: { isAlive($0) }) }
    } ?? false
  }

  /// A run goes out of memory, but its time goes on.
  func keepChildTimers(of run: LiveRun) {
    if run.childTimers.isEmpty || run.state.status.hasEnded || isEnding { return }
    sleepingTimers[run.runID] = run.childTimers
    run.childTimers = [:]
  }

  /// It is in memory again.
  func wakeChildTimers(of run: LiveRun) { run.childTimers = sleepingTimers.removeValue(forKey: run.runID) ?? [:] }
}
