import JSON

/// A body made of parts that are only brought together when they are sent.
struct HTTPBody: Sendable, Equatable {
  let parts: [RequestPiece]
  let count: Int

  init(_ parts: [RequestPiece]) {
    self.parts = parts
    count = parts.byteCount
  }

  init(_ parts: [Bytes]) { self.init([RequestPiece](parts)) }

  static let empty = HTTPBody([RequestPiece]())
}

/// How long each part of an exchange may take, in milliseconds.
struct HTTPDeadlines: Sendable, Equatable {
  /// Looking the name up, connecting, and the handshakes of the proxy and of TLS. A connection that was open already needs none.
  var connectMilliseconds = 10_000
  /// From the start, or from the last byte of the request that was sent, to the first byte of the answer.
  var firstByteMilliseconds = 600_000
  /// Between bytes of the answer.
  var stallMilliseconds = 120_000
}

struct HTTPRequest: Sendable {
  enum Method: Sendable { case get, post }

  /// http or https. Credentials in it are used and never shown.
  var url: String
  var method = Method.post
  /// What is sent besides `Host` and `Content-Length`. `Accept` is any unless it is here.
  var headers: [(name: String, value: String)]
  var body: HTTPBody
  var deadlines = HTTPDeadlines()
  /// The bound of the answer's body.
  var maxResponseBytes = 256 << 20

  /// The host and port of the URL, for people: no user name, path or query.
  var host: Substring { Self.host(of: url) }

  static func host(of url: String) -> Substring {
    var rest = url[...]
    if let scheme = rest.firstRange(ofText: "://") { rest = rest[scheme.upperBound...] }
    rest = rest[..<(rest.firstIndex { "/?#\\".contains($0) } ?? rest.endIndex)]
    if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
    return rest.isEmpty ? "the server" : rest.prefix(255)
  }
}
