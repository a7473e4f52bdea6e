#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The inside of JSON strings.
enum JSONText {
  /// What a surrogate escape without its other half becomes.
  enum LoneSurrogate {
    /// U+FFFD, for text that people and models read.
    case replaced
    /// Itself, in the three bytes that UTF-8 would have for it, so that two strings have the same bytes only if they are the same.
    case kept
  }

  /// The text of a validated string's inside; a lone surrogate escape becomes U+FFFD.
  static func unescape(_ inside: Bytes) -> String {
    unsafe inside.withUnsafeBytes { raw in
      guard unsafe hasEscape(raw) else { return unsafe String(decoding: raw, as: UTF8.self) }
      return unsafe String(unsafeUninitializedCapacity: raw.count) { room in
        unsafe unescape(raw, into: UnsafeMutableRawBufferPointer(room), .replaced)
      }
    }
  }

  /// The exact text of a validated string's inside, which is not UTF-8 where there are lone surrogates.
  static func unescapeExactly(_ inside: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) {
    _ = unsafe buffer.withUnsafeFreeSpace(inside.count) { room in unsafe unescape(inside, into: room, .kept) }
  }

  static func hasEscape(_ inside: UnsafeRawBufferPointer) -> Bool {
    guard let start = inside.baseAddress, inside.count > 0 else { return false }
    return unsafe memchr(start, 0x5C, inside.count) != nil
  }

  /// Needs as much room as the escaped text has bytes; returns how many it wrote.
  private static func unescape(
    _ raw: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer, _ lone: LoneSurrogate
  ) -> Int {
    guard let source = raw.baseAddress, let target = room.baseAddress else { return 0 }
    var from = 0
    var to = 0
    while from < raw.count {
      let next = unsafe memchr(source + from, 0x5C, raw.count - from)
      let plainEnd = unsafe next.map { unsafe UnsafeRawPointer($0) - source } ?? raw.count
      unsafe memcpy(target + to, source + from, plainEnd - from)
      to += plainEnd - from
      from = plainEnd
      // One turn an escape, as many as follow one another.
      while from < raw.count, unsafe raw[from] == 0x5C {
        let escape = unsafe raw[from + 1]
        if escape == 0x75 {
          let (scalar, length) = unsafe codePoint(raw, at: from)
          to += unsafe encode(lone == .replaced && scalar & 0x1FF800 == 0xD800 ? 0xFFFD : scalar, target + to)
          from += length
        } else {
          unsafe target.storeBytes(of: plain(escape), toByteOffset: to, as: UInt8.self)
          to += 1
          from += 2
        }
      }
    }
    return to
  }

  /// What the `\u` escape at `at` stands for, and its length: that of two when they are the halves of one character.
  private static func codePoint(_ raw: UnsafeRawBufferPointer, at: Int) -> (UInt32, Int) {
    let first = unsafe hex(raw, at + 2)
    if first & 0xFC00 == 0xD800, at + 11 < raw.count, unsafe raw[at + 6] == 0x5C, unsafe raw[at + 7] == 0x75 {
      let second = unsafe hex(raw, at + 8)
      if second & 0xFC00 == 0xDC00 { return (0x10000 + (first & 0x3FF) << 10 + (second & 0x3FF), 12) }
    }
    return (first, 6)
  }

  /// Writes the scalar or surrogate as UTF-8 does, and returns the number of bytes.
  private static func encode(_ value: UInt32, _ target: UnsafeMutableRawPointer) -> Int {
    func put(_ byte: UInt32, _ at: Int) { unsafe target.storeBytes(of: UInt8(truncatingIfNeeded: byte), toByteOffset: at, as: UInt8.self) }
    if value < 0x80 {
      put(value, 0)
      return 1
    }
    if value < 0x800 {
      put(0xC0 | value >> 6, 0)
      put(0x80 | value & 0x3F, 1)
      return 2
    }
    if value < 0x10000 {
      put(0xE0 | value >> 12, 0)
      put(0x80 | value >> 6 & 0x3F, 1)
      put(0x80 | value & 0x3F, 2)
      return 3
    }
    put(0xF0 | value >> 18, 0)
    put(0x80 | value >> 12 & 0x3F, 1)
    put(0x80 | value >> 6 & 0x3F, 2)
    put(0x80 | value & 0x3F, 3)
    return 4
  }

  private static func plain(_ escape: UInt8) -> UInt8 {
    switch escape {
    case 0x62: 0x08
    case 0x66: 0x0C
    case 0x6E: 0x0A
    case 0x72: 0x0D
    case 0x74: 0x09
    default: escape
    }
  }

  /// The value of the four hexadecimal digits at `at`.
  static func hex(_ raw: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
    var value: UInt32 = 0
    for i in at..<at + 4 {
      let byte = unsafe raw[i]
      value = value << 4 + UInt32(byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x61 + 10)
    }
    return value
  }

  /// Appends `text` with what JSON does not allow in a string escaped; no quotes around it.
  static func escape(_ text: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) {
    var i = 0
    while i < text.count {
      let plainEnd = unsafe ByteSearch.endOfUnescaped(text, from: i)
      unsafe buffer.append(UnsafeRawBufferPointer(rebasing: text[i..<plainEnd]))
      i = plainEnd
      while i < text.count, unsafe ByteSearch.needsEscape(text[i]) {
        unsafe appendEscaped(text[i], to: &buffer)
        i += 1
      }
    }
  }

  private static func appendEscaped(_ byte: UInt8, to buffer: inout ByteBuffer) {
    let (word, length) = EscapingCopy.escaped(byte)
    for place in 0..<length { buffer.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * place))) }
  }
}
