import POSIXSupport

/// The right to read, which the reader thread has; while that works for its owner another thread can have it.
final class ReadingRole: Sendable {
  private struct State {
    var isTaken = false
    /// The reader thread is back.
    var isClaimed = false
    /// Another thread had it since the reader thread gave it.
    var wasLent = false
  }

  private let state = Monitor(State())

  // MARK: On the reader thread

  /// - Parameter wake: Called when another thread has it, to make that look at `isClaimed`.
  /// - Returns: whether another thread had it meanwhile.
  func take(wake: () -> Void) -> Bool {
    let isMine = state.withLock { state -> Bool in
      state.isClaimed = state.isTaken
      state.isTaken = true
      return !state.isClaimed
    }
    if !isMine {
      wake()
      _ = state.wait { state in state.isClaimed ? nil : true }
    }
    return state.withLock { state in
      defer { state.wasLent = false }
      return state.wasLent
    }
  }

  func give() { state.withLock { $0.isTaken = false } }

  // MARK: On another

  /// False when somebody has it.
  func takeIfFree() -> Bool {
    state.withLock { state in
      if state.isTaken { return false }
      state.isTaken = true
      state.wasLent = true
      return true
    }
  }

  var isClaimed: Bool { state.withLock { $0.isClaimed } }

  func giveBack() {
    state.update { state in
      // It goes to the reader thread at once.
      state.isTaken = state.isClaimed
      state.isClaimed = false
    }
  }
}
