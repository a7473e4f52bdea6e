import JSON

extension EscapedText {
  /// Whether there is nothing but white space, escaped or not: what Unicode calls so, and what Python's `str.strip()` takes besides, since that is how
  /// services look for it.
  static func isBlank(_ inside: Bytes) -> Bool {
    var at = 0
    while at < inside.count {
      let length = whiteSpaceLength(inside, at)
      if length == 0 { return false }
      at += length
    }
    return true
  }

  /// How many bytes the white space at `at` takes; 0 for anything else.
  private static func whiteSpaceLength(_ inside: Bytes, _ at: Int) -> Int {
    switch inside[at] {
    case 0x20: 1
    case 0x5C: escapedLength(inside, at)
    // The first bytes of two and of three with which white space begins.
    case 0xC2: isWhiteSpace(0x80 | tail(inside, at + 1)) ? 2 : 0
    case 0xE1...0xE3: isWhiteSpace(UInt32(inside[at] & 0x0F) << 12 | tail(inside, at + 1) << 6 | tail(inside, at + 2)) ? 3 : 0
    default: 0
    }
  }

  /// The same of an escape.
  private static func escapedLength(_ inside: Bytes, _ at: Int) -> Int {
    switch inside[at + 1] {
    case 0x6E, 0x72, 0x74, 0x66: 2
    case 0x75: isWhiteSpace((2..<6).reduce(0) { $0 << 4 | digit(inside[at + $1]) }) ? 6 : 0
    default: 0
    }
  }

  private static func isWhiteSpace(_ scalar: UInt32) -> Bool {
    switch scalar {
    // U+001C to U+001F are Python's only.
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
  }

  /// The value bits of a byte that goes on with a character.
  private static func tail(_ inside: Bytes, _ at: Int) -> UInt32 { UInt32(inside[at] & 0x3F) }

  /// Of a hexadecimal digit.
  private static func digit(_ byte: UInt8) -> UInt32 { UInt32(byte <= 0x39 ? byte & 0x0F : (byte & 0x0F) + 9) }
}
