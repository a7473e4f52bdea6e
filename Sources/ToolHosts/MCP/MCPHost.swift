package import AgentRuntime
import JSON
package import POSIXSupport

/// MCP servers over stdio, shared by the runs whose agents define the same one.
///
/// A server is started when it is first needed, and told to end a while after the last run has let go of it. One thread decides everything about all of
/// them; each has two more for its conversation (`Peer`). What the bridge starts ends with it, however that ends (`ChildGuard`).
package final class MCPHost: MCPServers {
  private struct State: Sendable {
    var mailbox: MCPMailbox?
    var lastSession = 0
    var lastCall = 0
    var isClosed = false
    weak var respondent: (any MCPRespondent)?
  }

  private let environment: @Sendable () -> [String: String?]
  private let allowsServers: Bool
  private let children: ChildGuard
  private let version: String
  private let limits: MCPLimits
  private let log: @Sendable (_ message: String) -> Void
  private let state = Monitor(State())

  /// - Parameters:
  ///   - environment: The bridge's, nil for a value that is not UTF-8; asked for when the first server is started.
  ///   - version: Of the bridge, for the servers to know.
  ///   - log: Gets what servers say on stderr and how they end; no value of their `env`.
  package init(
    environment: @escaping @Sendable () -> [String: String?], allowsServers: Bool, children: ChildGuard, version: String,
    limits: MCPLimits = MCPLimits(), log: @escaping @Sendable (_ message: String) -> Void
  ) {
    self.environment = environment
    self.allowsServers = allowsServers
    self.children = children
    self.version = version
    self.limits = limits
    self.log = log
  }

  // The thread ends after the last process.
  deinit { state.withLock { $0.mailbox }?.post { $0.close() } }

  /// Says who answers the questions of servers; not kept. A server learns when it is started what it may ask.
  package func connect(_ respondent: any MCPRespondent) { state.withLock { $0.respondent = respondent } }

  package func check(_ servers: [String: MCPServer], at pointer: String) throws(RuntimeError) {
    guard allowsServers || servers.isEmpty else {
      throw RuntimeError(
        .unsupportedCapability, "the agent has MCP servers, and this bridge was told to run none (--no-commands)", pointer: pointer)
    }
    for (name, server) in servers.sorted(by: { $0.key < $1.key }) {
      if name.isEmpty || name.utf8.contains(0) { throw .invalidParams("an MCP server needs a name", at: pointer) }
      try server.check(at: "\(pointer)/\(JSONPointer.escape(name))")
    }
  }

  package func open(_ servers: [String: MCPServer], changed: @escaping @Sendable () -> Void) -> any MCPSession {
    let id = state.withLock { state in
      state.lastSession += 1
      return state.lastSession
    }
    let mailbox = allowsServers && !servers.isEmpty ? threadMailbox() : nil
    let session = MCPHeldServers(
      id: id, servers, mailbox: mailbox, limits: limits,
      nextCall: { [state] in
        state.withLock { state in
          state.lastCall += 1
          return state.lastCall
        }
      }, changed: changed)
    mailbox?.post { [weak session] loop in
      if let session { loop.open(id, session) }
    }
    return session
  }

  /// The mailbox of the thread, which is made for the first session.
  private func threadMailbox() -> MCPMailbox? {
    do throws(SystemError) {
      return try state.withLock { (state) throws(SystemError) -> MCPMailbox? in
        if let mailbox = state.mailbox { return mailbox }
        guard !state.isClosed else { return nil }
        let mailbox = try MCPMailbox()
        try Thread.start(name: "mcp") { [environment, children, version, limits, log, state = self.state] in
          let context = MCPContext(
            environment: CommandEnvironment(bridge: environment()), children: children, version: version, limits: limits, log: log,
            respondent: { state.withLock { $0.respondent } })
          MCPLoop(mailbox: mailbox, context: context).run()
        }
        state.mailbox = mailbox
        return mailbox
      }
    } catch {
      log("MCP servers cannot be run: \(error)")
      return nil
    }
  }

  /// Begins to end all servers; for the end of the process. Nothing starts any more.
  package func close() {
    let mailbox = state.withLock { state in
      state.isClosed = true
      return state.mailbox
    }
    mailbox?.post { $0.close() }
  }

  /// Ends all servers and waits for them, less than a second.
  package func shutdown() {
    close()
    state.withLock { $0.mailbox }?.awaitEnd(untilMilliseconds: Clock.monotonicMilliseconds() + 800)
  }
}
