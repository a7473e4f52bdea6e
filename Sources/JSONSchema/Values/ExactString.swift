import JSON

/// Text that equals only the same code points.
///
/// Swift's `String` calls a composed and a decomposed "é" equal; JSON Schema does not, and neither does whoever reads the value afterwards.
struct ExactString: Hashable, Sendable {
  /// With U+FFFD for each lone surrogate.
  let text: String
  /// The text in generalized UTF-8 where it has lone surrogates, which a `String` cannot hold; nil elsewhere.
  private let surrogates: [UInt8]?

  init(_ text: String) {
    self.text = text
    surrogates = nil
  }

  /// The text of a JSON string.
  init(_ json: CarriedJSON) {
    let text = json.stringValue ?? ""
    self.text = text
    // Only U+FFFD can stand for something else.
    let exact = text.utf8.contains(0xEF) ? json.exactStringBytes : nil
    surrogates = exact.flatMap { $0.elementsEqual(text.utf8) ? nil : $0 }
  }

  var utf8Count: Int { text.utf8.count }

  /// The length as JSON Schema counts it: code points.
  var codePointCount: Int {
    var count = 0
    for byte in text.utf8 where byte & 0xC0 != 0x80 { count += 1 }
    return count
  }

  static func == (a: ExactString, b: ExactString) -> Bool {
    a.text.utf8.count == b.text.utf8.count && a.text.utf8.elementsEqual(b.text.utf8) && a.surrogates == b.surrogates
  }

  func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    hasher.combine(0xFF as UInt8)
    if let surrogates { hasher.combine(surrogates) }
  }
}

extension ExactString: ExpressibleByStringLiteral {
  init(stringLiteral text: String) { self.init(text) }
}
