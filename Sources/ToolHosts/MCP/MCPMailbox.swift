import POSIXSupport

/// What is to be done on the thread of the servers, in the order of the posts.
///
/// Has no bound of its own: each post is a call of a run, the answer to a request, or one of few questions and reports of a connection.
final class MCPMailbox: Sendable {
  typealias Task = @Sendable (MCPLoop) -> Void

  private struct State: Sendable {
    var tasks: [Task] = []
    var hasEnded = false
  }

  private let state = Monitor(State())
  let wake: WakeDescriptor

  init() throws(SystemError) { wake = try WakeDescriptor() }

  /// False when the thread has ended, and `body` will not be called.
  @discardableResult
  func post(_ body: @escaping Task) -> Bool {
    let isTaken = state.withLock { state in
      if state.hasEnded { return false }
      state.tasks.append(body)
      return true
    }
    if isTaken { wake.signal() }
    return isTaken
  }

  func take() -> [Task] {
    state.withLock { state in
      defer { state.tasks = [] }
      return state.tasks
    }
  }

  /// The thread is over. Returns what was posted too late.
  func end() -> [Task] {
    state.update { state in
      state.hasEnded = true
      defer { state.tasks = [] }
      return state.tasks
    }
  }

  /// Waits until the thread is over, at most until then.
  func awaitEnd(untilMilliseconds deadline: Int) { _ = state.wait(untilMilliseconds: deadline) { $0.hasEnded ? true : nil } }
}
