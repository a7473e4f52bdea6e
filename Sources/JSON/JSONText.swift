/// The inside of JSON strings.
enum JSONText {
  /// The text of a validated string's inside; a lone surrogate escape becomes U+FFFD.
  static func unescape(_ inside: Bytes) -> String {
    unsafe inside.withUnsafeBytes { raw in
      guard unsafe raw.contains(0x5C) else { return unsafe String(decoding: raw, as: UTF8.self) }
      return unsafe String(unsafeUninitializedCapacity: raw.count) { room in unsafe unescape(raw, into: room) }
    }
  }

  private static func unescape(_ raw: UnsafeRawBufferPointer, into room: UnsafeMutableBufferPointer<UInt8>) -> Int {
    var from = 0
    var to = 0
    while from < raw.count {
      let byte = unsafe raw[from]
      guard byte == 0x5C else {
        unsafe room[to] = byte
        from += 1
        to += 1
        continue
      }
      let escape = unsafe raw[from + 1]
      guard escape == 0x75 else {
        unsafe room[to] = plain(escape)
        from += 2
        to += 1
        continue
      }
      var scalar = unsafe hex(raw, from + 2)
      from += 6
      if scalar & 0xFC00 == 0xD800, from + 5 < raw.count, unsafe raw[from] == 0x5C, unsafe raw[from + 1] == 0x75 {
        let low = unsafe hex(raw, from + 2)
        if low & 0xFC00 == 0xDC00 {
          scalar = 0x10000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
          from += 6
        }
      }
      for unit in UTF8.encode(Unicode.Scalar(scalar) ?? "\u{FFFD}")! {
        unsafe room[to] = unit
        to += 1
      }
    }
    return to
  }

  private static func plain(_ escape: UInt8) -> UInt8 {
    switch escape {
    case 0x62: 0x08
    case 0x66: 0x0C
    case 0x6E: 0x0A
    case 0x72: 0x0D
    case 0x74: 0x09
    default: escape
    }
  }

  private static func hex(_ raw: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
    var value: UInt32 = 0
    for i in at..<at + 4 {
      let byte = unsafe raw[i]
      value = value << 4 + UInt32(byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x61 + 10)
    }
    return value
  }

  /// Appends `text` with what JSON does not allow in a string escaped; no quotes around it.
  static func escape(_ text: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) {
    var plainStart = 0
    var i = 0
    while i < text.count {
      let byte = unsafe text[i]
      if byte >= 0x20 && byte != 0x22 && byte != 0x5C {
        i += 1
        continue
      }
      unsafe buffer.append(UnsafeRawBufferPointer(rebasing: text[plainStart..<i]))
      buffer.append(0x5C)
      switch byte {
      case 0x22, 0x5C: buffer.append(byte)
      case 0x08: buffer.append(0x62)
      case 0x0C: buffer.append(0x66)
      case 0x0A: buffer.append(0x6E)
      case 0x0D: buffer.append(0x72)
      case 0x09: buffer.append(0x74)
      default:
        buffer.append("u00")
        buffer.append(byte < 0x10 ? 0x30 : 0x31)
        buffer.append(byte & 15 < 10 ? 0x30 + byte & 15 : 0x61 + byte & 15 - 10)
      }
      i += 1
      plainStart = i
    }
    unsafe buffer.append(UnsafeRawBufferPointer(rebasing: text[plainStart..<text.count]))
  }
}
