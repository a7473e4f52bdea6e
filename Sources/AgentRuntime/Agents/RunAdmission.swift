package import JSON

/// Judges what `run.start` is given before there is a run: shapes, ranges, names, and what this release does not do yet.
package struct RunAdmission: Sendable {
  /// The pointers of members that nothing reads, in words; and what overrides what.
  package private(set) var warnings: [String] = []
  package private(set) var unknownMembers: [String] = []
  /// Those of `unknownMembers` that are places in a stored agent.
  package private(set) var unknownMembersOfAgent: [String] = []
  /// How deep the agent stands in others.
  private var depth = 0

  /// - Parameter stored: The agent that `agentId` names; nil when the params have an agent of their own.
  /// - Throws: `invalidParams`, `tool.invalid`, `unsupportedCapability` with the pointer of the member.
  package init(params json: CarriedJSON, agent stored: CarriedJSON? = nil) throws(RuntimeError) {
    let params = try RunParams(reading: json, agent: stored)
    if let stored {
      try checkStored(params.agent, stored)
    } else {
      if params.agent.memory?.isEmpty == false {
        throw .invalidParams("is for stored agents: make one with agent.create and give its agentId", at: "/agent/memory")
      }
      try check(params.agent, json["agent"] ?? .emptyObject, at: "/agent")
    }
    try check(params.tools, json["tools"], at: "/tools")
    try params.limits?.check(at: "/limits")
    note(json["limits"], Limits.members, at: "/limits")
    if let metadata = params.metadata { try Self.checkMetadata(metadata) }
    if let schema = params.outputSchema, schema.kind != .object, schema.kind != .bool {
      throw .invalidParams("must be a JSON Schema", at: "/outputSchema")
    }
    var toolbox = Toolbox()
    do throws(RuntimeError) { try toolbox.register(params) } catch {
      // What it refers to may be registered elsewhere: that is judged when all of it is known.
      guard error.kind == .toolkitNotFound || error.kind == .toolNotFound else { throw error }
    }
    try params.augmentation?.check(at: "/augmentation", isInsideResult: false)
    note(toolkits: json["toolkits"], at: "/toolkits")
    try check(subAgentsOf: params.toolkits, at: "/toolkits")
    try check(subAgentsOf: params.augmentation?.injectToolkits ?? [], at: "/augmentation/injectToolkits")
    if let augmentation = json["augmentation"] {
      unknownMembers += Augmentation.unknownMembers(of: augmentation, at: "/augmentation")
    }
    warnings = unknownMembers.map { "\($0): unknown member, ignored" }
  }

  /// An agent alone, which is to be stored.
  package init(agent json: CarriedJSON, at pointer: String) throws(RuntimeError) {
    let agent = try RunParams.read(Agent.self, json, at: pointer, carrying: Agent.carriedPaths)
    try check(agent, json, at: pointer)
    var toolbox = Toolbox()
    try toolbox.register(tools: agent.tools ?? [], toolkits: agent.toolkits ?? [], at: .agent, pointer: pointer)
    warnings = unknownMembers.map { "\($0): unknown member, ignored" } + toolbox.overrides
  }

  /// The agent that a tool brings; `depth` counts from the first one in a tool.
  init(subAgent json: CarriedJSON, at pointer: String, depth: Int) throws(RuntimeError) {
    let agent = try RunParams.read(Agent.self, json, at: pointer, carrying: Agent.carriedPaths)
    if agent.memory?.isEmpty == false {
      throw .invalidParams("is for stored agents: make one with agent.create and give its agentId", at: pointer + "/memory")
    }
    self.depth = depth
    try check(agent, json, at: pointer)
    var toolbox = Toolbox()
    try toolbox.register(tools: agent.tools ?? [], toolkits: agent.toolkits ?? [], at: .agent, pointer: pointer)
  }

  /// Tools alone, as `run.submitToolResults` gives them.
  package init(tools json: CarriedJSON, at pointer: String) throws(RuntimeError) {
    try check(try RunParams.read([Tool].self, json, at: pointer, carrying: RunParams.toolPaths), json, at: pointer)
    warnings = unknownMembers.map { "\($0): unknown member, ignored" }
  }

  /// Limits alone, as `run.resume` gives them.
  package init(limits json: CarriedJSON, at pointer: String) throws(RuntimeError) {
    try RunParams.read(Limits.self, json, at: pointer).check(at: pointer)
    note(json, Limits.members, at: pointer)
    warnings = unknownMembers.map { "\($0): unknown member, ignored" }
  }

  /// Judges what a fold of older logs does not: compiles every schema of `tools`, and looks at their titles.
  /// - Throws: `tool.invalidSchema` that names the tool and the place; `invalidParams`.
  static func checkSchemas(of tools: [Tool], at pointer: String, with cache: SchemaCache) throws(RuntimeError) {
    for (index, tool) in tools.enumerated() {
      if let title = tool.annotations?.title, title.kind != .string {
        throw .invalidParams("must be a string", at: "\(pointer)/\(index)/annotations/title")
      }
      let input = tool.inputSchema == nil ? "parameters" : "inputSchema"
      for (member, schema) in [(input, tool.schema), ("outputSchema", tool.outputSchema)] {
        guard let schema else { continue }
        do throws(RuntimeError) { _ = try cache.schema(schema) } catch {
          throw .aboutTool(
            tool.name, .toolInvalidSchema, "tool '\(tool.name)': \(error.message)",
            at: "\(pointer)/\(index)/\(member)\(error.pointer ?? "")")
        }
      }
      guard let agent = try SubAgent.inlineAgent(of: tool, at: "\(pointer)/\(index)") else { continue }
      for (tools, place) in SubAgent.toolLists(of: agent, at: "\(pointer)/\(index)/agent") {
        try checkSchemas(of: tools, at: place, with: cache)
      }
    }
  }

  private mutating func note(toolkits json: CarriedJSON?, at pointer: String) {
    for (index, toolkit) in (json?.elements ?? []).enumerated() {
      unknownMembers += Toolkit.unknownMembers(of: toolkit, at: "\(pointer)/\(index)")
    }
  }

  private mutating func note(_ json: CarriedJSON?, _ known: [String], at pointer: String) {
    guard let json else { return }
    // Members that begin with x- are extensions.
    unknownMembers += JSONCoding.unknownMembers(of: json, known: known, at: pointer).filter {
      !$0.dropFirst(pointer.count + 1).hasPrefix("x-")
    }
  }

  private mutating func check(subAgentsOf toolkits: [Toolkit], at pointer: String) throws(RuntimeError) {
    for (index, toolkit) in toolkits.enumerated() {
      unknownMembers += try SubAgent.check(toolkit.tools, at: "\(pointer)/\(index)/tools", depth: depth + 1)
    }
  }

  /// A stored agent was good when it was stored; what this version finds wrong with it is no fault of the params.
  private mutating func checkStored(_ agent: Agent, _ json: CarriedJSON) throws(RuntimeError) {
    do throws(RuntimeError) { try check(agent, json, at: "") } catch {
      let place = error.pointer.map { $0 + ": " } ?? ""
      throw RuntimeError(error.kind, "the stored agent cannot be used: \(place)\(error.message)", pointer: "/agentId")
    }
    unknownMembersOfAgent = unknownMembers
  }

  private mutating func check(_ agent: Agent, _ json: CarriedJSON, at pointer: String) throws(RuntimeError) {
    note(json, Agent.members, at: pointer)
    note(json["clientTools"], ClientToolPolicy.members, at: pointer + "/clientTools")
    note(json["limits"], Limits.members, at: pointer + "/limits")
    note(toolkits: json["toolkits"], at: pointer + "/toolkits")
    try check(subAgentsOf: agent.toolkits ?? [], at: pointer + "/toolkits")
    for (index, block) in (json["memory"]?.elements ?? []).enumerated() {
      note(block, MemoryBlock.members, at: "\(pointer)/memory/\(index)")
    }
    try checkServers(of: agent, json["mcpServers"], at: pointer + "/mcpServers")
    try MemoryBlock.check(agent.memory ?? [], at: pointer + "/memory")
    try agent.limits?.check(at: pointer + "/limits")
    _ = try MessageConcurrency(reading: agent.messageConcurrency, at: pointer + "/messageConcurrency")
    if let timeout = agent.approvalTimeoutMs, timeout < 1 { throw .invalidParams("must be at least 1", at: pointer + "/approvalTimeoutMs") }
    try checkRequestMembers(of: agent, at: pointer)
    if let policy = agent.clientTools {
      for (name, value, least) in [
        ("invokeTimeoutMs", policy.invokeTimeoutMs, 1), ("maxRetries", policy.maxRetries, 0),
        ("maxParallelInvocations", policy.maxParallelInvocations, 1),
      ] {
        if let value, value < least { throw .invalidParams("must be at least \(least)", at: "\(pointer)/clientTools/\(name)") }
      }
    }
    try check(agent.tools ?? [], json["tools"], at: pointer + "/tools")
  }

  /// What goes into the requests to the model, whichever it is.
  private func checkRequestMembers(of agent: Agent, at pointer: String) throws(RuntimeError) {
    if let temperature = agent.temperature, temperature < 0 { throw .invalidParams("must not be negative", at: pointer + "/temperature") }
    if let most = agent.maxOutputTokens, most < 1 { throw .invalidParams("must be at least 1", at: pointer + "/maxOutputTokens") }
    if let options = agent.providerOptions, options.kind != .object {
      throw .invalidParams("must be an object", at: pointer + "/providerOptions")
    }
  }

  private mutating func checkServers(of agent: Agent, _ json: CarriedJSON?, at pointer: String) throws(RuntimeError) {
    for (name, server) in (agent.mcpServers ?? [:]).sorted(by: { $0.key < $1.key }) {
      let place = "\(pointer)/\(JSONPointer.escape(name))"
      if name.isEmpty || name.utf8.contains(0) { throw .invalidParams("an MCP server needs a name", at: place) }
      try server.check(at: place)
      note(json?[name], MCPServer.members, at: place)
    }
  }

  private mutating func check(_ tools: [Tool], _ json: CarriedJSON?, at pointer: String) throws(RuntimeError) {
    var names: Set<String> = []
    let values = json?.elements ?? []
    for (index, tool) in tools.enumerated() {
      let place = "\(pointer)/\(index)"
      try tool.check(at: place)
      guard names.insert("\(tool.target.rawValue) \(tool.name)").inserted else {
        throw .aboutTool(tool.name, .toolInvalid, "tool '\(tool.name)' is declared twice", at: place + "/name")
      }
      let value = values[index]
      note(value, Tool.members, at: place)
      note(value["annotations"], Tool.annotationMembers, at: place + "/annotations")
    }
    unknownMembers += try SubAgent.check(tools, at: pointer, depth: depth + 1)
  }

  package static func checkMetadata(_ metadata: CarriedJSON) throws(RuntimeError) {
    guard metadata.kind == .object else { throw .invalidParams("must be an object of strings", at: "/metadata") }
    try metadata.forEachMember { (name, value) throws(RuntimeError) in
      if value.kind != .string { throw .invalidParams("must be a string", at: "/metadata/" + JSONPointer.escape(name.text)) }
    }
  }

  /// A text, content blocks, or messages with roles.
  package static func checkInput(_ input: CarriedJSON) throws(RuntimeError) {
    if input.kind == .string { return }
    guard input.kind == .array else { throw .invalidParams("must be a string or a list", at: "/input") }
    var index = 0
    try input.forEachElement { (element) throws(RuntimeError) in
      let place = "/input/\(index)"
      index += 1
      guard element.hasMember("role") else {
        _ = try ContentBlock(reading: element, at: place)
        return
      }
      guard let role = element["role"]?.stringValue, role == "user" || role == "assistant" else {
        throw .invalidParams("must be user or assistant", at: place + "/role")
      }
      guard let content = element["content"] else { throw .invalidParams("is required", at: place + "/content") }
      _ = try [ContentBlock](reading: content, at: place + "/content")
    }
    if index == 0 { throw .invalidParams("must not be empty", at: "/input") }
  }
}
