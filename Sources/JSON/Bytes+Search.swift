#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension Bytes {
  /// Where `byte` stands first, at or after `from`.
  package func firstIndex(of byte: UInt8, from: Int = 0) -> Int? {
    unsafe withUnsafeBytes { unsafe find(byte, in: $0, from: from) }
  }

  /// The same with each of two bytes replaced by a third; the same storage when neither occurs.
  package func replacing(_ first: UInt8, _ second: UInt8, with replacement: UInt8) -> Bytes {
    if firstIndex(of: first) == nil, firstIndex(of: second) == nil { return self }
    var buffer = ByteBuffer(capacity: count)
    _ = unsafe buffer.withUnsafeFreeSpace(count) { room in
      unsafe withUnsafeBytes { raw in
        for i in 0..<raw.count {
          let byte = unsafe raw[i]
          unsafe room[i] = byte == first || byte == second ? replacement : byte
        }
      }
      return count
    }
    return buffer.finish()
  }
}

extension ByteBuffer {
  /// Where `byte` stands first, at or after `from`.
  package borrowing func firstIndex(of byte: UInt8, from: Int = 0) -> Int? {
    unsafe withUnsafeBytes { unsafe find(byte, in: $0, from: from) }
  }

  package subscript(index: Int) -> UInt8 {
    unsafe withUnsafeBytes { bytes in
      precondition(index >= 0 && index < bytes.count)
      return unsafe bytes[index]
    }
  }

  /// A copy of some of the bytes, of exactly their size.
  package borrowing func copy(_ range: Range<Int>) -> Bytes {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    return unsafe withUnsafeBytes { unsafe Bytes(copying: UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  /// Appends some of another buffer's bytes.
  package mutating func append(_ other: borrowing ByteBuffer, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= other.count)
    unsafe other.withUnsafeBytes { unsafe append(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }
}

private func find(_ byte: UInt8, in bytes: UnsafeRawBufferPointer, from: Int) -> Int? {
  guard from < bytes.count, let base = bytes.baseAddress else { return nil }
  guard let found = unsafe memchr(base + from, Int32(byte), bytes.count - from) else { return nil }
  return unsafe UnsafeRawPointer(found) - base
}
