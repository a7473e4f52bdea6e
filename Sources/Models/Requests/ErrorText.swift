/// Text from outside on its way into a message for people.
enum ErrorText {
  static let longest = 500

  /// One line, of bounded length.
  static func clean(_ text: String, most: Int = longest) -> String {
    var cleaned = ""
    var count = 0
    var isBlank = true
    for scalar in text.unicodeScalars {
      let isSpace = scalar.value < 0x21 || scalar.value == 0x7F
      if isSpace, isBlank { continue }
      if count == most { return cleaned + "…" }
      cleaned.unicodeScalars.append(isSpace ? " " : scalar)
      isBlank = isSpace
      count += 1
    }
    if isBlank, count > 0 { cleaned.removeLast() }
    return cleaned
  }

  /// Whether people can read it: bytes that are no UTF-8, and control characters, are few in it.
  static func isText(_ text: String) -> Bool {
    var count = 0
    var odd = 0
    for scalar in text.unicodeScalars.prefix(2000) {
      count += 1
      if scalar == "\u{FFFD}" || (scalar.value < 0x20 && !(0x07...0x0D).contains(scalar.value) && scalar.value != 0x1B) { odd += 1 }
    }
    return odd * 8 <= count
  }

  /// The text with each of `secrets` taken out: a server may quote the key that it was sent, also as JSON or a URL escapes it, or in base64.
  static func redact(_ text: String, _ secrets: [String]) -> String {
    var bytes = Array(text.utf8)
    for secret in secrets where !secret.isEmpty {
      bytes = redact(bytes, Array(secret.utf8))
      // The base64 of less is a few letters, which words hold by chance.
      if secret.utf8.count < 6 { continue }
      for form in Base64.forms(of: Array(secret.utf8)) { bytes = redact(bytes, form) }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func redact(_ bytes: [UInt8], _ secret: [UInt8]) -> [UInt8] {
    var redacted: [UInt8] = []
    var at = 0
    while at < bytes.count {
      if let end = end(of: secret, in: bytes, from: at) {
        redacted += "[key]".utf8
        at = end
      } else {
        redacted.append(bytes[at])
        at += 1
      }
    }
    return redacted
  }

  /// Where the secret ends that begins there; nil when none does.
  private static func end(of secret: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
    // As it stands, first: it may itself hold what looks like an escape.
    if bytes[start...].starts(with: secret) { return start + secret.count }
    var at = start
    for byte in secret {
      guard let length = length(of: byte, in: bytes, at) else { return nil }
      at += length
    }
    return at
  }

  /// How many bytes there stand for that one: itself, or an escape of it, which may have been escaped again, as JSON inside JSON is.
  private static func length(of wanted: UInt8, in bytes: [UInt8], _ at: Int) -> Int? {
    guard at < bytes.count else { return nil }
    var next = at + 1
    switch bytes[at] {
    case 0x25:
      while wanted != 0x25, hex(bytes, next, 2) == 0x25 { next += 2 }
      if hex(bytes, next, 2) == Int(wanted) { return next + 2 - at }
    case 0x5C:
      if wanted != 0x5C {
        while next < bytes.count, bytes[next] == 0x5C { next += 1 }
      }
      guard next < bytes.count else { break }
      if bytes[next] == wanted { return next + 1 - at }
      if bytes[next] == 0x75, hex(bytes, next + 1, 4) == Int(wanted) { return next + 5 - at }
    default: break
    }
    return bytes[at] == wanted ? 1 : nil
  }

  private static func hex(_ bytes: [UInt8], _ at: Int, _ count: Int) -> Int? {
    at + count <= bytes.count ? Int(String(decoding: bytes[at..<at + count], as: UTF8.self), radix: 16) : nil
  }
}
