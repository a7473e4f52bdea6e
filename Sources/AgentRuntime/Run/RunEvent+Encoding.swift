import JSON

extension RunEvent {
  /// The word in the log: an event type of the wire, or a word of the runtime's own.
  package var type: String {
    switch self {
    case .started: "run.started"
    case .modelStarted: "model.started"
    case .modelRetried: "model.retried"
    case .modelCompleted: "model.completed"
    case .toolStarted: "tool.started"
    case .toolCompleted: "tool.completed"
    case .toolRejected: "tool.resultRejected"
    case .paused: "run.paused"
    case .resumed: "run.resumed"
    case .approvalRequested: "approval.requested"
    case .approvalDecided: "approval.decided"
    case .inputRequested: "input.requested"
    case .inputAnswered: "input.answered"
    case .noteAdded: "note.added"
    case .limitWarning: "limit.warning"
    case .ended(let end):
      switch end.status {
      case .error: "run.error"
      case .cancelled: "run.cancelled"
      default: "run.completed"
      }
    case .callDeferred: "call.deferred"
    case .callParked: "call.parked"
    case .callAsked: "call.asked"
    case .callUnanswered: "call.unanswered"
    case .decisionsTaken: "approvals.taken"
    case .reconfigured: "run.reconfigured"
    case .claimDropped: "claim.dropped"
    case .pauseRequested: "pause.requested"
    case .rejectionCounted: "result.rejected"
    case .toolsChanged, .toolboxChanged: "tools.changed"
    case .toolkitsRegistered: "toolkit.registered"
    case .toolkitExpanded: "toolkit.expanded"
    case .augmentationApplied, .sharedChanged: "augmentation.applied"
    case .changesTaken: "registrations.taken"
    case .cancelRequested: "cancel.requested"
    case .answerRejected: "answer.rejected"
    case .merged: "run.merged"
    case .requeued: "run.requeued"
    case .compacted: "transcript.compacted"
    case .sampled: "model.sampled"
    case .childNamed: "child.named"
    case .childMoved: "child.moved"
    case .childEnded: "child.ended"
    }
  }

  package var isOnTheWire: Bool {
    switch self {
    case .callDeferred, .callParked, .callAsked, .callUnanswered, .decisionsTaken, .reconfigured, .pauseRequested, .cancelRequested,
      .answerRejected, .claimDropped, .rejectionCounted, .merged, .requeued, .compacted, .sampled, .childNamed, .childMoved, .childEnded,
      .changesTaken:
      false
    default: true
    }
  }

  /// Whether it says where the run stands.
  var showsOutcome: Bool {
    switch self {
    case .paused, .ended: true
    default: false
    }
  }

  /// The record for the log. `state` is the run after this event; `outcome` is where it then stands, for those that show it.
  func record(state: RunState, at time: Timestamp, outcome: RunOutcome?) -> LogRecord {
    var event: Bytes?
    if isOnTheWire {
      var writer = JSONWriter(capacity: 512)
      writer.beginObject()
      writer.member("runId", state.runID)
      writer.member("seq", state.sequence)
      writer.member("type", type)
      writer.member("time", time)
      writer.key("data")
      writer.beginObject()
      writeData(to: &writer, state: state, at: time, outcome: outcome)
      writer.endObject()
      writer.member("_meta", ifPresent: state.trace)
      writer.endObject()
      event = writer.finish()
    }
    return LogRecord(
      position: state.position, sequence: isOnTheWire ? state.sequence : nil, type: type, event: event, hidden: hiddenPart)
  }

  private func writeData(to writer: inout JSONWriter, state: RunState, at time: Timestamp, outcome: RunOutcome?) {
    switch self {
    case .started(let start):
      writer.key("agent")
      writer.beginObject()
      writer.member("name", ifPresent: state.agent.name)
      writer.member("model", state.agent.model)
      writer.endObject()
      writer.member("input", start.input.wire)
      writer.member("parentRunId", ifPresent: start.parent?.runID.text)
      writer.member("parentCallId", ifPresent: start.parent?.callID.text)
      writeTools(of: state, to: &writer)
      if !start.warnings.isEmpty {
        writer.key("warnings")
        writer.array(of: start.warnings)
      }
    case .modelStarted(let messageID, let continuation):
      writer.member("messageId", messageID)
      writer.member("continuation", continuation)
    case .modelRetried(let messageID, let attempt, let reason, let retryAfter):
      writer.member("messageId", messageID)
      writer.member("attempt", attempt)
      writer.member("reason", reason)
      writer.member("retryAfterMs", retryAfter)
    case .modelCompleted(let message): message.writeMembers(to: &writer)
    case .toolStarted(let callID, let attempt, _):
      guard let call = state.call(callID) else { return }
      writer.member("callId", callID)
      writer.member("name", call.name)
      writer.member("target", call.target.rawValue)
      writer.member("arguments", call.arguments.wire)
      writer.member("attempt", attempt)
      writer.member("childRunId", ifPresent: call.child?.text)
    case .toolCompleted(let callID, let result):
      guard let call = state.completedCall(callID) else { return }
      writer.member("callId", callID)
      writer.member("name", call.name)
      writer.member("target", call.target.rawValue)
      writer.member("isError", result.isError)
      writer.member("durationMs", max(0, time.milliseconds - call.since.milliseconds))
      result.writeMembers(to: &writer)
    case .toolRejected(let callID, let verdict, let bytes):
      writer.member("callId", callID)
      writer.member("verdict", verdict.rawValue)
      writer.member("bytes", bytes)
    case .paused(let status, let fault):
      writer.member("status", status.rawValue)
      writer.key("pendingToolCalls")
      writer.beginArray()
      for call in outcome?.pendingCalls ?? [] { call.write(to: &writer) { $0.wire } }
      writer.endArray()
      if let fault {
        writer.key("error")
        fault.write(to: &writer)
      }
    case .resumed(let cause, _): writer.member("cause", cause.rawValue)
    case .approvalRequested(let callID, _, _), .approvalDecided(let callID, _), .inputRequested(let callID, _, _, _),
      .inputAnswered(let callID, _):
      writer.member("callId", callID)
      if let call = state.call(callID) { writeQuestion(of: call, to: &writer) }
    case .noteAdded(let text): writer.member("text", text.wire)
    case .limitWarning(let limit, let used, let maximum):
      writer.member("limit", limit)
      writer.member("used", used)
      writer.member("max", maximum)
    case .toolsChanged, .toolboxChanged:
      writeTools(of: state, to: &writer)
      let warnings = state.toolbox.serverWarnings(of: state.agent)
      if !warnings.isEmpty {
        writer.key("warnings")
        writer.array(of: warnings)
      }
    case .toolkitsRegistered(let names):
      writer.key("toolkits")
      writer.array(of: names)
      writer.member("totalTools", state.toolbox.totalTools)
    case .toolkitExpanded(let toolkit, let skill):
      writer.member("toolkit", toolkit)
      writer.member("skill", ifPresent: skill)
      writeTools(of: state, to: &writer)
    case .augmentationApplied(let callID, _, let shared):
      writer.member("callId", ifPresent: callID?.text)
      shared.writeMembers(to: &writer)
    case .sharedChanged(_, _, let shared): shared.writeMembers(to: &writer)
    case .ended(let end):
      writer.member("reason", ifPresent: end.reason)
      writer.member("partialText", ifPresent: end.partialText?.wire)
      outcome?.writeMembers(to: &writer)
    case .callDeferred, .callParked, .callAsked, .callUnanswered, .decisionsTaken, .reconfigured, .pauseRequested, .cancelRequested,
      .answerRejected, .claimDropped, .rejectionCounted, .merged, .requeued, .compacted, .sampled, .childNamed, .childMoved, .childEnded,
      .changesTaken:
      break
    }
  }

  private func writeTools(of state: RunState, to writer: inout JSONWriter) {
    writer.key("tools")
    writer.beginArray()
    for tool in state.tools {
      writer.beginObject()
      writer.member("name", tool.name)
      writer.member("target", tool.target.rawValue)
      writer.endObject()
    }
    writer.endArray()
  }

  /// What only the runtime reads: a JSON object.
  private var hiddenPart: Bytes? {
    var writer = JSONWriter(capacity: 128)
    writer.beginObject()
    switch self {
    case .started(let start):
      writer.member("params", start.params)
      writer.member("meta", ifPresent: start.meta)
      writer.member("delivery", start.delivery.rawValue)
      start.claim.writeMembers(to: &writer)
      if let turn = start.turn {
        writer.key("turn")
        turn.write(to: &writer)
      }
      if start.isQueued { writer.member("isQueued", true) }
      if let agent = start.storedAgent {
        writer.key("storedAgent")
        agent.write(to: &writer)
      }
      if let parent = start.parent {
        writer.key("parent")
        parent.write(to: &writer)
      }
      writer.member("toolbox", ifPresent: start.toolbox)
      start.changes.writeMembers(to: &writer)
    case .modelCompleted(let message):
      let refused = message.calls.filter { $0.refusal != nil }
      if refused.isEmpty, message.providerData == nil { return nil }
      writer.member("providerData", ifPresent: message.providerData)
      if !refused.isEmpty {
        writer.key("refusals")
        writer.beginObject()
        for call in refused {
          writer.key(escaping: call.callID.text)
          writer.string(call.refusal ?? "")
        }
        writer.endObject()
      }
    case .toolStarted(_, _, let sender): writer.member("sender", sender.number)
    case .resumed(_, let claim): claim.writeMembers(to: &writer)
    case .callDeferred(let callID), .callParked(let callID): writer.member("callId", callID)
    case .approvalRequested(_, _, let asker?), .inputRequested(_, _, _, let asker?): writer.member("asker", asker.number)
    case .approvalDecided(_, let decision):
      guard decision.keepsArguments else { return nil }
      writer.member("keepsArguments", true)
    case .callAsked(let callID, let asker):
      writer.member("callId", callID)
      writer.member("asker", asker.number)
    case .callUnanswered(let callID, let reason):
      writer.member("callId", callID)
      writer.member("reason", reason)
    case .decisionsTaken(let decisions): writer.member("decisions", StandingDecision.json(decisions))
    case .toolsChanged(let tools): writer.member("tools", tools)
    case .toolboxChanged(let toolbox, let changes), .sharedChanged(let toolbox, let changes, _):
      writer.member("toolbox", toolbox)
      changes.writeMembers(to: &writer)
    case .changesTaken(let changes): changes.writeMembers(to: &writer)
    case .augmentationApplied(_, let augmentation?, _): writer.member("augmentation", augmentation.json)
    case .ended(let end):
      guard end.isWithdrawn else { return nil }
      writer.member("isWithdrawn", true)
    case .reconfigured(let limits, let delivery, let taker):
      writer.member("limits", ifPresent: limits)
      writer.member("delivery", ifPresent: delivery?.rawValue)
      writer.member("taker", ifPresent: taker?.number)
    case .claimDropped(let owner): writer.member("owner", owner.number)
    case .cancelRequested(let reason): writer.member("reason", ifPresent: reason)
    case .answerRejected(let reason): writer.member("reason", reason)
    case .merged(let other): writer.member("into", other.text)
    case .compacted(let compaction, let usage):
      compaction.writeMembers(to: &writer)
      writer.key("usage")
      usage.write(to: &writer)
    case .sampled(let usage):
      writer.key("usage")
      usage.write(to: &writer)
    case .childNamed(let callID, let child):
      writer.member("callId", callID.text)
      writer.member("child", child.text)
    case .childMoved(let callID, let halt):
      writer.member("callId", callID.text)
      writer.member("status", ifPresent: halt?.status.rawValue)
      if let fault = halt?.fault {
        writer.key("error")
        fault.write(to: &writer)
      }
    case .childEnded(let callID, let usage):
      writer.member("callId", callID.text)
      writer.key("usage")
      usage.write(to: &writer)
    case .pauseRequested, .rejectionCounted, .requeued: break
    default: return nil
    }
    writer.endObject()
    return writer.finish()
  }
}

extension JSONWriter {
  fileprivate mutating func array(of texts: [String]) {
    beginArray()
    for text in texts { string(text) }
    endArray()
  }
}

extension TakenChanges {
  fileprivate func writeMembers(to writer: inout JSONWriter) {
    if session > 0 { writer.member("sessionChanges", session) }
    if connection > 0 { writer.member("connectionChanges", connection) }
  }
}

extension Claim {
  fileprivate func writeMembers(to writer: inout JSONWriter) {
    writer.member("owner", owner.number)
    writer.member("epoch", epoch)
  }
}

extension ModelMessage {
  fileprivate func writeMembers(to writer: inout JSONWriter) {
    writer.member("messageId", messageID)
    writer.member("text", text.wire)
    writer.key("toolCalls")
    writer.beginArray()
    for call in calls {
      writer.beginObject()
      writer.member("callId", call.callID)
      writer.member("name", call.name)
      writer.member("arguments", call.arguments.wire)
      writer.endObject()
    }
    writer.endArray()
    writer.key("usage")
    usage.write(to: &writer)
    writer.member("stopReason", stopReason)
  }
}
