import JSON

/// Approvals and questions in the fold.
extension RunState {
  /// The run can go on: a model turn, or a server call, is next.
  package var hasWork: Bool {
    if batch.tally.forServer == 0 { return batch.pendingCount == 0 }
    return batch.contains { $0.isForServer && $0.isAtWork } || !serverCallsToBegin(by: nil).isEmpty
  }

  /// What the run waits for, in a word, when it has no work.
  var waitingWord: RunStatus {
    let tally = batch.tally
    func isHalted(_ status: RunStatus) -> Bool { tally.halted > 0 && batch.contains { $0.halt?.status == status } }
    if tally.approvals > 0 || isHalted(.waitingApproval) { return .waitingApproval }
    return tally.questions > 0 || isHalted(.waitingHumanInput) ? .waitingHumanInput : .waitingClientTool
  }

  /// The decision that was made for all calls of this very tool.
  func standingDecision(for call: borrowing Call) -> StandingDecision? {
    guard call.need == .approval, !standingDecisions.isEmpty else { return nil }
    return standingDecisions.last { $0.tool == call.tool && isSameProgram($0.server, server(of: call.tool)) }
  }

  private func server(of tool: Tool?) -> MCPServer? { tool?.route.flatMap { agent.mcpServers?[$0.server] } }

  private func isSameProgram(_ one: MCPServer?, _ other: MCPServer?) -> Bool {
    one?.command == other?.command && one?.args == other?.args && one?.env == other?.env && one?.cwd == other?.cwd
  }

  /// Calls whose approval did not come in time.
  func expiredCalls(at now: Timestamp) -> [Call] {
    if batch.tally.expiring == 0 { return [] }
    return batch.filter { call in call.need == .approval && call.expiresAt.map { $0 <= now } ?? false }
  }

  mutating func applyQuestion(_ event: RunEvent) {
    switch event {
    case .approvalRequested(let callID, let expiresAt, let asker):
      decisionSequences[callID] = 0
      ask(callID, asker)
      batch.update(callID) { $0.expiresAt = expiresAt }
    case .inputRequested(let callID, _, _, let asker):
      answerSequences[callID] = 0
      ask(callID, asker)
    case .callAsked(let callID, let asker): ask(callID, asker)
    case .callUnanswered(let callID, _): batch.update(callID) { $0.isParked = true }
    case .decisionsTaken(let decisions): standingDecisions = decisions
    case .approvalDecided(let callID, let decision): decide(callID, decision)
    case .inputAnswered(let callID, let given):
      if given.action != .cancel { answerSequences[callID] = sequence }
      batch.update(callID) { $0.isParked = true }
    default: break
    }
  }

  private mutating func ask(_ callID: ULID, _ asker: OwnerID?) {
    batch.update(callID) { call in
      call.isAsked = true
      call.sender = asker
      call.isParked = false
    }
  }

  private mutating func decide(_ callID: ULID, _ decision: ApprovalDecision) {
    decisionSequences[callID] = sequence
    if decision.scope == .session, let tool = call(callID)?.tool {
      standingDecisions.removeAll { $0.tool.name == tool.name && $0.tool.target == tool.target }
      standingDecisions.append(
        StandingDecision(tool: tool, server: server(of: tool), decision: decision.decision, reason: decision.reason, callID: callID))
    }
    batch.update(callID) { call in
      call.sender = nil
      call.isParked = false
      call.expiresAt = nil
      // A denied call gets its result next.
      guard decision.decision == .approve else { return }
      call.needsApproval = false
      guard let arguments = decision.arguments, !decision.keepsArguments else { return }
      call.arguments = arguments
      call.isEdited = true
    }
  }
}

extension Call {
  /// What the model is told, after the results, of a call that was made with other arguments than its own.
  var editNote: String {
    switch arguments {
    case .inline(let json): "The user approved the call of '\(name)' with other arguments, and it was made with these: \(json.bytes.string)"
    case .blob(let reference):
      "The user approved the call of '\(name)' with other arguments (\(reference.bytes) bytes), and it was made with those."
    }
  }
}
