#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension CarriedJSON {
  /// UTF-8 bytes of a string's text; each half of a surrogate pair's escapes counts for two, a lone one for three.
  package var stringByteCount: Int {
    precondition(kind == .string)
    let inside = bytes[1..<bytes.count - 1]
    if let escapes = inside.countOfShortEscapes { return inside.count - escapes }
    var walk = EscapeWalk()
    walk.advance(over: inside)
    return walk.decoded
  }

  /// A string's exact text in UTF-8, and where it has lone surrogates in the three bytes that each of them would have there; nil for other values.
  package var exactStringBytes: [UInt8]? {
    guard kind == .string else { return nil }
    let inside = bytes[1..<bytes.count - 1]
    var buffer = ByteBuffer(capacity: inside.count)
    unsafe inside.withUnsafeBytes { unsafe JSONText.unescapeExactly($0, into: &buffer) }
    return unsafe buffer.finish().withUnsafeBytes { unsafe Array($0) }
  }

  /// The first `limit` characters (Unicode scalars) of a string's text.
  package func stringPrefix(characters limit: Int) -> String {
    precondition(kind == .string)
    let inside = bytes[1..<bytes.count - 1]
    var walk = EscapeWalk()
    walk.advance(over: inside, decodedLimit: 4 * limit, overshooting: true)
    return JSONText.unescape(inside[0..<walk.encoded]).prefix(scalars: limit)
  }

  /// Whether this is an object with a member `name`.
  package func hasMember(_ name: StaticString) -> Bool {
    guard kind == .object else { return false }
    var found = false
    forEachMember { memberName, _ in found = found || memberName == name }
    return found
  }
}

extension CarriedJSON {
  /// Whether an object at any depth has a member `name`, which needs no escaping: every string that a colon follows is a name.
  package func holdsMember(_ name: StaticString) -> Bool {
    guard kind == .object || kind == .array, bytes.contains(name) || bytes.contains("\\u") else { return false }
    return unsafe bytes.withUnsafeBytes { raw in
      guard let base = raw.baseAddress else { return false }
      var from = 0
      while let quote = unsafe memchr(base + from, 0x22, raw.count - from) {
        let start = unsafe UnsafeRawPointer(quote) - base + 1
        var end = unsafe ByteSearch.endOfUnescaped(raw, from: start)
        while end + 2 <= raw.count, unsafe raw[end] == 0x5C { end = unsafe ByteSearch.endOfUnescaped(raw, from: end + 2) }
        guard end < raw.count else { return false }
        from = end + 1
        // Outside strings that is white space.
        while from < raw.count, unsafe raw[from] <= 0x20 { from += 1 }
        if from < raw.count, unsafe raw[from] == 0x3A, MemberName(inside: bytes[start..<end]) == name { return true }
      }
      return false
    }
  }
}

/// A place in a string's inside, counted both as it is written and in UTF-8 bytes of the text it stands for.
///
/// Each half of a surrogate pair's escapes belongs to the pair's four bytes; a lone one counts three, as its generalized UTF-8 would.
package struct EscapeWalk: Sendable {
  package private(set) var encoded = 0
  package private(set) var decoded = 0

  package init() {}

  /// Goes on over `inside` by whole characters: not past `decodedLimit` bytes of text (with `overshooting`: to the first border at or after it), and
  /// while less than `encodedLimit` bytes as written are passed.
  package mutating func advance(over inside: Bytes, decodedLimit: Int = .max, encodedLimit: Int = .max, overshooting: Bool = false) {
    unsafe inside.withUnsafeBytes { raw in
      while encoded < min(raw.count, encodedLimit), decoded < decodedLimit {
        let before = encoded
        if unsafe raw[encoded] != 0x5C {
          unsafe skipPlain(raw, min(raw.count, encodedLimit), decodedLimit, overshooting)
        } else {
          let (written, bytes) = unsafe Self.escape(raw, encoded)
          if decoded + bytes > decodedLimit, !overshooting { return }
          encoded += written
          decoded += bytes
        }
        if encoded == before { return }
      }
    }
  }

  private mutating func skipPlain(_ raw: UnsafeRawBufferPointer, _ limit: Int, _ decodedLimit: Int, _ overshooting: Bool) {
    let room = min(limit - encoded, decodedLimit - decoded)
    var end = unsafe ByteSearch.endOfUnescaped(UnsafeRawBufferPointer(rebasing: raw[..<(encoded + room)]), from: encoded)
    // Not inside a character: to its end, or back to its beginning.
    if end < raw.count, unsafe raw[end] & 0xC0 == 0x80 {
      if overshooting || encoded + room >= limit {
        while end < raw.count, unsafe raw[end] & 0xC0 == 0x80 { end += 1 }
      } else {
        while end > encoded, unsafe raw[end] & 0xC0 == 0x80 { end -= 1 }
      }
    }
    decoded += end - encoded
    encoded = end
  }

  /// How long the escape at `at` is as it is written, and as text.
  private static func escape(_ raw: UnsafeRawBufferPointer, _ at: Int) -> (written: Int, bytes: Int) {
    guard unsafe raw[at + 1] == 0x75 else { return (2, 1) }
    let unit = unsafe JSONText.hex(raw, at + 2)
    if unit & 0xFC00 == 0xD800, at + 11 < raw.count, unsafe raw[at + 6] == 0x5C, unsafe raw[at + 7] == 0x75,
      unsafe JSONText.hex(raw, at + 8) & 0xFC00 == 0xDC00
    {
      return (12, 4)
    }
    return (6, unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3)
  }
}

extension Bytes {
  /// How many escapes the inside of a string has, all of two bytes that stand for one; nil when that takes a closer look.
  ///
  /// Of a long text that is faster by far than going from one escape to the next.
  package var countOfShortEscapes: Int? {
    unsafe withUnsafeBytes { raw in
      guard let start = raw.baseAddress, unsafe JSONText.hasEscape(raw) else { return 0 }
      return unsafe ByteSearch.countOfShortEscapes(start.assumingMemoryBound(to: UInt8.self), raw.count)
    }
  }
}

extension CarriedJSON {
  /// A JSON string around an inside that is escaped already; without a copy where it stands between its quotes still.
  package init(quoting inside: Bytes) {
    if let whole = inside.between(0x22) {
      self.init(trusted: whole)
      return
    }
    var quoted = ByteBuffer(capacity: inside.count + 2)
    quoted.append(0x22)
    quoted.append(inside)
    quoted.append(0x22)
    self.init(trusted: quoted.finish())
  }
}

extension Bytes {
  /// Where `text` first stands at or after `start`; nil when it does not.
  package func firstIndex(of text: StaticString, from start: Int = 0) -> Int? {
    unsafe withUnsafeBytes { (raw) -> Int? in
      let length = text.utf8CodeUnitCount
      guard let base = raw.baseAddress, length > 0 else { return nil }
      var at = start
      while at >= 0, at + length <= raw.count {
        guard let hit = unsafe memchr(base + at, Int32(text.utf8Start[0]), raw.count - at - length + 1) else { return nil }
        at = unsafe UnsafeRawPointer(hit) - base
        if unsafe memcmp(hit, text.utf8Start, length) == 0 { return at }
        at += 1
      }
      return nil
    }
  }

  package func contains(_ text: StaticString) -> Bool { firstIndex(of: text) != nil }
}

extension String {
  /// The first `limit` Unicode scalars.
  package func prefix(scalars limit: Int) -> String {
    if utf8.count <= limit { return self }
    var text = self
    return text.withUTF8 { raw in
      var left = limit
      for place in raw.indices where unsafe raw[place] & 0xC0 != 0x80 {
        if left == 0 { return unsafe String(decoding: UnsafeBufferPointer(rebasing: raw[..<place]), as: UTF8.self) }
        left -= 1
      }
      return unsafe String(decoding: raw, as: UTF8.self)
    }
  }
}
