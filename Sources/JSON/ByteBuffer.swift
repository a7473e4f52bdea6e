#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A growing run of bytes with one owner; `finish` hands its memory over as `Bytes` without a copy.
@safe package struct ByteBuffer: ~Copyable {
  /// Nil while there is no capacity.
  private var base: UnsafeMutablePointer<UInt8>?
  /// In what `base` lies; nil when it is memory of its own.
  private var inside: ByteStorage?
  package private(set) var capacity: Int
  package private(set) var count = 0

  package init(capacity: Int = 256) {
    self.capacity = capacity
    if capacity > ByteStorage.mostInside {
      unsafe base = ByteStorage.allocate(capacity)
    } else if capacity > 0 {
      let storage = ByteStorage.inside(capacity)
      unsafe base = storage.base
      inside = storage
    }
  }

  deinit {
    if inside == nil { unsafe free(base) }
  }

  package var isEmpty: Bool { count == 0 }

  /// Makes room for `more` bytes: at least doubles, so that a long append costs linear time (`realloc` moves large blocks by remapping).
  @inline(__always)
  package mutating func reserve(_ more: Int) {
    if count + more > capacity { grow(by: more) }
  }

  @inline(never)
  private mutating func grow(by more: Int) {
    let wanted = max(count + more, capacity * 2, 64)
    if unsafe inside != nil || base == nil {
      var larger = ByteBuffer(capacity: wanted)
      unsafe withUnsafeBytes { unsafe larger.append($0) }
      self = larger
      return
    }
    guard let memory = unsafe realloc(base, wanted + ByteStorage.padding) else { fatalError("out of memory: \(wanted) bytes") }
    unsafe base = memory.bindMemory(to: UInt8.self, capacity: wanted + ByteStorage.padding)
    capacity = wanted
  }

  package mutating func append(_ byte: UInt8) {
    reserve(1)
    unsafe base![count] = byte
    count += 1
  }

  package mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    reserve(bytes.count)
    unsafe memcpy(base! + count, source, bytes.count)
    count += bytes.count
  }

  package mutating func append(_ bytes: Bytes) {
    unsafe bytes.withUnsafeBytes { unsafe append($0) }
  }

  package mutating func append(_ text: StaticString) {
    unsafe append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// A few bytes between quotes, after a comma and before a colon where they are wanted; nothing in them needs escaping.
  @inline(__always)
  mutating func append(quoting text: UnsafeRawBufferPointer, comma: Bool, colon: Bool) {
    reserve(text.count + 4)
    guard let memory = unsafe base else { return }
    var at = count
    if comma {
      unsafe memory[at] = 0x2C
      at += 1
    }
    unsafe memory[at] = 0x22
    if let source = text.baseAddress { unsafe memcpy(memory + at + 1, source, text.count) }
    at += 1 + text.count
    unsafe memory[at] = 0x22
    at += 1
    if colon {
      unsafe memory[at] = 0x3A
      at += 1
    }
    count = at
  }

  package mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
  }

  package mutating func append(decimal value: Int) {
    if value < 0 { return append(String(value)) }
    var digits = (UInt64(0), UInt64(0), UInt64(0))
    unsafe withUnsafeMutableBytes(of: &digits) { room in
      var rest = value
      var at = 24
      repeat {
        at -= 1
        unsafe room[at] = UInt8(truncatingIfNeeded: 48 + rest % 10)
        rest /= 10
      } while rest > 0
      unsafe append(UnsafeRawBufferPointer(rebasing: room[at..<24]))
    }
  }

  /// Lets `body` write into at least `room` free bytes and say how many it wrote (a negative number counts as none).
  package mutating func withUnsafeFreeSpace(_ room: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    reserve(room)
    let written = unsafe body(UnsafeMutableRawBufferPointer(start: base.map { unsafe $0 + count }, count: capacity - count))
    count += max(0, written)
    return written
  }

  package borrowing func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    unsafe body(UnsafeRawBufferPointer(start: base, count: count))
  }

  package mutating func removeAll() { count = 0 }

  /// Drops the first `n` bytes.
  package mutating func removeFirst(_ n: Int) {
    precondition(n <= count)
    if n == 0 { return }
    unsafe memmove(base!, base! + n, count - n)
    count -= n
  }

  /// What was written, as immutable bytes; the buffer is empty afterwards.
  package mutating func finish() -> Bytes {
    guard var memory = unsafe base, count > 0 else { return Bytes() }
    if inside == nil, capacity > 2 * count + 4096, let smaller = unsafe realloc(memory, count + ByteStorage.padding) {
      unsafe memory = smaller.bindMemory(to: UInt8.self, capacity: count + ByteStorage.padding)
      capacity = count
    }
    unsafe memset(memory + count, 0, min(ByteStorage.padding, capacity + ByteStorage.padding - count))
    let bytes = unsafe Bytes(storage: inside ?? .owning(memory, capacity), start: 0, count: count)
    inside = nil
    unsafe base = nil
    capacity = 0
    count = 0
    return bytes
  }
}
