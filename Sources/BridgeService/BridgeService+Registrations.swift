import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC

/// The methods that register tools and toolkits, and list what is offered.
extension BridgeService {
  func registerToolkits(_ params: ToolkitRegister.Params, _ ticket: Ticket) throws(RuntimeError) {
    var unknown: [String] = []
    for (index, toolkit) in params.toolkits.elements.enumerated() {
      unknown += Toolkit.unknownMembers(of: toolkit, at: "/toolkits/\(index)")
    }
    try refuseWhenStrict(unknown)
    let toolkits = try RegistrationChange.readToolkits(params.toolkits)
    try change(.register(tools: [], toolkits: toolkits), params.sessionId, unknown, ticket)
  }

  func unregisterToolkits(_ params: ToolkitUnregister.Params, _ ticket: Ticket) throws(RuntimeError) {
    try change(.unregisterToolkits(params.names), params.sessionId, [], ticket)
  }

  func registerTools(_ params: ToolRegister.Params, _ ticket: Ticket) throws(RuntimeError) {
    var unknown: [String] = []
    for (index, tool) in params.tools.elements.enumerated() { unknown += Tool.unknownMembers(of: tool, at: "/tools/\(index)") }
    try refuseWhenStrict(unknown)
    let tools = try RegistrationChange.readTools(params.tools, toolkit: params.toolkit)
    if let agentID = params.agentId {
      if params.sessionId != nil { throw .invalidParams("is given beside sessionId", at: "/agentId") }
      return changeAgent(agentID, .register(tools: tools, toolkits: []), unknown, ticket)
    }
    try change(.register(tools: tools, toolkits: []), params.sessionId, unknown, ticket)
  }

  func unregisterTools(_ params: ToolUnregister.Params, _ ticket: Ticket) throws(RuntimeError) {
    if let agentID = params.agentId {
      if params.sessionId != nil { throw .invalidParams("is given beside sessionId", at: "/agentId") }
      return changeAgent(agentID, .unregisterTools(params.names), [], ticket)
    }
    try change(.unregisterTools(params.names), params.sessionId, [], ticket)
  }

  func augmentSession(_ params: SessionAugment.Params, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try sessionID(params.sessionId)
    let unknown = Augmentation.unknownMembers(of: params.augmentation, at: "/augmentation")
    try refuseWhenStrict(unknown)
    let augmentation = try Augmentation(reading: params.augmentation, at: "/augmentation")
    read(ticket) { [outbox] (engine) throws(RuntimeError) in
      var augmentation = augmentation
      if AugmentationBlobs.areNamed(in: params.augmentation) {
        let resolved = try AugmentationBlobs.resolve(params.augmentation, outbox, engine, at: "/augmentation")
        augmentation = try Augmentation(reading: resolved, at: "/augmentation")
      }
      try engine.changeSession(sessionID, .augment(augmentation))
      let session = try engine.findSession(sessionID)
      guard let branch = try engine.branches(of: sessionID).first(where: { $0.branchID == session.mainBranch }) else { return .emptyObject }
      let toolbox = try engine.currentToolbox(of: branch)
      var writer = JSONWriter()
      writer.beginObject()
      writer.member("state", toolbox.state ?? .null)
      writer.member("context", toolbox.contextJSON)
      Self.write(warnings: unknown, to: &writer)
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  func listToolkits(_ params: ToolkitList.Params, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try params.sessionId.map { text throws(RuntimeError) in try self.sessionID(text) }
    read(ticket) { (engine) throws(RuntimeError) in
      let toolbox = try engine.offeredToolbox(sessionID: sessionID)
      var writer = JSONWriter(capacity: 2048)
      writer.beginObject()
      ToolboxJSON.writeListing(of: toolbox, to: &writer)
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  // MARK: Shared

  private func change(
    _ change: RegistrationChange, _ session: String?, _ unknown: [String], _ ticket: Ticket
  ) throws(RuntimeError) {
    let sessionID = try session.map { text throws(RuntimeError) in try self.sessionID(text) }
    read(ticket) { (engine) throws(RuntimeError) in
      if let sessionID { try engine.changeSession(sessionID, change) } else { try engine.changeConnection(change) }
      return Self.answer(warnings: unknown)
    }
  }

  private func changeAgent(_ agentID: String, _ change: RegistrationChange, _ unknown: [String], _ ticket: Ticket) {
    read(ticket) { (engine) throws(RuntimeError) in
      try engine.changeAgentTools(agentID, change)
      return Self.answer(warnings: unknown)
    }
  }

  private static func answer(warnings unknown: [String]) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    write(warnings: unknown, to: &writer)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  private static func write(warnings unknown: [String], to writer: inout JSONWriter) {
    if unknown.isEmpty { return }
    writer.key("warnings")
    writer.beginArray()
    for pointer in unknown { writer.string("\(pointer): unknown member, ignored") }
    writer.endArray()
  }

  func refuseWhenStrict(_ unknown: [String]) throws(RuntimeError) {
    if settings.isStrict, let first = unknown.first { throw .invalidParams("is not known (--strict)", at: first) }
  }
}

enum ToolboxJSON {
  /// The members `toolkits` and `tools`. Values of `env` are hidden, also in the agents of tools.
  static func writeListing(of toolbox: Toolbox, to writer: inout JSONWriter) {
    let listing = toolbox.registered
    writer.key("toolkits")
    writer.beginArray()
    for entry in listing.toolkits {
      let json = EnvironmentValues.hidden(inToolkit: .encoding(entry.toolkit))
      writer.beginObject()
      json.forEachMember { name, value in
        writer.key(name)
        writer.value(value)
      }
      writer.member("level", entry.level.rawValue)
      writer.member("expanded", entry.isExpanded)
      writer.endObject()
    }
    writer.endArray()
    writer.key("tools")
    writer.beginArray()
    for tool in listing.tools { writer.value(EnvironmentValues.hidden(inTool: .encoding(tool))) }
    writer.endArray()
  }
}

extension CarriedJSON {
  fileprivate static func encoding(_ value: some Encodable) -> CarriedJSON {
    do throws(JSONError) { return try JSONCoding.encode(value) } catch {
      preconditionFailure("a registration holds nothing that JSON cannot say: \(error)")
    }
  }
}
