import JSON

/// Some of a request, in the order it is sent.
enum RequestPiece: Sendable, Equatable {
  /// Sent as it stands.
  case plain(Bytes)
  /// A text that is escaped while it is sent, to stand in a JSON string; `count` is its length there. A copy that is escaped beforehand would be as
  /// large as the text, and more.
  case unescaped(Bytes, count: Int)

  /// The text as the inside of a JSON string.
  static func escaping(_ text: Bytes) -> RequestPiece {
    let count = text.escapedCount
    if count == text.count { return .plain(text) }
    if text.count >= PartWriter.lentFrom { return .unescaped(text, count: count) }
    var escaped = ByteBuffer(capacity: count)
    escaped.append(escaping: text, count: count)
    return .plain(escaped.finish())
  }

  /// As it is sent.
  var count: Int {
    switch self {
    case .plain(let bytes): bytes.count
    case .unescaped(_, let count): count
    }
  }

  /// Inside of a JSON string: whether there is nothing but white space.
  var isBlank: Bool {
    switch self {
    case .plain(let inside): EscapedText.isBlank(inside)
    // It is the beginning of a JSON value.
    case .unescaped: false
    }
  }

  /// Inside of a JSON string: how many bytes of UTF-8 it stands for.
  var decodedCount: Int {
    switch self {
    case .plain(let inside): EscapedText.decodedCount(inside)
    case .unescaped(let text, _): text.count
    }
  }

  /// Inside of a JSON string: so much of it, in whole characters, as stands for `limit` bytes at most; and for how many it stands.
  func beginning(decodedLimit limit: Int) -> (piece: RequestPiece, decoded: Int) {
    switch self {
    case .plain(let inside):
      var walk = EscapeWalk()
      walk.advance(over: inside, decodedLimit: limit)
      return (.plain(inside[0..<walk.encoded]), walk.decoded)
    case .unescaped(let text, _):
      if limit >= text.count { return (self, text.count) }
      var end = max(0, limit)
      while end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
      return (.escaping(text[0..<end]), end)
    }
  }
}

extension [RequestPiece] {
  init(_ pieces: [Bytes]) { self = pieces.map { .plain($0) } }

  var byteCount: Int { reduce(0) { $0 + $1.count } }

  /// All of them in one.
  var joined: Bytes {
    if count == 1, case .plain(let only) = self[0] { return only }
    var buffer = ByteBuffer(capacity: byteCount)
    for piece in self {
      switch piece {
      case .plain(let bytes): buffer.append(bytes)
      case .unescaped(let text, let count): buffer.append(escaping: text, count: count)
      }
    }
    return buffer.finish()
  }
}
