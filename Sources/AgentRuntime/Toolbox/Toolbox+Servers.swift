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
    index = ToolboxIndex(self)
  }

  /// For people: servers that offer nothing, and tools whose arguments cannot be judged here.
  var serverWarnings: [String] {
    failures
      + self[.servers].tools.filter { $0.route?.isUnjudged == true }.map {
        "tool '\($0.name)': its schema cannot be read here, so that only the MCP server judges its arguments and results"
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
