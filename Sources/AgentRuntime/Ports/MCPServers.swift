package import JSON

/// One entry of `agent.mcpServers`, as editors write them: protocol section 5 (b).
package struct MCPServer: Sendable, Codable, Equatable {
  package var command: String
  package var args: [String]?
  /// `${NAME}` in a value reads the bridge's environment.
  package var env: [String: String]?
  package var cwd: String?
  /// The only tools to offer, by either of their names (`MCPToolName`); all when it is absent.
  package var tools: [String]?
  package var requiresApproval: MCPApproval?
  /// Tools of which a repeat does no harm, by either of their names. What the server itself says of that does not count.
  package var idempotent: [String]?
  /// For a call, from its last sign of progress; ten times that in all.
  package var timeoutMs: Int?
  package var maxResultBytes: Int?
  /// False: each of its calls runs alone in its run.
  package var parallel: Bool?
  /// Editors write what kind of server it is; only `stdio` is a process. `remote` for one that has a `url` in place of a command, and no type.
  package var type: String?
  private static let remote = "url"

  package init(
    command: String, args: [String]? = nil, env: [String: String]? = nil, cwd: String? = nil, tools: [String]? = nil,
    requiresApproval: MCPApproval? = nil, idempotent: [String]? = nil
  ) {
    self.command = command
    self.args = args
    self.env = env
    self.cwd = cwd
    self.tools = tools
    self.requiresApproval = requiresApproval
    self.idempotent = idempotent
  }

  private enum CodingKeys: String, CodingKey {
    case command, args, env, cwd, tools, requiresApproval, idempotent, timeoutMs, maxResultBytes, parallel, type
  }

  private enum RemoteKeys: String, CodingKey { case url }

  /// By hand, because a server that is no process has no command, and `check` is to say what is the matter with it.
  package init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    type = try members.decodeIfPresent(String.self, forKey: .type)
    if type == nil, !members.contains(.command), try decoder.container(keyedBy: RemoteKeys.self).contains(.url) { type = Self.remote }
    let isProcess = type == nil || type == "stdio"
    command =
      isProcess ? try members.decode(String.self, forKey: .command) : try members.decodeIfPresent(String.self, forKey: .command) ?? ""
    args = try members.decodeIfPresent([String].self, forKey: .args)
    env = try members.decodeIfPresent([String: String].self, forKey: .env)
    cwd = try members.decodeIfPresent(String.self, forKey: .cwd)
    tools = try members.decodeIfPresent([String].self, forKey: .tools)
    requiresApproval = try members.decodeIfPresent(MCPApproval.self, forKey: .requiresApproval)
    idempotent = try members.decodeIfPresent([String].self, forKey: .idempotent)
    timeoutMs = try members.decodeIfPresent(Int.self, forKey: .timeoutMs)
    maxResultBytes = try members.decodeIfPresent(Int.self, forKey: .maxResultBytes)
    parallel = try members.decodeIfPresent(Bool.self, forKey: .parallel)
  }

  package static let members = [
    "command", "args", "env", "cwd", "tools", "requiresApproval", "idempotent", "timeoutMs", "maxResultBytes", "parallel", "type",
  ]

  /// - Throws: `invalidParams` with the pointer of the member that no process can be started with; `unsupportedCapability` for a server that is
  ///   no process.
  package func check(at pointer: String) throws(RuntimeError) {
    if let type, type != "stdio" {
      throw RuntimeError(
        .unsupportedCapability, "only MCP servers over stdio, which have a command, are supported",
        pointer: pointer + (type == Self.remote ? "/url" : "/type"))
    }
    for (member, value) in [("timeoutMs", timeoutMs), ("maxResultBytes", maxResultBytes)] {
      if let value, value < 1 { throw .invalidParams("must be at least 1", at: "\(pointer)/\(member)") }
    }
    guard !command.isEmpty, !command.utf8.contains(0) else { throw .invalidParams("must name a program", at: pointer + "/command") }
    for (index, argument) in (args ?? []).enumerated() where argument.utf8.contains(0) {
      throw .invalidParams("must not contain U+0000", at: "\(pointer)/args/\(index)")
    }
    for (name, value) in env ?? [:] where name.isEmpty || name.utf8.contains(0x3D) || name.utf8.contains(0) || value.utf8.contains(0) {
      throw .invalidParams("has a variable that no program can get", at: pointer + "/env")
    }
    if let cwd, cwd.isEmpty || cwd.utf8.contains(0) { throw .invalidParams("must name a folder", at: pointer + "/cwd") }
  }
}

/// The two names of a server's tool. Whatever an agent says of a tool, it may use either.
package struct MCPToolName: Sendable, Equatable {
  /// As the server calls it.
  package var own: String
  /// As the model knows it.
  package var offered: String

  package init(own: String, offered: String) {
    self.own = own
    self.offered = offered
  }

  package func isOne(of names: [String]) -> Bool { names.contains { $0 == own || $0 == offered } }
}

extension MCPServer {
  package func offers(_ tool: MCPToolName) -> Bool { tools.map(tool.isOne) ?? true }
  package func allowsRepeats(of tool: MCPToolName) -> Bool { idempotent.map(tool.isOne) ?? false }
}

/// `requiresApproval` of a server: for all of its tools, or for those named.
package enum MCPApproval: Sendable, Equatable, Codable {
  case all(Bool)
  case named([String])

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let all = try? container.decode(Bool.self) { self = .all(all) } else { self = .named(try container.decode([String].self)) }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .all(let all): try container.encode(all)
    case .named(let names): try container.encode(names)
    }
  }

  package func covers(_ tool: MCPToolName) -> Bool {
    switch self {
    case .all(let all): all
    case .named(let names): tool.isOne(of: names)
    }
  }

  /// Those of the names that fit none of a server's tools.
  package func names(besides tools: [MCPToolName]) -> [String] {
    guard case .named(let names) = self else { return [] }
    return names.filter { name in !tools.contains { $0.isOne(of: [name]) } }
  }
}

/// Which tool of which server stands behind a tool that the model is offered. Part of the tool in the log, so that a call finds its way after a restart.
package struct MCPRoute: Sendable, Codable, Equatable {
  /// As the agent calls it.
  package var server: String
  /// As the server calls it.
  package var tool: String
  /// Its `inputSchema` is in a language that is not known here: only the server judges arguments by it.
  package var isUnjudged: Bool?

  package init(server: String, tool: String) {
    self.server = server
    self.tool = tool
  }
}

/// What an agent's servers have to offer.
package struct MCPOffer: Sendable, Equatable {
  package struct Entry: Sendable, Equatable {
    package var tool: Tool
    package var route: MCPRoute

    package init(tool: Tool, route: MCPRoute) {
      self.tool = tool
      self.route = route
    }
  }

  /// A server of which nothing is known, and why, in a sentence for the model.
  package struct Failure: Sendable, Equatable {
    package var server: String
    package var message: String

    package init(server: String, message: String) {
      self.server = server
      self.message = message
    }
  }

  /// By server name, and then in the server's order.
  package var tools: [Entry]
  package var failures: [Failure]

  package init(tools: [Entry] = [], failures: [Failure] = []) {
    self.tools = tools
    self.failures = failures
  }
}

/// A call of a server's tool.
package struct MCPCall: Sendable {
  package var runID: ULID
  package var callID: ULID
  package var route: MCPRoute
  /// What the model calls the tool.
  package var name: String
  package var arguments: CarriedJSON
  package var timeoutMilliseconds: Int?
  /// `_meta` of the `run.start`: goes along.
  package var meta: CarriedJSON?

  package init(
    runID: ULID, callID: ULID, route: MCPRoute, name: String, arguments: CarriedJSON, timeoutMilliseconds: Int? = nil,
    meta: CarriedJSON? = nil
  ) {
    self.runID = runID
    self.callID = callID
    self.route = route
    self.name = name
    self.arguments = arguments
    self.timeoutMilliseconds = timeoutMilliseconds
    self.meta = meta
  }
}

/// One run's hold on the servers of its agent. They are started when first needed, and may end a while after the last hold on them is given up.
package protocol MCPSession: AnyObject, Sendable {
  /// Has the servers say what they offer now; `completion` comes once, when each has told its tools or failed to.
  ///
  /// The first time, servers that were never heard of are waited for, even if they have failed others. Later, a server that has failed is started
  /// again without being waited for, and one that has told of a change of its list is waited for a moment.
  func prepare(_ completion: @escaping @Sendable (MCPOffer) -> Void)

  /// What is known now, without waiting. A server that has died keeps its place: a call starts it again.
  var offer: MCPOffer { get }

  /// Calls a tool. `progress` gets the members of MCP's progress notification, `completion` comes once; both from any thread.
  func start(
    _ call: MCPCall, progress: @escaping @Sendable (CarriedJSON) -> Void, completion: @escaping @Sendable (ToolResult) -> Void
  ) -> any RunningTool

  /// Gives up the hold, and with it the calls that are open.
  func end()
}

/// MCP servers as processes of this bridge, shared by the runs whose agents define the same one.
package protocol MCPServers: Sendable {
  /// - Throws: `unsupportedCapability` when this bridge starts none, `invalidParams` with a pointer below `pointer` for what cannot be started.
  func check(_ servers: [String: MCPServer], at pointer: String) throws(RuntimeError)

  /// - Parameter changed: Called from any thread whenever `offer` has become another.
  func open(_ servers: [String: MCPServer], changed: @escaping @Sendable () -> Void) -> any MCPSession
}

/// What a server asks while it works on a call.
package struct MCPQuestion: Sendable {
  /// `sampling/createMessage` or `elicitation/create`.
  package enum Method: Sendable { case createMessage, elicitation }

  package struct Origin: Sendable, Equatable {
    package var runID: ULID
    package var callID: ULID

    package init(runID: ULID, callID: ULID) {
      self.runID = runID
      self.callID = callID
    }
  }

  package var server: String
  package var method: Method
  /// The calls that are open at the server, the latest first. There is one at least, and more than one when the server does not say for which it asks.
  package var origins: [Origin]
  /// An object.
  package var params: CarriedJSON

  package init(server: String, method: Method, origins: [Origin], params: CarriedJSON) {
    self.server = server
    self.method = method
    self.origins = origins
    self.params = params
  }
}

package enum MCPAnswer: Sendable {
  /// MCP's result of the method, an object.
  case result(CarriedJSON)
  case error(code: Int, message: String)
}

/// Answers what servers ask.
package protocol MCPRespondent: AnyObject, Sendable {
  /// Which questions servers are told they may ask; others are refused without it.
  var answersSampling: Bool { get }
  var answersElicitation: Bool { get }

  /// `reply` comes once, from any thread; after `stop` it is not needed any more.
  func answer(_ question: MCPQuestion, reply: @escaping @Sendable (MCPAnswer) -> Void) -> any RunningTool
}

extension MCPOffer.Entry {
  /// A server's tool under the name that the model is given.
  ///
  /// - Parameters:
  ///   - listed: The tool as the server describes it: an object, of which nothing but the name is taken for granted.
  ///   - definition: Decides about approval and about repeats. A server's own word never permits a repeat.
  package init(name: String, route: MCPRoute, listed: CarriedJSON, definition: MCPServer) {
    let names = MCPToolName(own: route.tool, offered: name)
    func object(_ name: String) -> CarriedJSON? { listed[name].flatMap { $0.kind == .object || $0.kind == .bool ? $0 : nil } }
    let hints = listed["annotations"]
    var annotations = Tool.Annotations()
    annotations.destructiveHint = hints?["destructiveHint"]?.boolValue
    annotations.openWorldHint = hints?["openWorldHint"]?.boolValue
    if definition.allowsRepeats(of: names) {
      annotations.idempotentHint = true
      annotations.readOnlyHint = hints?["readOnlyHint"]?.boolValue
    }
    var tool = Tool(
      name: name, title: listed["title"]?.stringValue ?? hints?["title"]?.stringValue,
      description: listed["description"]?.stringValue ?? "",
      inputSchema: object("inputSchema") ?? CarriedJSON(trusted: Bytes(#"{"type":"object"}"#)), outputSchema: object("outputSchema"),
      annotations: annotations == Tool.Annotations() ? nil : annotations,
      requiresApproval: definition.requiresApproval?.covers(names) == true ? true : nil)
    tool.timeoutMs = definition.timeoutMs
    tool.maxResultBytes = definition.maxResultBytes
    tool.parallel = definition.parallel
    self.init(tool: tool, route: route)
  }
}
