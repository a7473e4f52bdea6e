package import JSON

/// One result of a `run.submitToolResults`.
package struct SubmittedResult: Sendable {
  package var callID: String
  package var result: ToolResult
  package var bytes: Int

  package init(callID: String, result: ToolResult, bytes: Int) {
    self.callID = callID
    self.result = result
    self.bytes = bytes
  }
}

package struct Submission: Sendable {
  package var results: [SubmittedResult]
  package var isPartial: Bool
  /// Replaces the run's plain tools: a JSON array.
  package var tools: CarriedJSON?
  package var delivery: Delivery?
  package var canInvoke: Bool

  package init(results: [SubmittedResult], isPartial: Bool, tools: CarriedJSON? = nil, delivery: Delivery? = nil, canInvoke: Bool = false) {
    self.results = results
    self.isPartial = isPartial
    self.tools = tools
    self.delivery = delivery
    self.canInvoke = canInvoke
  }
}

package struct Verdicts: Sendable, Equatable {
  package private(set) var list: [(callID: String, verdict: Verdict)] = []
  package init() {}

  mutating func set(_ callID: String, _ verdict: Verdict) {
    if let place = list.firstIndex(where: { $0.callID == callID }) { list[place].verdict = verdict } else { list.append((callID, verdict)) }
  }

  package var json: CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    for (callID, verdict) in list {
      writer.key(escaping: callID)
      writer.string(verdict.rawValue)
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  package static func == (a: Verdicts, b: Verdicts) -> Bool {
    a.list.map(\.callID) == b.list.map(\.callID) && a.list.map(\.verdict) == b.list.map(\.verdict)
  }
}

/// `run.submitToolResults`: judged in the order of the protocol page, claimed all at once or not at all.
extension RunMachine {
  /// - Returns: the verdicts, when the set (or with `isPartial` what fits of it) is taken or was given before.
  /// - Throws: `run.alreadyTerminal`, `run.alreadyClaimed`, `run.notWaiting`, `run.invalidToolResults`; nothing is claimed then.
  package mutating func submit(_ submission: Submission) throws(RuntimeError) -> Verdicts {
    var verdicts = Verdicts()
    var fitting: [SubmittedResult] = []
    var seen: [String: ToolResult] = [:]
    var doubles: [String] = []
    for given in submission.results {
      if let earlier = seen[given.callID] {
        doubles.append(given.callID)
        if submission.isPartial, try !isSameHere(given.result, earlier) { reject(given.callID, .conflict, bytes: given.bytes) }
        continue
      }
      seen[given.callID] = given.result
      let verdict = try judge(given)
      verdicts.set(given.callID, verdict)
      if verdict == .accepted { fitting.append(given) }
    }
    let judged = verdicts.list.map(\.verdict)
    if !judged.isEmpty, doubles.isEmpty, judged.allSatisfy({ $0 == .duplicate }) { return verdicts }
    if state.status.hasEnded || state.cancelRequest != nil { throw refuseEnded(submission, verdicts) }
    if submission.isPartial {
      keepEvidence(submission, verdicts)
    } else {
      if judged.contains(.conflict) {
        keepEvidence(submission, verdicts, only: .conflict)
        throw refusal(.runAlreadyClaimed, "another result of this call is stored already", verdicts)
      }
      if state.pendingClientCalls.isEmpty { throw refusal(.runNotWaiting, "the run has no pending call", verdicts) }
      try checkExact(fitting: fitting, verdicts: verdicts, doubles: doubles)
    }
    try take(fitting, submission)
    return verdicts
  }

  private func judge(_ given: SubmittedResult) throws(RuntimeError) -> Verdict {
    guard let callID = ULID(given.callID) else { return .unknown }
    if let sequence = state.resultSequences[callID] {
      do throws(StoreError) {
        guard let stored = try context.storedResult(sequence) else { return .conflict }
        return try isSame(given.result, stored.result, toolName: stored.name) ? .duplicate : .conflict
      } catch { throw RuntimeError(error) }
    }
    guard let call = state.call(callID), call.isPending, call.target == .client else { return .unknown }
    return .accepted
  }

  /// Of two results in one set; nothing of them is in the store.
  private func isSameHere(_ a: ToolResult, _ b: ToolResult) throws(RuntimeError) -> Bool {
    do throws(StoreError) { return try isSame(a, b, toolName: "") } catch { throw RuntimeError(error) }
  }

  private mutating func refuseEnded(_ submission: Submission, _ verdicts: Verdicts) -> RuntimeError {
    var ended = verdicts
    for (callID, verdict) in verdicts.list where verdict != .duplicate { ended.set(callID, .terminal) }
    keepEvidence(submission, ended, only: .terminal)
    return refusal(.runAlreadyTerminal, "the run has ended", ended)
  }

  private mutating func keepEvidence(_ submission: Submission, _ verdicts: Verdicts, only: Verdict? = nil) {
    for (callID, verdict) in verdicts.list where verdict == .conflict || verdict == .unknown || verdict == .terminal {
      guard only == nil || only == verdict, let given = submission.results.first(where: { $0.callID == callID }) else { continue }
      reject(callID, verdict, bytes: given.bytes)
    }
  }

  private func checkExact(fitting: [SubmittedResult], verdicts: Verdicts, doubles: [String]) throws(RuntimeError) {
    let given = Set(fitting.map(\.callID))
    let missing = state.pendingClientCalls.map(\.callID.text).filter { !given.contains($0) }
    let unknown = verdicts.list.filter { $0.verdict == .unknown }.map(\.callID)
    if missing.isEmpty, unknown.isEmpty, doubles.isEmpty { return }
    var refused = Verdicts()
    for (callID, verdict) in verdicts.list where verdict != .accepted { refused.set(callID, verdict) }
    var error = refusal(.runInvalidToolResults, "the results do not cover exactly the pending calls", refused)
    error.details += [("missing", Self.list(missing)), ("unknown", Self.list(unknown)), ("duplicate", Self.list(doubles))]
    throw error
  }

  private func refusal(_ kind: RuntimeError.Kind, _ message: String, _ verdicts: Verdicts) -> RuntimeError {
    var judged = Verdicts()
    for (callID, verdict) in verdicts.list where verdict != .accepted { judged.set(callID, verdict) }
    var error = RuntimeError(kind, message)
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

  private mutating func take(_ fitting: [SubmittedResult], _ submission: Submission) throws(RuntimeError) {
    let answered = fitting.filter { !$0.result.deferred }
    let isLast = answered.count == state.batch.pendingCount && state.status != .paused
    if isLast, !isDrivenElsewhere { try context.checkDrivable(state) }
    if let tools = submission.tools {
      var toolbox = state.toolbox
      try toolbox.replaceRunTools(try RunParams.read([Tool].self, tools, at: "/tools", carrying: RunParams.toolPaths))
      append(.toolsChanged(tools))
    }
    if isLast, submission.delivery != nil, submission.delivery != state.delivery {
      append(.reconfigured(limits: nil, delivery: submission.delivery))
    }
    if isLast { context.invokesHere = submission.canInvoke && state.delivery == .invoke }
    for given in fitting {
      guard let callID = ULID(given.callID), let call = state.call(callID) else { continue }
      if given.result.deferred {
        append(.callDeferred(callID: callID))
        continue
      }
      perform(.cancelInvocations(callID: callID, reason: "answered by run.submitToolResults"))
      perform(.closeInvocations(callID: callID))
      completeFromClient(call, given.result)
    }
    if !fitting.isEmpty { advance(cause: .submit) }
  }
}
