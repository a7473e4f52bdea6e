/// Text that equals only the same code points.
///
/// Swift's `String` calls a composed and a decomposed "é" equal; JSON Schema does not, and neither does whoever reads the value afterwards.
struct ExactString: Hashable, Sendable {
  let text: String

  init(_ text: String) { self.text = text }

  var utf8Count: Int { text.utf8.count }

  /// The length as JSON Schema counts it: code points.
  var codePointCount: Int {
    var count = 0
    for byte in text.utf8 where byte & 0xC0 != 0x80 { count += 1 }
    return count
  }

  static func == (a: ExactString, b: ExactString) -> Bool {
    a.text.utf8.count == b.text.utf8.count && a.text.utf8.elementsEqual(b.text.utf8)
  }

  func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    hasher.combine(0xFF as UInt8)
  }
}

extension ExactString: ExpressibleByStringLiteral {
  init(stringLiteral text: String) { self.init(text) }
}
