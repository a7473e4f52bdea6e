#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The member names of the objects that a walk has open, to find a name that is there twice.
///
/// Names are compared by their unescaped bytes, exactly. Few are compared one by one; many through a table, whose hash is seeded anew in
/// each process, so that nobody can choose names that collide.
@safe struct OpenNames: ~Copyable {
  private struct Name {
    /// The first bytes, so that most comparisons end in a register.
    let prefix: UInt64
    /// In the text, or, when negative, `~offset` in `unescaped`.
    let offset: Int
    let count: Int
  }

  private static let mostWithoutTable = 12

  private let base: UnsafePointer<UInt8>
  private var unescaped = ByteBuffer(capacity: 0)
  private var names: [Name] = []
  /// Where in `names` each open object begins.
  private var starts: [Int] = []
  /// For each open object: empty, or open addressing over its names (their place from 1; 0 is free), at most half full.
  private var tables: [[UInt32]] = []

  /// `base` is padded text that outlives this value.
  init(in base: UnsafePointer<UInt8>) {
    unsafe self.base = base
    names.reserveCapacity(32)
    starts.reserveCapacity(8)
    tables.reserveCapacity(8)
  }

  mutating func beginObject() {
    starts.append(names.count)
    tables.append([])
  }

  mutating func endObject() {
    names.removeLast(names.count - starts.removeLast())
    tables.removeLast()
    if names.isEmpty { unescaped.removeAll() }
  }

  /// Adds a name, given without its quotes, to the innermost object; false when it is there already.
  mutating func insert(_ range: Range<Int>) -> Bool {
    let name = made(range)
    let start = starts[starts.count - 1]
    let count = names.count - start
    if count < Self.mostWithoutTable {
      for i in start..<names.count where equal(names[i], name) { return false }
      names.append(name)
      return true
    }
    names.append(name)
    return insertLast(start)
  }

  private mutating func made(_ range: Range<Int>) -> Name {
    let raw = unsafe UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    guard unsafe JSONText.hasEscape(raw) else {
      return Name(prefix: unsafe prefix(raw), offset: range.lowerBound, count: range.count)
    }
    let offset = unescaped.count
    unsafe JSONText.unescapeExactly(raw, into: &unescaped)
    return unsafe unescaped.withUnsafeBytes { all in
      let text = unsafe UnsafeRawBufferPointer(rebasing: all[offset...])
      return Name(prefix: unsafe prefix(text), offset: ~offset, count: text.count)
    }
  }

  private func prefix(_ text: UnsafeRawBufferPointer) -> UInt64 {
    guard let start = text.baseAddress, text.count > 0 else { return 0 }
    // Both memories are padded.
    let word = unsafe UInt64(littleEndian: start.loadUnaligned(as: UInt64.self))
    return text.count >= 8 ? word : word & (1 << UInt64(text.count * 8) - 1)
  }

  private func equal(_ a: Name, _ b: Name) -> Bool {
    guard a.count == b.count, a.prefix == b.prefix else { return false }
    if a.count <= 8 { return true }
    return unsafe with(a) { x in unsafe with(b) { y in unsafe memcmp(x.baseAddress!, y.baseAddress!, x.count) == 0 } }
  }

  private func with<R>(_ name: Name, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    if name.offset >= 0 { return unsafe body(UnsafeRawBufferPointer(start: base + name.offset, count: name.count)) }
    return unsafe unescaped.withUnsafeBytes { all in
      unsafe body(UnsafeRawBufferPointer(rebasing: all[~name.offset..<(~name.offset + name.count)]))
    }
  }

  /// The unescaped bytes of the name added last.
  func withLast<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { unsafe with(names[names.count - 1], body) }

  /// Puts the last name into the innermost object's table, which is made or grown first when it must be.
  private mutating func insertLast(_ start: Int) -> Bool {
    let count = names.count - start
    // Taken out while it is changed: left in, it would be copied.
    var table = tables.removeLast()
    defer { tables.append(table) }
    if table.count >= 2 * count { return place(count, start, &table) }
    table = [UInt32](repeating: 0, count: max(64, table.count * 2))
    for number in 1...count {
      guard place(number, start, &table) else { return false }
    }
    return true
  }

  private func place(_ number: Int, _ start: Int, _ table: inout [UInt32]) -> Bool {
    let name = names[start + number - 1]
    var hasher = Hasher()
    unsafe with(name) { unsafe hasher.combine(bytes: $0) }
    let mask = table.count - 1
    var slot = hasher.finalize() & mask
    while table[slot] != 0 {
      if equal(names[start + Int(table[slot]) - 1], name) { return false }
      slot = (slot + 1) & mask
    }
    table[slot] = UInt32(number)
    return true
  }
}
