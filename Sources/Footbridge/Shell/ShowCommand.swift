import AgentRuntime
import JSON
import POSIXSupport

/// `footbridge show`: one run, for somebody who wants to know how it stands.
enum ShowCommand {
  static let command = Command(
    name: "show", operands: "RUN", summary: "show how a run stands: status, usage, pending calls, answer",
    text: "RUN is a run's id, the first 8 characters of it or more, or 'last'.",
    options: [Command.Option(name: "json", value: nil, help: "print it as one line of JSON instead, as run.get answers")]
  ) { (arguments, shell) throws(StartupError) in
    let name = try arguments.operands("RUN")[0]
    return try shell.withRuntime { (runtime) throws(StartupError) in
      let runID = try shell.runID(name, runtime)
      if arguments.has("json") {
        shell.terminal.put(try line(runID, runtime))
      } else {
        shell.terminal.put(try text(runID, runtime, shell))
      }
      return .success
    }
  }

  // MARK: JSON

  private static func line(_ runID: ULID, _ runtime: Runtime) throws(StartupError) -> Bytes {
    try runtime.thread.ask { (engine) throws(RuntimeError) in
      let details = try engine.details(of: runID)
      var writer = JSONWriter(capacity: 1024)
      writer.beginObject()
      engine.write(details.outcome, to: &writer)
      details.writeMembers(to: &writer)
      writer.endObject()
      return writer.finishLine()
    }
  }

  // MARK: Text

  private struct Shown: Sendable {
    var details: RunEngine.Details
    var input: String
    var answer: String?
    /// Of a cancelled run: why, and what the model had written by then.
    var reason: String?
    var partialText: String?
    /// Arguments of the pending calls.
    var arguments: [String]
  }

  private static func text(_ runID: ULID, _ runtime: Runtime, _ shell: Shell) throws(StartupError) -> String {
    let shown = try runtime.thread.ask { (engine) throws(RuntimeError) in
      let details = try engine.details(of: runID)
      func whole(_ value: StoredValue) -> CarriedJSON { (try? engine.load(value)) ?? value.wire }
      let cancelled = details.outcome.status == .cancelled ? try end(of: details.outcome, engine) : nil
      return Shown(
        details: details, input: try RunInput.text(of: runID, engine),
        answer: details.outcome.answer.map { whole($0).stringValue ?? "" }, reason: cancelled?["reason"]?.stringValue,
        partialText: cancelled?["partialText"].flatMap { whole(StoredValue(wire: $0)).stringValue },
        arguments: details.outcome.pendingCalls.map { whole($0.arguments).bytes.string })
    }
    return text(shown, shell)
  }

  /// The `data` of a run's last event, as long as nothing was refused after it.
  private static func end(of outcome: RunOutcome, _ engine: RunEngine) throws(RuntimeError) -> CarriedJSON? {
    let events = try engine.events(of: outcome.runID, after: outcome.lastSequence - 1, limit: 1, maxBytes: 1)
    return events.first.flatMap { CarriedJSON(trusted: $0.event)["data"] }
  }

  private static func text(_ shown: Shown, _ shell: Shell) -> String {
    let outcome = shown.details.outcome
    let now = Clock.wallMilliseconds()
    var text = row("run", outcome.runID.text)
    text += row("status", status(of: outcome))
    if let error = outcome.fault {
      text += row("error", "\(error.message) (\(error.kind.name)\(error.retryable ? ", may be tried again" : ""))")
    }
    if let reason = shown.reason { text += row("reason", block(reason, most: 20)) }
    if let agent = shown.details.agent {
      text += row("model", agent["model"]?.stringValue ?? "")
      if let name = agent["name"]?.stringValue { text += row("agent", name) }
      if let agentID = outcome.agentID { text += row("agent id", agentID) }
    }
    for (name, time) in [("created", shown.details.createdAt), ("updated", shown.details.updatedAt)] {
      text += row(name, "\(time.text)  (\(VisibleText.age(milliseconds: now - time.milliseconds)) ago)")
    }
    text += row("usage", usage(outcome.usage))
    text += row("events", String(outcome.lastSequence))
    if shown.details.rejectedResults > 0 { text += row("refused", VisibleText.count(shown.details.rejectedResults, "result")) }
    outcome.metadata?.forEachMember { name, value in text += row("metadata", "\(name) = \(value.stringValue ?? "")") }
    text += row("input", block(shown.input, most: 20))
    for (call, arguments) in zip(outcome.pendingCalls, shown.arguments) {
      text += row("pending", "\(call.callID)  \(call.name)  (\(state(of: call)))")
      text += row("", block(arguments, most: 50))
    }
    if let answer = shown.answer { text += row("answer", block(answer, most: .max)) }
    if let partial = shown.partialText, !partial.isEmpty { text += row("so far", block(partial, most: .max)) }
    if outcome.status.isWaiting, shell.options.knownStore != .memory {
      text += row("go on", "footbridge submit \(outcome.runID) \(outcome.answerWord ?? "FILE")\(shell.storeOption)")
    }
    return text
  }

  private static func row(_ name: String, _ value: String) -> String {
    let indent = String(repeating: " ", count: 10)
    let lines = value.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n" + indent)
    return name + String(repeating: " ", count: 10 - name.count) + lines + "\n"
  }

  /// A text without the line break at its end, of at most so many lines.
  private static func block(_ text: String, most: Int) -> String {
    let lines = (text.hasSuffix("\n") ? text.dropLast() : text[...]).split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > most else { return lines.joined(separator: "\n") }
    return lines.prefix(most).joined(separator: "\n") + "\n... (\(lines.count - most) more lines)"
  }

  private static func status(of outcome: RunOutcome) -> String {
    var words = outcome.status.rawValue
    if let reason = outcome.stopReason { words += " (\(reason))" }
    switch (outcome.status, outcome.driver) {
    case (_, .other): words += ", driven by another process"
    case (.running, .none), (.queued, .none): words += ", driven by nobody"
    default: break
    }
    return words
  }

  private static func state(of call: PendingCall) -> String {
    switch call.needs {
    case .approval:
      let until = call.expiresAt.map { " until \($0.text)" } ?? ""
      return call.state == .open ? "needs approval\(until), a client is asked" : "needs approval\(until)"
    case .input: return call.state == .open ? "asks the user, through a client" : "asks the user"
    case .result: return resultState(of: call)
    }
  }

  private static func resultState(of call: PendingCall) -> String {
    switch call.state {
    case .open: "sent to a client, attempt \(call.attempt)"
    case .deferred: "accepted by a client, which gives the result later"
    case .parked: call.attempt == 0 ? "never sent" : "sent \(call.attempt == 1 ? "once" : "\(call.attempt) times"), open nowhere"
    }
  }

  private static func usage(_ usage: Usage) -> String {
    var words = "\(VisibleText.count(usage.modelCalls, "model call")), \(VisibleText.count(usage.toolCalls, "tool call")), "
    words += "\(usage.inputTokens) tokens in, \(usage.outputTokens) out"
    if usage.cacheReadTokens > 0 { words += ", \(usage.cacheReadTokens) from the cache" }
    return words
  }
}
