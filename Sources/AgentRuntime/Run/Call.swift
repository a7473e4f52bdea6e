import JSON

/// One call of the model's last message.
package struct Call: Sendable, Equatable {
  package let callID: ULID
  package let name: String
  /// The model's, or those that it was approved with.
  package internal(set) var arguments: StoredValue
  /// The tool as it stood when the model called it; nil when there is none of that name.
  @Boxed package private(set) var tool: Tool?
  package let target: Tool.Target
  /// A question for the user.
  package let asksUser: Bool
  /// Why it is not dispatched.
  package let refusal: String?
  /// How often it was sent.
  package internal(set) var attempt = 0
  /// The process that sent it last, or whose parent is asked about it.
  package internal(set) var sender: OwnerID?
  /// It may not be dispatched yet.
  package internal(set) var needsApproval: Bool
  /// Its approval, or the answer to its question, was asked for in the log.
  package internal(set) var isAsked = false
  /// When an approval that has not come counts as denied.
  package internal(set) var expiresAt: Timestamp?
  /// It was approved with other arguments than the model's.
  package internal(set) var isEdited = false
  package internal(set) var isDeferred = false
  package internal(set) var isParked = false
  /// When it was first sent, or else when the model made it.
  package internal(set) var since: Timestamp
  @Boxed package internal(set) var result: ToolResult? = nil
  /// The run of a sub-agent that answers it.
  package internal(set) var child: ULID?
  /// Why that run is not at work; nil while it is, as far as the log of this one says.
  package internal(set) var halt: ChildHalt?

  // Not `==`, which would copy and compare the results.
  package var isPending: Bool { if case nil = result { true } else { false } }

  /// What somebody outside has to give.
  package enum Need: String, Sendable { case result, approval, input }

  /// Nil for what is done, and for what the bridge runs.
  package var need: Need? {
    guard isPending, refusal == nil else { return nil }
    if needsApproval { return .approval }
    if asksUser { return .input }
    return target == .client ? .result : nil
  }

  /// The bridge runs it, or may.
  var isForServer: Bool { isPending && target == .server && refusal == nil && !needsApproval }

  /// It was begun, and somebody works on it.
  var isAtWork: Bool { attempt > 0 && halt == nil }

  /// One of a sub-agent that has not answered in the time that it has, waiting included.
  func isOverdue(at now: Timestamp) -> Bool {
    guard isPending, child != nil, let timeout = tool?.timeoutMs else { return false }
    return since.milliseconds.saturatingAdd(timeout) <= now.milliseconds
  }

  init(_ call: ModelMessage.Call, tool: Tool?, at time: Timestamp) {
    callID = call.callID
    name = call.name
    arguments = call.arguments
    self.tool = tool
    target = tool?.target ?? .client
    asksUser = tool?.name == Question.toolName
    refusal = call.refusal
    since = time
    needsApproval = tool?.requiresApproval == true && call.refusal == nil
  }
}

/// A child run that waits, or is paused.
package struct ChildHalt: Sendable, Equatable {
  package var status: RunStatus
  /// Of one that something paused.
  package var fault: RunFault?
}

/// What a model has been told and has said, in order. Boxed: a list of ten thousand is handed on without copying what stands in it.
package indirect enum TranscriptEntry: Sendable, Equatable {
  case user([ContentBlock])
  case assistant(ModelMessage)
  /// A message that the input puts into the assistant's mouth.
  case said([ContentBlock])
  case tool(callID: ULID, name: String, result: ToolResult, maxBytes: Int)
}

extension TranscriptEntry {
  /// Bytes of its values.
  package var byteCount: Int {
    switch self {
    case .user(let blocks), .said(let blocks):
      var result = ToolResult()
      result.content = blocks
      return result.byteCount
    case .assistant(let message): return message.calls.reduce(message.text.wire.bytes.count) { $0 + $1.arguments.wire.bytes.count }
    case .tool(_, _, let result, _): return result.byteCount
    }
  }
}
