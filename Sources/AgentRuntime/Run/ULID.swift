import JSON

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
    // The first digit has three bits.
    guard let first = text.utf8.first, (0x30...0x37).contains(first) else { return nil }
    for byte in text.utf8 {
      guard let digit = Self.digit(byte) else { return nil }
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

  /// The characters of `text`.
  package var digits: [26 of UInt8] {
    let alphabet: StaticString = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    var digits: [26 of UInt8] = .init(repeating: 0)
    var (high, low) = (high, low)
    for index in (0..<26).reversed() {
      digits[index] = unsafe alphabet.utf8Start[Int(low & 31)]
      low = low >> 5 | high << 59
      high >>= 5
    }
    return digits
  }

  package var text: String {
    let digits = digits
    return unsafe String(unsafeUninitializedCapacity: 26) { room in
      for index in 0..<26 { unsafe room[index] = digits[index] }
      return 26
    }
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

extension JSONWriter {
  package mutating func member(_ name: StaticString, _ id: ULID) {
    key(name)
    string(plain: id.digits)
  }
}
