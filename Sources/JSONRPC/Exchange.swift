import JSON
import POSIXSupport

/// Which requests are open, in both directions.
final class Exchange: Sendable {
  /// A request of this side that waits for its answer.
  struct Pending: Sendable {
    let carrying: CarriedPaths
    let reply: @Sendable (PeerReply) -> Void
    /// It went out: not when no answer could come any more.
    var wasSent = false
  }

  private struct Open {
    // Weak, so that a request nobody keeps is answered by its end.
    weak var request: IncomingRequest?
  }

  private struct State {
    var open: [RequestID: Open] = [:]
    var pending: [Int: Pending] = [:]
    var lastNumber = 0
    /// No answer can come any more.
    var isClosed = false
  }

  private let state = Monitor(State())

  /// Takes an id, which is in flight from now on until `end`; `request` is nil when it was refused and only its answer waits.
  /// - Returns: false when it is in flight already.
  func begin(_ id: RequestID, _ request: IncomingRequest?) -> Bool {
    state.withLock { state in
      if state.open[id] != nil { return false }
      state.open[id] = Open(request: request)
      return true
    }
  }

  func isOpen(_ id: RequestID) -> Bool { state.withLock { $0.open[id] != nil } }
  func open(_ id: RequestID) -> IncomingRequest? { state.withLock { $0.open[id]?.request } }
  var allOpen: [IncomingRequest] { state.withLock { $0.open.values.compactMap(\.request) } }
  func end(_ ids: [RequestID]) { state.withLock { state in for id in ids { state.open[id] = nil } } }
  func end(_ id: RequestID) { state.withLock { $0.open[id] = nil } }

  func nextID() -> (number: Int, id: RequestID) {
    let number = state.withLock { state in
      state.lastNumber += 1
      return state.lastNumber
    }
    return (number, OwnID.make(number))
  }

  /// False when no answer can come; it is kept all the same, for `takeAll`.
  func await(_ number: Int, _ pending: Pending) -> Bool {
    state.withLock { state in
      state.pending[number] = pending
      state.pending[number]?.wasSent = !state.isClosed
      return !state.isClosed
    }
  }

  func isOut(_ id: RequestID) -> Bool {
    guard let number = OwnID.number(id) else { return false }
    return state.withLock { $0.pending[number]?.wasSent == true }
  }

  func isPending(_ id: RequestID) -> Bool {
    guard let number = OwnID.number(id) else { return false }
    return state.withLock { $0.pending[number] != nil }
  }

  func take(_ id: RequestID) -> Pending? {
    guard let number = OwnID.number(id) else { return nil }
    return state.withLock { $0.pending.removeValue(forKey: number) }
  }

  /// From now on no answer can come.
  func close() { state.withLock { $0.isClosed = true } }

  /// After `close`: those that will not be answered, oldest first.
  func takeUnanswerable() -> [Pending] {
    state.withLock { state in
      guard state.isClosed else { return [] }
      let all = state.pending.sorted { $0.key < $1.key }.map(\.value)
      state.pending.removeAll()
      return all
    }
  }
}
