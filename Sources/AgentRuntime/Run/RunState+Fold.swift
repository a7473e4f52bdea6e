import JSON

extension RunState {
  /// Takes the next event of the log, whose time is `time` (for the runtime's own records: when the event before it was).
  package mutating func apply(_ event: RunEvent, at time: Timestamp) throws(RuntimeError) {
    position += 1
    if event.isOnTheWire { sequence += 1 }
    countDriven(event, until: time)
    updatedAt = max(updatedAt, time)
    switch event {
    case .started: throw RuntimeError(.storeUnavailable, "the run's log begins twice")
    case .modelStarted(let messageID, _): startModel(messageID)
    case .modelRetried: break
    case .limitWarning(let limit, _, _): warnedLimits.insert(limit)
    case .modelCompleted(let message): finishModel(message, at: time)
    case .toolStarted(let callID, let attempt, let sender):
      batch.update(callID) { call in
        if call.attempt == 0 { call.since = time }
        call.attempt = attempt
        call.sender = sender
        call.isParked = false
        call.isDeferred = false
      }
    case .toolCompleted(let callID, let result): finishCall(callID, result)
    case .toolRejected, .rejectionCounted: rejectedResults += 1
    case .toolsChanged(let tools):
      let plain = try RunParams.read([Tool].self, tools, at: "/tools", carrying: RunParams.toolPaths)
      try toolbox.replaceRunTools(plain)
    case .toolboxChanged(let snapshot, let changes), .sharedChanged(let snapshot, let changes, _):
      toolbox = try Toolbox(reading: snapshot)
      self.changes = changes
    case .changesTaken(let changes): self.changes = changes
    case .toolkitsRegistered: break
    case .toolkitExpanded(let toolkit, let skill):
      if let skill { try toolbox.activate(skill: skill) } else { try toolbox.expand(toolkit: toolkit) }
    case .augmentationApplied(_, let augmentation, _):
      if let augmentation { try toolbox.apply(augmentation, isInsideResult: true) }
    case .paused(let status, let fault):
      self.status = status
      self.fault = fault
      owner = nil
      modelAtWork = nil
      if status == .paused { pauseRequested = false }
    case .resumed(let cause, let claim):
      status = .running
      lastCause = cause
      hasBegun = true
      fault = nil
      owner = claim.owner
      epoch = claim.epoch
      modelAtWork = nil
      pauseRequested = false
      // Nobody claims a run whose server calls are at work: those that were begun have been interrupted.
      for call in pendingServerCalls { batch.update(call.callID) { $0.sender = nil } }
    case .noteAdded(let text): unseenNotes.append(text)
    case .ended(let end): finish(end)
    case .approvalRequested, .approvalDecided, .inputRequested, .inputAnswered, .callAsked, .callUnanswered, .decisionsTaken:
      applyQuestion(event)
    case .callDeferred(let callID): batch.update(callID) { $0.isDeferred = true }
    case .callParked(let callID): batch.update(callID) { $0.isParked = true }
    case .reconfigured(let limits, let delivery, let taker): try reconfigure(limits, delivery, taker)
    case .claimDropped(let owner): disown(owner)
    case .pauseRequested: pauseRequested = true
    case .merged(let other): (mergedInto, passedOnTo) = (other, other)
    case .compacted(let compaction, let usage):
      compactions.append(compaction)
      compactionsOfTurn += 1
      self.usage += usage
    case .sampled(let usage): self.usage += usage
    case .childNamed(let callID, let child):
      children.append(child)
      batch.update(callID) { $0.child = child }
    case .childMoved(let callID, let halt): batch.update(callID) { $0.halt = halt }
    case .childEnded(_, let usage): self.usage += usage
    case .requeued:
      status = .queued
      fault = nil
    case .cancelRequested(let reason): cancelRequest = CancelRequest(reason: reason)
    case .answerRejected(let reason):
      answerCorrections += 1
      transcript.append(.user([.text(reason)]))
    }
  }

  private mutating func countDriven(_ event: RunEvent, until time: Timestamp) {
    switch event {
    // A claim begins anew; the others may come from any process, whether the driver lives or not.
    case .resumed: drivenUntil = max(drivenUntil, time)
    case .toolCompleted(let callID, _) where call(callID)?.need != nil: break
    case .noteAdded, .toolRejected, .rejectionCounted, .cancelRequested, .claimDropped, .pauseRequested, .reconfigured, .toolsChanged,
      .merged, .requeued, .compacted:
      break
    case .approvalDecided, .inputAnswered, .callAsked, .callUnanswered: break
    default:
      if owner != nil { drivenMilliseconds += max(0, time.milliseconds - drivenUntil.milliseconds) }
      drivenUntil = max(drivenUntil, time)
    }
  }

  private mutating func startModel(_ messageID: ULID) {
    modelAtWork = messageID
    compactionsOfTurn = 0
    if transcript.isEmpty { transcript = input.entries }
    for note in unseenNotes { transcript.append(.user([.text(note)])) }
    unseenNotes = []
  }

  private mutating func finishModel(_ message: ModelMessage, at time: Timestamp) {
    modelAtWork = nil
    modelTurns += 1
    usage += message.usage
    for call in message.calls { callCounts[call.name, default: 0] += 1 }
    transcript.append(.assistant(message))
    batch = Batch(message.calls.map { Call($0, tool: tool(named: $0.name), at: time) })
  }

  private mutating func finishCall(_ callID: ULID, _ result: ToolResult) {
    batch.update(callID) { $0.result = result }
    resultSequences[callID] = sequence
    lastFinished = batch[callID]
    guard batch.pendingCount == 0 else { return }
    for call in batch.calls {
      guard let result = call.result else { continue }
      transcript.append(
        .tool(
          callID: call.callID, name: call.name, result: result, maxBytes: call.tool?.maxResultBytes ?? Tool.defaultMaxResultBytes))
    }
    let edited = batch.calls.filter(\.isEdited)
    if !edited.isEmpty { transcript.append(.user(edited.map { .text($0.editNote) })) }
    batch = .empty
  }

  private mutating func finish(_ end: RunEnd) {
    status = end.status
    self.end = end
    owner = nil
    modelAtWork = nil
    fault = end.fault
    if end.isWithdrawn { mergedInto = nil }
    if turn == nil { transcript = [] } else { closeTranscript(end) }
    batch = .empty
  }

  /// What later turns of the session see of this one. A turn that was withdrawn before it began leaves nothing; one whose input was superseded
  /// or became part of another leaves its input.
  private mutating func closeTranscript(_ end: RunEnd) {
    if transcript.isEmpty {
      guard hasBegun || mergedInto != nil || end.fault?.kind == .runSuperseded else { return }
      transcript = input.entries
    }
    for note in unseenNotes { transcript.append(.user([.text(note)])) }
    unseenNotes = []
    if let partial = end.partialText, partial != .inline(CarriedJSON(string: "")) { transcript.append(.said([.text(partial)])) }
  }

  private mutating func reconfigure(_ limits: CarriedJSON?, _ delivery: Delivery?, _ taker: OwnerID?) throws(RuntimeError) {
    if let limits {
      self.limits = self.limits.overridden(by: try RunParams.read(Limits.self, limits, at: "/limits"))
    }
    if let delivery { self.delivery = delivery }
    if let taker { callTaker = taker }
  }
}
