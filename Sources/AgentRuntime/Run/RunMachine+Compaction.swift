package import JSON

/// Making room when a conversation is longer than its model can read.
extension RunMachine {
  /// How often room is made for one model turn.
  private static let mostPerTurn = 3

  /// The model could not read what it was shown.
  /// - Returns: false when the run has to end with that.
  mutating func makeRoom(for messageID: ULID) -> Bool {
    let strategy = state.agent.compaction ?? CompactionStrategy.none
    guard strategy != CompactionStrategy.none, state.compactionsOfTurn < Self.mostPerTurn, let plan = context.compactionPlan(state) else {
      return false
    }
    if strategy == .summarize {
      // That is a model call too. A resume asks the model anew, which says once more that it cannot read so much.
      if state.pauseRequested { append(.paused(status: .paused, fault: nil)) } else { perform(.summarize(messageID: messageID, plan)) }
    } else {
      compact(plan, messageID)
    }
    return true
  }

  /// The model is about to be asked for the summary once more.
  package mutating func summaryRetried(_ messageID: ULID) {
    guard state.modelAtWork == messageID, state.pauseRequested, state.owner == context.own else { return }
    pauseBetweenAttempts()
  }

  /// The summary is there; without one the messages are left out.
  package mutating func summarized(_ messageID: ULID, _ plan: Compaction, summary: CarriedJSON?, usage: Usage) {
    guard state.modelAtWork == messageID, state.owner == context.own else { return }
    if let request = state.cancelRequest { return cancel(reason: request.reason, partialText: nil) }
    var plan = plan
    plan.summary = summary.map { store(.inline($0)) }
    compact(plan, messageID, usage: usage)
  }

  private mutating func compact(_ plan: Compaction, _ messageID: ULID, usage: Usage = Usage()) {
    append(.compacted(plan, usage: usage))
    let what = plan.summary == nil ? "were left out" : "were summarised"
    append(
      .modelRetried(
        messageID: messageID, attempt: state.compactionsOfTurn, reason: "the context was full: \(plan.count) older messages \(what)",
        retryAfterMilliseconds: 0))
    if state.pauseRequested { return append(.paused(status: .paused, fault: nil)) }
    perform(.callModel(messageID: messageID))
  }
}
