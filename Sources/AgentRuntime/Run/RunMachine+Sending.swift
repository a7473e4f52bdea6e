/// Which client calls go out to the parent, and when: a run that waits for them says so in its log first.
extension RunMachine {
  /// The pause is in the log before a request goes out, and says of each call whether it does.
  mutating func waitForParent() {
    let paused = state.batch.tally.halted == 0 ? nil : state.batch.pending.first { $0.halt?.status == .paused }
    if state.pauseRequested || paused != nil { return append(.paused(status: .paused, fault: paused?.halt?.fault)) }
    var invocations: [RunEffect] = []
    for call in callsToSend() {
      append(.toolStarted(callID: call.callID, attempt: call.attempt + 1, sender: context.own))
      beside.toResend.remove(call.callID)
      invocations.append(.invoke(callID: call.callID, attempt: call.attempt + 1))
    }
    if state.status != state.waitingWord { append(.paused(status: state.waitingWord, fault: nil)) }
    for invocation in invocations { perform(invocation) }
  }

  /// It waits, and has a call to send or waits for something else than its log says: somebody has stored an answer without going on with it.
  var waitsOtherwise: Bool {
    state.status.isWaiting && !state.hasWork && (state.status != state.waitingWord || !callsToSend().isEmpty)
  }

  /// Calls go out here: there is a parent that takes them, and no other process that lives has taken them over.
  package var sendsHere: Bool {
    context.invokesHere && (state.callTaker.map { $0 == context.own || !context.isAlive($0) } ?? true)
  }

  private func callsToSend() -> [Call] {
    let tally = state.batch.tally
    guard sendsHere, tally.unsent > 0 || !beside.toResend.isEmpty else { return [] }
    var room = state.agent.clientTools?.maxParallelInvocations ?? 16
    var begun = 0
    var isAlone = false
    // Also at the parent of another process.
    var sent = tally.forClient - tally.unsent
    state.batch.forEachPending { call in
      if sent == 0 { return false }
      guard call.need == .result, call.attempt > 0 else { return true }
      sent -= 1
      if beside.toResend.contains(call.callID) || !state.isOpen(call, isAlive: context.isAlive) { return true }
      room -= 1
      begun += 1
      isAlone = isAlone || call.tool?.runsAlone == true
      return true
    }
    for call in state.pendingServerCalls where call.child != nil {
      begun += 1
      isAlone = isAlone || call.tool?.runsAlone == true
    }
    var chosen: [Call] = []
    state.batch.forEachPending { call in
      guard call.need == .result, call.attempt == 0 || beside.toResend.contains(call.callID) else { return true }
      let alone = call.tool?.runsAlone == true
      if room <= 0 || isAlone || (alone && begun > 0) { return false }
      isAlone = alone
      room -= 1
      begun += 1
      chosen.append(copy call)
      return true
    }
    return chosen
  }
}
