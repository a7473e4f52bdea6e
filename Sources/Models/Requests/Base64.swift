import JSON

/// RFC 4648, in the insides of JSON strings.
enum Base64 {
  /// Whether a provider will take it: it is padded, and without line ends.
  static func isStrict(_ inside: Bytes) -> Bool {
    var characters = 0
    var padding = 0
    let isPlain = unsafe inside.withUnsafeBytes { raw in
      var at = 0
      while at < raw.count {
        let byte = unsafe raw[at]
        if byte == 0x3D {
          padding += 1
        } else if byte == 0x5C, at + 1 < raw.count, unsafe raw[at + 1] == 0x2F, padding == 0 {
          at += 1
        } else if padding > 0 || !isCharacter(byte) {
          return false
        }
        characters += 1
        at += 1
      }
      return true
    }
    return isPlain && characters > 0 && characters % 4 == 0 && padding <= 2
  }

  @inline(__always)
  private static func isCharacter(_ byte: UInt8) -> Bool {
    (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == 0x2B || byte == 0x2F
  }

  /// The text that it stands for; nil when that is no UTF-8, or it is no base64.
  static func text(_ inside: Bytes) -> String? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(inside.count / 4 * 3)
    var bits: UInt32 = 0
    var held = 0
    var padding = 0
    var at = 0
    while at < inside.count {
      var byte = inside[at]
      at += 1
      if byte == 0x5C {
        // Only the slash has an escape that a writer of base64 may use.
        guard at < inside.count, inside[at] == 0x2F else { return nil }
        byte = 0x2F
        at += 1
      }
      if byte == 0x3D {
        padding += 1
        continue
      }
      guard padding == 0, let value = value(of: byte) else { return nil }
      bits = bits << 6 | value
      held += 6
      if held >= 8 {
        held -= 8
        bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
      }
    }
    guard padding <= 2, held < 6 else { return nil }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func value(of byte: UInt8) -> UInt32? {
    switch byte {
    case 0x41...0x5A: UInt32(byte) - 0x41
    case 0x61...0x7A: UInt32(byte) - 0x61 + 26
    case 0x30...0x39: UInt32(byte) - 0x30 + 52
    case 0x2B, 0x2D: 62
    case 0x2F, 0x5F: 63
    default: nil
    }
  }
}
