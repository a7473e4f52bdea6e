import JSON

/// Text as it stands between the quotes of a JSON string: it goes from the log into a request without being decoded.
enum EscapedText {
  /// The same JSON, or inside of a string, with U+FFFD for escapes that are one half of a surrogate pair: servers refuse these.
  static func wellFormed(_ json: Bytes) -> Bytes { repaired(json) ?? json }

  /// What `wellFormed` makes of JSON that has such escapes; nil when it has none.
  static func repaired(_ json: Bytes) -> Bytes? {
    guard var at = json.firstIndex(of: backslash) else { return nil }
    // Of a long text it is worth a look whether any escape is longer than two bytes.
    if json.count >= longText, json.countOfShortEscapes != nil { return nil }
    var repaired = ByteBuffer(capacity: 0)
    var copied = 0
    while true {
      let length = escapeLength(json, at)
      if length == 0 {
        repaired.append(json[copied..<at])
        repaired.append("\\ufffd" as StaticString)
        copied = at + 6
        at = copied
      } else {
        at += length
      }
      guard let next = json.firstIndex(of: backslash, from: at) else { break }
      at = next
    }
    if copied == 0 { return nil }
    repaired.append(json[copied..<json.count])
    return repaired.finish()
  }

  /// How long the escape at `at` is, that of a pair as one; 0 for half a pair.
  private static func escapeLength(_ json: Bytes, _ at: Int) -> Int {
    guard json[at + 1] == 0x75 else { return 2 }
    switch surrogate(json, at) {
    case .none: return 6
    case .low: return 0
    case .high: return at + 6 < json.count && json[at + 6] == backslash && surrogate(json, at + 6) == .low ? 12 : 0
    }
  }

  enum Surrogate { case none, high, low }

  /// Which half of a pair the escape at `at` is.
  static func surrogate(_ json: Bytes, _ at: Int) -> Surrogate {
    guard at + 6 <= json.count, json[at] == backslash, json[at + 1] == 0x75, json[at + 2] | 0x20 == 0x64 else { return .none }
    switch json[at + 3] | 0x20 {
    case 0x38, 0x39, 0x61, 0x62: return .high
    case 0x63...0x66: return .low
    default: return .none
    }
  }

  /// The inside of `text` as a JSON string.
  static func escape(_ text: String) -> Bytes {
    let quoted = CarriedJSON(string: text).bytes
    return quoted[1..<quoted.count - 1]
  }

  /// How many bytes of UTF-8 it stands for.
  static func decodedCount(_ inside: Bytes) -> Int {
    var walk = EscapeWalk()
    walk.advance(over: inside)
    return walk.decoded
  }

  private static let backslash: UInt8 = 0x5C
  private static let longText = 65536
}

extension CarriedJSON {
  /// What stands between the quotes of a string; nil for another kind.
  var inside: Bytes? { kind == .string ? bytes[1..<bytes.count - 1] : nil }
}
