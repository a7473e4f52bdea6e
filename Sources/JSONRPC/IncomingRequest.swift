package import JSON
import POSIXSupport
import Synchronization

/// A request of the other side, to be answered exactly once, from any thread.
package final class IncomingRequest: Sendable {
  package let id: RequestID
  package let method: String
  /// An object, or nil.
  package let params: CarriedJSON?

  private struct State {
    var isAnswered = false
    var isCancelled = false
    /// What the other side says of it.
    var cancelReason: String?
    var onCancel: (@Sendable (_ reason: String?) -> Void)?
  }

  private let peer: Peer
  /// The batch that the request came in.
  private let batch: Batch?
  /// Not a `Monitor`, whose lock has memory of its own: there is one of these for each request.
  private let state = Mutex(State())

  init(id: RequestID, method: String, params: CarriedJSON?, peer: Peer, batch: Batch?) {
    self.id = id
    self.method = method
    self.params = params
    self.peer = peer
    self.batch = batch
  }

  deinit {
    // Nobody can answer any more, and the other side waits.
    if !isAnswered { peer.answer(id, .failure(peer.errors.internalError("the request was dropped")), to: batch) }
  }

  /// False when it was answered before.
  @discardableResult
  package func succeed(_ result: CarriedJSON) -> Bool { answer(.success(result)) }

  /// False when it was answered before.
  @discardableResult
  package func fail(_ error: RPCError) -> Bool { answer(.failure(error)) }

  package var isAnswered: Bool { state.withLock { $0.isAnswered } }

  private func answer(_ outcome: Result<CarriedJSON, RPCError>) -> Bool {
    let isFirst = state.withLock { state in
      if state.isAnswered { return false }
      state.isAnswered = true
      state.onCancel = nil
      return true
    }
    if isFirst { peer.answer(id, outcome, to: batch) }
    return isFirst
  }

  /// Says what to do when the other side gives the request up; done at once if it has already. Only the last one given counts.
  ///
  /// Let `body` hold the request weakly: the request holds `body`, and one that is never let go is never answered by its end.
  package func onCancel(_ body: @escaping @Sendable (_ reason: String?) -> Void) {
    let (isDue, reason) = state.withLock { state in
      if !state.isAnswered, !state.isCancelled { state.onCancel = body }
      return (state.isCancelled && !state.isAnswered, state.cancelReason)
    }
    if isDue { body(reason) }
  }

  /// The other side gives the request up. It is still to be answered.
  package func cancel(reason: String? = nil) {
    let body = state.withLock { state in
      if state.isAnswered || state.isCancelled { return nil as (@Sendable (String?) -> Void)? }
      state.isCancelled = true
      state.cancelReason = reason
      defer { state.onCancel = nil }
      return state.onCancel
    }
    body?(reason)
  }

  package var isCancelled: Bool { state.withLock { $0.isCancelled } }
}

/// Collects the responses to a batch; they leave together when the last is there.
final class Batch: Sendable {
  private struct State {
    /// One for each request that is open, and one for the reader while it goes through the batch.
    var awaited = 1
    var responses: [OutgoingMessage] = []
    /// Those of its requests: in flight until the whole is on its way.
    var ids: [RequestID] = []
  }

  private let state = Monitor(State())

  /// - Parameter id: of a request that has begun with the batch; nil for a response that belongs to none.
  func expectOne(_ id: RequestID?) {
    state.withLock { state in
      state.awaited += 1
      if let id { state.ids.append(id) }
    }
  }

  /// Returns all responses, and the ids in them, when this was the last that was awaited, unless there are none to give.
  func complete(with response: OutgoingMessage?) -> (responses: [OutgoingMessage], ids: [RequestID])? {
    state.withLock { state in
      if let response { state.responses.append(response) }
      state.awaited -= 1
      guard state.awaited == 0, !state.responses.isEmpty else { return nil }
      return (state.responses, state.ids)
    }
  }
}
