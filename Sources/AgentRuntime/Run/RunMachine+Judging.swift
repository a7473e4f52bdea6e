import JSON

/// What each part of a submit is judged to be, before anything of it is taken.
struct JudgedSubmission {
  var verdicts = Verdicts()
  var results: [SubmittedResult] = []
  var approvals: [(given: SubmittedApproval, keepsArguments: Bool)] = []
  var inputs: [SubmittedInput] = []
  /// Ids that are given more than once.
  var doubles: [String] = []
  /// What fits a call but cannot be used, with its pointer.
  var problem: (pointer: String, words: String)?

  var isEmpty: Bool { results.isEmpty && approvals.isEmpty && inputs.isEmpty }
  /// Every id is given once, and was given before with the same value.
  var saysNothingNew: Bool { doubles.isEmpty && !verdicts.list.isEmpty && verdicts.list.allSatisfy { $0.verdict == .duplicate } }
  func has(_ verdict: Verdict) -> Bool { verdicts.list.contains { $0.verdict == verdict } }
}

extension RunMachine {
  /// Judges a submit. Of doubles in a partial one, which the first stands for, what differs is kept as evidence.
  /// - Throws: `store.unavailable` when what is stored cannot be read.
  mutating func judge(_ submission: Submission) throws(RuntimeError) -> JudgedSubmission {
    var judged = JudgedSubmission()
    var seen: Set<String> = []
    let results = Dictionary((submission.results ?? []).map { ($0.callID, $0.result) }, uniquingKeysWith: { first, _ in first })
    for (index, given) in (submission.results ?? []).enumerated() {
      guard seen.insert(given.callID).inserted else {
        let isSame = try results[given.callID].map { (first) throws(RuntimeError) in try isSameHere(given.result, first) } ?? false
        double(given.callID, isSame: isSame, bytes: given.bytes, submission, &judged)
        continue
      }
      var verdict = try judge(given)
      if verdict == .accepted, given.result.deferred, ULID(given.callID).flatMap(state.call)?.needsApproval == true {
        verdict = .invalid
        note("a call that still needs approval cannot be deferred", "/results/\(index)/deferred", &judged)
      }
      judged.verdicts.set(given.callID, verdict)
      if verdict == .accepted { judged.results.append(given) }
    }
    let approvals = Dictionary((submission.approvals ?? []).map { ($0.callID, $0.answer) }, uniquingKeysWith: { first, _ in first })
    for (index, given) in (submission.approvals ?? []).enumerated() {
      guard seen.insert(given.callID).inserted else {
        double(given.callID, isSame: approvals[given.callID] == given.answer, bytes: given.bytes, submission, &judged)
        continue
      }
      try judge(given, at: "/approvals/\(index)/arguments", &judged)
    }
    let inputs = Dictionary((submission.inputs ?? []).map { ($0.callID, $0.answer) }, uniquingKeysWith: { first, _ in first })
    for (index, given) in (submission.inputs ?? []).enumerated() {
      guard seen.insert(given.callID).inserted else {
        double(given.callID, isSame: inputs[given.callID] == given.answer, bytes: given.bytes, submission, &judged)
        continue
      }
      try judge(given, at: "/inputs/\(index)/content", &judged)
    }
    return judged
  }

  private mutating func double(_ callID: String, isSame: Bool, bytes: Int, _ submission: Submission, _ judged: inout JudgedSubmission) {
    judged.doubles.append(callID)
    if submission.isPartial, !isSame { reject(callID, .conflict, bytes: bytes) }
  }

  private func note(_ words: String, _ pointer: String, _ judged: inout JudgedSubmission) {
    if judged.problem == nil { judged.problem = (pointer, words) }
  }

  // MARK: Results

  private func judge(_ given: SubmittedResult) throws(RuntimeError) -> Verdict {
    guard let callID = ULID(given.callID) else { return .unknown }
    if let sequence = state.resultSequences[callID] {
      do throws(StoreError) {
        guard let stored = try result(at: sequence) else { return .conflict }
        return try isSame(given.result, stored.result, toolName: stored.name) ? .duplicate : .conflict
      } catch { throw RuntimeError(error) }
    }
    // A client may have run what it has not approved in so many words.
    guard let call = state.call(callID), call.need != nil, call.target == .client, !call.asksUser else { return .unknown }
    return .accepted
  }

  /// Of two results in one set; nothing of them is in the store.
  private func isSameHere(_ a: ToolResult, _ b: ToolResult) throws(RuntimeError) -> Bool {
    do throws(StoreError) { return try isSame(a, b, toolName: "") } catch { throw RuntimeError(error) }
  }

  // MARK: Approvals

  private func judge(_ given: SubmittedApproval, at pointer: String, _ judged: inout JudgedSubmission) throws(RuntimeError) {
    let callID = ULID(given.callID)
    guard let callID else { return judged.verdicts.set(given.callID, .unknown) }
    guard let call = state.call(callID), call.need == .approval else {
      return judged.verdicts.set(given.callID, try verdict(on: given.answer, ofDecided: callID))
    }
    let (problem, keepsArguments) = try judge(given.answer, for: call)
    if let problem {
      note(problem, pointer, &judged)
      return judged.verdicts.set(given.callID, .invalid)
    }
    judged.verdicts.set(given.callID, .accepted)
    judged.approvals.append((given, keepsArguments))
  }

  private func verdict(on answer: ApprovalAnswer, ofDecided callID: ULID) throws(RuntimeError) -> Verdict {
    guard let sequence = state.decisionSequences[callID] else { return .unknown }
    // It was never decided: a result stood for it.
    guard sequence > 0 else { return .conflict }
    do throws(StoreError) {
      guard let stored = try data(at: sequence).flatMap({ ApprovalDecision(logged: $0, hidden: .emptyObject) }) else {
        return .conflict
      }
      guard stored.by != .expiry, stored.decision == answer.decision, stored.scope == answer.scope,
        try isSame(answer.reason.map { CarriedJSON(string: $0) }, stored.reason), try isSame(answer.arguments, stored.arguments)
      else { return .conflict }
      return .duplicate
    } catch { throw RuntimeError(error) }
  }

  // MARK: Inputs

  private func judge(_ given: SubmittedInput, at pointer: String, _ judged: inout JudgedSubmission) throws(RuntimeError) {
    let callID = ULID(given.callID)
    guard let callID else { return judged.verdicts.set(given.callID, .unknown) }
    guard let call = state.call(callID), call.need == .input else {
      return judged.verdicts.set(given.callID, try verdict(on: given.answer, ofAnswered: callID))
    }
    if let problem = try problem(of: given.answer, for: call) {
      note(problem, pointer, &judged)
      return judged.verdicts.set(given.callID, .invalid)
    }
    judged.verdicts.set(given.callID, .accepted)
    judged.inputs.append(given)
  }

  private func verdict(on answer: InputAnswer, ofAnswered callID: ULID) throws(RuntimeError) -> Verdict {
    guard let sequence = state.answerSequences[callID] else { return .unknown }
    guard sequence > 0 else { return .conflict }
    do throws(StoreError) {
      guard let stored = try data(at: sequence).flatMap(InputGiven.init(logged:)), stored.action == answer.action,
        try isSame(answer.content, stored.content)
      else { return .conflict }
      return .duplicate
    } catch { throw RuntimeError(error) }
  }

  private func isSame(_ given: CarriedJSON?, _ stored: StoredValue?) throws(StoreError) -> Bool {
    guard let given, let stored else { return given == nil && stored == nil }
    return try load(stored).isEquivalent(to: given)
  }
}
