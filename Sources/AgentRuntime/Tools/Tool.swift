package import JSON

/// A tool as it is declared: shapes of protocol section 5.
package struct Tool: Sendable, Codable, Equatable {
  package enum Target: String, Sendable, Codable { case client, server }

  package struct Annotations: Sendable, Codable, Equatable {
    package var readOnlyHint: Bool?
    package var destructiveHint: Bool?
    package var idempotentHint: Bool?
    package var openWorldHint: Bool?
    /// As it was given: that it is a string is judged where a tool is declared, since logs of earlier versions have others.
    package var title: CarriedJSON?
  }

  package var name: String
  package var title: String?
  package var description: String
  package var inputSchema: CarriedJSON?
  /// Accepted for `inputSchema`.
  package var parameters: CarriedJSON?
  package var outputSchema: CarriedJSON?
  package var declaredTarget: Target?
  package var annotations: Annotations?
  package var requiresApproval: Bool?
  package var parallel: Bool?
  package var timeoutMs: Int?
  package var maxCallsPerRun: Int?
  package var onTimeout: DispatchStrategy?
  package var onDisconnect: DispatchStrategy?
  package var maxResultBytes: Int?
  /// The registered toolkit that the tool belongs to, when it is declared by itself.
  package var toolkit: String?
  package var command: [String]?
  package var cwd: String?
  package var env: [String: String]?
  /// What stands behind a tool of an MCP server. In the log beside the tool, not in it: nobody can declare one.
  var route: MCPRoute?
  /// A sub-agent: an Agent, or the id of one.
  package var agent: CarriedJSON?

  enum CodingKeys: String, CodingKey {
    case name, title, description, inputSchema, parameters, outputSchema, annotations, requiresApproval, parallel, timeoutMs, maxCallsPerRun
    case onTimeout, onDisconnect, maxResultBytes, toolkit, command, cwd, env, agent
    case declaredTarget = "target"
  }

  package static let members = [
    "name", "title", "description", "inputSchema", "parameters", "outputSchema", "target", "annotations", "requiresApproval", "parallel",
    "timeoutMs", "maxCallsPerRun", "onTimeout", "onDisconnect", "maxResultBytes", "toolkit", "command", "cwd", "env", "agent",
  ]
  package static let annotationMembers = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint", "title"]

  package var target: Target { command != nil || route != nil || agent != nil || isBuiltIn ? .server : .client }

  /// A server tool that `ServerTools` runs.
  package var isHosted: Bool { command != nil }

  /// One of the runtime's own, which works inside the engine: no tool that is declared can have such a name.
  package var isBuiltIn: Bool { name.utf8.first == 0x6D && MemoryTool(rawValue: name) != nil }

  /// The schema of its arguments; there in every tool that passed `check`.
  package var schema: CarriedJSON? { inputSchema ?? parameters ?? (agent == nil ? nil : SubAgent.inputSchema) }

  /// Whether a repeat does no harm.
  package var isIdempotent: Bool { annotations?.idempotentHint == true || annotations?.readOnlyHint == true }

  package var runsAlone: Bool { parallel == false }

  package static let defaultMaxResultBytes = 1 << 20
  package static let defaultCommandTimeoutMilliseconds = 120_000

  /// - Throws: `tool.invalid` that names the tool and the member.
  package func check(at pointer: String) throws(RuntimeError) {
    func refuse(_ member: String, _ why: String) -> RuntimeError {
      .aboutTool(name, .toolInvalid, "tool '\(name.prefix(64))': \(member) \(why)", at: pointer + "/" + member)
    }
    guard Self.isName(name) else {
      throw RuntimeError(.toolInvalid, "a tool's name must match ^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$", pointer: pointer + "/name")
    }
    if Toolbox.builtInNames.contains(name) {
      throw .aboutTool(name, .toolInvalid, "no tool can be called '\(name)': that is a built-in tool", at: pointer + "/name")
    }
    if schema == nil { throw .invalidParams("is required", at: pointer + "/inputSchema") }
    if inputSchema != nil, parameters != nil { throw refuse("parameters", "is another name for inputSchema, which is there too") }
    if let declaredTarget, declaredTarget != target {
      let kind = command == nil ? "an agent" : "a command"
      throw refuse("target", target == .client ? "is server, but there is no command and no agent" : "is client, but the tool has \(kind)")
    }
    if command != nil, agent != nil { throw refuse("agent", "cannot stand beside a command") }
    if let agent, agent.kind != .object, agent.stringValue?.isEmpty != false { throw refuse("agent", "must be an agent or an agentId") }
    if let command, command.isEmpty || command[0].isEmpty { throw refuse("command", "needs at least the program") }
    if command == nil, cwd != nil { throw refuse("cwd", "is only for tools with a command") }
    if command == nil, env != nil { throw refuse("env", "is only for tools with a command") }
    for (member, value) in [("timeoutMs", timeoutMs), ("maxCallsPerRun", maxCallsPerRun), ("maxResultBytes", maxResultBytes)] {
      if let value, value < 1 { throw refuse(member, "must be at least 1") }
    }
  }

  static func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, text.utf8.count <= 64, isLetter(first) else { return false }
    return text.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
  }
}
