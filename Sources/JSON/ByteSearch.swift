/// Finds the next byte of a string that is not plain, several bytes at a time.
///
/// Short runs are the rule, so each search looks at eight bytes in a register first; only a run that goes on is worth whole vectors, which cannot
/// say where the hit is (Swift has no movemask): that place is found in the register again.
enum ByteSearch {
  private static let ones: UInt64 = 0x0101_0101_0101_0101
  private static let highs: UInt64 = 0x8080_8080_8080_8080

  /// Whether a JSON string must escape the byte.
  static func needsEscape(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x22 || byte == 0x5C }

  /// Where the first byte at or after `from` stands that a JSON string must escape; `text.count` when there is none.
  static func endOfUnescaped(_ text: UnsafeRawBufferPointer, from: Int) -> Int {
    guard let base = text.baseAddress else { return from }
    var i = from
    while i + 8 <= text.count {
      let found = unsafe escaped(UInt64(littleEndian: (base + i).loadUnaligned(as: UInt64.self)))
      if found != 0 { return i + found.trailingZeroBitCount / 8 }
      i += 8
      while i + 32 <= text.count, unsafe !hasEscaped((base + i).loadUnaligned(as: SIMD32<UInt8>.self)) { i += 32 }
    }
    while i < text.count, unsafe !needsEscape(text[i]) { i += 1 }
    return i
  }

  /// The high bit of each byte that must be escaped; the lowest one set is exact.
  private static func escaped(_ word: UInt64) -> UInt64 {
    // A byte with its high bit set is none of them, and `~word` clears its bit.
    let quote = word ^ (ones &* 0x22)
    let slash = word ^ (ones &* 0x5C)
    return ((word &- ones &* 0x20) | (quote &- ones) | (slash &- ones)) & ~word & highs
  }

  private static func hasEscaped(_ block: SIMD32<UInt8>) -> Bool {
    any((block .< 0x20) .| (block .== 0x22) .| (block .== 0x5C))
  }
}
