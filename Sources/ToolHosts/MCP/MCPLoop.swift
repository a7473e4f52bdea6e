import AgentRuntime
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The thread of the servers: everything that is decided about them is decided here, one after the other. Waits for their processes, their errors and
/// their times together, and never for one of them.
final class MCPLoop {
  let mailbox: MCPMailbox
  let context: MCPContext
  private var servers: [MCPServerKey: MCPSharedServer] = [:]
  /// Those that ask without saying for which run.
  private var apart: Set<MCPServerKey> = []
  private var sessions: [Int: Holder] = [:]
  private var preparations: [Preparation] = []
  private var departing: [Departure] = []
  private var isClosed = false

  /// A session as this thread knows it.
  struct Holder {
    weak var session: MCPHeldServers?
    var keys: [String: MCPServerKey]
  }

  private struct Preparation {
    var session: Int
    var awaited: Set<MCPServerKey>
    /// A list that is read anew is not waited for any longer.
    var renewalDeadline: Int
    var completion: @Sendable (MCPOffer) -> Void
  }

  /// A process that is to end.
  private struct Departure {
    let name: String
    let connection: MCPConnection
    var ending: MCPEnding
  }

  init(mailbox: MCPMailbox, context: MCPContext) {
    self.mailbox = mailbox
    self.context = context
  }

  func server(_ key: MCPServerKey) -> MCPSharedServer? { servers[key] }

  /// Runs that hold such a server from now on have a process each.
  func keepApart(_ key: MCPServerKey) { apart.insert(key) }

  /// Returns when it was closed and the last process is gone, or cannot be ended.
  func run() {
    // A server may end without reading: writing to it then fails with EPIPE. The threads of its conversation inherit this.
    Signals.block([SIGPIPE])
    var wakeAt = Int.max
    while true {
      let watched = servers.values.compactMap(\.connection) + departing.map(\.connection)
      let poll = wait(for: watched, until: wakeAt)
      let now = Clock.monotonicMilliseconds()
      if poll.seen(0) != [] { mailbox.wake.drain() }
      for (index, connection) in watched.enumerated() { connection.take(poll, from: 1 + index * MCPConnection.watchedDescriptors, at: now) }
      for task in mailbox.take() { task(self) }
      wakeAt = advance(at: Clock.monotonicMilliseconds())
      if isClosed, departing.isEmpty { break }
    }
    for task in mailbox.end() { task(self) }
  }

  private func wait(for watched: [MCPConnection], until wakeAt: Int) -> PollSet {
    var poll = PollSet(count: 1 + watched.count * MCPConnection.watchedDescriptors)
    poll.watch(0, mailbox.wake.descriptor, for: .readable)
    for (index, connection) in watched.enumerated() { connection.watch(in: &poll, from: 1 + index * MCPConnection.watchedDescriptors) }
    let timeout = wakeAt == .max ? nil : min(max(0, wakeAt - Clock.monotonicMilliseconds()), 3_600_000)
    do throws(SystemError) { try poll.wait(timeoutMilliseconds: timeout) } catch {
      // Out of kernel memory for a moment, or more descriptors than the process may have; deadlines go on.
      context.log("waiting for MCP servers failed: \(error)")
      _ = PollSet.look(mailbox.wake.descriptor, for: .readable, timeoutMilliseconds: 50)
    }
    return poll
  }

  private func advance(at now: Int) -> Int {
    var wakeAt = Int.max
    for server in Array(servers.values) {
      wakeAt = min(wakeAt, server.advance(at: now))
      if server.isForgettable(at: now) { servers[server.key] = nil }
    }
    // A server may have been dismissed just now.
    return min(wakeAt, advanceDepartures(at: now), finishPreparations(at: now))
  }

  func note(_ name: String, _ words: String) { context.log("MCP server '\(name)' \(words)") }

  // MARK: Processes that end

  /// Closes the server's input and sees to it that the process ends.
  func dismiss(_ connection: MCPConnection, of server: MCPSharedServer, at now: Int) {
    connection.close()
    guard connection.reap() == nil, !connection.child.hasExited else { return }
    var ending = MCPEnding(closedAt: now)
    if isClosed { ending.hurryUp() }
    departing.append(Departure(name: server.name, connection: connection, ending: ending))
  }

  private func advanceDepartures(at now: Int) -> Int {
    var wakeAt = Int.max
    var index = 0
    while index < departing.count {
      let connection = departing[index].connection
      switch departing[index].ending.next(at: now, hasExited: connection.child.hasExited) {
      case .wait(let time):
        wakeAt = min(wakeAt, time)
        index += 1
      case .terminate: connection.child.kill(SIGTERM)
      case .kill: connection.child.kill(SIGKILL)
      case .finish:
        if connection.reap() == nil { note(departing[index].name, "could not be killed") }
        departing.remove(at: index)
      }
    }
    return wakeAt
  }

  // MARK: Sessions

  func open(_ id: Int, _ session: MCPHeldServers) {
    let now = Clock.monotonicMilliseconds()
    var keys: [String: MCPServerKey] = [:]
    for (name, definition) in session.definitions {
      var key = MCPServerKey(definition)
      if apart.contains(key) { key.session = id }
      keys[name] = key
      let server = servers[key] ?? MCPSharedServer(key, name: name, loop: self, at: now)
      servers[key] = server
      server.holders.insert(id)
    }
    sessions[id] = Holder(session: session, keys: keys)
    session.update(offer(to: session, keys))
  }

  func prepare(_ id: Int, isFirst: Bool, _ completion: @escaping @Sendable (MCPOffer) -> Void) {
    guard let holder = sessions[id], !isClosed else { return completion(MCPOffer()) }
    let now = Clock.monotonicMilliseconds()
    let awaited = Set(holder.keys.values).filter { servers[$0]?.want(isFirst: isFirst, at: now) == true }
    preparations.append(
      Preparation(
        session: id, awaited: awaited, renewalDeadline: now + context.limits.renewalMilliseconds, completion: completion))
  }

  func end(_ id: Int) {
    guard let holder = sessions.removeValue(forKey: id) else { return }
    let now = Clock.monotonicMilliseconds()
    for key in Set(holder.keys.values) {
      guard let server = servers[key] else { continue }
      server.stopCalls(of: id)
      server.holders.remove(id)
      if server.holders.isEmpty { server.idleSince = now }
    }
  }

  /// A server has become ready, has failed to, or has told its tools anew.
  func settled(_ server: MCPSharedServer) {
    for id in server.holders {
      guard let holder = sessions[id], let session = holder.session else { continue }
      session.update(offer(to: session, holder.keys))
    }
  }

  /// Tells those whose servers have been heard.
  /// - Returns: when to look again at the latest.
  private func finishPreparations(at now: Int) -> Int {
    var rest: [Preparation] = []
    var wakeAt = Int.max
    for preparation in preparations {
      guard let session = sessions[preparation.session]?.session else {
        preparation.completion(MCPOffer())
        continue
      }
      let isRenewing = now < preparation.renewalDeadline && preparation.awaited.contains { servers[$0]?.isRenewing == true }
      if isRenewing || preparation.awaited.contains(where: { servers[$0]?.isWanted == true }) {
        rest.append(preparation)
        if isRenewing { wakeAt = min(wakeAt, preparation.renewalDeadline) }
      } else {
        preparation.completion(session.offer)
      }
    }
    preparations = rest
    return wakeAt
  }

  private func offer(to session: MCPHeldServers, _ keys: [String: MCPServerKey]) -> MCPOffer {
    var offer = MCPOffer()
    var names = MCPToolNames()
    for (name, definition) in session.definitions.sorted(by: { $0.key < $1.key }) {
      guard let server = keys[name].flatMap({ servers[$0] }) else { continue }
      guard let tools = server.tools else {
        if let failure = server.failure {
          offer.failures.append(MCPOffer.Failure(server: name, message: "The MCP server '\(name)' \(failure)."))
        }
        continue
      }
      let named = tools.map { (tool: $0, names: MCPToolName(own: $0.name, offered: names.name(server: name, tool: $0.name))) }
      // Of a gate whose place is not known, all tools get one: a slip of the pen must not take it away.
      let lacking = definition.requiresApproval?.names(besides: named.map(\.names)) ?? []
      for (tool, toolNames) in named where definition.offers(toolNames) {
        var entry = MCPOffer.Entry(
          name: toolNames.offered, route: MCPRoute(server: name, tool: toolNames.own), listed: tool.json, definition: definition)
        if !lacking.isEmpty { entry.tool.requiresApproval = true }
        offer.tools.append(entry)
      }
    }
    return offer
  }

  // MARK: Calls

  func call(_ call: MCPOpenCall) {
    guard !isClosed, let key = sessions[call.session]?.keys[call.call.route.server], let server = servers[key] else {
      return call.fail("was not asked: \(isClosed ? "the bridge is about to end" : "the run has let go of it")")
    }
    server.add(call, at: Clock.monotonicMilliseconds())
  }

  func stop(_ id: Int, of session: Int) {
    for key in Set(sessions[session]?.keys.values.map { $0 } ?? []) { servers[key]?.stop(id) }
  }

  // MARK: End

  func close() {
    guard !isClosed else { return }
    isClosed = true
    for index in departing.indices { departing[index].ending.hurryUp() }
    let now = Clock.monotonicMilliseconds()
    for server in servers.values { server.close(at: now) }
    for preparation in preparations { preparation.completion(MCPOffer()) }
    preparations = []
  }
}
