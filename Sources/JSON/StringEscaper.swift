/// Hands out a text as it stands inside of a JSON string, in pieces of any size: the whole of it is never in memory.
package struct StringEscaper: Sendable {
  private let text: Bytes
  private var position = 0
  /// So many bytes of what the byte at the position becomes are handed out already.
  private var begun = 0

  package init(_ text: Bytes) { self.text = text }

  package var isAtEnd: Bool { position == text.count }

  /// Fills the room as far as the text goes; says how much that was.
  package mutating func read(into room: UnsafeMutableRawBufferPointer) -> Int {
    guard let target = unsafe room.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return 0 }
    let limit = room.count
    var written = 0
    unsafe text.withUnsafeBytes { raw in
      guard let source = unsafe raw.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      while position < raw.count, written < limit {
        if begun == 0 { unsafe EscapingCopy.blocks(source, &position, raw.count, target, &written, limit) }
        guard position < raw.count else { return }
        let (word, length) = unsafe EscapingCopy.escaped(source[position])
        while begun < length, written < limit {
          unsafe target[written] = UInt8(truncatingIfNeeded: word >> UInt64(8 * begun))
          begun += 1
          written += 1
        }
        guard begun == length else { return }
        (position, begun) = (position + 1, 0)
      }
    }
    return written
  }

  /// Goes on by so many bytes of what it hands out, or to the end.
  package mutating func skip(_ count: Int) {
    var left = count
    unsafe withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { scratch in
      while left > 0, !isAtEnd {
        left -= unsafe read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<min(left, scratch.count)]))
      }
    }
  }
}

extension Bytes {
  /// How long the text is inside of a JSON string.
  package var escapedCount: Int {
    unsafe withUnsafeBytes { raw in
      guard let source = unsafe raw.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return 0 }
      return unsafe ByteSearch.escapedCount(source, raw.count)
    }
  }
}

extension ByteBuffer {
  /// The text as a JSON string.
  package mutating func append(string text: String) {
    append(0x22)
    var text = text
    text.withUTF8 { unsafe JSONText.escape(UnsafeRawBufferPointer($0), into: &self) }
    append(0x22)
  }

  /// The text as it stands inside of a JSON string, of which `count` is the length there.
  package mutating func append(escaping text: Bytes, count: Int) {
    var escaper = StringEscaper(text)
    _ = unsafe withUnsafeFreeSpace(count) { unsafe escaper.read(into: $0) }
  }
}

/// Copies text and escapes it on the way.
enum EscapingCopy {
  /// What 32 bytes become at most, and some room for writing a word where a byte is meant.
  private static let mostOfBlock = 32 * 6 + 8

  /// Goes on by blocks of 32 bytes while these and the room last.
  ///
  /// In a block with something to escape each byte is written after a backslash or in its place: where the escapes stand decides no branch.
  static func blocks(
    _ source: UnsafePointer<UInt8>, _ from: inout Int, _ end: Int, _ target: UnsafeMutablePointer<UInt8>, _ to: inout Int, _ limit: Int
  ) {
    var i = from
    var out = to
    while end &- i >= 32, limit &- out >= mostOfBlock {
      let block = unsafe UnsafeRawPointer(source + i).loadUnaligned(as: SIMD4<UInt64>.self)
      switch ByteSearch.needsEscape(block) {
      case .nothing:
        unsafe UnsafeMutableRawPointer(target + out).storeBytes(of: block, as: SIMD4<UInt64>.self)
        out &+= 32
      case .quotesOrBackslashes:
        for lane in 0..<4 {
          var word = block[lane]
          var marks = ByteSearch.quotesAndBackslashes(word) >> 7
          for _ in 0..<8 {
            let escape = Int(truncatingIfNeeded: marks & 1)
            unsafe target[out] = 0x5C
            unsafe target[out &+ escape] = UInt8(truncatingIfNeeded: word)
            out &+= 1 &+ escape
            word >>= 8
            marks >>= 8
          }
        }
      case .controls:
        for at in i..<i &+ 32 {
          let (word, length) = unsafe escaped(source[at])
          unsafe UnsafeMutableRawPointer(target + out).storeBytes(of: word.littleEndian, as: UInt64.self)
          out &+= length
        }
      }
      i &+= 32
    }
    (from, to) = (i, out)
  }

  /// What a byte becomes, its first byte lowest, and how many bytes that is.
  @inline(__always)
  static func escaped(_ byte: UInt8) -> (word: UInt64, length: Int) {
    guard ByteSearch.needsEscape(byte) else { return (UInt64(byte), 1) }
    switch byte {
    case 0x22, 0x5C: return (0x5C | UInt64(byte) << 8, 2)
    case 0x08: return (0x625C, 2)
    case 0x0C: return (0x665C, 2)
    case 0x0A: return (0x6E5C, 2)
    case 0x0D: return (0x725C, 2)
    case 0x09: return (0x745C, 2)
    default:
      let low = UInt64(byte & 15)
      return (0x3030_755C | UInt64(byte < 0x10 ? 0x30 : 0x31) << 32 | (low < 10 ? 0x30 + low : 0x61 + low - 10) << 40, 6)
    }
  }
}
