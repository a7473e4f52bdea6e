package import JSON

/// Tokens and calls of a run; `inputTokens` is all input, the cache figures are parts of it.
package struct Usage: Sendable, Equatable {
  package var inputTokens = 0
  package var outputTokens = 0
  package var cacheReadTokens = 0
  package var cacheWriteTokens = 0
  package var modelCalls = 0
  package var toolCalls = 0

  package init() {}

  package var totalTokens: Int { inputTokens.saturatingAdd(outputTokens) }

  package static func += (a: inout Usage, b: Usage) {
    a.inputTokens = a.inputTokens.saturatingAdd(b.inputTokens)
    a.outputTokens = a.outputTokens.saturatingAdd(b.outputTokens)
    a.cacheReadTokens = a.cacheReadTokens.saturatingAdd(b.cacheReadTokens)
    a.cacheWriteTokens = a.cacheWriteTokens.saturatingAdd(b.cacheWriteTokens)
    a.modelCalls += b.modelCalls
    a.toolCalls += b.toolCalls
  }

  package func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("inputTokens", inputTokens)
    writer.member("outputTokens", outputTokens)
    writer.member("cacheReadTokens", cacheReadTokens)
    writer.member("cacheWriteTokens", cacheWriteTokens)
    writer.member("modelCalls", modelCalls)
    writer.member("toolCalls", toolCalls)
    writer.endObject()
  }

  package init(reading value: CarriedJSON) {
    value.forEachMember { name, member in
      let count = member.intValue ?? 0
      switch name {
      case "inputTokens": inputTokens = count
      case "outputTokens": outputTokens = count
      case "cacheReadTokens": cacheReadTokens = count
      case "cacheWriteTokens": cacheWriteTokens = count
      case "modelCalls": modelCalls = count
      case "toolCalls": toolCalls = count
      default: break
      }
    }
  }
}

extension Int {
  /// The sum of two counts, whatever a model says: nothing is below 0, and what is too much is as much as there can be.
  package func saturatingAdd(_ other: Int) -> Int {
    let (sum, overflow) = Swift.max(0, self).addingReportingOverflow(Swift.max(0, other))
    return overflow ? .max : sum
  }
}

/// Why a run ended or paused, as its outcome says it.
package struct RunFault: Sendable, Equatable {
  package var kind: RuntimeError.Kind
  package var message: String
  package var retryable: Bool

  package init(_ kind: RuntimeError.Kind, _ message: String, retryable: Bool = false) {
    self.kind = kind
    self.message = message
    self.retryable = retryable
  }

  package func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("kind", kind.name)
    writer.member("message", message)
    writer.member("retryable", retryable)
    writer.endObject()
  }

  init?(reading value: CarriedJSON?) {
    guard let value, let kind = value["kind"]?.stringValue else { return nil }
    self.init(RuntimeError.Kind(kind), value["message"]?.stringValue ?? "", retryable: value["retryable"]?.boolValue ?? false)
  }
}

/// A call that the run waits for, as outcomes and `run.paused` list it.
package struct PendingCall: Sendable, Equatable {
  package enum State: String, Sendable { case open, deferred, parked }

  package var runID: ULID
  package var callID: ULID
  package var name: String
  package var target: Tool.Target
  package var arguments: StoredValue
  package var needs = Call.Need.result
  package var attempt: Int
  package var state: State
  /// When an approval that has not come counts as denied.
  package var expiresAt: Timestamp?

  func write(to writer: inout JSONWriter, _ value: (StoredValue) -> CarriedJSON) {
    writer.beginObject()
    writer.member("runId", runID)
    writer.member("callId", callID)
    writer.member("name", name)
    writer.member("target", target.rawValue)
    writer.member("arguments", value(arguments))
    writer.member("needs", needs.rawValue)
    writer.member("attempt", attempt)
    writer.member("state", state.rawValue)
    writer.member("expiresAt", ifPresent: expiresAt?.text)
    writer.endObject()
  }
}

/// Where a run stands: protocol section 3, `RunOutcome`.
package struct RunOutcome: Sendable, Equatable {
  package enum Driver: String, Sendable {
    case own = "self"
    case other, none
  }

  package var runID: ULID
  /// The run whose sub-agent it is.
  package var parentRunID: ULID?
  package var status: RunStatus
  package var driver: Driver
  package var stopReason: String?
  package var answer: StoredValue?
  package var structuredAnswer: StoredValue?
  package var pendingCalls: [PendingCall]
  package var usage: Usage
  package var fault: RunFault?
  package var lastSequence: Int
  package var metadata: CarriedJSON?
  package var sessionID: ULID?
  package var mergedInto: ULID?
  /// A run that has settled without ending, behind which this one is queued.
  package var blockedBy: ULID?
  /// The stored agent.
  package var agentID: String?

  /// Writes the members without the braces, so that a caller can add its own. `value` says how a stored value stands there.
  package func writeMembers(to writer: inout JSONWriter, _ value: (StoredValue) -> CarriedJSON = { $0.wire }) {
    writer.member("runId", runID)
    writer.member("parentRunId", ifPresent: parentRunID?.text)
    writer.member("sessionId", ifPresent: sessionID?.text)
    writer.member("agentId", ifPresent: agentID)
    writer.member("status", status.rawValue)
    writer.member("ended", status.hasEnded)
    writer.member("driver", driver.rawValue)
    writer.member("stopReason", ifPresent: stopReason)
    writer.member("answer", ifPresent: answer.map(value))
    writer.member("structuredAnswer", ifPresent: structuredAnswer.map(value))
    writer.key("pendingToolCalls")
    writer.beginArray()
    for call in pendingCalls { call.write(to: &writer, value) }
    writer.endArray()
    writer.key("usage")
    usage.write(to: &writer)
    if let fault {
      writer.key("error")
      fault.write(to: &writer)
    }
    writer.member("lastSeq", lastSequence)
    writer.member("metadata", ifPresent: metadata)
    writer.member("mergedInto", ifPresent: mergedInto?.text)
    writer.member("blockedBy", ifPresent: blockedBy?.text)
  }
}

extension RunOutcome {
  /// Reads the `data` of an event that ended a run.
  init(logged data: CarriedJSON, of row: RunSummary) {
    self.init(
      runID: row.runID, parentRunID: row.parentRunID, status: row.status, driver: .none, stopReason: data["stopReason"]?.stringValue,
      answer: data["answer"].map(StoredValue.init(wire:)), structuredAnswer: data["structuredAnswer"].map(StoredValue.init(wire:)),
      pendingCalls: [], usage: data["usage"].map(Usage.init(reading:)) ?? Usage(), fault: RunFault(reading: data["error"]),
      lastSequence: row.lastSequence, metadata: row.metadata, sessionID: row.sessionID,
      mergedInto: data["mergedInto"]?.stringValue.flatMap(ULID.init), agentID: row.agentID)
  }
}
