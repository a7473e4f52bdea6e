import AgentRuntime
import JSON
import JSONRPC
import POSIXSupport

/// What a connection has to tell the thread of the servers.
enum MCPReport: Sendable {
  case listChanged
  /// The request is to be answered.
  case asked(MCPQuestion.Method, IncomingRequest)
  /// No message can come any more.
  case ended
}

/// Takes what a server sends by itself; on the connection's reader thread.
final class MCPHandler: PeerHandler {
  private struct State: Sendable {
    var sinks: [String: MCPProgressSink] = [:]
    /// A change was reported that nobody has looked at yet.
    var hasReportedChange = false
    var questions = 0
  }

  private let client: MCPClient
  private let limits: MCPLimits
  private let log: MCPLog
  private let report: @Sendable (MCPReport) -> Void
  private let state = Monitor(State())

  init(client: MCPClient, limits: MCPLimits, log: MCPLog, report: @escaping @Sendable (MCPReport) -> Void) {
    self.client = client
    self.limits = limits
    self.log = log
    self.report = report
  }

  // MARK: From the thread of the servers

  /// Progress of the request with that id goes to `sink` from now on.
  func follow(_ id: RequestID, _ sink: MCPProgressSink) { state.withLock { $0.sinks[id.json.bytes.string] = sink } }
  func unfollow(_ id: RequestID) { _ = state.withLock { $0.sinks.removeValue(forKey: id.json.bytes.string) } }

  /// The list is about to be read: what changes from here on is to be reported.
  func takeChange() { state.withLock { $0.hasReportedChange = false } }
  func questionEnded() { state.withLock { $0.questions -= 1 } }

  // MARK: From the reader

  func knows(method: String) -> Bool {
    switch method {
    case "ping", "roots/list": true
    case "sampling/createMessage": client.answersSampling
    case "elicitation/create": client.answersElicitation
    // Those that mean nothing here are passed over in silence.
    default: method.hasPrefix("notifications/")
    }
  }

  func carriedPaths(ofMethod method: String) -> CarriedPaths {
    switch method {
    case "sampling/createMessage":
      ["/messages/*/content", "/tools/*/inputSchema", "/tools/*/outputSchema", "/metadata", "/_meta"]
    case "elicitation/create": ["/requestedSchema", "/_meta"]
    default: .none
    }
  }

  func peer(_ peer: Peer, received request: IncomingRequest) {
    switch request.method {
    case "ping": request.succeed(.emptyObject)
    case "roots/list": request.succeed(Self.noRoots)
    case "sampling/createMessage": ask(.createMessage, request)
    case "elicitation/create": ask(.elicitation, request)
    default: request.fail(RPCError(code: -32601, message: "Method not found"))
    }
  }

  static let noRoots = CarriedJSON(trusted: Bytes(#"{"roots":[]}"#))

  private func ask(_ method: MCPQuestion.Method, _ request: IncomingRequest) {
    let isTooMany = state.withLock { state in
      if state.questions >= limits.questions { return true }
      state.questions += 1
      return false
    }
    if isTooMany { request.fail(RPCError(code: -32603, message: "too many questions are open")) } else { report(.asked(method, request)) }
  }

  func peer(_ peer: Peer, receivedNotification method: String, params: CarriedJSON?) {
    switch method {
    case "notifications/progress": progress(params)
    case "notifications/cancelled":
      if let id = params?["requestId"].flatMap({ RequestID($0) }) { peer.openRequest(id)?.cancel() }
    case "notifications/tools/list_changed":
      let isNews = state.withLock { state in
        defer { state.hasReportedChange = true }
        return !state.hasReportedChange
      }
      if isNews { report(.listChanged) }
    case "notifications/message":
      let data = params?["data"]
      log.line("\(params?["level"]?.stringValue ?? "message"): \(data?.stringValue ?? data?.bytes.string ?? "")", from: "log")
    default: break
    }
  }

  private func progress(_ params: CarriedJSON?) {
    guard let params, let token = params["progressToken"], let sink = state.withLock({ $0.sinks[token.bytes.string] }) else { return }
    sink.take(params, at: Clock.monotonicMilliseconds())
  }

  func peer(_ peer: Peer, inputEnded reason: InputEnd) { report(.ended) }
  func peerLostOutput(_ peer: Peer) { report(.ended) }
  func peerHasRoom(_ peer: Peer) {}
  func peer(_ peer: Peer, ignored what: String) { log.line(what, from: "stdout") }
}

/// Where the progress of one call goes, and when the last came.
final class MCPProgressSink: Sendable {
  private static let longestBytes = 32 << 10

  private struct State: Sendable {
    var bucket: Bucket
    var lastAt: Int?
  }

  private let state: Monitor<State>
  private let show: @Sendable (CarriedJSON) -> Void

  init(limits: MCPLimits, show: @escaping @Sendable (CarriedJSON) -> Void) {
    state = Monitor(State(bucket: Bucket(burst: limits.burst, perSecond: limits.perSecond)))
    self.show = show
  }

  var lastAt: Int? { state.withLock { $0.lastAt } }

  /// Shows it, unless there is too much of it; it counts in any case.
  func take(_ params: CarriedJSON, at now: Int) {
    let isShown = state.withLock { state in
      state.lastAt = now
      return state.bucket.take(at: now)
    }
    guard isShown, params.bytes.count <= Self.longestBytes else { return }
    var writer = JSONWriter()
    writer.beginObject()
    for (name, kind) in [("progress", CarriedJSON.Kind.number), ("total", .number), ("message", .string)] {
      guard let value = params[name], value.kind == kind else { continue }
      writer.key(escaping: name)
      writer.value(value)
    }
    writer.endObject()
    show(CarriedJSON(trusted: writer.finish()))
  }
}
