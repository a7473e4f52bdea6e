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

  /// What stands in base64 wherever those bytes stand in what is coded, as a key does behind `Bearer `: at each of the three places that it can
  /// begin, in both alphabets. Whole forms, with their padding, come first.
  static func forms(of bytes: [UInt8]) -> [[UInt8]] {
    let whole = characters(of: bytes)
    var forms = [whole + [UInt8](repeating: 0x3D, count: (4 - whole.count % 4) % 4), whole]
    for before in 0..<3 {
      let all = characters(of: [UInt8](repeating: 0, count: before) + bytes)
      // The characters at both ends are made of bits of the neighbours too.
      forms.append(Array(all[(before * 8 + 5) / 6..<(before + bytes.count) * 8 / 6]))
    }
    for form in forms where form.contains(where: { $0 == 0x2B || $0 == 0x2F }) {
      forms.append(form.map { $0 == 0x2B ? 0x2D : $0 == 0x2F ? 0x5F : $0 })
    }
    return forms
  }

  /// In base64, without padding.
  private static func characters(of bytes: [UInt8]) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var characters: [UInt8] = []
    var bits = 0
    var held = 0
    for byte in bytes {
      bits = (bits << 8 | Int(byte)) & 0xFFFF
      held += 8
      while held >= 6 {
        held -= 6
        characters.append(alphabet[bits >> held & 0x3F])
      }
    }
    if held > 0 { characters.append(alphabet[bits << (6 - held) & 0x3F]) }
    return characters
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
