import JSON

extension RunEvent {
  /// Reads a record of the log back, with the time it was written (nil for the runtime's own records).
  ///
  /// - Throws: `store.newer` for a record that this bridge does not know: the log is readable then, but not driven.
  package static func decode(_ record: LogRecord) throws(RuntimeError) -> (event: RunEvent, time: Timestamp?) {
    let hidden = record.hidden.map { CarriedJSON(trusted: $0) } ?? .emptyObject
    var data = CarriedJSON.emptyObject
    var time: Timestamp?
    if let bytes = record.event {
      CarriedJSON(trusted: bytes).forEachMember { name, member in
        if name == "data" { data = member }
        if name == "time" { time = member.stringValue.flatMap(Timestamp.init(text:)) }
      }
    }
    guard let event = RunEvent(type: record.type, data: data, hidden: hidden) else {
      throw RuntimeError(.storeNewer, "the run's log has a record '\(record.type)' that this version does not know")
    }
    return (event, time)
  }

  private init?(type: String, data: CarriedJSON, hidden: CarriedJSON) {
    func id(_ value: CarriedJSON, _ name: String) -> ULID? { value[name]?.stringValue.flatMap(ULID.init) }
    switch type {
    case "run.started":
      guard let claim = Claim(reading: hidden), let params = hidden["params"] else { return nil }
      self = .started(
        RunBeginning(
          input: RunInput(wire: data["input"] ?? .null), params: params, meta: hidden["meta"],
          delivery: hidden["delivery"]?.stringValue.flatMap(Delivery.init(rawValue:)) ?? .pause, claim: claim,
          warnings: data["warnings"]?.elements.compactMap(\.stringValue) ?? [], toolbox: hidden["toolbox"],
          changes: TakenChanges(reading: hidden), turn: TurnPlace(reading: hidden["turn"]),
          isQueued: hidden["isQueued"]?.boolValue ?? false, storedAgent: AgentUse(reading: hidden["storedAgent"]),
          parent: ParentLink(reading: hidden["parent"])))
    case "model.started":
      guard let messageID = id(data, "messageId") else { return nil }
      self = .modelStarted(messageID: messageID, continuation: data["continuation"]?.boolValue ?? false)
    case "model.retried":
      guard let messageID = id(data, "messageId") else { return nil }
      self = .modelRetried(
        messageID: messageID, attempt: data["attempt"]?.intValue ?? 1, reason: data["reason"]?.stringValue ?? "",
        retryAfterMilliseconds: data["retryAfterMs"]?.intValue ?? 0)
    case "model.completed":
      guard let message = ModelMessage(data: data, hidden: hidden) else { return nil }
      self = .modelCompleted(message)
    case "tool.started":
      guard let callID = id(data, "callId"), let sender = hidden["sender"]?.intValue else { return nil }
      self = .toolStarted(callID: callID, attempt: data["attempt"]?.intValue ?? 1, sender: OwnerID(number: sender))
    case "tool.completed":
      guard let callID = id(data, "callId") else { return nil }
      self = .toolCompleted(callID: callID, result: ToolResult(logged: data))
    case "tool.resultRejected":
      guard let verdict = data["verdict"]?.stringValue.flatMap(Verdict.init(rawValue:)) else { return nil }
      self = .toolRejected(callID: data["callId"]?.stringValue ?? "", verdict: verdict, bytes: data["bytes"]?.intValue ?? 0)
    case "run.paused":
      guard let status = data["status"]?.stringValue.flatMap(RunStatus.init(rawValue:)) else { return nil }
      self = .paused(status: status, fault: RunFault(reading: data["error"]))
    case "run.resumed":
      guard let cause = data["cause"]?.stringValue.flatMap(ResumeCause.init(rawValue:)), let claim = Claim(reading: hidden) else {
        return nil
      }
      self = .resumed(cause: cause, claim: claim)
    case "approval.requested":
      guard let callID = id(data, "callId") else { return nil }
      self = .approvalRequested(
        callID: callID, expiresAt: data["expiresAt"]?.stringValue.flatMap(Timestamp.init(text:)), asker: OwnerID(asker: hidden))
    case "approval.decided":
      guard let callID = id(data, "callId"), let decision = ApprovalDecision(logged: data, hidden: hidden) else { return nil }
      self = .approvalDecided(callID: callID, decision)
    case "input.requested":
      guard let callID = id(data, "callId") else { return nil }
      self = .inputRequested(
        callID: callID, message: StoredValue(wire: data["message"] ?? CarriedJSON(string: "")),
        schema: StoredValue(wire: data["requestedSchema"] ?? .emptyObject), asker: OwnerID(asker: hidden))
    case "input.answered":
      guard let callID = id(data, "callId"), let given = InputGiven(logged: data) else { return nil }
      self = .inputAnswered(callID: callID, given)
    case "note.added": self = .noteAdded(text: StoredValue(wire: data["text"] ?? CarriedJSON(string: "")))
    case "limit.warning":
      self = .limitWarning(
        limit: data["limit"]?.stringValue ?? "", used: data["used"]?.intValue ?? 0, maximum: data["max"]?.intValue ?? 0)
    case "run.completed", "run.error", "run.cancelled":
      guard var end = RunEnd(reading: data) else { return nil }
      end.isWithdrawn = hidden["isWithdrawn"]?.boolValue ?? false
      self = .ended(end)
    case "call.deferred", "call.parked":
      guard let callID = id(hidden, "callId") else { return nil }
      self = type == "call.parked" ? .callParked(callID: callID) : .callDeferred(callID: callID)
    case "call.asked":
      guard let callID = id(hidden, "callId"), let asker = OwnerID(asker: hidden) else { return nil }
      self = .callAsked(callID: callID, asker: asker)
    case "call.unanswered":
      guard let callID = id(hidden, "callId") else { return nil }
      self = .callUnanswered(callID: callID, reason: hidden["reason"]?.stringValue ?? "")
    case "approvals.taken":
      guard let decisions = hidden["decisions"].flatMap(StandingDecision.list) else { return nil }
      self = .decisionsTaken(decisions)
    case "run.reconfigured":
      self = .reconfigured(
        limits: hidden["limits"], delivery: hidden["delivery"]?.stringValue.flatMap(Delivery.init(rawValue:)),
        taker: hidden["taker"]?.intValue.map(OwnerID.init(number:)))
    case "tools.changed":
      if let tools = hidden["tools"] {
        self = .toolsChanged(tools)
      } else {
        guard let toolbox = hidden["toolbox"] else { return nil }
        self = .toolboxChanged(toolbox, TakenChanges(reading: hidden))
      }
    case "toolkit.registered": self = .toolkitsRegistered(data["toolkits"]?.elements.compactMap(\.stringValue) ?? [])
    case "toolkit.expanded":
      guard let toolkit = data["toolkit"]?.stringValue else { return nil }
      self = .toolkitExpanded(toolkit: toolkit, skill: data["skill"]?.stringValue)
    case "augmentation.applied":
      let shared = SharedContext(logged: data)
      if let toolbox = hidden["toolbox"] {
        self = .sharedChanged(toolbox, TakenChanges(reading: hidden), shared)
        return
      }
      guard let callID = id(data, "callId") else {
        self = .augmentationApplied(callID: nil, nil, shared)
        return
      }
      guard let augmentation = hidden["augmentation"].flatMap({ try? Augmentation(reading: $0, at: "") }) else { return nil }
      self = .augmentationApplied(callID: callID, augmentation, shared)
    case "registrations.taken": self = .changesTaken(TakenChanges(reading: hidden))
    case "run.merged":
      guard let other = id(hidden, "into") else { return nil }
      self = .merged(into: other)
    case "run.requeued": self = .requeued
    case "transcript.compacted":
      guard let compaction = Compaction(reading: hidden) else { return nil }
      self = .compacted(compaction, usage: hidden["usage"].map(Usage.init(reading:)) ?? Usage())
    case "model.sampled": self = .sampled(hidden["usage"].map(Usage.init(reading:)) ?? Usage())
    case "child.named":
      guard let callID = id(hidden, "callId"), let child = id(hidden, "child") else { return nil }
      self = .childNamed(callID: callID, child: child)
    case "child.moved":
      guard let callID = id(hidden, "callId") else { return nil }
      let status = hidden["status"]?.stringValue.flatMap(RunStatus.init(rawValue:))
      self = .childMoved(callID: callID, halt: status.map { ChildHalt(status: $0, fault: RunFault(reading: hidden["error"])) })
    case "child.ended":
      guard let callID = id(hidden, "callId") else { return nil }
      self = .childEnded(callID: callID, usage: hidden["usage"].map(Usage.init(reading:)) ?? Usage())
    case "claim.dropped":
      guard let owner = hidden["owner"]?.intValue else { return nil }
      self = .claimDropped(owner: OwnerID(number: owner))
    case "pause.requested": self = .pauseRequested
    case "result.rejected": self = .rejectionCounted
    case "cancel.requested": self = .cancelRequested(reason: hidden["reason"]?.stringValue)
    case "answer.rejected": self = .answerRejected(reason: hidden["reason"]?.stringValue ?? "")
    default: return nil
    }
  }
}

extension Claim {
  fileprivate init?(reading hidden: CarriedJSON) {
    guard let owner = hidden["owner"]?.intValue, let epoch = hidden["epoch"]?.intValue else { return nil }
    self.init(owner: OwnerID(number: owner), epoch: epoch)
  }
}

extension ModelMessage {
  fileprivate init?(data: CarriedJSON, hidden: CarriedJSON) {
    guard let messageID = data["messageId"]?.stringValue.flatMap(ULID.init) else { return nil }
    self.messageID = messageID
    text = StoredValue(wire: data["text"] ?? CarriedJSON(string: ""))
    usage = data["usage"].map(Usage.init(reading:)) ?? Usage()
    stopReason = data["stopReason"]?.stringValue ?? ""
    let refusals = hidden["refusals"]
    providerData = hidden["providerData"]
    calls = []
    for call in data["toolCalls"]?.elements ?? [] {
      guard let text = call["callId"]?.stringValue, let callID = ULID(text) else { return nil }
      calls.append(
        Call(
          callID: callID, name: call["name"]?.stringValue ?? "", arguments: StoredValue(wire: call["arguments"] ?? .emptyObject),
          refusal: refusals?[text]?.stringValue))
    }
  }
}

extension RunEnd {
  fileprivate init?(reading data: CarriedJSON) {
    guard let status = data["status"]?.stringValue.flatMap(RunStatus.init(rawValue:)) else { return nil }
    self.init(status)
    stopReason = data["stopReason"]?.stringValue
    answer = data["answer"].map(StoredValue.init(wire:))
    structuredAnswer = data["structuredAnswer"].map(StoredValue.init(wire:))
    fault = RunFault(reading: data["error"])
    mergedInto = data["mergedInto"]?.stringValue.flatMap(ULID.init)
    reason = data["reason"]?.stringValue
    partialText = data["partialText"].map(StoredValue.init(wire:))
  }
}

extension Timestamp {
  /// Reads what `text` writes.
  init?(text: String) {
    let digits = Array(text.utf8)
    guard digits.count == 24 else { return nil }
    func number(_ from: Int, _ count: Int) -> Int { digits[from..<from + count].reduce(0) { $0 * 10 + Int($1) - 48 } }
    let year = number(0, 4) - (number(5, 2) <= 2 ? 1 : 0)
    let month = number(5, 2)
    let era = year / 400
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + number(8, 2) - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    milliseconds = ((days * 24 + number(11, 2)) * 60 + number(14, 2)) * 60000 + number(17, 2) * 1000 + number(20, 3)
  }
}

extension TakenChanges {
  fileprivate init(reading hidden: CarriedJSON) {
    self.init(session: hidden["sessionChanges"]?.intValue ?? 0, connection: hidden["connectionChanges"]?.intValue ?? 0)
  }
}
