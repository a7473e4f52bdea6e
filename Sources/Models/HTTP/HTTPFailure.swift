/// Why a request got no whole answer. An answer with any status is none of these.
struct HTTPFailure: Error, Sendable, Equatable {
  enum Deadline: Sendable, Equatable { case connect, firstByte, stall }

  enum Kind: Sendable, Equatable {
    /// No connection came about, for a reason that may pass: no such host, refused, a handshake that broke off.
    case couldNotConnect
    /// The proxy did not connect to the server; nothing of the answer is from there.
    case proxyRefused(status: Int)
    /// The connection broke before the answer was whole.
    case connectionLost
    case timedOut(Deadline)
    /// The server could not prove who it is, or the certificates cannot be read.
    case tls
    /// The answer is larger than the request allows.
    case tooLarge
    /// There is no libcurl that can be used.
    case libraryMissing
    /// `HTTPClient.close` came first.
    case closed
    /// The request itself is wrong, or libcurl failed in a way of its own.
    case other
  }

  var kind: Kind
  /// For people: names the host, and never a path, a query, a header or what the server sent.
  var message: String

  init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }
}
