import JSON

/// A run's hold on the MCP servers of its agent.
final class HeldServers {
  let session: any MCPSession
  /// What they offered when it was looked at last, as the servers said it and as it was judged.
  private var last: (told: MCPOffer, judged: MCPOffer)?

  init(_ session: any MCPSession) { self.session = session }

  /// What they offer now. `judge` is asked about each tool that is new.
  func offer(judge: (inout MCPOffer.Entry) -> Void) -> MCPOffer {
    let told = session.offer
    if let last, last.told == told { return last.judged }
    var judged = told
    for index in judged.tools.indices { judge(&judged.tools[index]) }
    last = (told, judged)
    return judged
  }
}

/// MCP servers of agents: protocol section 5 (b).
extension RunEngine {
  /// - Throws: `unsupportedCapability` when this bridge starts no servers; `invalidParams` for what cannot be started.
  func checkServers(of agent: Agent, at pointer: String) throws(RuntimeError) {
    guard agent.hasServers, let servers = agent.mcpServers else { return }
    guard let mcpServers else {
      throw RuntimeError(.unsupportedCapability, "this bridge starts no MCP servers", pointer: pointer + "/mcpServers")
    }
    try mcpServers.check(servers, at: pointer + "/mcpServers")
  }

  /// The run's hold on its agent's servers; nil when it has none.
  private func servers(of run: LiveRun) -> HeldServers? {
    if let servers = run.servers { return servers }
    guard let mcpServers, run.state.agent.hasServers, let definitions = run.state.agent.mcpServers else { return nil }
    questionsOfServers.note(parent?.abilities ?? ParentAbilities())
    // What changes is seen before the next model turn, which asks.
    let servers = HeldServers(mcpServers.open(definitions, changed: {}))
    run.servers = servers
    return servers
  }

  /// Has the servers say what they offer, and the run go on then.
  func askServers(_ run: LiveRun) {
    let runID = run.runID
    guard let servers = servers(of: run) else { return input(run) { (machine) throws(RuntimeError) in machine.serversAnswered() } }
    let session = servers.session
    session.prepare { [host, session] _ in
      host.post { engine in
        // A hold that was given up meanwhile may have nothing to say.
        guard engine.live[runID]?.servers?.session === session else { return }
        engine.signal(runID) { $0.serversAnswered() }
      }
    }
  }

  /// What the run's servers offer, as far as they have been heard; nil when none has been asked.
  func currentOffer(to run: LiveRun) -> MCPOffer? {
    run.servers?.offer { entry in
      // Other clients of MCP hand a schema on without reading it, and there are servers that rely on that.
      if let schema = entry.tool.inputSchema, !isUsable(schema) { entry.route.isUnjudged = true }
      if let schema = entry.tool.outputSchema, !isUsable(schema) {
        entry.tool.outputSchema = nil
        entry.route.isUnjudged = true
      }
    }
  }

  func isUsable(_ schema: CarriedJSON) -> Bool {
    do throws(RuntimeError) { _ = try schemas.schema(schema) } catch { return false }
    return true
  }

  /// Calls a server's tool.
  func startServerCall(
    _ call: MCPCall, _ run: LiveRun, progress: @escaping @Sendable (CarriedJSON) -> Void,
    completion: @escaping @Sendable (ToolResult) -> Void
  ) -> any RunningTool {
    if let servers = servers(of: run) { return servers.session.start(call, progress: progress, completion: completion) }
    completion(.failure("The agent has no MCP server '\(call.route.server)'."))
    return NothingRunning()
  }
}

/// A call that was over before it began.
private final class NothingRunning: RunningTool {
  func stop() {}
}
