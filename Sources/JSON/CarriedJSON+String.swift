extension CarriedJSON {
  /// UTF-8 bytes of a string's text; each half of a surrogate pair's escapes counts for two, a lone one for three.
  package var stringByteCount: Int {
    precondition(kind == .string)
    return JSONText.decodedCount(bytes[1..<bytes.count - 1])
  }

  /// The first `limit` characters (Unicode scalars) of a string's text.
  package func stringPrefix(characters limit: Int) -> String {
    precondition(kind == .string)
    let inside = bytes[1..<bytes.count - 1]
    let stop = JSONText.encodedOffset(inside, ofDecoded: 4 * limit)
    let text = JSONText.unescape(inside[0..<stop])
    return String(String.UnicodeScalarView(text.unicodeScalars.prefix(limit)))
  }

  /// Whether this is an object with a member `name`, which needs no escaping; looks at the members only when the bytes can hold it.
  package func hasMember(_ name: String) -> Bool {
    guard kind == .object else { return false }
    var found = false
    forEachMember { memberName, _ in found = found || memberName == name }
    return found
  }
}


extension JSONText {
  /// How many UTF-8 bytes the text of a validated string's inside has.
  static func decodedCount(_ inside: Bytes) -> Int {
    var walk = EscapeWalk()
    unsafe inside.withUnsafeBytes { unsafe walk.advance(over: $0, until: Int.max) }
    return walk.decoded
  }

  /// The offset in the inside at which at least `decoded` bytes of text precede, never within an escape or a character.
  static func encodedOffset(_ inside: Bytes, ofDecoded decoded: Int) -> Int {
    var walk = EscapeWalk()
    unsafe inside.withUnsafeBytes { unsafe walk.advance(over: $0, until: decoded) }
    return walk.encoded
  }
}

/// A place in a string's inside, counted both as it is written and as the text it stands for.
package struct EscapeWalk: Sendable {
  package private(set) var encoded = 0
  package private(set) var decoded = 0

  package init() {}

  /// Goes on over `inside` (the whole string's inside, or more of it) until `wanted` bytes of text are passed, or the end.
  package mutating func advance(over inside: Bytes, until wanted: Int) {
    unsafe inside.withUnsafeBytes { unsafe advance(over: $0, until: wanted) }
  }

  mutating func advance(over raw: UnsafeRawBufferPointer, until wanted: Int) {
    while encoded < raw.count, decoded < wanted {
      let byte = unsafe raw[encoded]
      if byte != 0x5C {
        let room = min(raw.count - encoded, wanted - decoded)
        let rest = unsafe UnsafeRawBufferPointer(rebasing: raw[encoded..<encoded + room])
        let plain = unsafe rest.firstIndex(of: 0x5C) ?? room
        encoded += plain
        decoded += plain
        // Not inside a character: go on to its end.
        while encoded < raw.count, unsafe raw[encoded] & 0xC0 == 0x80 {
          encoded += 1
          decoded += 1
        }
      } else if unsafe raw[encoded + 1] == 0x75 {
        let unit = unsafe JSONText.hex(raw, encoded + 2)
        encoded += 6
        if unit & 0xFC00 == 0xD800, encoded + 5 < raw.count, unsafe raw[encoded] == 0x5C, unsafe raw[encoded + 1] == 0x75,
          unsafe JSONText.hex(raw, encoded + 2) & 0xFC00 == 0xDC00
        {
          encoded += 6
          decoded += 4
        } else {
          decoded += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3
        }
      } else {
        encoded += 2
        decoded += 1
      }
    }
  }
}
