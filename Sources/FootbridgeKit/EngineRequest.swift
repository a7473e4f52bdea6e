internal import AgentRuntime
internal import EngineHosting
internal import Synchronization

/// A request to the engine about a run, for the task that waits for it: the run that it has begun, its answer, and the end of the task's patience.
final class EngineRequest: Sendable {
  typealias Answer = Swift.Result<LocalOutcome, LocalRuntimeError>

  private struct State {
    /// The run that ends with the task.
    var runID: ULID?
    var answer: Answer?
    var isCancelled = false
    /// Looks again after every change.
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let thread: EngineThread
  private let state = Mutex(State())

  init(to thread: EngineThread) { self.thread = thread }

  /// Has `body` carried out in a turn of the engine, unless the task is cancelled before that.
  func send(_ body: @escaping @Sendable (RunEngine, @escaping RunReply) -> Void) {
    let answering = Answering(self)
    thread.post { engine in
      if answering.request.state.withLock({ $0.isCancelled }) {
        return answering.request.finish(.failure(LocalRuntimeError(kind: "cancelled", message: "the task was cancelled before it began")))
      }
      if engine.isEnding { return answering.request.finish(Self.shutDown) }
      body(engine) { result in
        switch result {
        case .success(let answer): answering.request.finish(.success(LocalOutcome(answer.outcome, engine)))
        case .failure(let error): answering.request.finish(.failure(LocalRuntimeError(error)))
        }
      }
    }
  }

  /// The run that the request is about ends with the task. In a turn of the engine.
  func bind(_ runID: ULID) {
    let isCancelled = change { state in
      state.runID = runID
      return state.isCancelled
    }
    if isCancelled { end(runID) }
  }

  /// The task is cancelled.
  func cancel() {
    let runID = state.withLock { state in
      state.isCancelled = true
      return state.runID
    }
    if let runID { end(runID) }
  }

  private func end(_ runID: ULID) {
    // Not in the request's own turn: when that turns out to be refused, it is answered at its end, and the run, which may be another
    // process', is left alone.
    thread.post { [self] _ in
      thread.post { [self] engine in
        if state.withLock({ $0.answer != nil }) { return }
        engine.cancel(runID, reason: "the task that waited for the run was cancelled", waiting: { _ in }, reply: { _ in })
      }
    }
  }

  private func finish(_ answer: Answer) {
    change { state in
      if state.answer == nil { state.answer = answer }
    }
  }

  // MARK: Waiting

  /// The run, once it is durable; nil when there will be none.
  func run() async -> ULID? {
    await when { state in state.runID != nil || state.answer != nil }.runID
  }

  func answer() async -> Answer {
    await when { state in state.answer != nil }.answer ?? Self.shutDown
  }

  private func when(_ isReady: @Sendable (State) -> Bool) async -> (runID: ULID?, answer: Answer?) {
    while true {
      if let ready = state.withLock({ isReady($0) ? ($0.runID, $0.answer) : nil }) { return ready }
      await withCheckedContinuation { waiter in
        let isLate = state.withLock { state in
          if isReady(state) { return true }
          state.waiter = waiter
          return false
        }
        if isLate { waiter.resume() }
      }
    }
  }

  private func change<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
    let (value, waiter) = state.withLock { state in
      let value = body(&state)
      defer { state.waiter = nil }
      return (value, state.waiter)
    }
    waiter?.resume()
    return value
  }

  private static var shutDown: Answer { .failure(LocalRuntimeError(kind: "shuttingDown", message: "the runtime is closed")) }

  /// Held by what the engine has of a request. An engine that has ended drops it, and that is an answer too.
  private final class Answering: Sendable {
    let request: EngineRequest
    init(_ request: EngineRequest) { self.request = request }
    deinit { request.finish(EngineRequest.shutDown) }
  }
}
