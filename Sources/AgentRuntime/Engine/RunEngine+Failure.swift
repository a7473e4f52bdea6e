import JSON

/// What becomes of runs when the store fails under them.
extension RunEngine {
  func storeFailed(_ run: LiveRun, _ error: StoreError) {
    storeHasFailed = true
    if letGo.insert(run.runID).inserted { host.log("the store failed under run \(run.runID): \(error.message)") }
    drop(run, RuntimeError(error))
    startTicking()
  }

  /// The store works again: others can take up the runs that were let go. Until that is in their logs this process lives, and has them for all to see.
  func freeRunsLetGo() {
    let now = host.monotonicClock()
    guard !letGo.isEmpty, now >= nextLookAtLetGo else { return }
    nextLookAtLetGo = now + 1000
    for runID in letGo {
      do throws(RuntimeError) {
        let run = try run(runID)
        input(run) { (machine) throws(RuntimeError) in
          machine.dropClaims()
        } answered: { [unowned self] _, error in
          if error == nil { letGo.remove(runID) }
        }
      } catch {
        // While the store fails, to ask it for each run may take long; there is a next time.
        if [.storeUnavailable, .storeFull].contains(error.kind), !error.isDamage { return }
        // Deleted, begun in vain, or nothing that anybody could go on with.
        letGo.remove(runID)
      }
    }
  }

  /// The run stops where its log ends; whoever waits is told.
  func drop(_ run: LiveRun, _ error: RuntimeError) {
    live[run.runID] = nil
    driven.remove(run.runID)
    run.tree?.remove(run)
    stopWork(run)
    let inputs = run.inputs
    let waiters = run.waiters
    run.inputs = []
    run.waiters = []
    for input in inputs { input.answered(run, error) }
    for waiter in waiters {
      if let timer = waiter.timer { timers.cancel(timer) }
      waiter.reply(.failure(error))
    }
  }

  /// Ends what runs for the run in this process, without a word in the log.
  func stopWork(_ run: LiveRun) {
    run.modelCall?.call.cancel()
    run.modelCall = nil
    liveText.end(run.runID)
    for running in run.runningTools.values { running.tool.stop() }
    run.runningTools = [:]
    endServerQuestions(of: run)
    run.servers?.session.end()
    run.servers = nil
    for timer in run.callTimers.values { timers.cancel(timer) }
    run.callTimers = [:]
    for timer in run.childTimers.values { timers.cancel(timer) }
    run.childTimers = [:]
    for callID in run.outCalls { parent?.closeInvocations(of: callID) }
    run.outCalls = []
    for question in run.questions.values { question.exchange.cancel(reason: "the bridge is no longer at work on the run") }
    run.questions = [:]
    if let timer = run.expiryTimer { timers.cancel(timer) }
    run.expiryTimer = nil
    if let timer = run.deadlineTimer { timers.cancel(timer) }
    run.deadlineTimer = nil
  }

  /// Calls the store; a failure becomes the error of the wire.
  func read<T>(_ body: () throws(StoreError) -> T) throws(RuntimeError) -> T {
    do throws(StoreError) {
      if storeHasFailed {
        try store.reopen()
        storeHasFailed = false
      }
      return try body()
    } catch {
      storeHasFailed = storeHasFailed || ![.newer, .damaged].contains(error.code)
      throw RuntimeError(error)
    }
  }
}
