import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC
import Synchronization

/// The `tool.invoke` requests that are out, and those whose answer would come late.
final class Invocations: Sendable {
  private struct Request {
    var id: RequestID
    var callID: ULID
    var attempt: Int
    /// It was taken back. A result that comes all the same counts while the call has none, and is evidence afterwards.
    var isClosed = false
  }

  private struct State {
    var requests: [ULID: [Request]] = [:]
    var closed: [ULID] = []
    /// The attempts that are wanted and not sent yet, for want of room or behind their events.
    var waiting: [ULID: Int] = [:]
    var progress: [ULID: @Sendable (CarriedJSON) -> Void] = [:]
  }

  /// Calls whose late answers are still taken note of.
  private static let rememberedCalls = 1024

  private let peer: Peer
  private let state = Mutex(State())

  init(peer: Peer) { self.peer = peer }

  /// Takes note that a request is to be sent when its turn comes.
  func await(_ invocation: ToolInvocation) { state.withLock { $0.waiting[invocation.callID] = invocation.attempt } }

  /// It was not taken back, by `cancel` or `close`, while it waited for its turn.
  func isWanted(_ invocation: ToolInvocation) -> Bool { state.withLock { $0.waiting[invocation.callID] == invocation.attempt } }

  /// Sends one request that was awaited, unless it was taken back meanwhile; `reply` is called on the reader thread, `sent` when the request is written.
  func send(
    _ invocation: ToolInvocation, _ params: CarriedJSON, sent: @escaping @Sendable () -> Void,
    progress: @escaping @Sendable (CarriedJSON) -> Void,
    reply: @escaping @Sendable (InvocationReply) -> Void
  ) {
    let callID = invocation.callID
    let attempt = invocation.attempt
    let isWanted = state.withLock { state in
      guard state.waiting[callID] == attempt else { return false }
      state.waiting[callID] = nil
      state.progress[callID] = progress
      return true
    }
    guard isWanted else { return }
    // Registered inside, so that not even an answer that is faster than this thread finds it missing.
    peer.request(
      ReverseRequest.toolInvoke,
      { id in
        state.withLock { $0.requests[callID, default: []].append(Request(id: id, callID: callID, attempt: attempt)) }
        return params
      }, carrying: ToolResult.carriedPaths, wasWritten: sent,
      reply: { [weak self] answer in
        self?.answered(callID, attempt)
        if let reading = Self.read(answer) { reply(reading) }
      })
  }

  static func params(_ invocation: ToolInvocation) -> CarriedJSON {
    var writer = JSONWriter(capacity: 384 + invocation.arguments.bytes.count)
    writer.beginObject()
    writer.member("runId", invocation.runID)
    writer.member("sessionId", ifPresent: invocation.sessionID?.text)
    writer.member("callId", invocation.callID)
    writer.member("name", invocation.name)
    writer.member("arguments", invocation.arguments)
    writer.member("attempt", invocation.attempt)
    writer.member("timeoutMs", invocation.timeoutMilliseconds)
    writer.key("_meta")
    writer.beginObject()
    invocation.meta?.forEachMember { name, value in
      guard name != "progressToken" else { return }
      writer.key(name)
      writer.value(value)
    }
    writer.member("progressToken", invocation.callID)
    writer.endObject()
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// Never a throw: whatever came is something to tell the model. Nil when the client is gone.
  private static func read(_ answer: PeerReply) -> InvocationReply? {
    switch answer {
    case .result(let json):
      guard json.kind == .object else { return .error("The client's result is not an object.", bytes: json.bytes.count) }
      do throws(RuntimeError) { return .result(try ToolResult(reading: json), bytes: json.bytes.count) } catch {
        let place = error.pointer ?? ""
        return .error("The client's result is not usable: \(place.isEmpty ? "it" : place) \(error.message).", bytes: json.bytes.count)
      }
    case .error(let error):
      return .error("The client answered with an error: \(error.message) (code \(error.code))", bytes: error.message.utf8.count)
    case .broken(let what): return .error("The client's answer could not be read: \(what)", bytes: 0)
    case .closed: return nil
    }
  }

  private func answered(_ callID: ULID, _ attempt: Int) {
    state.withLock { state in
      state.requests[callID]?.removeAll { $0.attempt == attempt }
      if state.requests[callID]?.isEmpty == true { state.requests[callID] = nil }
    }
  }

  /// Restarts the timeout of a call that is out; from the reader thread.
  func progressed(_ callID: ULID, _ params: CarriedJSON) {
    let listener = state.withLock { state in
      // Of a request that was taken back nobody waits for more.
      state.requests[callID]?.contains { !$0.isClosed } == true ? state.progress[callID] : nil
    }
    listener?(params)
  }

  func cancel(_ callID: ULID, reason: String) {
    let ids = state.withLock { state in
      state.waiting[callID] = nil
      defer { for index in state.requests[callID, default: []].indices { state.requests[callID]?[index].isClosed = true } }
      return state.requests[callID, default: []].filter { !$0.isClosed }.map(\.id)
    }
    for id in ids {
      peer.withdraw(id, reason: reason)
    }
  }

  /// The call has its result. Late answers are still reported for the last thousand calls or so; then they are nobody's.
  func close(_ callID: ULID) {
    let forgotten = state.withLock { state -> [RequestID] in
      state.waiting[callID] = nil
      state.progress[callID] = nil
      guard state.requests[callID] != nil else { return [] }
      state.closed.append(callID)
      guard state.closed.count > Self.rememberedCalls else { return [] }
      return state.requests.removeValue(forKey: state.closed.removeFirst())?.map(\.id) ?? []
    }
    for id in forgotten { peer.forget(id) }
  }
}

extension Peer {
  /// Tells the client that a request needs no answer any more, if it has the request: one made after the end of the input never went out.
  func withdraw(_ id: RequestID, reason: String) {
    guard isOut(id) else { return }
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("requestId", id.json)
    writer.member("reason", longestLine == .max ? reason : reason.shortened(writtenBytes: 1024))
    writer.endObject()
    notify(WireNotification.cancelledByBridge, CarriedJSON(trusted: writer.finish()))
  }
}
