import AgentRuntime
import EngineHosting
import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Shows a run from the request that sets it going to where it settles; a signal cancels it.
final class Attendance {
  /// What of the run is shown on standard output.
  enum Shown {
    /// Text as the model writes it.
    case stream
    /// Nothing before the end.
    case nothing
  }

  private let terminal: Terminal
  private let thread: EngineThread
  private let observer: RunObserver
  private let shown: Shown
  private var text = AnswerText()
  private var lastSequence: Int
  /// Cancelled by a signal, or because nobody reads any more.
  private(set) var isInterrupted = false

  init(_ terminal: Terminal, _ thread: EngineThread, _ observer: RunObserver, shown: Shown, after sequence: Int = 0) {
    self.terminal = terminal
    self.thread = thread
    self.observer = observer
    self.shown = shown
    lastSequence = sequence
  }

  /// The signals that a run is cancelled by. A hang-up that the user told the process to ignore (`nohup`) stays ignored.
  static var signals: [Int32] {
    var old = sigaction()
    unsafe sigaction(SIGHUP, nil, &old)
    #if canImport(Glibc)
      let handler = unsafe unsafeBitCast(old.__sigaction_handler.sa_handler, to: Int.self)
    #else
      let handler = unsafe unsafeBitCast(old.__sigaction_u.__sa_handler, to: Int.self)
    #endif
    let isIgnored = unsafe handler == unsafeBitCast(SIG_IGN, to: Int.self)
    return isIgnored ? [SIGTERM, SIGINT] : [SIGTERM, SIGINT, SIGHUP]
  }

  /// Waits for the answer to a request that has been posted to the engine. `located` says what is wrong in the words of the command line.
  func answer(
    _ signals: borrowing SignalDescriptor, located: (RuntimeError) -> StartupError = { StartupError($0) }
  ) throws(StartupError) -> RunAnswer {
    var waiting = PollSet(count: 3)
    var answer: Result<RunAnswer, RuntimeError>?
    while answer == nil || terminal.hasPending {
      waiting.watch(0, signals.descriptor, for: .readable)
      // While the terminal takes its time, news wait.
      waiting.watch(1, terminal.hasPending ? nil : observer.descriptor, for: .readable)
      waiting.watch(2, terminal.descriptor, for: terminal.hasPending ? .writable : [])
      do throws(SystemError) { try waiting.wait() } catch { throw StartupError(status: .internalError, message: "\(error)") }
      if let signal = signals.take() { interrupt(signal) }
      if !waiting.seen(2).isEmpty {
        if terminal.hasPending { terminal.sendSome() } else { terminal.lose() }
      }
      if terminal.isGone, !isInterrupted, answer == nil {
        isInterrupted = true
        observer.cancel("nobody reads the output any more", on: thread)
      }
      if !terminal.hasPending, let news = try showNews() { answer = news }
    }
    guard let answer else { preconditionFailure("the loop ends with an answer") }
    do throws(RuntimeError) { return try answer.get() } catch { throw located(error) }
  }

  private func interrupt(_ signal: Int32) {
    isInterrupted = true
    // A second one ends the process as if nobody listened.
    Signals.restore(Self.signals)
    if signal == SIGHUP {
      // The terminal is gone, not the wish: the run stays in the store for another process to go on with.
      return thread.post { $0.end(.signal) }
    }
    terminal.note("cancelling the run; once more ends at once")
    observer.cancel("interrupted", on: thread)
  }

  // MARK: News

  private func showNews() throws(StartupError) -> Result<RunAnswer, RuntimeError>? {
    let news = observer.take()
    for (messageID, piece) in news.texts {
      // Whatever the log has before this message comes before it on the terminal too.
      if text.isNew(messageID) { try showEvents() }
      terminal.put(text.streamed(messageID, piece))
    }
    if news.hasEvents || news.answer != nil { try showEvents() }
    if news.answer != nil { terminal.endLine() }
    return news.answer
  }

  private func showEvents() throws(StartupError) {
    guard let runID = observer.runID else { return }
    while true {
      let last = lastSequence
      let events = try thread.ask { (engine) throws(RuntimeError) in
        try engine.events(of: runID, after: last, limit: 256, maxBytes: 1 << 20)
      }
      guard let newest = events.last else { return }
      for event in events { try show(CarriedJSON(trusted: event.event)) }
      lastSequence = newest.sequence
    }
  }

  private func show(_ event: CarriedJSON) throws(StartupError) {
    guard let type = event["type"]?.stringValue, let data = event["data"] else { return }
    if let line = ProgressLine.text(for: type, data) { terminal.note(line) }
    guard shown == .stream, let messageID = data["messageId"]?.stringValue.flatMap(ULID.init) else { return }
    if type == "model.retried" { text.retried(messageID) }
    guard type == "model.completed", let value = data["text"] else { return }
    let whole = try thread.ask { (engine) throws(RuntimeError) in
      do throws(StoreError) { return try engine.load(StoredValue(wire: value)) } catch { throw RuntimeError(error) }
    }
    terminal.put(text.completed(messageID, whole.stringValue ?? ""))
    terminal.endLine()
  }
}
