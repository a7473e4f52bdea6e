/// What the agent's MCP servers offer.
extension Toolbox {
  /// Puts it in the place of what they offered before.
  mutating func take(_ offer: MCPOffer) {
    let tools = offer.tools.map { entry in
      var tool = entry.tool
      tool.route = entry.route
      return tool
    }
    let failures = Dictionary(offer.failures.map { ($0.server, $0.message) }, uniquingKeysWith: { first, _ in first })
    guard tools != self[.servers].tools || failures != failedServers else { return }
    self[.servers] = Registrations(tools: tools)
    failedServers = failures
  }

  /// For people: servers that offer nothing, tools whose arguments cannot be judged here, and gates that fit no tool.
  func serverWarnings(of agent: Agent) -> [String] {
    failures
      + self[.servers].tools.filter { $0.route?.isUnjudged == true }.map {
        "tool '\($0.name)': its schema cannot be read here, so that only the MCP server judges its arguments and results"
      } + misplacedGates(of: agent)
  }

  private func misplacedGates(of agent: Agent) -> [String] {
    (agent.mcpServers ?? [:]).sorted { $0.key < $1.key }.compactMap { name, server in
      guard case .named(let names)? = server.requiresApproval else { return nil }
      let tools = self[.servers].tools.filter { $0.route?.server == name }
      let toolNames = tools.map { MCPToolName(own: $0.route?.tool ?? "", offered: $0.name) }
      guard zip(tools, toolNames).contains(where: { $0.requiresApproval == true && !$1.isOne(of: names) }) else { return nil }
      let lacking = server.requiresApproval?.names(besides: toolNames) ?? []
      return
        "mcpServers '\(name)': requiresApproval names what is none of its tools (\(lacking.joined(separator: ", "))); all of them need approval"
    }
  }

  /// What the model is told of servers that offer nothing.
  var shownFailures: String? {
    failures.isEmpty ? nil : "Tools that are not available now:\n" + failures.map { "- \($0)" }.joined(separator: "\n")
  }

  /// In sentences, by the names of the servers.
  var failures: [String] { failedServers.sorted { $0.key < $1.key }.map(\.value) }
}

extension Registrations {
  var routes: [String: MCPRoute]? {
    let routes = tools.compactMap { tool in tool.route.map { (tool.name, $0) } }
    return routes.isEmpty ? nil : Dictionary(routes, uniquingKeysWith: { first, _ in first })
  }

  mutating func take(routes: [String: MCPRoute]) {
    for index in tools.indices where !routes.isEmpty { tools[index].route = routes[tools[index].name] }
  }
}
