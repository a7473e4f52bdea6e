import JSON
import JSONRPC
import POSIXSupport
import TestSupport
import Testing

/// A handler with a few methods of its own that writes down what it is told.
///
/// The notification `block` keeps the reader thread inside the handler until the test lets it go, or for the milliseconds it gives.
/// `work` has it work when it would rest, while another thread stands in for it, until `release`.
/// `echo` answers with its params, `hold` waits for `release` or `cancel`, `drop` forgets its request, `ask` makes a request of the other side.
final class ScriptedHandler: PeerHandler {
  struct State {
    var log: [String] = []
    var held: [IncomingRequest] = []
    var hasEnded = false
    var hasLostOutput = false
    var roomCount = 0
    var echoCount = 0
    var isReleased = false
    var hasWork = false
    var patience: Int?
  }

  let state = Monitor(State())

  var log: [String] { state.withLock { $0.log } }

  func note(_ line: String) { state.update { $0.log.append(line) } }

  /// The requests that are held, when there are so many.
  func held(_ count: Int) throws -> [IncomingRequest] {
    try state.wait(for: "the handler's request \(count)") { $0.held.count == count ? $0.held : nil }
  }

  /// Waits until that is so of the state; an issue when it does not come to be in a minute, as a test that waits for ever would hide which one it is.
  func wait(_ what: String, until condition: @Sendable (State) -> Bool) {
    let log: [String]? = state.wait(untilMilliseconds: Patience.deadline) { condition($0) ? $0.log : nil }
    if log == nil { Issue.record("\(what) does not come; the log is \(self.log)") }
  }

  func knows(method: String) -> Bool { ["echo", "hold", "drop", "ask", "release", "cancel", "note", "block", "work"].contains(method) }

  func patienceAfterInput(of peer: Peer) -> Int? { state.withLock { $0.patience } }

  func carriedPaths(ofMethod method: String) -> CarriedPaths { ["/free"] }

  func peer(_ peer: Peer, received request: IncomingRequest) {
    switch request.method {
    case "echo":
      state.withLock { $0.echoCount += 1 }
      request.succeed(request.params ?? .emptyObject)
    case "hold":
      request.onCancel { [weak self, weak request] _ in
        guard let self, let request else { return }
        request.fail(RPCError(code: -32800, message: "cancelled"))
        self.state.withLock { $0.held.removeAll { $0.id == request.id } }
      }
      // Last: a test that sees it may say itself what a cancel does.
      state.update { $0.held.append(request) }
    case "ask":
      peer.request(
        "question", { CarriedJSON(trusted: Bytes("{\"token\":\($0)}")) }, carrying: ["/free"],
        reply: { [weak self] reply in self?.note("reply \(Self.text(reply))") })
      request.succeed(.emptyObject)
    default: return
    }
  }

  func peer(_ peer: Peer, receivedNotification method: String, params: CarriedJSON?) {
    switch method {
    case "release":
      let held = state.withLock { state in
        state.hasWork = false
        defer { state.held = [] }
        return state.held
      }
      state.wakeAll()
      for request in held { request.succeed(.null) }
    case "cancel":
      guard let id = params?["id"].flatMap({ RequestID($0) }) else { return }
      peer.openRequest(id)?.cancel()
    case "work": state.withLock { $0.hasWork = true }
    case "block":
      note("blocked")
      let deadline = params?["milliseconds"]?.intValue.map { Clock.monotonicMilliseconds() + $0 }
      _ = state.wait(untilMilliseconds: deadline) { $0.isReleased || $0.log.contains("stopped") ? true : nil }
      note("went on")
    default: note("\(method) \(params?.bytes.string ?? "-")")
    }
  }

  func peer(_ peer: Peer, restsUntilInput standIn: @escaping @Sendable () -> Void) {
    guard state.withLock({ $0.hasWork && !$0.hasEnded }) else { return }
    note("works")
    do { try Thread.start(name: "stand-in") { standIn() } } catch { note("\(error)") }
    _ = state.wait { $0.hasWork && !$0.hasEnded ? nil : true }
    note("worked")
  }

  func peer(_ peer: Peer, inputEnded reason: InputEnd) {
    state.update { state in
      state.log.append(reason == .endOfFile ? "end of file" : "read error")
      state.hasEnded = true
    }
  }

  func peerLostOutput(_ peer: Peer) {
    state.update { state in
      state.log.append("output lost")
      state.hasLostOutput = true
    }
  }

  func peerHasRoom(_ peer: Peer) { state.update { $0.roomCount += 1 } }

  func peer(_ peer: Peer, ignored what: String) { note("ignored: \(what)") }

  static func text(_ reply: PeerReply) -> String {
    switch reply {
    case .result(let result): "result \(result.bytes.string)"
    case .error(let error): "error \(error.code) \(error.message) \(error.data?.bytes.string ?? "-")"
    case .broken(let reason): "broken: \(reason)"
    case .closed: "closed"
    }
  }
}
