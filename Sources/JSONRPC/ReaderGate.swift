import POSIXSupport

/// Lets the reader thread call the owner, until somebody closes it; and lets that somebody wait until no call is running.
final class ReaderGate: Sendable {
  private struct State {
    var reader: Thread.Identity?
    var isInside = false
    var isClosed = false
  }

  private let state = Monitor(State())

  /// False when it is closed; else `leave` has to follow.
  func enter() -> Bool {
    state.withLock { state in
      if state.isClosed { return false }
      state.reader = Thread.current
      state.isInside = true
      return true
    }
  }

  func leave() {
    let isAwaited = state.withLock { state in
      state.isInside = false
      return state.isClosed
    }
    if isAwaited { state.wakeAll() }
  }

  var isClosed: Bool { state.withLock { $0.isClosed } }

  func close() { state.withLock { $0.isClosed = true } }

  /// After `close`. Returns at once on the reader thread, which would wait for itself.
  func awaitClosed() {
    let current = Thread.current
    state.wait { $0.isInside && $0.reader != current ? nil : () }
  }
}
