/// How the process' runs are left when it ends.
extension RunEngine {
  package enum Ending: Sendable {
    /// The client is gone: open calls get their `onDisconnect` strategy, the rest is parked.
    case hangUp
    /// The process was asked to end; the client may well live: everything parks.
    case signal
  }

  /// The client answers no more, but work goes on as far as it can without it.
  package func drain() {
    endServerQuestions()
    for run in Array(live.values) {
      run.modelCall?.call.clientIsGone()
      input(run) { (machine) throws(RuntimeError) in
        machine.parentHungUp(parkAll: false)
        machine.advance(cause: .invoke)
      }
    }
  }

  /// Stops all work, leaves every run as its log should have it, and answers whoever waits with the outcome as it stands.
  package func end(_ ending: Ending) {
    guard !isEnding else { return }
    for run in Array(live.values) {
      for running in run.runningTools.values { running.tool.stop() }
      run.runningTools = [:]
      input(run) { (machine) throws(RuntimeError) in
        machine.parentHungUp(parkAll: ending == .signal)
      } answered: { [unowned self] run, _ in
        stopWork(run)
        leave(run)
      }
    }
    isEnding = true
  }

  private func leave(_ run: LiveRun) {
    let waiters = run.waiters
    run.waiters = []
    for waiter in waiters {
      if let timer = waiter.timer { timers.cancel(timer) }
      waiter.reply(.success(answer(run, waiter.verdicts)))
    }
  }

  /// No run of this process is at work or waited for.
  package var isIdle: Bool {
    live.values.allSatisfy { run in
      !run.isDriven(by: store.owner) && !run.waitsForPlace && run.quietTimer == nil && run.waiters.isEmpty && run.inputs.isEmpty
    }
  }

  /// Whether a run of this connection was left waiting, paused or queued. Another process may have ended one meanwhile.
  package var leavesWork: Bool {
    touched.contains { runID in
      if let run = live[runID], run.committed == 0 { return true }
      do throws(StoreError) { return try store.summary(of: runID)?.status.hasEnded == false } catch {
        host.log("run \(runID) could not be looked at: \(error.message)")
        return true
      }
    }
  }

  /// Nothing is asked of the engine afterwards.
  package func close() {
    isEnding = true
    store.close()
  }
}

/// Taking up runs that nobody drives any more (`serve --adopt`).
extension RunEngine {
  /// Now, and every second from now on.
  package func adoptOrphans() {
    guard !isEnding else { return }
    do throws(RuntimeError) {
      let orphans = try read { () throws(StoreError) in try store.orphans() }
      if !orphanFaults.isEmpty { orphanFaults = orphanFaults.filter { orphans.contains($0.key) } }
      for runID in orphans where driven.count < limits.maxConcurrentRuns { adopt(runID) }
      var query = RunQuery()
      query.statuses = [.queued]
      query.limit = 1000
      let queued = query
      for row in try read({ () throws(StoreError) in try store.runs(matching: queued) }).reversed() where live[row.runID] == nil {
        afterChange(try run(row.runID))
      }
    } catch { host.log("orphaned runs could not be looked for: \(error.message)") }
    _ = after(milliseconds: 1000) { [unowned self] in adoptOrphans() }
  }

  private func adopt(_ runID: ULID) {
    var resumption = RunMachine.Resumption()
    resumption.delivery = .pause
    resumption.cause = .recovery
    let report: RunReply = { [unowned self] result in
      guard case .failure(let error) = result else { return }
      // It is tried again every second; the same words once are enough.
      if orphanFaults.updateValue(error.message, forKey: runID) == error.message { return }
      host.log("run \(runID) could not be taken up: \(error.message)")
    }
    resume(runID, resumption, wait: false, waiting: { _ in }, reply: report)
  }
}
