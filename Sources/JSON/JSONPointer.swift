/// The text of RFC 6901.
package enum JSONPointer {
  /// A member name as a reference token of RFC 6901.
  package static func escape(_ name: String) -> String {
    guard name.utf8.contains(where: { $0 == 0x7E || $0 == 0x2F }) else { return name }
    var text = ""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "~": text += "~0"
      case "/": text += "~1"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  /// The member names and indices that `pointer` names, outermost first. A text that is no pointer is a mistake of the programmer.
  package static func tokens(_ pointer: String) -> [String] {
    if pointer.isEmpty { return [] }
    precondition(pointer.utf8.first == 0x2F, "a JSON pointer begins with '/'")
    // By scalars: "/" and a combining mark after it are one Character.
    return pointer.unicodeScalars.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map { unescape(Substring($0)) }
  }

  private static func unescape(_ token: Substring) -> String {
    guard token.utf8.contains(0x7E) else { return String(token) }
    var text = ""
    var afterTilde = false
    for scalar in token.unicodeScalars {
      if afterTilde {
        text.unicodeScalars.append(scalar == "0" ? "~" : scalar == "1" ? "/" : scalar)
        afterTilde = false
      } else if scalar == "~" {
        afterTilde = true
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
