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

/// A provider that is asked over HTTP.
struct HTTPProvider<Format: HTTPProviderFormat>: ModelProvider {
  let model: String
  let access: ProviderAccess
  let http: any HTTPService
  let userAgent: String
  var policy = RetryPolicy()

  func start(_ request: ModelRequest, signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall {
    do throws(RuntimeError) {
      let (plan, asking) = try prepare(request)
      let exchange = ModelExchange(plan, asking, http: http, signal: signal)
      exchange.begin()
      return exchange
    } catch {
      // What was there when the run began, its key or the store, may come back.
      let kind = error.kind == .modelMissingKey ? .modelUnavailable : error.kind
      signal(.failed(RunFault(kind, error.message, retryable: true)))
      return EndedCall()
    }
  }

  private func prepare(_ request: ModelRequest) throws(RuntimeError) -> (ModelExchange.Plan, HTTPRequest) {
    let base = try access.base()
    let key = try access.key()
    let format = Format(agent: request.agent, model: model, base: base)
    let transcript: RenderedTranscript
    do throws(StoreError) {
      transcript = try TranscriptRenderer.render(request.transcript, as: format, cache: request.cache, load: request.load)
    } catch { throw RuntimeError(error) }
    let headers =
      [("Content-Type", "application/json"), ("Accept", "text/event-stream, application/json"), ("User-Agent", userAgent)]
      + format.headers(key: key)
    let plan = ModelExchange.Plan(
      provider: Format.provider, secrets: [key], makeReader: { format.makeTurnReader() }, policy: policy, now: { Clock.wallMilliseconds() },
      schedule: request.schedule)
    return (plan, HTTPRequest(url: base + Format.path, headers: headers, body: format.body(of: request, transcript)))
  }
}

/// A turn that ended before it began.
final class EndedCall: ModelCall {
  func cancel() {}
}
