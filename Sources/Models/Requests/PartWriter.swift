import JSON

/// Writes JSON in pieces, so that a large value is lent to the request and not copied. Commas and balance are the caller's.
struct PartWriter: ~Copyable {
  /// A value from this size on is a piece of its own.
  static let lentFrom = 32768

  private var buffer = ByteBuffer(capacity: 512)
  private var pieces: [RequestPiece] = []
  private var lentBytes = 0

  init() {}

  var count: Int { lentBytes + buffer.count }

  mutating func raw(_ text: StaticString) { buffer.append(text) }

  /// Bytes that fit where they stand: a JSON value, or some of the inside of a string.
  mutating func raw(_ bytes: Bytes) {
    guard bytes.count >= Self.lentFrom else { return buffer.append(bytes) }
    lend(.plain(bytes))
  }

  mutating func raw(_ piece: RequestPiece) {
    if case .plain(let bytes) = piece { raw(bytes) } else { lend(piece) }
  }

  mutating func string(_ text: String) { buffer.append(string: text) }

  /// A string with that inside.
  mutating func string(inside: Bytes) {
    buffer.append(0x22)
    raw(inside)
    buffer.append(0x22)
  }

  /// A string made of insides.
  mutating func string(_ insides: [Bytes]) { string([RequestPiece](insides)) }

  /// A string made of pieces of its inside.
  mutating func string(_ insides: [RequestPiece]) {
    buffer.append(0x22)
    for inside in insides { raw(inside) }
    buffer.append(0x22)
  }

  /// The text of a JSON value, as a string.
  mutating func text(of json: Bytes) { string([.escaping(json)]) }

  mutating func int(_ value: Int) { buffer.append(decimal: value) }

  private mutating func lend(_ piece: RequestPiece) {
    cut()
    pieces.append(piece)
    lentBytes += piece.count
  }

  private mutating func cut() {
    guard !buffer.isEmpty else { return }
    lentBytes += buffer.count
    pieces.append(.plain(buffer.finish()))
  }

  mutating func finish() -> [RequestPiece] {
    cut()
    lentBytes = 0
    defer { pieces = [] }
    return pieces
  }
}

extension [Bytes] {
  /// All of them in one.
  var joined: Bytes {
    if count == 1 { return self[0] }
    var buffer = ByteBuffer(capacity: reduce(0) { $0 + $1.count })
    for piece in self { buffer.append(piece) }
    return buffer.finish()
  }
}
