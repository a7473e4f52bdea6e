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

  /// The text with each of `secrets` taken out: a server may quote the key that it was sent.
  static func redact(_ text: String, _ secrets: [String]) -> String {
    var redacted = text
    for secret in secrets where !secret.isEmpty { redacted = redacted.split(secret).joined(separator: "[key]") }
    return redacted
  }
}

extension String {
  /// Whether `part`, which is ASCII or matched byte by byte, stands in it.
  func contains(_ part: String) -> Bool { split(part).count > 1 }

  /// The text between the occurrences of `part`.
  fileprivate func split(_ part: String) -> [String] {
    let wanted = Array(part.utf8)
    let bytes = Array(utf8)
    var pieces: [String] = []
    var start = 0
    var at = 0
    while at + wanted.count <= bytes.count {
      if bytes[at] == wanted[0], bytes[at..<at + wanted.count].elementsEqual(wanted) {
        pieces.append(String(decoding: bytes[start..<at], as: UTF8.self))
        at += wanted.count
        start = at
      } else {
        at += 1
      }
    }
    return pieces + [String(decoding: bytes[start...], as: UTF8.self)]
  }
}
