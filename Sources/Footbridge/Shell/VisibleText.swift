/// Text that others wrote, fit for a terminal: it moves no cursor and changes no colour.
enum VisibleText {
  /// Control characters become U+FFFD, but for line breaks and tabs.
  static func safe(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var safe = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { safe.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
    return String(safe)
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 && scalar != "\n" && scalar != "\t" || (0x7F...0x9F).contains(scalar.value)
      // What turns the direction of the text around it: https://trojansource.codes
      || (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
  }

  /// One line of at most `most` characters, white space as single spaces.
  static func line(_ text: String, most: Int) -> String {
    // What is behind that can never be shown.
    let head = text.unicodeScalars.prefix(8 * most + 64)
    var line = ""
    var needsSpace = false
    for scalar in head {
      if scalar.properties.isWhitespace {
        needsSpace = !line.isEmpty
        continue
      }
      if needsSpace { line.append(" ") }
      needsSpace = false
      line.unicodeScalars.append(isControl(scalar) ? "\u{FFFD}" : scalar)
    }
    let isWhole = head.endIndex == text.unicodeScalars.endIndex
    guard line.count > most || !isWhole else { return line }
    return line.prefix(max(1, most - 3)) + "..."
  }

  /// A word of the command line in a message: on one line, and with the blanks that it has, since they may be what is wrong with it.
  static func shown(_ word: String) -> String {
    let head = word.unicodeScalars.prefix(81)
    var shown = ""
    for scalar in head.prefix(80) {
      shown.unicodeScalars.append(isControl(scalar) || scalar.properties.isWhitespace && scalar != " " ? "\u{FFFD}" : scalar)
    }
    return head.count > 80 ? shown + "..." : shown
  }

  /// `1 call`, `2 calls`.
  static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

  /// A duration as people say it.
  static func duration(milliseconds: Int) -> String {
    switch milliseconds {
    case ..<1000: "\(max(0, milliseconds)) ms"
    case ..<60000: "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s"
    default: age(milliseconds: milliseconds)
    }
  }

  /// How long ago something was; only as exact as anybody cares.
  static func age(milliseconds: Int) -> String {
    switch milliseconds {
    case ..<60000: "\(max(0, milliseconds) / 1000) s"
    case ..<3_600_000: "\(milliseconds / 60000) min"
    case ..<172_800_000: "\(milliseconds / 3_600_000) h"
    default: "\(milliseconds / 86_400_000) days"
    }
  }
}
