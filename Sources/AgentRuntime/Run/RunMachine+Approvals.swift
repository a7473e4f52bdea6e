import JSON

/// Approvals: a gated call is asked for in the log, decided in the log, and only then dispatched.
extension RunMachine {
  // MARK: Asking

  func canAsk(_ need: Call.Need?) -> Bool {
    switch need {
    case .approval: context.asksHere && context.abilities.approvals
    case .input: context.asksHere && context.abilities.elicitation
    case .result, nil: false
    }
  }

  /// Puts into the log what is needed of people, and asks the parent where it can be asked. What a decision for all calls of a tool covers is not asked.
  mutating func askParent() {
    // To be paused before the next dispatch is to be asked nothing new either.
    if state.pauseRequested { return }
    let tally = state.batch.tally
    guard tally.approvals + tally.questions > 0 else { return }
    // Those that were asked stay so, unless somebody decided for all of them, or they are to be asked once more.
    if tally.unasked == 0, state.standingDecisions.isEmpty, beside.toResend.isEmpty { return }
    for call in state.awaitedCalls where call.need != .result {
      if let standing = state.standingDecision(for: call) {
        decide(call, standing)
        continue
      }
      let asks = canAsk(call.need)
      let asker = asks ? context.own : nil
      if call.isAsked {
        guard beside.toResend.remove(call.callID) != nil, let asker else { continue }
        append(.callAsked(callID: call.callID, asker: asker))
      } else if call.need == .approval {
        let expiresAt = state.agent.approvalTimeoutMs.map { context.now.adding(milliseconds: $0) }
        append(.approvalRequested(callID: call.callID, expiresAt: expiresAt, asker: asker))
      } else {
        requestInput(call, asker)
      }
      beside.toResend.remove(call.callID)
      if asks { perform(.ask(callID: call.callID)) }
    }
  }

  // MARK: Answers

  /// What the parent said to what it was asked about a call. An answer that cannot be used leaves the call waiting for somebody else's.
  package mutating func parentAnswered(_ callID: ULID, _ reply: ParentReply) {
    let isLate = denyExpired()
    if let call = state.call(callID), call.sender == context.own, !call.isParked, !state.status.hasEnded {
      take(reply, about: call)
      advance(cause: call.need == .input ? .input : .approval)
    }
    if isLate { goOnAfterExpiry() }
  }

  private mutating func take(_ reply: ParentReply, about call: Call) {
    switch reply {
    case .error(let code, let message): unanswered(call, "the client answered with an error: \(message.prefix(1000)) (code \(code))")
    case .broken(let what): unanswered(call, "the client's answer could not be read: \(what)")
    case .result(let json):
      do throws(RuntimeError) {
        switch call.need {
        case .approval:
          let answer = try ApprovalAnswer(reading: json)
          let judged = try judge(answer, for: call)
          if let problem = judged.problem { throw .invalidParams(problem, at: "/arguments") }
          decide(call, answer, keepsArguments: judged.keepsArguments, by: .client)
        case .input:
          let answer = try InputAnswer(reading: json)
          if let problem = try problem(of: answer, for: call) { throw .invalidParams(problem, at: "/content") }
          take(answer, for: call, by: .client)
        case .result, nil: break
        }
      } catch { unanswered(call, "the client's answer is not usable: \(error.pointer ?? "") \(error.message)") }
    }
  }

  private mutating func unanswered(_ call: Call, _ why: String) {
    append(.callUnanswered(callID: call.callID, reason: why))
    // Without the reason: it may hold what is in the answer.
    perform(.log("run \(state.runID): the client gave no usable answer about call \(call.callID) of '\(call.name)'; it waits for a submit"))
  }

  /// What is wrong with arguments that a call is to be made with instead of the model's, and whether they are the same.
  /// - Throws: `store.unavailable` when the model's cannot be read.
  func judge(_ answer: ApprovalAnswer, for call: Call) throws(RuntimeError) -> (problem: String?, keepsArguments: Bool) {
    guard let arguments = answer.arguments else { return (nil, false) }
    guard arguments.kind == .object else { return ("the arguments must be a JSON object", false) }
    if let pointer = arguments.firstDuplicateMember() { return ("the arguments have a member twice, at \(pointer)", false) }
    let failures = failures(of: arguments, for: call.tool)
    if !failures.isEmpty { return ("the arguments do not fit the tool's inputSchema: \(failures.joined(separator: "; "))", false) }
    do throws(StoreError) { return (nil, try load(call.arguments).isEquivalent(to: arguments)) } catch { throw RuntimeError(error) }
  }

  // MARK: Deciding

  mutating func decide(_ call: Call, _ answer: ApprovalAnswer, keepsArguments: Bool, by door: ApprovalDecision.Door) {
    var decision = ApprovalDecision(answer.decision, by: door)
    decision.client = context.parentName
    decision.scope = answer.scope
    decision.keepsArguments = keepsArguments
    decision.arguments = answer.arguments.map { store(.inline($0)) }
    decision.reason = answer.reason.map { store(.inline(CarriedJSON(string: $0))) }
    decide(call, decision, reason: answer.reason)
  }

  private mutating func decide(_ call: Call, _ standing: StandingDecision) {
    var decision = ApprovalDecision(standing.decision, by: .scope)
    decision.source = standing.callID
    var reason: String?
    if case .inline(let text)? = standing.reason { reason = text.stringValue }
    decide(call, decision, reason: reason)
  }

  private mutating func decide(_ call: Call, _ decision: ApprovalDecision, reason: String?) {
    append(.approvalDecided(callID: call.callID, decision))
    let why =
      switch decision.by {
      case .client, .submit: "decided elsewhere"
      case .expiry: "the approval did not come in time"
      case .scope: "an earlier decision covers this call"
      }
    perform(.withdraw(callID: call.callID, reason: why))
    if decision.decision == .deny { complete(call.callID, .failure(decision.words(reason))) }
  }

  // MARK: Expiry

  /// Denies what was not approved in time: done by whoever touches the run, before anything else.
  /// - Returns: whether the caller has to have the run go on afterwards, by `goOnAfterExpiry`.
  mutating func denyExpired() -> Bool { deny(state.expiredCalls(at: context.now)) }

  /// How long a call that came too late is left to the process that asks its parent about it. One that has not denied it by then is frozen.
  static let askerMilliseconds = 1000

  /// Time has passed. A call that another living process asks its parent about is left to that process for a moment.
  package mutating func approvalsDue() {
    let long = context.now.adding(milliseconds: -Self.askerMilliseconds)
    let calls = state.expiredCalls(at: context.now).filter { call in
      call.sender == context.own || !state.isOpen(call, isAlive: context.isAlive) || call.expiresAt.map { $0 <= long } == true
    }
    if deny(calls) { goOnAfterExpiry() }
  }

  private mutating func deny(_ calls: [Call]) -> Bool {
    guard !calls.isEmpty, !state.status.hasEnded else { return false }
    let isAttendedElsewhere = calls.contains { $0.sender != context.own && state.isOpen($0, isAlive: context.isAlive) }
    for call in calls { decide(call, ApprovalDecision(.deny, by: .expiry), reason: nil) }
    // Where the run has its parent, it is seen within a moment that it can go on.
    return !isAttendedElsewhere
  }

  mutating func goOnAfterExpiry() { goOnWhereDrivable(cause: .approval) }

  /// A run that this bridge cannot go on with is left for one that can.
  mutating func goOnWhereDrivable(cause: ResumeCause) {
    let isDrivenHere = state.status == .running && state.owner == context.own
    if state.hasWork, !isDrivenHere, !isDrivenElsewhere {
      do throws(RuntimeError) { try context.checkDrivable(state) } catch { return }
    }
    advance(cause: cause)
  }

  // MARK: The end of a parent

  /// Nobody answers here any more: what is asked waits for somebody else.
  mutating func parkQuestions(because reason: String) {
    context.asksHere = false
    guard !state.status.hasEnded else { return }
    for call in state.awaitedCalls where call.need != .result && call.sender == context.own && !call.isParked {
      append(.callParked(callID: call.callID))
      perform(.withdraw(callID: call.callID, reason: reason))
    }
  }
}
