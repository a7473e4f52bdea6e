/// Finds the next byte of a string that is not plain, several bytes at a time.
///
/// Words of eight bytes are compared in an ordinary register, and four of them at once in a vector of words: that is fast in every build,
/// which the comparisons of Swift's byte vectors are not. A subtraction may borrow from the byte above, so only the lowest hit of a word is exact.
enum ByteSearch {
  private static let ones: UInt64 = 0x0101_0101_0101_0101
  private static let highs: UInt64 = 0x8080_8080_8080_8080

  /// Where in a word the first of its marked bytes stands.
  @inline(__always)
  static func offset(_ marks: UInt64) -> Int { marks.trailingZeroBitCount >> 3 }

  @inline(__always)
  static func word(_ base: UnsafePointer<UInt8>, _ at: Int) -> UInt64 {
    unsafe UInt64(littleEndian: UnsafeRawPointer(base + at).loadUnaligned(as: UInt64.self))
  }

  // What a scan stops at: a quote, a backslash, a control character, a byte of a multibyte character.

  @inline(__always)
  static func stops(_ word: UInt64) -> UInt64 {
    ((word &- ones &* 0x20) | ((word ^ ones &* 0x22) &- ones) | ((word ^ ones &* 0x5C) &- ones) | word) & highs
  }

  /// Whether one of the 32 bytes at `at` is a stop.
  @inline(__always)
  static func hasStop(_ base: UnsafePointer<UInt8>, _ at: Int) -> Bool {
    let words = unsafe UnsafeRawPointer(base + at).loadUnaligned(as: SIMD4<UInt64>.self)
    return any(escapedOrBorrowed(words) | words)
  }

  /// Marks the bytes of a word that are no digits: exactly the lowest one, and the next when that is a point, whose sum carries nothing.
  @inline(__always)
  static func nonDigits(_ base: UnsafePointer<UInt8>, _ at: Int) -> UInt64 {
    let word = unsafe word(base, at) ^ ones &* 0x30
    return ((word &+ ones &* 0x76) | word) & highs
  }

  /// Where the first byte at or after `from` stands that is no digit.
  @inline(__always)
  static func endOfDigits(_ base: UnsafePointer<UInt8>, _ from: Int) -> Int {
    var i = from
    while true {
      let others = unsafe nonDigits(base, i)
      if others != 0 { return i + offset(others) }
      i += 8
    }
  }

  // What a JSON string must escape: a quote, a backslash, a control character.

  static func needsEscape(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x22 || byte == 0x5C }

  /// Where the first byte at or after `from` stands that a JSON string must escape; `text.count` when there is none.
  static func endOfUnescaped(_ text: UnsafeRawBufferPointer, from: Int) -> Int {
    guard let start = text.baseAddress else { return from }
    let base = unsafe start.assumingMemoryBound(to: UInt8.self)
    var i = from
    while i + 8 <= text.count {
      let word = unsafe word(base, i)
      let found = ((word &- ones &* 0x20) | ((word ^ ones &* 0x22) &- ones) | ((word ^ ones &* 0x5C) &- ones)) & ~word & highs
      if found != 0 { return i + offset(found) }
      i += 8
      while i + 32 <= text.count {
        let words = unsafe UnsafeRawPointer(base + i).loadUnaligned(as: SIMD4<UInt64>.self)
        if any(escapedOrBorrowed(words) & ~words) { break }
        i += 32
      }
    }
    while i < text.count, unsafe !needsEscape(text[i]) { i += 1 }
    return i
  }

  /// Counts the backslashes of a string's inside; nil when two stand side by side, or one before a `u`, so that they are not each an escape of two bytes.
  static func countOfShortEscapes(_ base: UnsafePointer<UInt8>, _ count: Int) -> Int? {
    var escapes = 0
    var i = 0
    while i + 32 < count {
      // A byte of each lane counts to 255 at most.
      var sums = SIMD4<UInt64>(repeating: 0)
      var odd = SIMD4<UInt64>(repeating: 0)
      for _ in 0..<255 where i + 32 < count {
        let here = unsafe UnsafeRawPointer(base + i).loadUnaligned(as: SIMD4<UInt64>.self)
        let after = unsafe UnsafeRawPointer(base + i + 1).loadUnaligned(as: SIMD4<UInt64>.self)
        let slashes = marks(here, of: 0x5C)
        odd |= slashes & (marks(after, of: 0x5C) | marks(after, of: 0x75))
        sums &+= slashes &>> 7
        i += 32
      }
      if any(odd) { return nil }
      for lane in 0..<4 {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { escapes += Int(sums[lane] >> shift & 0xFF) }
      }
    }
    while i < count {
      if unsafe base[i] == 0x5C {
        if i + 1 < count, unsafe base[i + 1] == 0x5C || base[i + 1] == 0x75 { return nil }
        escapes += 1
      }
      i += 1
    }
    return escapes
  }

  /// What must be escaped in 32 bytes.
  enum Escapes { case nothing, quotesOrBackslashes, controls }

  @inline(__always)
  static func needsEscape(_ words: SIMD4<UInt64>) -> Escapes {
    let plain = notControls(words)
    if !any(~(plain & others(words, than: 0x22) & others(words, than: 0x5C))) { return .nothing }
    return any(~plain) ? .controls : .quotesOrBackslashes
  }

  /// The highest bit of each byte that is a quote or a backslash, and no other bit.
  @inline(__always)
  static func quotesAndBackslashes(_ word: UInt64) -> UInt64 {
    let (quotes, slashes) = (word ^ ones &* 0x22, word ^ ones &* 0x5C)
    return ~((((quotes & ~highs) &+ ~highs) | quotes) & (((slashes & ~highs) &+ ~highs) | slashes)) & highs
  }

  /// How long a text is inside of a JSON string.
  static func escapedCount(_ base: UnsafePointer<UInt8>, _ count: Int) -> Int {
    var escaped = count
    var i = 0
    while i + 32 <= count {
      let start = i
      // A byte of each lane counts to 255 at most: here the bytes that stay as they are.
      var sums = SIMD4<UInt64>(repeating: 0)
      var controls = SIMD4<UInt64>(repeating: 0)
      let each = SIMD4<UInt64>(repeating: ones)
      for _ in 0..<255 where i + 32 <= count {
        let words = unsafe UnsafeRawPointer(base + i).loadUnaligned(as: SIMD4<UInt64>.self)
        let plain = notControls(words)
        controls |= ~plain
        sums &+= (plain & others(words, than: 0x22) & others(words, than: 0x5C)) &>> 7 & each
        i += 32
      }
      if any(controls) {
        for at in start..<i { escaped += unsafe EscapingCopy.escaped(base[at]).length - 1 }
      } else {
        escaped += i - start
        for lane in 0..<4 {
          for shift in stride(from: UInt64(0), to: 64, by: 8) { escaped -= Int(sums[lane] >> shift & 0xFF) }
        }
      }
    }
    while i < count {
      escaped += unsafe EscapingCopy.escaped(base[i]).length - 1
      i += 1
    }
    return escaped
  }

  /// The highest bit of each byte that is no control character, and other bits.
  @inline(__always)
  private static func notControls(_ words: SIMD4<UInt64>) -> SIMD4<UInt64> {
    ((words | SIMD4<UInt64>(repeating: highs)) &- SIMD4<UInt64>(repeating: ones &* 0x20)) | words
  }

  /// The highest bit of each byte that is not `byte`, and other bits.
  @inline(__always)
  private static func others(_ words: SIMD4<UInt64>, than byte: UInt64) -> SIMD4<UInt64> {
    let lows = SIMD4<UInt64>(repeating: ~highs)
    let others = words ^ SIMD4<UInt64>(repeating: ones &* byte)
    return ((others & lows) &+ lows) | others
  }

  @inline(__always)
  private static func escapedOrBorrowed(_ words: SIMD4<UInt64>) -> SIMD4<UInt64> {
    let each = SIMD4<UInt64>(repeating: ones)
    let controls = words &- SIMD4<UInt64>(repeating: ones &* 0x20)
    let quotes = (words ^ SIMD4<UInt64>(repeating: ones &* 0x22)) &- each
    let slashes = (words ^ SIMD4<UInt64>(repeating: ones &* 0x5C)) &- each
    return controls | quotes | slashes
  }

  /// The highest bit of each byte that is `byte`, and no other bit.
  @inline(__always)
  private static func marks(_ words: SIMD4<UInt64>, of byte: UInt64) -> SIMD4<UInt64> {
    ~(others(words, than: byte) | SIMD4<UInt64>(repeating: ~highs))
  }

  /// Whether a byte is marked.
  @inline(__always)
  private static func any(_ marks: SIMD4<UInt64>) -> Bool {
    (marks[0] | marks[1] | marks[2] | marks[3]) & highs != 0
  }
}
