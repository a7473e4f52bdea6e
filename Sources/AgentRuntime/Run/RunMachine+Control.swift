package import JSON

/// `run.cancel`, `run.pause`, `run.resume`, `run.addNote`.
extension RunMachine {
  /// Ends the run as cancelled; a driver elsewhere is asked to, and an ended run stays what it is.
  ///
  /// - Parameter isWithdrawn: The turn that its input was to be part of has not begun.
  package mutating func cancel(reason: String?, partialText: String?, isWithdrawn: Bool = false) {
    guard !state.status.hasEnded else { return }
    if isDrivenElsewhere {
      if state.cancelRequest == nil { append(.cancelRequested(reason: reason)) }
      return
    }
    var end = RunEnd(.cancelled)
    end.reason = reason
    end.isWithdrawn = isWithdrawn
    end.partialText = partialText.map { store(.inline(CarriedJSON(string: $0))) }
    finish(end, openCallsSay: "The run was cancelled before this call was answered.")
  }

  /// At once for a waiting or undriven run; before its next model call or dispatch for a driven one, and the next attempt at a call is one too.
  package mutating func pause() {
    guard !state.status.hasEnded, state.status != .paused else { return }
    if state.status == .running, let owner = state.owner, context.isAlive(owner) {
      if owner == context.own, state.modelAtWork != nil, context.modelWaits() { return pauseBetweenAttempts() }
      if !state.pauseRequested { append(.pauseRequested) }
      // No call is at work then, and servers can take long to start.
      if beside.isAskingServers { advance(cause: .resume) }
      return
    }
    // What was asked of a driver that died comes first.
    if let request = state.cancelRequest { return cancel(reason: request.reason, partialText: nil) }
    append(.paused(status: .paused, fault: nil))
  }

  /// Before it was read anew, this process was at work on the run; then its store failed. Others need not wait for it, and what they asked of it is
  /// done. Nothing when it has taken the run up again.
  package mutating func dropClaims() {
    guard !state.status.hasEnded, state.hasClaims(of: .departed) else { return }
    append(.claimDropped(owner: context.own))
    if let request = state.cancelRequest { return cancel(reason: request.reason, partialText: nil) }
    if state.pauseRequested, state.status == .running { append(.paused(status: .paused, fault: nil)) }
  }

  /// A resume asks the model anew.
  mutating func pauseBetweenAttempts() {
    perform(.abortModel)
    append(.paused(status: .paused, fault: nil))
  }

  package mutating func addNote(_ text: CarriedJSON) throws(RuntimeError) {
    let mustGoOn = denyExpired()
    if state.status.hasEnded { throw RuntimeError(.runAlreadyTerminal, "the run has ended") }
    append(.noteAdded(text: store(.inline(text))))
    if mustGoOn { goOnAfterExpiry() }
  }

  package struct Resumption: Sendable {
    package var delivery: Delivery?
    package var limits: CarriedJSON?
    /// Deferred calls to send again.
    package var reissue: Set<ULID> = []
    package var canInvoke = false
    /// Taken up by `--adopt`, not by a parent.
    package var cause = ResumeCause.resume

    package init() {}
  }

  /// - Throws: what `resume` would throw.
  func checkResumable() throws(RuntimeError) {
    if state.status.hasEnded { return }
    if isDrivenElsewhere {
      throw RuntimeError(
        .runLeaseHeld, "another process drives the run", retryAfterMilliseconds: context.leaseRetryMilliseconds(state.owner))
    }
    if state.cancelRequest != nil || (state.status == .running && state.owner == context.own) { return }
    try context.checkDrivable(state)
    // A queued one waits for its place by itself.
    if !state.status.isWaiting, state.status != .queued, !context.hasPlace {
      throw RuntimeError(.overloaded, "as many runs are driven as may be", retryAfterMilliseconds: 1000)
    }
  }

  /// What a resume says of the run itself, where it takes the run up: of a tree before any run goes on, since it may count for those below.
  mutating func reconfigure(by resumption: Resumption) {
    if state.status.hasEnded || state.cancelRequest != nil || (state.status == .running && state.owner == context.own) { return }
    let changesDelivery = resumption.delivery != nil && resumption.delivery != state.delivery
    guard resumption.limits != nil || changesDelivery else { return }
    append(.reconfigured(limits: resumption.limits, delivery: changesDelivery ? resumption.delivery : nil))
  }

  /// Takes up an undriven or paused run, or sends the parked calls of a waiting one again.
  /// - Throws: `run.leaseHeld` when another process drives it; what keeps this bridge from going on with it.
  package mutating func resume(_ resumption: Resumption) throws(RuntimeError) {
    _ = denyExpired()
    if state.status.hasEnded { return }
    try checkResumable()
    if state.status == .running, state.owner == context.own { return }
    if state.cancelRequest != nil { return advance(cause: .recovery) }
    // A client that resumes wants the run to go on; one that asked the dead driver for a pause still waits for it.
    if state.pauseRequested, resumption.cause == .recovery { return append(.paused(status: .paused, fault: nil)) }
    reconfigure(by: resumption)
    invokeHere(resumption.canInvoke)
    context.asksHere = resumption.cause == .resume
    if !state.hasBegun {
      if state.status == .paused { append(.requeued) }
      return advance(cause: .resume)
    }
    for call in state.awaitedCalls where canAsk(call.need) && (call.sender != context.own || call.isParked) {
      beside.toResend.insert(call.callID)
    }
    switch state.status {
    case .paused: drive(cause: .resume)
    case .running: drive(cause: resumption.cause == .resume ? .resume : .recovery)
    default: break
    }
    if context.invokesHere {
      for call in state.pendingClientCalls where call.attempt > 0 {
        let isWanted = call.isDeferred ? resumption.reissue.contains(call.callID) : !state.isOpen(call, isAlive: context.isAlive)
        if isWanted { beside.toResend.insert(call.callID) }
      }
    }
    advance(cause: .resume)
  }
}
