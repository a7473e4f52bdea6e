import JSON

/// Approvals and questions in the log.
extension RunEvent {
  /// The rest of the `data` of an event about an approval or a question; `call` is as it is after the event.
  func writeQuestion(of call: Call, to writer: inout JSONWriter) {
    writer.member("name", call.name)
    switch self {
    case .approvalRequested(_, let expiresAt, _):
      writer.member("target", call.target.rawValue)
      writer.member("arguments", call.arguments.wire)
      writer.member("expiresAt", ifPresent: expiresAt?.text)
    case .approvalDecided(_, let decision): decision.writeMembers(to: &writer)
    case .inputRequested(_, let message, let schema, _):
      writer.member("message", message.wire)
      writer.member("requestedSchema", schema.wire)
    case .inputAnswered(_, let given):
      writer.member("action", given.action.rawValue)
      writer.member("by", given.by.rawValue)
      writer.member("client", ifPresent: given.client)
      writer.member("content", ifPresent: given.content?.wire)
    default: break
    }
  }
}

extension ApprovalDecision {
  fileprivate func writeMembers(to writer: inout JSONWriter) {
    writer.member("decision", decision.rawValue)
    writer.member("by", by.rawValue)
    writer.member("client", ifPresent: client)
    writer.member("reason", ifPresent: reason?.wire)
    writer.member("arguments", ifPresent: arguments?.wire)
    writer.member("scope", scope.rawValue)
    writer.member("decidedCallId", ifPresent: source?.text)
  }

  init?(logged data: CarriedJSON, hidden: CarriedJSON) {
    guard let decision = data["decision"]?.stringValue.flatMap(ApprovalAnswer.Decision.init(rawValue:)),
      let door = data["by"]?.stringValue.flatMap(Door.init(rawValue:))
    else { return nil }
    self.init(decision, by: door)
    client = data["client"]?.stringValue
    reason = data["reason"].map(StoredValue.init(wire:))
    arguments = data["arguments"].map(StoredValue.init(wire:))
    keepsArguments = hidden["keepsArguments"]?.boolValue ?? false
    scope = data["scope"]?.stringValue.flatMap(ApprovalAnswer.Scope.init(rawValue:)) ?? .once
    source = data["decidedCallId"]?.stringValue.flatMap(ULID.init)
  }
}

extension InputGiven {
  init?(logged data: CarriedJSON) {
    guard let action = data["action"]?.stringValue.flatMap(InputAnswer.Action.init(rawValue:)),
      let door = data["by"]?.stringValue.flatMap(ApprovalDecision.Door.init(rawValue:))
    else { return nil }
    self.init(action: action, by: door, client: data["client"]?.stringValue, content: data["content"].map(StoredValue.init(wire:)))
  }
}

extension OwnerID {
  init?(asker hidden: CarriedJSON) {
    guard let number = hidden["asker"]?.intValue else { return nil }
    self.init(number: number)
  }
}

extension StandingDecision {
  private static let toolPaths: CarriedPaths = ["/inputSchema", "/outputSchema", "/parameters", "/agent"]

  static func json(_ decisions: [StandingDecision]) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginArray()
    for decision in decisions {
      writer.beginObject()
      do throws(JSONError) {
        writer.member("tool", try JSONCoding.encode(decision.tool))
        if let route = decision.tool.route { writer.member("route", try JSONCoding.encode(route)) }
        if let server = decision.server { writer.member("server", try JSONCoding.encode(server)) }
      } catch { preconditionFailure("tools and servers hold nothing that JSON cannot say: \(error)") }
      writer.member("decision", decision.decision.rawValue)
      writer.member("reason", ifPresent: decision.reason?.wire)
      writer.member("callId", decision.callID.text)
      writer.endObject()
    }
    writer.endArray()
    return CarriedJSON(trusted: writer.finish())
  }

  /// Nil for what this version does not understand.
  static func list(_ json: CarriedJSON) -> [StandingDecision]? {
    var decisions: [StandingDecision] = []
    for value in json.elements {
      guard let tool = value["tool"], let word = value["decision"]?.stringValue, let decision = ApprovalAnswer.Decision(rawValue: word),
        let callID = value["callId"]?.stringValue.flatMap(ULID.init)
      else { return nil }
      do throws(JSONError) {
        var known = try JSONCoding.decode(Tool.self, from: tool, carrying: toolPaths)
        known.route = try value["route"].map { route throws(JSONError) in try JSONCoding.decode(MCPRoute.self, from: route) }
        decisions.append(
          StandingDecision(
            tool: known,
            server: try value["server"].map { server throws(JSONError) in try JSONCoding.decode(MCPServer.self, from: server) },
            decision: decision, reason: value["reason"].map(StoredValue.init(wire:)), callID: callID))
      } catch { return nil }
    }
    return decisions
  }
}
