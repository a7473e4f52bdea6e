/// Host names, addresses and mailboxes.
enum NetworkFormat {
  /// Source: RFC 1123, section 2.1. Labels that begin with `xn--` are checked as ASCII only: what they stand for is not decoded.
  static func isHostname(_ text: ArraySlice<UInt8>) -> Bool {
    guard !text.isEmpty, text.count <= 253 else { return false }
    return text.split(separator: 0x2E, omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.count) && label.first != 0x2D && label.last != 0x2D
        && label.allSatisfy { $0.isDigit || $0.isLetter || $0 == 0x2D }
    }
  }

  /// Source: RFC 2673, section 3.2: four decimal numbers without leading zeros.
  static func isIPv4(_ text: ArraySlice<UInt8>) -> Bool {
    guard (7...15).contains(text.count) else { return false }
    let parts = text.split(separator: 0x2E, omittingEmptySubsequences: false)
    return parts.count == 4
      && parts.allSatisfy { part in
        guard (1...3).contains(part.count), part.allSatisfy(\.isDigit), part.count == 1 || part.first != 0x30 else { return false }
        return part.reduce(0) { $0 * 10 + Int($1 - 0x30) } <= 255
      }
  }

  /// Source: RFC 4291, section 2.2.
  static func isIPv6(_ text: ArraySlice<UInt8>) -> Bool {
    guard (2...45).contains(text.count) else { return false }
    let gap = text.indices.dropLast().first { text[$0] == 0x3A && text[$0 + 1] == 0x3A }
    guard let gap else { return groupCount(text, mayEndInIPv4: true) == 8 }
    guard let left = groupCount(text[..<gap], mayEndInIPv4: false), let right = groupCount(text[(gap + 2)...], mayEndInIPv4: true) else {
      return false
    }
    return left + right < 8
  }

  /// How many groups of 16 bits the text is; nil when it is something else.
  private static func groupCount(_ text: ArraySlice<UInt8>, mayEndInIPv4: Bool) -> Int? {
    if text.isEmpty { return 0 }
    var groups = text.split(separator: 0x3A, omittingEmptySubsequences: false)
    var count = 0
    if mayEndInIPv4, let last = groups.last, last.contains(0x2E) {
      guard isIPv4(last) else { return nil }
      groups.removeLast()
      count = 2
    }
    for group in groups where !(1...4).contains(group.count) || !group.allSatisfy({ $0.hexDigitValue != nil }) { return nil }
    return count + groups.count
  }

  /// Source: RFC 5321, section 4.1.2.
  static func isEmail(_ text: ArraySlice<UInt8>) -> Bool {
    guard let at = text.lastIndex(of: 0x40) else { return false }
    let local = text[..<at]
    let domain = text[(at + 1)...]
    guard (1...64).contains(local.count), isLocalPart(local) else { return false }
    guard domain.first == 0x5B, domain.last == 0x5D else { return isHostname(domain) }
    let literal = domain.dropFirst().dropLast()
    let tag = Array("IPv6:".utf8)
    return literal.starts(with: tag) ? isIPv6(literal.dropFirst(tag.count)) : isIPv4(literal)
  }

  private static func isLocalPart(_ text: ArraySlice<UInt8>) -> Bool {
    if text.count >= 2, text.first == 0x22, text.last == 0x22 {
      var rest = text.dropFirst().dropLast()
      while let byte = rest.popFirst() {
        switch byte {
        case 0x5C: guard let escaped = rest.popFirst(), (0x20...0x7E).contains(escaped) else { return false }
        case 0x20, 0x21, 0x23...0x7E: break
        default: return false
        }
      }
      return true
    }
    let marks = Array("!#$%&'*+-/=?^_`{|}~".utf8)
    return text.split(separator: 0x2E, omittingEmptySubsequences: false).allSatisfy { atom in
      !atom.isEmpty && atom.allSatisfy { $0.isDigit || $0.isLetter || marks.contains($0) }
    }
  }
}
