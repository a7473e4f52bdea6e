#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// An immutable run of bytes; slices share its storage.
///
/// The unit in which payloads travel from a frame to the store and to a model: passing one on costs a reference, not a copy.
@safe package struct Bytes: @unchecked Sendable {
  // Unchecked, because: the storage was written by the buffer that made it, before any `Bytes` on it existed, and never after; its `places` have a lock.
  let storage: ByteStorage
  let start: Int
  package let count: Int

  private static let none = Bytes(storage: .inside(0), start: 0, count: 0)

  package init() { self = Self.none }

  init(storage: ByteStorage, start: Int, count: Int) {
    precondition(start >= 0 && count >= 0 && start + count <= storage.room)
    self.storage = storage
    self.start = start
    self.count = count
  }

  package init(_ string: String) {
    var buffer = ByteBuffer(capacity: string.utf8.count)
    buffer.append(string)
    self = buffer.finish()
  }

  package init(_ bytes: [UInt8]) {
    unsafe self = bytes.withUnsafeBytes { unsafe Bytes(copying: $0) }
  }

  package init(copying bytes: UnsafeRawBufferPointer) {
    var buffer = ByteBuffer(capacity: bytes.count)
    unsafe buffer.append(bytes)
    self = buffer.finish()
  }

  package var isEmpty: Bool { count == 0 }

  /// The bytes at `range`, in the same storage.
  package subscript(range: Range<Int>) -> Bytes {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    return Bytes(storage: storage, start: start + range.lowerBound, count: range.count)
  }

  package subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < count)
    return unsafe storage.base[start + index]
  }

  /// The memory is valid, and followed by `ByteStorage.padding` readable bytes, for the time of the call.
  package func withUnsafeBytes<R, E>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    defer { extendLifetime(storage) }
    return try unsafe body(UnsafeRawBufferPointer(start: storage.base + start, count: count))
  }

  /// These bytes with the one before and the one after them, where both are `byte` and in the same storage.
  func between(_ byte: UInt8) -> Bytes? {
    // What lies beyond the capacity is nobody's.
    guard start > 0, start + count < storage.room, unsafe storage.base[start - 1] == byte, unsafe storage.base[start + count] == byte
    else { return nil }
    return Bytes(storage: storage, start: start - 1, count: count + 2)
  }

  func equals(_ other: UnsafeRawBufferPointer) -> Bool {
    guard count == other.count else { return false }
    guard count > 0, let there = other.baseAddress else { return true }
    return unsafe withUnsafeBytes { here in unsafe here.baseAddress == there || memcmp(here.baseAddress!, there, count) == 0 }
  }

  /// The same bytes in storage of their own when they are a small part of what they hold alive.
  package func compacted() -> Bytes {
    if storage.room <= 2 * count + 256 { return self }
    return unsafe withUnsafeBytes { unsafe Bytes(copying: $0) }
  }

  /// The bytes as text; what is not UTF-8 becomes U+FFFD.
  package var string: String {
    unsafe withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }
}

extension Bytes: Hashable {
  package static func == (a: Bytes, b: Bytes) -> Bool {
    unsafe b.withUnsafeBytes { unsafe a.equals($0) }
  }

  package func hash(into hasher: inout Hasher) {
    unsafe withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
  }
}
