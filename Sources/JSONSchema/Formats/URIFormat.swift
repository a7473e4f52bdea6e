/// URIs with a scheme. Source: RFC 3986, appendix A.
enum URIFormat {
  static func isURI(_ text: ArraySlice<UInt8>) -> Bool {
    guard let colon = text.firstIndex(of: 0x3A) else { return false }
    let scheme = text[..<colon]
    guard let first = scheme.first, first.isLetter,
      scheme.allSatisfy({ $0.isLetter || $0.isDigit || $0 == 0x2B || $0 == 0x2D || $0 == 0x2E })
    else { return false }
    var rest = text[(colon + 1)...]
    if let hash = rest.firstIndex(of: 0x23) {
      guard isMade(rest[(hash + 1)...], of: ":@/?") else { return false }
      rest = rest[..<hash]
    }
    if let mark = rest.firstIndex(of: 0x3F) {
      guard isMade(rest[(mark + 1)...], of: ":@/?") else { return false }
      rest = rest[..<mark]
    }
    guard rest.starts(with: [0x2F, 0x2F]) else { return isMade(rest, of: ":@/") }
    rest = rest.dropFirst(2)
    let slash = rest.firstIndex(of: 0x2F) ?? rest.endIndex
    return isAuthority(rest[..<slash]) && isMade(rest[slash...], of: ":@/")
  }

  private static func isAuthority(_ text: ArraySlice<UInt8>) -> Bool {
    var host = text
    if let at = text.lastIndex(of: 0x40) {
      guard isMade(text[..<at], of: ":") else { return false }
      host = text[(at + 1)...]
    }
    if host.first == 0x5B {
      guard let close = host.firstIndex(of: 0x5D) else { return false }
      let port = host[(close + 1)...]
      guard port.isEmpty || port.first == 0x3A && port.dropFirst().allSatisfy(\.isDigit) else { return false }
      return isLiteralAddress(host[(host.startIndex + 1)..<close])
    }
    if let colon = host.lastIndex(of: 0x3A) {
      guard host[(colon + 1)...].allSatisfy(\.isDigit) else { return false }
      host = host[..<colon]
    }
    return isMade(host, of: "")
  }

  private static func isLiteralAddress(_ text: ArraySlice<UInt8>) -> Bool {
    guard let first = text.first, first | 0x20 == 0x76 else { return NetworkFormat.isIPv6(text) }
    let parts = text.dropFirst().split(separator: 0x2E, maxSplits: 1, omittingEmptySubsequences: false)
    return parts.count == 2 && !parts[0].isEmpty && parts[0].allSatisfy { $0.hexDigitValue != nil } && !parts[1].isEmpty
      && !parts[1].contains(0x25) && isMade(parts[1], of: ":")
  }

  /// Whether the text consists of unreserved characters, percent escapes, sub-delimiters and `extra`.
  private static func isMade(_ text: ArraySlice<UInt8>, of extra: String) -> Bool {
    let allowed = Array(("-._~!$&'()*+,;=" + extra).utf8)
    var rest = text
    while let byte = rest.popFirst() {
      if byte == 0x25 {
        guard rest.popFirst()?.hexDigitValue != nil, rest.popFirst()?.hexDigitValue != nil else { return false }
      } else if !byte.isLetter, !byte.isDigit, !allowed.contains(byte) {
        return false
      }
    }
    return true
  }
}
