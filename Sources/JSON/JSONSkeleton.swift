/// A document as jansson gets it: without what is only carried, what is long, and what jansson cannot hold exactly.
///
/// Each of these is set aside, and in its place stands a string that begins with U+0001, a letter for the kind and its number in `asides`.
/// What begins with U+0001 in the document itself is set aside too, so no string of the skeleton can be taken for another.
struct JSONSkeleton: JSONPlaceVisitor {
  struct Aside {
    enum Kind: UInt8 {
      case carried = 0x63
      case string = 0x73
      case number = 0x6E
      /// A name with a NUL, a lone surrogate or a U+0001 at its start.
      case name = 0x6B
      /// A name that jansson can hold: it stands there itself, as it is written without need of escapes.
      case plainName = 0x70
    }

    let kind: Kind
    /// In the source; of strings and names with their quotes.
    let range: Range<Int>
  }

  static let mark: UInt8 = 1
  private static let longestString = 256

  private let source: Bytes
  private(set) var asides: [Aside] = []

  init(of source: Bytes) { self.source = source }

  var hasOddNames: Bool { asides.contains { $0.kind == .name } }

  mutating func carried(_ range: Range<Int>) { asides.append(Aside(kind: .carried, range: range)) }

  mutating func string(_ range: Range<Int>) {
    if range.count > Self.longestString + 2 || hasUnicodeEscape(range) { asides.append(Aside(kind: .string, range: range)) }
  }

  /// jansson keeps integers of 64 bits; reals it would round, and `-0` would lose its sign.
  mutating func number(_ range: Range<Int>) {
    let isPlain = unsafe source.withUnsafeBytes { raw in
      let text = unsafe UnsafeRawBufferPointer(rebasing: raw[range])
      return unsafe text.count <= 18 && text.allSatisfy { $0 &- 0x30 < 10 || $0 == 0x2D }
        && !(text.count == 2 && text[0] == 0x2D && text[1] == 0x30)
    }
    if !isPlain { asides.append(Aside(kind: .number, range: range)) }
  }

  mutating func name(_ range: Range<Int>) {
    guard hasUnicodeEscape(range) else { return }
    let name = exactText(range)
    let isOdd = unsafe name.withUnsafeBytes { text in
      unsafe text.first == Self.mark || text.contains(0) || zip(text, text.dropFirst()).contains { $0 == 0xED && $1 >= 0xA0 }
    }
    asides.append(Aside(kind: isOdd ? .name : .plainName, range: range))
  }

  /// Whether the string may have such an escape (`\\u` counts too; setting a string aside is never wrong).
  private func hasUnicodeEscape(_ range: Range<Int>) -> Bool {
    unsafe source.withUnsafeBytes { raw in
      let text = unsafe UnsafeRawBufferPointer(rebasing: raw[range])
      guard unsafe JSONText.hasEscape(text) else { return false }
      return unsafe zip(text, text.dropFirst()).contains { $0 == 0x5C && $1 == 0x75 }
    }
  }

  private func exactText(_ range: Range<Int>) -> Bytes {
    var buffer = ByteBuffer(capacity: range.count)
    unsafe source[range.lowerBound + 1..<range.upperBound - 1].withUnsafeBytes { unsafe JSONText.unescapeExactly($0, into: &buffer) }
    return buffer.finish()
  }

  /// The source with the asides replaced; the source itself when there are none.
  func text() -> Bytes {
    if asides.isEmpty { return source }
    let removed = asides.reduce(0) { $0 + $1.range.count }
    var buffer = ByteBuffer(capacity: source.count - removed + 20 * asides.count)
    var copied = 0
    for (number, aside) in asides.enumerated() {
      buffer.append(source[copied..<aside.range.lowerBound])
      buffer.append(0x22)
      if aside.kind == .plainName {
        unsafe exactText(aside.range).withUnsafeBytes { unsafe JSONText.escape($0, into: &buffer) }
      } else {
        buffer.append("\\u0001" as StaticString)
        buffer.append(aside.kind.rawValue)
        buffer.append(decimal: number)
      }
      buffer.append(0x22)
      copied = aside.range.upperBound
    }
    buffer.append(source[copied..<source.count])
    return buffer.finish()
  }
}
