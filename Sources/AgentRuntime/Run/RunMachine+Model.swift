import JSON

/// Model turns: beginning one, its answer, and the limits that are judged between them.
extension RunMachine {
  mutating func startModelTurn() {
    if state.modelTurns >= state.maxIterations {
      return stopAtLimit(reached("maxIterations", state.maxIterations, "model turns"), maxIterations: true)
    }
    if let reached = tokenLimit() { return stopAtLimit(reached, maxIterations: false) }
    if let most = state.limits.deadlineMs, state.drivenMilliseconds >= most {
      return stopAtLimit(reached("deadlineMs", most, "milliseconds"), maxIterations: false)
    }
    guard hearServers() else { return }
    takeChangedToolbox()
    warn("maxIterations", used: state.modelTurns, maximum: state.maxIterations)
    warn("maxTotalTokens", used: state.usage.totalTokens, maximum: state.limits.maxTotalTokens)
    let messageID = context.makeID()
    append(.modelStarted(messageID: messageID, continuation: state.modelTurns > 0))
    perform(.callModel(messageID: messageID))
  }

  /// Tells once, when four fifths of a limit are used.
  private mutating func warn(_ limit: String, used: Int, maximum: Int?) {
    guard let maximum, used >= maximum - maximum / 5, !state.warnedLimits.contains(limit) else { return }
    append(.limitWarning(limit: limit, used: used, maximum: maximum))
  }

  /// A limit that is reached, and what its run wants to become of it then.
  struct ReachedLimit {
    var fault: RunFault
    var onLimit: Limits.OnLimit
  }

  private func reached(_ name: String, _ most: Int, _ unit: String, of limits: Limits? = nil) -> ReachedLimit {
    let whose = limits == nil ? "the run's limit" : "the limit of a run above it,"
    let fault = RunFault(.runLimitExceeded, "\(whose) of \(most) \(unit) (\(name)) is reached")
    return ReachedLimit(fault: fault, onLimit: (limits ?? state.limits).onLimit ?? .stop)
  }

  /// The run's own, or that of a run above it, which counts what its sub-agents use: that stops who makes calls, not who has had the results of all.
  func toolCallLimit(hasCalled: Bool) -> ReachedLimit? {
    guard hasCalled else { return nil }
    if let most = state.limits.maxToolCalls, state.usage.toolCalls > most { return reached("maxToolCalls", most, "tool calls") }
    guard let budgets = context.tree?.budgets, !budgets.isEmpty else { return nil }
    let used = state.usage(with: context.child).toolCalls
    for budget in budgets {
      guard let most = budget.limits.maxToolCalls, budget.toolCallsOfOthers + used > most else { continue }
      return reached("maxToolCalls", most, "tool calls", of: budget.limits)
    }
    return nil
  }

  private func tokenLimit() -> ReachedLimit? {
    let used = state.usage.totalTokens
    if let most = state.limits.maxTotalTokens, used >= most { return reached("maxTotalTokens", most, "tokens") }
    for budget in context.tree?.budgets ?? [] {
      guard let most = budget.limits.maxTotalTokens, budget.tokensOfOthers.saturatingAdd(used) >= most else { continue }
      return reached("maxTotalTokens", most, "tokens", of: budget.limits)
    }
    return nil
  }

  mutating func stopAtLimit(_ reached: ReachedLimit, maxIterations: Bool) {
    if reached.onLimit == .pause { return append(.paused(status: .paused, fault: reached.fault)) }
    var end = RunEnd(maxIterations ? .maxIterations : .error)
    if !maxIterations { end.fault = reached.fault }
    finish(end) { call in
      if call.attempt == 0 { return "The run ended before this call was dispatched: \(reached.fault.message)." }
      return "The run ended before this call was answered: \(reached.fault.message). Whether it took effect is unknown."
    }
  }

  package mutating func deadlinePassed() {
    guard state.status == .running, state.owner == context.own, let most = state.limits.deadlineMs else { return }
    let reached = reached("deadlineMs", most, "milliseconds")
    if state.modelAtWork != nil { perform(.abortModel) }
    if reached.onLimit == .pause { perform(.stopServerTools) }
    stopAtLimit(reached, maxIterations: false)
  }

  package mutating func modelRetried(_ messageID: ULID, attempt: Int, reason: String, retryAfterMilliseconds: Int) {
    guard state.modelAtWork == messageID else { return }
    append(.modelRetried(messageID: messageID, attempt: attempt, reason: reason, retryAfterMilliseconds: retryAfterMilliseconds))
    if state.pauseRequested, state.owner == context.own { pauseBetweenAttempts() }
  }

  package mutating func modelFailed(_ messageID: ULID, _ fault: RunFault) {
    guard state.modelAtWork == messageID, state.owner == context.own else { return }
    if let request = state.cancelRequest { return cancel(reason: request.reason, partialText: nil) }
    if fault.kind == .modelContextOverflow {
      if makeRoom(for: messageID) { return }
      if (state.agent.compaction ?? CompactionStrategy.none) == CompactionStrategy.none {
        return fail(RunFault(fault.kind, "\(fault.message) (agent.compaction is none: truncate or summarize would make room)"))
      }
    }
    if fault.kind == .modelUnavailable, state.limits.onModelUnavailable != .error {
      return append(.paused(status: .paused, fault: fault))
    }
    fail(fault)
  }

  package mutating func modelFinished(_ messageID: ULID, _ turn: ModelTurn) {
    guard state.modelAtWork == messageID, state.owner == context.own else { return }
    if let request = state.cancelRequest { return cancel(reason: request.reason, partialText: nil) }
    var counts = state.callCounts
    let calls = turn.calls.map { call in
      let judged = judge(call, counts: &counts)
      return ModelMessage.Call(
        callID: context.makeID(), name: call.name, arguments: store(.inline(judged.arguments)), refusal: judged.refusal)
    }
    // Nothing of what a model says may be below 0.
    var usage = Usage()
    usage += turn.usage
    usage.modelCalls = 1
    usage.toolCalls = calls.count
    let message = ModelMessage(
      messageID: messageID, text: store(.inline(turn.text)), calls: calls, usage: usage, stopReason: turn.stopReason,
      providerData: turn.providerData)
    append(.modelCompleted(message))
    warn("maxToolCalls", used: state.usage.toolCalls, maximum: state.limits.maxToolCalls)
    guard !calls.isEmpty else { return answer(with: turn, as: message) }
    for call in calls {
      if let refusal = call.refusal { complete(call.callID, .failure(refusal)) } else { open(call) }
    }
    // Also when none of them is left to be dispatched.
    if let reached = toolCallLimit(hasCalled: true) { return stopAtLimit(reached, maxIterations: false) }
    advance(cause: .resume)
  }

  // MARK: The final answer

  private mutating func answer(with turn: ModelTurn, as message: ModelMessage) {
    if !state.unseenNotes.isEmpty { return advance(cause: .resume) }
    var end = RunEnd(.success)
    end.stopReason = turn.stopReason == "tool_use" ? "end_turn" : turn.stopReason
    end.answer = message.text
    if let schema = state.params.outputSchema, end.stopReason != "refusal" {
      let text = turn.text.stringValue ?? ""
      let failures: [String]
      do throws(JSONError) {
        let value = try CarriedJSON(validating: Bytes(text))
        end.structuredAnswer = store(.inline(value))
        failures = context.failures(schema, value)
      } catch { failures = ["the answer is not JSON: \(error.message)"] }
      if !failures.isEmpty { return sendBack(failures) }
    }
    finish(end, openCallsSay: "The run ended.")
  }

  /// Asks again, twice at the most, saying what is wrong.
  private mutating func sendBack(_ failures: [String]) {
    let words = "The answer does not fit the schema that it must fit: \(failures.joined(separator: "; "))."
    guard state.answerCorrections < 2 else { return fail(RunFault(.modelInvalidOutput, words)) }
    append(.answerRejected(reason: words + " Answer again with nothing but JSON that fits."))
    advance(cause: .resume)
  }

  // MARK: Calls

  /// The arguments as they are logged, and why the call is not dispatched, if it is not.
  private func judge(_ call: ModelTurn.Call, counts: inout [String: Int]) -> (arguments: CarriedJSON, refusal: String?) {
    counts[call.name, default: 0] += 1
    let text = call.arguments.isEmpty ? Bytes("{}") : call.arguments
    let arguments: CarriedJSON
    do throws(JSONError) { arguments = try CarriedJSON(validating: text) } catch {
      let why =
        call.isCutOff
        ? "The call was cut off by the output limit; it was not run." : "The arguments are not valid JSON: \(error.located(in: text))."
      return (CarriedJSON(string: text.string), why)
    }
    if call.isCutOff { return (arguments, "The call was cut off by the output limit; it was not run.") }
    guard let tool = state.tool(named: call.name) else {
      let names = state.tools.map(\.name).joined(separator: ", ")
      let words = ["There is no tool named \"\(call.name.prefix(128))\". Available: \(names.isEmpty ? "none" : names)."]
      return (arguments, (words + state.toolbox.failures).joined(separator: " "))
    }
    guard arguments.kind == .object else { return (arguments, "The arguments must be a JSON object.") }
    if let pointer = arguments.firstDuplicateMember() { return (arguments, "The arguments have a member twice, at \(pointer).") }
    let failures = failures(of: arguments, for: tool)
    if !failures.isEmpty { return (arguments, "The arguments do not fit the tool's inputSchema: \(failures.joined(separator: "; ")).") }
    if tool.name == Question.toolName {
      do throws(Question.Unaskable) { _ = try Question(arguments) } catch { return (arguments, error.words) }
    }
    if tool.agent != nil, (state.parent?.depth ?? 0) >= SubAgent.mostDepth {
      return (arguments, "Sub-agents can stand \(SubAgent.mostDepth) deep below each other; this one would be deeper and was not started.")
    }
    if let most = tool.maxCallsPerRun, counts[call.name, default: 0] > most {
      return (arguments, "The tool \"\(call.name)\" may be called at most \(most) times in a run.")
    }
    return (arguments, nil)
  }
}
