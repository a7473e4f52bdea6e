import AgentRuntime
import JSON
import Synchronization

/// A model that the client has: it is asked as an MCP client is, and owns the key.
struct ParentProvider: ModelProvider {
  let model: String
  var policy = RetryPolicy()

  func start(_ request: ModelRequest, signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall {
    guard let parent = request.parent else {
      signal(.failed(RunFault(.modelUnavailable, "there is no client to ask for this turn", retryable: true)))
      return EndedCall()
    }
    let format = SamplingFormat(model: model)
    do throws(StoreError) {
      let transcript = try TranscriptRenderer.render(request.transcript, as: format, cache: request.cache, load: request.load)
      let question = ParentRequest(
        .createMessage, runID: request.runID, params: format.params(of: request, transcript), progressToken: request.messageID.text,
        afterSequence: request.sequence, carrying: SamplingResult.carriedPaths)
      let exchange = SamplingExchange(question, to: parent, model: model, policy, request.schedule, signal)
      exchange.begin()
      return exchange
    } catch {
      signal(.failed(RunFault(RuntimeError(error).kind, error.message, retryable: true)))
      return EndedCall()
    }
  }
}

/// One turn asked of the client, with its attempts.
final class SamplingExchange: ModelCall {
  private struct State {
    var attempt = 0
    /// The answer to the attempt has come.
    var isAnswered = false
    /// Between two attempts.
    var isWaiting = false
    var exchange: (any ParentExchange)?
    /// What progress has shown of it.
    var shown = ""
    var isOver = false
  }

  private let question: ParentRequest
  private weak let parent: (any Parent)?
  private let model: String
  private let policy: RetryPolicy
  private let schedule: @Sendable (_ milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> Void
  private let signal: @Sendable (ModelSignal) -> Void
  private let state = Mutex(State())

  init(
    _ question: ParentRequest, to parent: any Parent, model: String, _ policy: RetryPolicy,
    _ schedule: @escaping @Sendable (_ milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> Void,
    _ signal: @escaping @Sendable (ModelSignal) -> Void
  ) {
    self.question = question
    self.parent = parent
    self.model = model
    self.policy = policy
    self.schedule = schedule
    self.signal = signal
  }

  func begin() {
    let attempt = state.withLock { state -> Int? in
      if state.isOver { return nil }
      state.attempt += 1
      state.isAnswered = false
      state.isWaiting = false
      state.shown = ""
      return state.attempt
    }
    guard let attempt, let parent else { return }
    let exchange = parent.ask(
      question, progress: { [self] params in progressed(params, attempt) }, reply: { [self] reply in answered(reply, attempt) })
    let isUnwanted = state.withLock { state in
      if state.attempt == attempt, !state.isAnswered, !state.isOver { state.exchange = exchange }
      return state.isOver && !state.isAnswered
    }
    if isUnwanted { exchange.cancel(reason: Self.cancelReason) }
  }

  private static let cancelReason = "the turn is no longer wanted"

  var isWaiting: Bool { state.withLock { !$0.isOver && $0.isWaiting } }

  func cancel() {
    let exchange = state.withLock { state in
      state.isOver = true
      defer { state.exchange = nil }
      return state.exchange
    }
    exchange?.cancel(reason: Self.cancelReason)
  }

  func clientIsGone() {
    let wasOver = state.withLock { state in
      defer { state.isOver = true }
      return state.isOver
    }
    if !wasOver { signal(.failed(RunFault(.modelUnavailable, "the client, whose model this is, takes no more requests", retryable: true))) }
  }

  private func progressed(_ params: CarriedJSON, _ attempt: Int) {
    guard let text = params["message"]?.stringValue, !text.isEmpty else { return }
    let isWanted = state.withLock { state in
      guard !state.isOver, state.attempt == attempt, !state.isAnswered else { return false }
      state.shown += text
      return true
    }
    if isWanted { signal(.text(text)) }
  }

  private func answered(_ reply: ParentReply, _ attempt: Int) {
    let shown = state.withLock { state -> String? in
      guard !state.isOver, state.attempt == attempt, !state.isAnswered else { return nil }
      state.isAnswered = true
      state.exchange = nil
      return state.shown
    }
    guard let shown else { return }
    do throws(ProviderFault) {
      let turn = try turn(reply)
      state.withLock { $0.isOver = true }
      // What progress has not shown yet, when it went along with the answer.
      let text = turn.text.stringValue ?? ""
      if text.utf8.starts(with: shown.utf8), text.utf8.count > shown.utf8.count {
        signal(.text(String(decoding: text.utf8.dropFirst(shown.utf8.count), as: UTF8.self)))
      }
      signal(.finished(turn))
    } catch { failed(error, attempt) }
  }

  private func turn(_ reply: ParentReply) throws(ProviderFault) -> ModelTurn {
    switch reply {
    case .result(let result): return try SamplingResult.turn(result, model: model)
    case .error(let code, let message): throw Self.fault(code, message)
    case .broken(let what): throw .passing("its answer cannot be read: \(ErrorText.clean(what))")
    }
  }

  /// An error counts as unavailable. What the same request would meet again is not sent again: a person has refused it (-1, as MCP's pages have it),
  /// the client took it back, or does not know what to do with it.
  static func fault(_ code: Int, _ message: String) -> ProviderFault {
    let isFinal = [-1, -32800, -32600, -32601, -32602].contains(code)
    return ProviderFault(isFinal ? .unavailable : .passing, "error \(code): \(ErrorText.clean(message))")
  }

  private func failed(_ fault: ProviderFault, _ attempt: Int) {
    switch policy.next(after: fault, retries: attempt - 1) {
    case .retry(let delay):
      state.withLock { $0.isWaiting = true }
      signal(.retried(attempt: attempt, reason: fault.reason, retryAfterMilliseconds: delay))
      schedule(delay) { [self] in begin() }
    case .giveUp(let note):
      state.withLock { $0.isOver = true }
      signal(.failed(fault.runFault("the client's model", retries: attempt - 1, note: note)))
    }
  }
}
