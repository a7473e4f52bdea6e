import JSON

/// `run.submitToolResults` and its relatives: judged in the order of the protocol page, claimed all at once or not at all.
extension RunMachine {
  /// - Returns: the verdicts, when the set (or with `isPartial` what fits of it) is taken or was given before.
  /// - Throws: `run.alreadyTerminal`, `run.alreadyClaimed`, `run.notWaiting`, `run.invalidToolResults`, and `invalidParams` for what does not fit
  ///   its call; nothing is claimed then.
  package mutating func submit(_ submission: Submission) throws(RuntimeError) -> Verdicts {
    let mustGoOn = denyExpired()
    do throws(RuntimeError) {
      let verdicts = try accept(submission)
      if mustGoOn { goOnAfterExpiry() }
      return verdicts
    } catch {
      if mustGoOn { goOnAfterExpiry() }
      throw error
    }
  }

  private mutating func accept(_ submission: Submission) throws(RuntimeError) -> Verdicts {
    let judged = try judge(submission)
    if judged.saysNothingNew { return judged.verdicts }
    if state.status.hasEnded || state.cancelRequest != nil { throw refuseEnded(submission, judged.verdicts) }
    if submission.isPartial {
      keepEvidence(submission, judged.verdicts)
    } else {
      if judged.has(.conflict) {
        keepEvidence(submission, judged.verdicts, only: .conflict)
        throw refusal(.runAlreadyClaimed, "what is stored for this call says something else", judged.verdicts)
      }
      if state.awaitedCalls.isEmpty {
        keepEvidence(submission, judged.verdicts, only: .unknown)
        throw refusal(.runNotWaiting, "the run has no pending call", judged.verdicts)
      }
      try checkExact(submission, judged, awaited: state.awaitedCalls)
      if let problem = judged.problem { throw refusal(.invalidParams, problem.words, judged.verdicts, at: problem.pointer) }
    }
    try prepare(judged, submission)
    take(judged)
    return judged.verdicts
  }

  // MARK: Refusing

  mutating func refuseEnded(_ submission: Submission, _ verdicts: Verdicts) -> RuntimeError {
    var ended = verdicts
    for (callID, verdict) in verdicts.list where verdict != .duplicate { ended.set(callID, .terminal) }
    keepEvidence(submission, ended, only: .terminal)
    return refusal(.runAlreadyTerminal, "the run has ended", ended)
  }

  mutating func keepEvidence(_ submission: Submission, _ verdicts: Verdicts, only: Verdict? = nil) {
    let refused = verdicts.list.filter { [.conflict, .unknown, .terminal].contains($0.verdict) && (only == nil || only == $0.verdict) }
    if refused.isEmpty { return }
    let sizes = submission.sizes
    for (callID, verdict) in refused {
      if let bytes = sizes[callID] { reject(callID, verdict, bytes: bytes) }
    }
  }

  /// Each kind that is given covers the calls that need it, and nothing else is given. A result may also stand for an approval.
  func checkExact(_ submission: Submission, _ judged: JudgedSubmission, awaited: [Call]) throws(RuntimeError) {
    let answered = Set(judged.results.map(\.callID))
    // One that cannot be used covers its call all the same: it is told so by itself.
    let invalid = Set(judged.verdicts.list.filter { $0.verdict == .invalid }.map(\.callID))
    let decided = Set(judged.approvals.map(\.given.callID)).union(answered).union(invalid)
    let told = Set(judged.inputs.map(\.callID)).union(invalid)
    var missing: [String] = []
    for call in awaited {
      let callID = call.callID.text
      switch call.need {
      case .result: if submission.results != nil, !answered.contains(callID) { missing.append(callID) }
      case .approval: if submission.approvals != nil, !decided.contains(callID) { missing.append(callID) }
      case .input: if submission.inputs != nil, !told.contains(callID) { missing.append(callID) }
      case nil: break
      }
    }
    let unknown = judged.verdicts.list.filter { $0.verdict == .unknown }.map(\.callID)
    if missing.isEmpty, unknown.isEmpty, judged.doubles.isEmpty { return }
    var error = refusal(.runInvalidToolResults, "what is given does not cover exactly the pending calls that need it", judged.verdicts)
    error.details += [("missing", Self.list(missing)), ("unknown", Self.list(unknown)), ("duplicate", Self.list(judged.doubles))]
    throw error
  }

  func refusal(_ kind: RuntimeError.Kind, _ message: String, _ verdicts: Verdicts, at pointer: String? = nil) -> RuntimeError {
    var judged = Verdicts()
    for (callID, verdict) in verdicts.list where verdict != .accepted { judged.set(callID, verdict) }
    var error = RuntimeError(kind, message, pointer: pointer)
    error.details = [("verdicts", judged.json)]
    return error
  }

  private static func list(_ texts: [String]) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginArray()
    for text in texts { writer.string(text) }
    writer.endArray()
    return CarriedJSON(trusted: writer.finish())
  }

  // MARK: Taking

  mutating func take(_ judged: JudgedSubmission) {
    for (given, keepsArguments) in judged.approvals {
      guard let call = ULID(given.callID).flatMap(state.call) else { continue }
      decide(call, given.answer, keepsArguments: keepsArguments, by: .submit)
    }
    for given in judged.results {
      guard let call = ULID(given.callID).flatMap(state.call) else { continue }
      if given.result.deferred {
        append(.callDeferred(callID: call.callID))
        continue
      }
      takeBack(call, because: "answered by run.submitToolResults")
      completeFromClient(call, given.result)
    }
    for given in judged.inputs {
      guard let call = ULID(given.callID).flatMap(state.call) else { continue }
      take(given.answer, for: call, by: .submit)
    }
    if !judged.isEmpty { advance(cause: .submit) }
  }

  /// Whether what is given has the run go on here, or a call go out.
  struct Consequence {
    var goesOn = false
    var opensCall = false
  }

  func consequence(of judged: JudgedSubmission, _ submission: Submission) -> Consequence {
    let approved = judged.approvals.filter { $0.given.answer.decision == .approve }.compactMap { ULID($0.given.callID).flatMap(state.call) }
    let finished =
      judged.results.count { !$0.result.deferred } + judged.approvals.count { $0.given.answer.decision == .deny }
      + judged.inputs.count { $0.answer.action != .cancel }
    let isWhole = finished == state.batch.pendingCount
    let isFree = state.status != .paused && !isDrivenElsewhere && !judged.isEmpty
    // A client call that may go out now goes to this parent if it takes calls; otherwise to the one that the run has.
    let opensCall = isFree && approved.contains { $0.target == .client } && (submission.canInvoke || submission.insistsOnDelivery)
    let goesOn = isWhole || approved.contains { $0.target == .server } || releasesServerCall(judged)
    return Consequence(goesOn: isFree && goesOn, opensCall: opensCall)
  }

  /// Whether a server call waited only for calls that have their results now.
  private func releasesServerCall(_ judged: JudgedSubmission) -> Bool {
    guard !state.pendingServerCalls.isEmpty, state.serverCallsToBegin(by: nil).isEmpty else { return false }
    var next = state
    for given in judged.results { if let callID = ULID(given.callID) { next.batch.update(callID) { $0.isParked = true } } }
    return !next.serverCallsToBegin(by: nil).isEmpty
  }

  /// What has to be known and settled before the first part is taken: whether the run goes on here, and with which parent.
  private mutating func prepare(_ judged: JudgedSubmission, _ submission: Submission) throws(RuntimeError) {
    let consequence = consequence(of: judged, submission)
    if consequence.goesOn { try context.checkDrivable(state) }
    try replaceTools(submission)
    if consequence.goesOn || consequence.opensCall {
      adopt(delivery: submission.delivery, canInvoke: submission.canInvoke)
    } else if !judged.isEmpty, !sendsHere, context.tree == nil, state.delivery == .invoke, submission.delivery != .pause,
      submission.canInvoke
    {
      // The run does not go on with this, but what comes later goes to this parent. Calls of a sub-agent go where the root's driver is.
      context.invokesHere = true
      append(.reconfigured(limits: nil, delivery: nil, taker: context.own))
    }
  }

  mutating func replaceTools(_ submission: Submission) throws(RuntimeError) {
    if let tools = submission.tools {
      var toolbox = state.toolbox
      try toolbox.replaceRunTools(try RunParams.read([Tool].self, tools, at: "/tools", carrying: RunParams.toolPaths))
      append(.toolsChanged(tools))
    }
  }
}
