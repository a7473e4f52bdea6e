import POSIXSupport

/// Who wants to know when the input that is there has been passed on: an answer that lies in the pipe has come in time, whoever runs first.
final class PresentInput: Sendable {
  typealias Body = @Sendable () -> Void

  private struct State {
    var waiting: [Body] = []
    /// Nothing is read any more.
    var isOver = false
  }

  private let state = Monitor(State())

  /// False when nothing is read any more.
  func add(_ body: @escaping Body) -> Bool {
    state.withLock { state in
      if state.isOver { return false }
      state.waiting.append(body)
      return true
    }
  }

  func take() -> [Body] {
    state.withLock { state in
      defer { state.waiting = [] }
      return state.waiting
    }
  }

  func close() { state.withLock { $0.isOver = true } }
}
