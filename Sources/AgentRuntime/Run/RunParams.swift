package import JSON

/// What `run.start` asks for, without its input: decoded from the bytes that the log keeps.
package struct RunParams: Sendable {
  /// A JSON object; what two starts with one idempotency key are compared by, together with the input.
  package let json: CarriedJSON
  package let agent: Agent
  /// As it was given, or as it was stored.
  package let agentJSON: CarriedJSON
  package let tools: [Tool]
  package let toolkits: [Toolkit]
  package let augmentation: Augmentation?
  package let resetsClientState: Bool
  package let limits: Limits?
  package let outputSchema: CarriedJSON?
  package let metadata: CarriedJSON?
  package let idempotencyKey: String?

  package static let toolPaths: CarriedPaths = ["/*/inputSchema", "/*/outputSchema", "/*/parameters", "/*/agent"]

  /// Reads params that were checked when the run was made, or checks them for the first time.
  /// - Parameter stored: The agent that `agentId` names.
  /// - Throws: `invalidParams` with a pointer into the params of `run.start`.
  package init(reading json: CarriedJSON, agent stored: CarriedJSON? = nil) throws(RuntimeError) {
    self.json = json
    let members: [String: CarriedJSON]
    do throws(JSONError) { members = try json.uniqueMembers() } catch { throw RuntimeError(error) }
    guard let agentValue = stored ?? members["agent"] else { throw .invalidParams("is required", at: "/agent") }
    agentJSON = agentValue
    agent = try Self.read(Agent.self, agentValue, at: "/agent", carrying: Agent.carriedPaths)
    tools =
      try members["tools"].map { value throws(RuntimeError) in
        try Self.read([Tool].self, value, at: "/tools", carrying: Self.toolPaths)
      } ?? []
    toolkits =
      try members["toolkits"].map { value throws(RuntimeError) in
        try Self.read([Toolkit].self, value, at: "/toolkits", carrying: Toolkit.listPaths)
      } ?? []
    augmentation = try members["augmentation"].map { value throws(RuntimeError) in try Augmentation(reading: value, at: "/augmentation") }
    resetsClientState = members["resetClientState"]?.boolValue ?? false
    limits = try members["limits"].map { value throws(RuntimeError) in try Self.read(Limits.self, value, at: "/limits") }
    outputSchema = members["outputSchema"]
    metadata = members["metadata"]
    idempotencyKey = members["idempotencyKey"]?.stringValue
  }

  static func read<T: Decodable>(
    _ type: T.Type, _ value: CarriedJSON, at pointer: String, carrying: CarriedPaths = .none, limits: JSONLimits = JSONLimits()
  ) throws(RuntimeError) -> T {
    do throws(JSONError) {
      return try JSONCoding.decode(type, from: value, carrying: carrying, limits: limits, at: pointer)
    } catch { throw RuntimeError(error) }
  }
}
