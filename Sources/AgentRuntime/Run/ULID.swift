/// A 128-bit identifier that sorts by the time it was made: 48 bits of milliseconds, 80 random bits, written as 26 Crockford base-32 characters.
///
/// Source: https://github.com/ulid/spec
package struct ULID: Sendable, Hashable {
  package let high: UInt64
  package let low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  package init(milliseconds: Int, random: (UInt64, UInt64)) {
    high = UInt64(truncatingIfNeeded: milliseconds) << 16 | random.0 & 0xFFFF
    low = random.1
  }

  /// Reads the canonical text; nil for anything else.
  package init?(_ text: String) {
    guard text.utf8.count == 26 else { return nil }
    var high: UInt64 = 0
    var low: UInt64 = 0
    for (index, byte) in text.utf8.enumerated() {
      guard let digit = Self.digit(byte) else { return nil }
      if index == 0, digit > 7 { return nil }
      high = high << 5 | low >> 59
      low = low << 5 | digit
    }
    self.init(high: high, low: low)
  }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case 0x30...0x39: UInt64(byte - 0x30)
    case 0x41...0x48: UInt64(byte - 0x41 + 10)
    case 0x4A, 0x4B: UInt64(byte - 0x4A + 18)
    case 0x4D, 0x4E: UInt64(byte - 0x4D + 20)
    case 0x50...0x54: UInt64(byte - 0x50 + 22)
    case 0x56...0x5A: UInt64(byte - 0x56 + 27)
    default: nil
    }
  }

  package var text: String {
    let alphabet: StaticString = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    var digits: [UInt8] = []
    digits.reserveCapacity(26)
    for index in 0..<26 {
      let shift = (25 - index) * 5
      let bits = shift >= 64 ? high >> (shift - 64) : (high << 1) << (63 - shift) | low >> shift
      digits.append(unsafe alphabet.utf8Start[Int(bits & 31)])
    }
    return String(decoding: digits, as: UTF8.self)
  }
}

extension ULID: Comparable {
  /// Since 1970, when it was made.
  package var milliseconds: Int { Int(high >> 16) }

  package static func < (a: ULID, b: ULID) -> Bool { (a.high, a.low) < (b.high, b.low) }
}

extension ULID: CustomStringConvertible {
  package var description: String { text }
}
