/// What the providers need of HTTP: `HTTPClient`, or what a test plays in its place.
protocol HTTPService: Sendable {
  /// Makes ready what the first request would otherwise wait for.
  func prepare()

  /// What is open, or begins from now on, fails.
  func close()

  /// Sends a request; events come one after the other, the first ones perhaps before this returns, and the last is `finished` or `failed`.
  func begin(_ request: HTTPRequest, _ handler: @escaping @Sendable (HTTPEvent) -> Void) -> any HTTPExchange

  /// Calls `body` once, on the thread of the events, after that time.
  func schedule(afterMilliseconds delay: Int, _ body: @escaping @Sendable () -> Void)
}

/// A request on its way.
protocol HTTPExchange: AnyObject, Sendable {
  func cancel()
}

extension HTTPTransfer: HTTPExchange {}

extension HTTPClient: HTTPService {
  func begin(_ request: HTTPRequest, _ handler: @escaping @Sendable (HTTPEvent) -> Void) -> any HTTPExchange { start(request, handler) }
}
