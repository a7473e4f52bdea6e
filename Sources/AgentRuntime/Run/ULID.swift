import JSON

/// A 128-bit identifier that sorts by the time it was made: 48 bits of milliseconds, 80 random bits, written as 26 Crockford base-32 characters.
///
/// Source: https://github.com/ulid/spec
package struct ULID: Sendable, Hashable {
  static let textBytes = 26

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

  /// The one after it, mostly of the same millisecond.
  var next: ULID { ULID(high: low == .max ? high &+ 1 : high, low: low &+ 1) }

  /// Reads the canonical text; nil for anything else.
  package init?(_ text: String) {
    var text = text
    let value = text.withUTF8 { digits in unsafe Self.value(of: digits) }
    guard let value else { return nil }
    self.init(high: value.high, low: value.low)
  }

  /// Reads the canonical text; nil for anything else.
  init?(_ text: Bytes) {
    guard let value = unsafe text.withUnsafeBytes({ unsafe Self.value(of: $0.bindMemory(to: UInt8.self)) }) else { return nil }
    self.init(high: value.high, low: value.low)
  }

  /// Reads the canonical text as a JSON string without escapes; nil for anything else.
  init?(json: CarriedJSON) {
    guard json.kind == .string else { return nil }
    let value = unsafe json.bytes[1..<json.bytes.count - 1].withUnsafeBytes { unsafe Self.value(of: $0.bindMemory(to: UInt8.self)) }
    guard let value else { return nil }
    self.init(high: value.high, low: value.low)
  }

  private static func value(of digits: UnsafeBufferPointer<UInt8>) -> (high: UInt64, low: UInt64)? {
    guard digits.count == 26 else { return nil }
    // "0" to "Z", and what they stand for.
    let values: StaticString =
      "\u{0}\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}\u{9}-------\u{A}\u{B}\u{C}\u{D}\u{E}\u{F}\u{10}\u{11}-\u{12}\u{13}-\u{14}\u{15}-\u{16}\u{17}\u{18}\u{19}\u{1A}-\u{1B}\u{1C}\u{1D}\u{1E}\u{1F}"
    var seen: UInt64 = 0
    func bits(_ range: Range<Int>) -> UInt64 {
      var bits: UInt64 = 0
      for index in range {
        let place = unsafe Int(digits[index] &- 0x30)
        let digit = place < values.utf8CodeUnitCount ? unsafe UInt64(values.utf8Start[place]) : 0xFF
        seen |= digit
        bits = bits << 5 | digit
      }
      return bits
    }
    // The first digit has three bits, so that the fourteenth belongs to both halves.
    let (high, middle, low) = (bits(0..<13), bits(13..<14), bits(14..<26))
    return unsafe seen < 32 && digits[0] <= 0x37 ? (high << 1 | middle >> 4, middle << 60 | low) : nil
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
