import AgentRuntime
import JSON
import POSIXSupport

/// One run's hold on its agent's servers, as others see it.
final class MCPHeldServers: MCPSession {
  private struct State: Sendable {
    var offer = MCPOffer()
    var hasPrepared = false
    var hasEnded = false
  }

  let definitions: [String: MCPServer]
  private let id: Int
  private let mailbox: MCPMailbox?
  private let nextCall: @Sendable () -> Int
  private let limits: MCPLimits
  private let changed: @Sendable () -> Void
  private let state = Monitor(State())

  /// - Parameter mailbox: Nil when no thread could be made: then nothing is there to hold.
  init(
    id: Int, _ definitions: [String: MCPServer], mailbox: MCPMailbox?, limits: MCPLimits, nextCall: @escaping @Sendable () -> Int,
    changed: @escaping @Sendable () -> Void
  ) {
    self.id = id
    self.definitions = definitions
    self.mailbox = mailbox
    self.limits = limits
    self.nextCall = nextCall
    self.changed = changed
  }

  deinit { end() }

  var offer: MCPOffer { state.withLock { $0.offer } }

  /// From the thread of the servers.
  func update(_ offer: MCPOffer) {
    let isNews = state.withLock { state in
      guard state.offer != offer else { return false }
      state.offer = offer
      return true
    }
    if isNews { changed() }
  }

  func prepare(_ completion: @escaping @Sendable (MCPOffer) -> Void) {
    let id = id
    let isFirst = state.withLock { state in
      defer { state.hasPrepared = true }
      return !state.hasPrepared
    }
    if mailbox?.post({ $0.prepare(id, isFirst: isFirst, completion) }) != true { completion(nothing) }
  }

  /// What is offered when there is nobody to ask.
  private var nothing: MCPOffer {
    MCPOffer(failures: definitions.keys.sorted().map { MCPOffer.Failure(server: $0, message: "The MCP server '\($0)' was not started.") })
  }

  func start(
    _ call: MCPCall, progress: @escaping @Sendable (CarriedJSON) -> Void, completion: @escaping @Sendable (ToolResult) -> Void
  ) -> any RunningTool {
    let number = nextCall()
    let session = id
    let handle = Handle(id: number, session: session, mailbox: mailbox)
    let server = call.route.server
    guard let definition = definitions[server] else {
      completion(.failure("The agent has no MCP server '\(server)'."))
      return handle
    }
    guard definition.offers(MCPToolName(own: call.route.tool, offered: call.name)) else {
      completion(.failure("The agent does not offer this tool of the MCP server '\(server)'."))
      return handle
    }
    let now = Clock.monotonicMilliseconds()
    let sink = MCPProgressSink(limits: limits, show: progress)
    let isPosted = mailbox?.post { loop in
      loop.call(MCPOpenCall(id: number, session: session, call: call, sink: sink, at: now, completion: completion))
    }
    if isPosted != true { completion(.failure("The MCP server '\(server)' was not asked: the bridge is about to end.")) }
    return handle
  }

  func end() {
    let id = id
    let isFirst = state.withLock { state in
      defer { state.hasEnded = true }
      return !state.hasEnded
    }
    if isFirst { mailbox?.post { $0.end(id) } }
  }

  private final class Handle: RunningTool {
    private let id: Int
    private let session: Int
    private let mailbox: MCPMailbox?

    init(id: Int, session: Int, mailbox: MCPMailbox?) {
      self.id = id
      self.session = session
      self.mailbox = mailbox
    }

    func stop() {
      let (id, session) = (id, session)
      mailbox?.post { $0.stop(id, of: session) }
    }
  }
}
