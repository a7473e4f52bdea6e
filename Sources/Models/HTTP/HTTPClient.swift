import AgentRuntime
import POSIXSupport

/// HTTP for all runs: libcurl's multi interface on one thread, which starts with the first use.
///
/// Connections stay open for the next request, HTTP/2 is used where a server offers it over TLS, the server's certificate is always verified,
/// no redirect is followed. Handlers are called one at a time, on that thread or within `start`: they must be short, and never wait.
package final class HTTPClient: Sendable {
  private let network: NetworkSettings
  /// Why no request may leave, since the settings are not those that somebody has made.
  private let unusable: HTTPFailure?
  private let load: @Sendable () -> String?
  private let whenTold: @Sendable (_ isFree: Bool) -> Void
  private let mailbox = HTTPMailbox()

  /// - Parameters:
  ///   - environment: asked for the names of proxies and of certificates. What it throws is what every request fails with.
  ///   - whenTold: called on the thread before it waits, with whether no transfer is under way.
  convenience init(
    environment: (String) throws(RuntimeError) -> String?, whenTold: @escaping @Sendable (_ isFree: Bool) -> Void = { _ in }
  ) {
    let network = Result { () throws(RuntimeError) in try NetworkSettings(environment: environment) }
    switch network {
    case .success(let network): self.init(network, load: CurlMulti.load, whenTold: whenTold)
    case .failure(let error):
      self.init(NetworkSettings { _ in nil }, unusable: HTTPFailure(.other, error.message), load: CurlMulti.load, whenTold: whenTold)
    }
  }

  /// - Parameter load: makes the library ready, or says why it cannot.
  init(
    _ network: NetworkSettings, unusable: HTTPFailure? = nil, load: @escaping @Sendable () -> String?,
    whenTold: @escaping @Sendable (_ isFree: Bool) -> Void = { _ in }
  ) {
    self.network = network
    self.unusable = unusable
    self.load = load
    self.whenTold = whenTold
  }

  deinit { close() }

  /// Starts the thread and loads libcurl there, so that the first request need not wait for it.
  package func prepare() {
    // Without a thread the first request fails, and says why.
    _ = try? post(nil)
  }

  /// Sends a request. Events come one after the other, the first ones perhaps before this returns.
  ///
  /// Without settings or a loop, since the client is closed or no thread can be made, `failed` comes on the caller's thread before this returns.
  @discardableResult
  func start(_ request: HTTPRequest, _ handler: @escaping @Sendable (HTTPEvent) -> Void) -> HTTPTransfer {
    let transfer = HTTPTransfer(mailbox)
    if let unusable {
      handler(.failed(unusable))
      return transfer
    }
    do throws(SystemError) {
      if try !post(.start(transfer, request, handler)) { handler(.failed(.closed)) }
    } catch {
      handler(.failed(HTTPFailure(.other, "The thread for HTTP cannot be started: \(error)")))
    }
    return transfer
  }

  /// Calls `body` once on the loop's thread, after that time; without a loop at once, as `start` fails then.
  ///
  /// When the client is closed, what waits is called at once.
  func schedule(afterMilliseconds delay: Int, _ body: @escaping @Sendable () -> Void) {
    let isTaken = try? post(.call(atMilliseconds: Clock.monotonicMilliseconds() + delay, body))
    if isTaken != true { body() }
  }

  /// Ends the thread; what is open or starts from now on fails with `closed`. Returns at once.
  package func close() { mailbox.close() }

  private func post(_ order: HTTPOrder?) throws(SystemError) -> Bool {
    try mailbox.post(order) { [mailbox, network, load, whenTold] wake throws(SystemError) in
      // What `whenTold` does may need as much as the engine.
      try Thread.start(name: "http", stackSize: 8 << 20) {
        HTTPLoop(mailbox: mailbox, wake: wake, network: network, trouble: load(), whenTold: whenTold).run()
      }
    }
  }
}

extension HTTPFailure {
  static let closed = HTTPFailure(.closed, "The bridge is ending.")
}
