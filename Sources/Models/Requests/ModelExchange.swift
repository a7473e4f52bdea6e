import AgentRuntime
import JSON
import Synchronization

/// One turn asked of a provider over HTTP: its attempts, the waits between them, and its end.
///
/// Signals come from the thread of the HTTP service, as soon as the bytes are there.
final class ModelExchange: ModelCall {
  /// What does not change from attempt to attempt.
  struct Plan: Sendable {
    /// For messages: who refused, who is unavailable.
    var provider: String
    /// What must not appear in any message; asked for when there is one.
    var secrets: @Sendable () -> [String]
    var makeReader: @Sendable () -> any TurnReader
    var policy = RetryPolicy()
    /// Milliseconds since 1970.
    var now: @Sendable () -> Int
    /// The engine's: it calls back when what was signalled before is in the log and on its way to observers, so that no text of a new attempt
    /// overtakes the word that the old one is void.
    var schedule: @Sendable (_ milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> Void
  }

  private struct State: ~Copyable {
    /// Let go with the turn, since a wait that nobody needs any more still holds the rest.
    var request: HTTPRequest?
    /// Which attempt counts; events of others are late.
    var attempt = 0
    var reader: ResponseReader?
    var transfer: (any HTTPExchange)?
    /// The last signal was given, or is about to be.
    var isOver: Bool { request == nil }
    var isCancelled = false

    init(_ request: HTTPRequest) { self.request = request }
  }

  /// What is left to do when the lock is free again.
  private enum Step {
    case nothing
    case finish(ModelTurn)
    case fault(ProviderFault)
  }

  /// How long a finished answer's connection may take to become free for the next request.
  static let graceMilliseconds = 5000

  private let plan: Plan
  private let http: any HTTPService
  private let signal: @Sendable (ModelSignal) -> Void
  private let state: Mutex<State>

  init(_ plan: Plan, _ request: HTTPRequest, http: any HTTPService, signal: @escaping @Sendable (ModelSignal) -> Void) {
    self.plan = plan
    state = Mutex(State(request))
    self.http = http
    self.signal = signal
  }

  func begin() {
    let next = state.withLock { state -> (attempt: Int, request: HTTPRequest)? in
      guard let request = state.request else { return nil }
      state.attempt += 1
      state.reader = ResponseReader(plan.makeReader(), now: plan.now)
      return (state.attempt, request)
    }
    guard let (attempt, request) = next else { return }
    let transfer = http.begin(request) { [self] event in take(event, of: attempt) }
    // The answer, or a cancel, may have come before the transfer was known.
    let isLate = state.withLock { state in
      if state.isOver || state.attempt != attempt || state.reader == nil { return true }
      state.transfer = transfer
      return false
    }
    if isLate { transfer.cancel() }
  }

  var isWaiting: Bool { state.withLock { !$0.isOver && $0.attempt > 0 && $0.reader == nil } }

  func cancel() {
    let transfer = state.withLock { state in
      state.request = nil
      state.isCancelled = true
      state.reader = nil
      defer { state.transfer = nil }
      return state.transfer
    }
    transfer?.cancel()
  }

  private func take(_ event: HTTPEvent, of attempt: Int) {
    var signals: [ModelSignal] = []
    let (step, transfer) = state.withLock { state -> (Step, (any HTTPExchange)?) in
      guard !state.isOver, state.attempt == attempt else { return (.nothing, nil) }
      let step: Step
      do throws(ProviderFault) {
        guard let turn = try state.reader?.take(event, &signals) ?? nil else { return (.nothing, nil) }
        step = .finish(turn)
        state.request = nil
      } catch { step = .fault(error) }
      state.reader = nil
      defer { state.transfer = nil }
      return (step, state.transfer)
    }
    for item in signals { give(item) }
    switch step {
    case .nothing: break
    case .finish(let turn):
      give(.finished(turn))
      // Left to itself, so that its connection is used again; not for ever.
      if let transfer { http.schedule(afterMilliseconds: Self.graceMilliseconds) { transfer.cancel() } }
    case .fault(let fault):
      transfer?.cancel()
      failed(fault, of: attempt)
    }
  }

  private func give(_ item: ModelSignal) {
    if state.withLock({ !$0.isCancelled }) { signal(item) }
  }

  private func failed(_ fault: ProviderFault, of attempt: Int) {
    let fault = redacted(fault)
    switch plan.policy.next(after: fault, retries: attempt - 1) {
    case .retry(let delay):
      give(.retried(attempt: attempt, reason: fault.reason, retryAfterMilliseconds: delay))
      plan.schedule(delay) { [self] in begin() }
    case .giveUp(let note):
      state.withLock { $0.request = nil }
      give(.failed(fault.runFault(plan.provider, retries: attempt - 1, note: note)))
    }
  }

  /// Fit for messages: secrets are taken out first, so that no cut leaves a part of one.
  private func redacted(_ fault: ProviderFault) -> ProviderFault {
    var fault = fault
    let secrets = plan.secrets()
    fault.words = ErrorText.clean(ErrorText.redact(fault.words, secrets))
    fault.requestID = fault.requestID.map { ErrorText.clean(ErrorText.redact($0, secrets), most: 128) }
    return fault
  }
}
