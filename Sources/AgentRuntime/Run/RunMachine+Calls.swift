import JSON

/// What becomes of calls that are out: answers, timeouts, a parent that hung up.
extension RunMachine {
  // MARK: Server tools

  package mutating func serverToolFinished(_ callID: ULID, attempt: Int, _ result: ToolResult) {
    guard let call = state.call(callID), call.isPending, call.attempt == attempt, call.sender == context.own else { return }
    complete(callID, checked(result, of: call.tool))
    advance(cause: .resume)
  }

  // MARK: tool.invoke

  /// - Throws: `store.unavailable` when a late answer cannot be compared with the stored one.
  package mutating func invocationAnswered(_ callID: ULID, attempt: Int, _ reply: InvocationReply) throws(RuntimeError) {
    guard let call = state.call(callID), call.isPending, !state.status.hasEnded else { return try keepLate(callID, reply) }
    switch reply {
    case .result(let result, _) where result.deferred:
      // Also of an attempt that is given up: the client is at work on the call, whatever was asked again since.
      if attempt == call.attempt || !call.isParked, !call.isDeferred { append(.callDeferred(callID: callID)) }
      advance(cause: .invoke)
    case .result(let result, _):
      // The client need not do again what it has done.
      if attempt != call.attempt { perform(.cancelInvocations(callID: callID, reason: "an earlier attempt was answered")) }
      settle(call, result)
    case .error(let words, _):
      // An error of an attempt that is given up is late, and ignored.
      if attempt == call.attempt, !call.isParked, !beside.awaitingRetry.contains(callID) { settle(call, .failure(words)) }
    }
  }

  private mutating func settle(_ call: Call, _ result: ToolResult) {
    perform(.closeInvocations(callID: call.callID))
    completeFromClient(call, result)
    advance(cause: .invoke)
  }

  /// An answer that came when the call had its result: kept as evidence unless it says the same.
  private mutating func keepLate(_ callID: ULID, _ reply: InvocationReply) throws(RuntimeError) {
    guard let sequence = state.resultSequences[callID] else { return }
    let bytes: Int
    switch reply {
    case .result(let result, let size):
      bytes = size
      do throws(StoreError) {
        if let stored = try self.result(at: sequence), try isSame(result, stored.result, toolName: stored.name) { return }
      } catch { throw RuntimeError(error) }
    case .error(_, let size): bytes = size
    }
    reject(callID.text, state.status.hasEnded ? .terminal : .conflict, bytes: bytes)
  }

  package mutating func invocationTimedOut(_ callID: ULID, attempt: Int) {
    guard let call = state.call(callID), call.isPending, call.attempt == attempt, !call.isDeferred, !call.isParked else { return }
    perform(.cancelInvocations(callID: callID, reason: "timeout"))
    switch call.tool?.onTimeout ?? state.agent.clientTools?.onTimeout ?? .fallbackMessage {
    case .fallbackMessage: settle(call, fallback(for: call))
    case .failFast: fail(RunFault(.toolTimeout, "the client did not answer the call of '\(call.name)' in time", retryable: true))
    case .park:
      append(.callParked(callID: callID))
      advance(cause: .invoke)
    case .retryWithBackoff:
      guard call.tool?.isIdempotent == true, attempt <= state.agent.clientTools?.maxRetries ?? 3 else {
        return settle(call, fallback(for: call))
      }
      let delay = Double(200 << min(attempt - 1, 10)) * (0.75 + context.jitter / 2)
      beside.awaitingRetry.insert(callID)
      perform(.retryInvocation(callID: callID, afterMilliseconds: Int(delay)))
    }
  }

  /// The wait before another attempt is over.
  package mutating func retryDue(_ callID: ULID) {
    beside.awaitingRetry.remove(callID)
    guard let call = state.call(callID), call.isPending, !call.isDeferred, !call.isParked, call.sender == context.own else { return }
    // Its last request was cancelled: what is not sent now waits for a resume, also when the run is about to pause.
    guard context.invokesHere, state.status != .paused, !state.pauseRequested else { return append(.callParked(callID: callID)) }
    append(.toolStarted(callID: callID, attempt: call.attempt + 1, sender: context.own))
    perform(.invoke(callID: callID, attempt: call.attempt + 1))
  }

  /// The parent is gone: each call that is out with it gets its `onDisconnect` strategy. `parkAll`: it may well live (a signal ended us).
  package mutating func parentHungUp(parkAll: Bool) {
    context.invokesHere = false
    if state.callTaker == context.own, !state.status.hasEnded { append(.reconfigured(limits: nil, delivery: nil, taker: .departed)) }
    for call in state.pendingClientCalls where call.sender == context.own && !call.isDeferred && !call.isParked && !state.status.hasEnded {
      var strategy = parkAll ? .park : call.tool?.onDisconnect ?? state.agent.clientTools?.onDisconnect ?? .park
      if strategy == .retryWithBackoff, call.tool?.isIdempotent != true { strategy = .fallbackMessage }
      switch strategy {
      case .park, .retryWithBackoff:
        append(.callParked(callID: call.callID))
        perform(.closeInvocations(callID: call.callID))
      case .failFast: fail(RunFault(.clientDisconnected, "the client hung up while the call of '\(call.name)' was out"))
      case .fallbackMessage:
        complete(call.callID, fallback(for: call))
        perform(.closeInvocations(callID: call.callID))
      }
    }
    parkQuestions(because: parkAll ? "the bridge is about to end" : "the client hung up")
  }

  private func fallback(for call: Call) -> ToolResult {
    let template =
      state.agent.clientTools?.fallbackTemplate ?? "Client unavailable. Tool '{0}' may or may not have run; its result is unknown."
    return .failure(template.replacing(text: "{0}", with: call.name))
  }

  // MARK: After a crash

  /// Server calls that were begun before this claim: run again only where a repeat does no harm; otherwise the model is told.
  mutating func settleInterruptedServerCalls() {
    for call in state.pendingServerCalls where call.attempt > 0 && call.child == nil && call.tool?.isIdempotent != true {
      complete(
        call.callID,
        .failure("The tool '\(call.name)' was interrupted and was not run again; whether it took effect is unknown."))
    }
  }

  // MARK: Results

  /// The result, or the error that the model gets when it does not fit the tool's `outputSchema`.
  func checked(_ result: ToolResult, of tool: Tool?) -> ToolResult {
    guard let schema = tool?.outputSchema, !result.isError, !result.deferred else { return result }
    guard case .inline(let value)? = result.structuredContent else {
      if result.structuredContent != nil { return result }
      return result.refused("The tool's result has no structuredContent, which its outputSchema asks for.")
    }
    let failures = context.failures(schema, value)
    return failures.isEmpty
      ? result : result.refused("The tool's structuredContent does not fit its outputSchema: \(failures.joined(separator: "; ")).")
  }

  /// Refused results that are kept of a run, as events.
  static let keptRejections = 100

  /// Keeps a refused result as evidence: a hundred a run, the others are counted.
  mutating func reject(_ callID: String, _ verdict: Verdict, bytes: Int) {
    guard state.rejectedResults < Self.keptRejections else { return append(.rejectionCounted) }
    append(.toolRejected(callID: String(callID.prefix(256)), verdict: verdict, bytes: bytes))
  }

  /// Whether a result says the same as a stored one: equal JSON values, a text standing for a list of one text block.
  /// - Throws: when a stored value cannot be read.
  func isSame(_ given: ToolResult, _ stored: ToolResult, toolName: String) throws(StoreError) -> Bool {
    // One whose augmentation did not apply was stored as the error that says so.
    if stored.isError, stored.augmentation != nil, !given.isError { return try isSame(given.augmentation, stored.augmentation) }
    let given = checked(given, of: state.tool(named: toolName))
    guard try isSame(given.augmentation, stored.augmentation) else { return false }
    guard given.isError == stored.isError, given.content.count == stored.content.count else { return false }
    for (a, b) in zip(given.content, stored.content) {
      guard a.type == b.type, a.members.count == b.members.count else { return false }
      for member in a.members {
        guard let other = b[member.name], try isSame(member.value, other) else { return false }
      }
    }
    guard try isSame(given.structuredContent, stored.structuredContent), try isSame(given.meta, stored.meta) else { return false }
    guard try isSame(given.stdout, stored.stdout) else { return false }
    return try isSame(given.stderr, stored.stderr)
  }

  private func isSame(_ a: [StoredValue]?, _ b: [StoredValue]?) throws(StoreError) -> Bool {
    guard let a, let b else { return a == nil && b == nil }
    guard a.count == b.count else { return false }
    for (x, y) in zip(a, b) where try !isSame(x, y) { return false }
    return true
  }

  private func isSame(_ a: StoredValue?, _ b: StoredValue?) throws(StoreError) -> Bool {
    guard let a, let b else { return a == nil && b == nil }
    return try load(a).isEquivalent(to: try load(b))
  }
}
