import AgentRuntime
import JSON
import JSONRPC
import POSIXSupport

/// One server that agents have defined: whether it runs, what it offers, and who waits for it. Belongs to the thread of the servers.
final class MCPSharedServer {
  enum Phase {
    case stopped
    case starting(MCPConnection)
    case ready(MCPConnection)
  }

  let key: MCPServerKey
  /// As the agent that came first calls it; for the log.
  let name: String
  unowned let loop: MCPLoop
  var context: MCPContext { loop.context }

  var phase = Phase.stopped
  /// Grows with every start: what comes from an earlier process is not taken for that of this one.
  var generation = 0
  /// Somebody waits for the list of tools.
  var isWanted = false
  /// Why the last start failed, in words that go on after the server's name.
  private(set) var failure: String?
  private var failures = 0
  private var retryAt = 0

  /// Sessions.
  var holders: Set<Int> = []
  var idleSince: Int

  var dialect: MCPDialect
  var negotiation = MCPNegotiation()
  var agreement: MCPAgreement?
  /// The last list that was read whole; stays when the server dies.
  var tools: [MCPListedTool]?
  var listing: Listing?
  /// The list is to be read again.
  var isListStale = false
  var listedAt = 0
  /// How often it was begun to be read.
  var listCount = 0

  struct Listing {
    var number: Int
    var list: MCPToolList
    var deadline: Int
  }

  /// When a server that is under suspicion must have shown that it lives; nil while there is no doubt.
  var suspectUntil: Int?
  /// Not sent yet.
  var waiting: [MCPOpenCall] = []
  var open: [Int: MCPOpenCall] = [:]
  var questions: [Int: Question] = [:]
  var nextQuestion = 0

  struct Question {
    var request: IncomingRequest
    /// Those that were open when it was asked: for which of them it is, the server does not say.
    var calls: Set<Int>
    var running: (any RunningTool)?
  }

  init(_ key: MCPServerKey, name: String, loop: MCPLoop, at now: Int) {
    self.key = key
    self.name = name
    self.loop = loop
    idleSince = now
    dialect = MCPDialect(client: loop.context.client, isStateless: false)
  }

  var connection: MCPConnection? {
    switch phase {
    case .stopped: nil
    case .starting(let connection), .ready(let connection): connection
    }
  }

  var isReady: Bool { if case .ready = phase { true } else { false } }
  var isStarting: Bool { if case .starting = phase { true } else { false } }

  // MARK: What is due

  /// Does what is due and says when to be asked again.
  func advance(at now: Int) -> Int {
    switch phase {
    case .stopped:
      guard isWanted || !waiting.isEmpty else { return .max }
      guard now >= retryAt else { return retryAt }
      start(at: now)
      return advance(at: now)
    case .starting(let connection):
      if let loss = connection.lossDue(at: now) {
        guard loss.isLost else { return loss.lookAt }
        failStart(MCPConnection.words(connection.reap()) + " before it was ready", at: now)
        return .max
      }
      let deadline = connection.startedAt + context.limits.startMilliseconds
      guard now >= deadline else { return deadline }
      failStart("did not answer \(pendingStep) within \(context.limits.startMilliseconds) ms", at: now)
      return .max
    case .ready(let connection):
      if let loss = connection.lossDue(at: now) {
        guard loss.isLost else { return loss.lookAt }
        lose(connection, at: now)
        return advance(at: now)
      }
      var next = advanceCalls(at: now)
      if let suspectUntil, open.isEmpty {
        guard now < suspectUntil else {
          giveUp(connection, at: now)
          return advance(at: now)
        }
        next = min(next, suspectUntil)
      }
      return min(next, advanceWaiting(at: now), advanceList(at: now), advanceIdleness(at: now))
    }
  }

  private var pendingStep: String { listing != nil ? "tools/list" : "initialize" }

  private func advanceIdleness(at now: Int) -> Int {
    guard holders.isEmpty, open.isEmpty, waiting.isEmpty else { return .max }
    let end = idleSince + context.limits.idleMilliseconds
    guard now >= end else { return end }
    stop(at: now)
    return .max
  }

  /// Nobody holds it, and there is nothing to remember of it.
  func isForgettable(at now: Int) -> Bool {
    guard case .stopped = phase else { return false }
    return holders.isEmpty && waiting.isEmpty && !isWanted && now >= retryAt
  }

  // MARK: Start

  /// Somebody needs the list of tools. One that is known stays, though the server may have died: a call starts it again.
  /// - Returns: whether there is something to wait for.
  func want(isFirst: Bool, at now: Int) -> Bool {
    if isReady { return isRenewing }
    guard tools == nil else { return false }
    if failure != nil {
      // A server that has just failed is not waited for: whoever asks is told at once.
      if isFirst, retryAt - now > context.limits.firstBackoffMilliseconds { return false }
      isWanted = true
      return isFirst
    }
    isWanted = true
    return true
  }

  /// It has told of a change of its list, which is read anew.
  var isRenewing: Bool { isReady && (isListStale || listing != nil) }

  private func start(at now: Int) {
    generation += 1
    let generation = generation
    let key = key
    let mailbox = loop.mailbox
    negotiation = MCPNegotiation()
    agreement = nil
    listing = nil
    isListStale = false
    suspectUntil = nil
    dialect = MCPDialect(client: context.client, isStateless: false)
    do throws(CommandError) {
      let connection = try MCPConnection(key, name: name, context: context) { report in
        mailbox.post { $0.server(key)?.take(report, of: generation) }
      }
      phase = .starting(connection)
      ask("initialize", dialect.initialize(), carrying: ["/capabilities/experimental", "/_meta"]) { server, reply in
        server.follow(server.negotiation.initialized(reply))
      }
    } catch {
      // The words of others are sentences; these go on.
      failStart("could not be started: \(error.message.hasSuffix(".") ? String(error.message.dropLast()) : error.message)", at: now)
    }
  }

  private func follow(_ step: MCPNegotiation.Step) {
    switch step {
    case .discover:
      dialect.isStateless = true
      ask("server/discover", dialect.discover(), carrying: ["/_meta", "/capabilities/experimental", "/capabilities/extensions"]) {
        server, reply in server.follow(server.negotiation.discovered(reply))
      }
    case .agreed(let agreement):
      self.agreement = agreement
      dialect.isStateless = agreement.isStateless
      if !agreement.isStateless { connection?.peer?.notify("notifications/initialized", .emptyObject) }
      readList(at: Clock.monotonicMilliseconds())
    case .failed(let words): failStart(words, at: Clock.monotonicMilliseconds())
    }
  }

  /// The first list is there.
  func becomeReady(at now: Int) {
    guard case .starting(let connection) = phase else { return }
    phase = .ready(connection)
    failure = nil
    isWanted = false
    idleSince = now
    if agreement?.isStateless == true, agreement?.announcesChanges == true {
      // Stays open as long as the server; what its end means is seen by the end of the server.
      ask("subscriptions/listen", dialect.listen(), carrying: .everything) { _, _ in }
    }
    let calls = waiting
    waiting = []
    for call in calls { send(call, at: now) }
  }

  func failStart(_ words: String, at now: Int) {
    if let connection { loop.dismiss(connection, of: self, at: now) }
    phase = .stopped
    generation += 1
    listing = nil
    failure = words
    isWanted = false
    backOff(at: now)
    loop.note(name, words)
    let calls = waiting
    waiting = []
    for call in calls { call.fail(words) }
    loop.settled(self)
  }

  private func backOff(at now: Int) {
    let limits = context.limits
    let pause = min(limits.longestBackoffMilliseconds, limits.firstBackoffMilliseconds << min(failures, 16))
    failures += 1
    retryAt = now + pause
  }

  /// It works: the next failure is a first one.
  func succeeded() { failures = 0 }

  // MARK: End

  /// The server has ended by itself.
  private func lose(_ connection: MCPConnection, at now: Int) {
    let words = MCPConnection.words(connection.reap())
    loop.dismiss(connection, of: self, at: now)
    phase = .stopped
    generation += 1
    listing = nil
    backOff(at: now)
    loop.note(name, words)
    let calls = open.values.sorted { $0.id < $1.id }
    open = [:]
    endQuestions()
    for call in calls { call.fail("\(words) while it worked on this call; whether it took effect is unknown") }
  }

  /// It has stopped to read. Nothing that it was sent is open any more; what waits goes to another process.
  private func giveUp(_ connection: MCPConnection, at now: Int) {
    loop.note(name, "does not answer any more, and is ended")
    loop.dismiss(connection, of: self, at: now)
    phase = .stopped
    generation += 1
    listing = nil
    backOff(at: now)
    endQuestions()
  }

  /// Tells it to end, because nobody needs it.
  func stop(at now: Int) {
    endQuestions()
    if let connection { loop.dismiss(connection, of: self, at: now) }
    phase = .stopped
    generation += 1
    listing = nil
  }

  /// The bridge ends: every call gets its result now.
  func close(at now: Int) {
    let calls = open.values.sorted { $0.id < $1.id }
    let unsent = waiting
    open = [:]
    waiting = []
    isWanted = false
    for call in calls { call.fail("was stopped, because the bridge is about to end; whether the call took effect is unknown") }
    for call in unsent { call.fail("was not asked: the bridge is about to end") }
    stop(at: now)
  }

  // MARK: Requests

  /// Asks the server; the reply comes on this thread, unless the process is another one by then. Its loss is not told by a reply.
  func ask(
    _ method: StaticString, _ params: CarriedJSON, carrying: CarriedPaths, then: @escaping @Sendable (MCPSharedServer, PeerReply) -> Void
  ) {
    let generation = generation
    let key = key
    let mailbox = loop.mailbox
    let tell: @Sendable (PeerReply) -> Void = { reply in
      if reply == .closed { return }
      mailbox.post { loop in
        guard let server = loop.server(key), server.generation == generation else { return }
        then(server, reply)
      }
    }
    connection?.peer?.request(method, { _ in params }, carrying: carrying, reply: tell)
  }

  private func take(_ report: MCPReport, of generation: Int) {
    guard generation == self.generation, let connection else {
      if case .asked(_, let request) = report { request.fail(RPCError(code: -32603, message: "the call is over")) }
      return
    }
    switch report {
    case .listChanged: isListStale = true
    case .asked(let method, let request): asked(method, request)
    case .ended: connection.outputEnded(at: Clock.monotonicMilliseconds())
    }
  }
}
