package import JSON

/// An agent as a tool: what `Tool.agent` says.
package enum SubAgent: Sendable, Equatable {
  /// As it was given.
  case inline(CarriedJSON)
  case stored(agentID: String)

  /// How many agents may stand below the first one.
  package static let mostDepth = 10

  /// How many runs of one tree, the first among them, may be there at once: what is decided in it is decided for all of them.
  package static let mostRuns = 1024

  /// What a call looks like when the tool does not say.
  static let inputSchema = CarriedJSON(
    trusted: Bytes(
      """
      {"type":"object","properties":{"input":{"type":"string","description":"What the agent is asked to do."}},"required":["input"]}
      """))

  init?(_ tool: Tool) {
    guard let agent = tool.agent else { return nil }
    self = agent.stringValue.map { .stored(agentID: $0) } ?? .inline(agent)
  }

  /// The params of the child run: those of a `run.start`.
  func params(for tool: Tool) -> CarriedJSON {
    var writer = JSONWriter(capacity: 256)
    writer.beginObject()
    switch self {
    case .inline(let agent): writer.member("agent", agent)
    case .stored(let agentID): writer.member("agentId", agentID)
    }
    writer.member("outputSchema", ifPresent: tool.outputSchema)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// What the child run is asked: the argument `input` when the schema has no other, else all arguments as JSON text.
  static func input(of arguments: CarriedJSON, for tool: Tool) -> CarriedJSON {
    var names: [String] = []
    tool.schema?["properties"]?.forEachMember { name, _ in names.append(name.text) }
    if names == ["input"], let input = arguments["input"], input.kind == .string { return input }
    return CarriedJSON(string: arguments.bytes.string)
  }

  /// Every list of tools in an agent, with its place.
  static func toolLists(of agent: Agent, at pointer: String) -> [(tools: [Tool], place: String)] {
    [(agent.tools ?? [], pointer + "/tools")] + (agent.toolkits ?? []).enumerated().map { ($1.tools, "\(pointer)/toolkits/\($0)/tools") }
  }

  /// The agent of a tool that brings it.
  /// - Throws: `invalidParams` with the pointer of what is wrong in it.
  static func inlineAgent(of tool: Tool, at pointer: String) throws(RuntimeError) -> Agent? {
    guard case .inline(let json)? = SubAgent(tool) else { return nil }
    return try RunParams.read(Agent.self, json, at: pointer + "/agent", carrying: Agent.carriedPaths)
  }

  /// Judges the agents that tools bring, and those in them.
  /// - Returns: the pointers of members that nothing reads.
  /// - Throws: what `run.start` would say of such an agent.
  static func check(_ tools: [Tool], at pointer: String, depth: Int = 1) throws(RuntimeError) -> [String] {
    var unknown: [String] = []
    for (index, tool) in tools.enumerated() {
      guard case .inline(let json)? = SubAgent(tool) else { continue }
      let place = "\(pointer)/\(index)/agent"
      if depth > mostDepth {
        throw .aboutTool(
          tool.name, .toolInvalid, "tool '\(tool.name)': agents can stand \(mostDepth) deep in each other, and this one is deeper",
          at: place)
      }
      unknown += try RunAdmission(subAgent: json, at: place, depth: depth).unknownMembers
    }
    return unknown
  }
}

/// The call that a child run answers.
package struct ParentLink: Sendable, Equatable {
  package var runID: ULID
  package var callID: ULID
  /// From 1, for a child of a run that is nobody's.
  package var depth: Int

  init(runID: ULID, callID: ULID, depth: Int) {
    self.runID = runID
    self.callID = callID
    self.depth = depth
  }

  init?(reading value: CarriedJSON?) {
    guard let value, let runID = value["runId"]?.stringValue.flatMap(ULID.init),
      let callID = value["callId"]?.stringValue.flatMap(ULID.init),
      let depth = value["depth"]?.intValue
    else { return nil }
    self.init(runID: runID, callID: callID, depth: depth)
  }

  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("runId", runID.text)
    writer.member("callId", callID.text)
    writer.member("depth", depth)
    writer.endObject()
  }
}
