import AgentRuntime
import JSON
import POSIXSupport

/// What each provider over HTTP adds to the common course of a turn.
protocol HTTPProviderFormat: TranscriptFormat {
  /// As `model` names it.
  static var provider: String { get }
  /// Appended to the base URL.
  static var path: String { get }

  init(agent: Agent, model: String, base: String)

  func headers(key: String) -> [(name: String, value: String)]
  func body(of request: ModelRequest, _ transcript: RenderedTranscript) -> HTTPBody
  func makeTurnReader() -> any TurnReader
}

/// What is shorter is a word that stands for no key, such as `none`, and taking that out of what servers say would only spoil it.
private let shortestKey = 8

/// A provider that is asked over HTTP.
struct HTTPProvider<Format: HTTPProviderFormat>: ModelProvider {
  let model: String
  /// The URL that the format's path is appended to.
  let base: String
  /// Looked up for this turn, and kept no longer.
  let key: String
  let http: any HTTPService
  let userAgent: String
  /// The URL of the proxy on the way there; empty for none.
  let proxy: @Sendable () -> String
  var policy = RetryPolicy()

  func start(_ request: ModelRequest, signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall {
    do throws(StoreError) { return try turn(request).start(signal: signal) } catch {
      // The store may come back.
      signal(.failed(RunFault(RuntimeError(error).kind, error.message, retryable: true)))
      return EndedCall()
    }
  }

  func prepare(_ request: ModelRequest) throws(StoreError) -> (any PreparedTurn)? { try turn(request) }

  private func turn(_ request: ModelRequest) throws(StoreError) -> HTTPTurn {
    let format = Format(agent: request.agent, model: model, base: base)
    let transcript = try TranscriptRenderer.render(request.transcript, as: format, cache: request.cache, load: request.load)
    // Some servers compress for whoever does not forbid it, and nothing here undoes that.
    let headers =
      [
        ("Content-Type", "application/json"), ("Accept", "text/event-stream, application/json"), ("Accept-Encoding", "identity"),
        ("User-Agent", userAgent),
      ] + format.headers(key: key)
    let plan = ModelExchange.Plan(
      provider: Format.provider,
      secrets: { [key, base, proxy] in
        (key.utf8.count < shortestKey ? [] : [key]) + URLCredentials.secrets(in: base) + URLCredentials.secrets(in: proxy())
      },
      makeReader: { format.makeTurnReader() }, policy: policy, now: { Clock.wallMilliseconds() }, schedule: request.schedule)
    return HTTPTurn(
      plan: plan, request: HTTPRequest(url: base + Format.path, headers: headers, body: format.body(of: request, transcript)), http: http)
  }
}

/// A request that is ready to be sent.
private struct HTTPTurn: PreparedTurn {
  let plan: ModelExchange.Plan
  let request: HTTPRequest
  let http: any HTTPService

  func start(signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall {
    let exchange = ModelExchange(plan, request, http: http, signal: signal)
    exchange.begin()
    return exchange
  }
}

/// A turn that ended before it began.
final class EndedCall: ModelCall {
  func cancel() {}
}
