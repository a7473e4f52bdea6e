import AgentRuntime
import EngineHosting
import JSON
import POSIXSupport

/// The parent of the runs that a command drives: it answers no call, and lets the main thread know what happens.
///
/// Events are not kept here: the main thread reads them from the log when it is told that there are new ones, so that a slow terminal holds nothing
/// in memory. Streamed text is in no log, so it waits here, bounded: what does not fit is shown when its message is complete.
final class RunObserver: Parent {
  struct News {
    var texts: [(messageID: ULID, text: String)] = []
    var hasEvents = false
    var answer: Result<RunAnswer, RuntimeError>?
  }

  private struct State {
    var news = News()
    var bytes = 0
    /// Messages of which a piece was left out: nothing after it is of use.
    var torn: Set<ULID> = []
    var runID: ULID?
    var cancelReason: String?
  }

  private static let maxBytes = 1 << 20

  private let state = Monitor(State())
  private let wake: WakeDescriptor
  private let wantsText: Bool

  init(wantsText: Bool) throws(StartupError) {
    self.wantsText = wantsText
    do throws(SystemError) { wake = try WakeDescriptor() } catch { throw StartupError(status: .internalError, message: "\(error)") }
  }

  // MARK: The main thread

  /// For `poll`: readable when there are news.
  var descriptor: Int32 { wake.descriptor }

  func take() -> News {
    wake.drain()
    return state.withLock { state in
      defer {
        state.news = News()
        state.bytes = 0
      }
      return state.news
    }
  }

  /// Waits for the answer alone.
  func waitForAnswer() throws(StartupError) -> RunAnswer {
    var waiting = PollSet(count: 1)
    while true {
      if let answer = take().answer {
        do throws(RuntimeError) { return try answer.get() } catch { throw StartupError(error) }
      }
      waiting.watch(0, descriptor, for: .readable)
      do throws(SystemError) { try waiting.wait() } catch { throw StartupError(status: .internalError, message: "\(error)") }
    }
  }

  var runID: ULID? { state.withLock { $0.runID } }

  /// Cancels the run, now or as soon as there is one.
  func cancel(_ reason: String, on thread: EngineThread) {
    thread.post { [self] engine in
      state.withLock { $0.cancelReason = reason }
      if let runID { cancel(runID, reason, engine) }
    }
  }

  // MARK: The engine's thread

  /// The run is in the log.
  func begin(_ runID: ULID, _ engine: RunEngine) {
    let reason = state.withLock { state in
      state.runID = runID
      return state.cancelReason
    }
    if let reason { cancel(runID, reason, engine) }
  }

  private func cancel(_ runID: ULID, _ reason: String, _ engine: RunEngine) {
    engine.cancel(runID, reason: reason) { _ in
    } reply: { [self] result in
      // When it went well, whoever waits for the run is answered.
      if case .failure = result { settle(result) }
    }
  }

  func settle(_ answer: Result<RunAnswer, RuntimeError>) {
    state.withLock { $0.news.answer = answer }
    wake.signal()
  }

  var answersInvocations: Bool { false }

  func publish(_ run: ULID, _ events: [PublishedEvent]) {
    state.withLock { $0.news.hasEvents = true }
    wake.signal()
  }

  func stream(_ run: ULID, _ delta: StreamedDelta) {
    guard wantsText, case .text(let messageID, let text) = delta else { return }
    let isNews = state.withLock { state in
      guard !state.torn.contains(messageID) else { return false }
      guard state.bytes + text.utf8.count <= Self.maxBytes else {
        state.torn.insert(messageID)
        return false
      }
      state.bytes += text.utf8.count
      state.news.texts.append((messageID, text))
      return true
    }
    if isNews { wake.signal() }
  }

  /// What another process streams may begin in the middle of a message: it is shown when the message is complete.
  func streamForeign(_ chunk: LiveChunk) {}

  // No call is ever sent to a parent that answers none.
  func invoke(
    _ invocation: ToolInvocation, sent: @escaping @Sendable () -> Void, progress: @escaping @Sendable (CarriedJSON) -> Void,
    reply: @escaping @Sendable (InvocationReply) -> Void
  ) {}
  func cancelInvocation(_ callID: ULID, reason: String) {}
  func closeInvocations(of callID: ULID) {}

  // Nor is it asked anything else: what needs an answer waits in the store.
  var abilities: ParentAbilities { ParentAbilities() }
  var name: String? { "footbridge" }
  func ask(
    _ request: ParentRequest, progress: @escaping @Sendable (CarriedJSON) -> Void, reply: @escaping @Sendable (ParentReply) -> Void
  ) -> any ParentExchange { NoExchange() }
}

private final class NoExchange: ParentExchange {
  func cancel(reason: String) {}
}
