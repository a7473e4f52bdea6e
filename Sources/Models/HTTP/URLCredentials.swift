import JSON

/// What a URL says before the `@` of its host.
enum URLCredentials {
  /// What must not be shown of them: the pair, as it goes into `Authorization: Basic`, and the password, or a name without one, which is a token;
  /// each as it stands and decoded, the longest first. Short ones are left out, since other words hold them by chance.
  static func secrets(in url: String) -> [String] {
    guard let start = url.firstRange(ofText: "://")?.upperBound else { return [] }
    let authority = url[start...].prefix { !"/?#".contains($0) }
    guard let at = authority.lastIndex(of: "@") else { return [] }
    let pair = authority[..<at]
    let colon = pair.firstIndex(of: ":") ?? pair.endIndex
    let (name, password) = (pair[..<colon], pair[colon...].dropFirst())
    let (own, least) = password.isEmpty ? (name, 8) : (password, 4)
    return [String(pair), decoded(pair)].filter { !password.isEmpty && $0.utf8.count >= 6 }
      + [String(own), decoded(own)].filter { $0.utf8.count >= least }
  }

  private static func decoded(_ text: Substring) -> String {
    let bytes = Array(text.utf8)
    var decoded: [UInt8] = []
    var at = 0
    while at < bytes.count {
      if bytes[at] == 0x25, at + 2 < bytes.count, let byte = UInt8(String(decoding: bytes[at + 1...at + 2], as: UTF8.self), radix: 16) {
        decoded.append(byte)
        at += 3
      } else {
        decoded.append(bytes[at])
        at += 1
      }
    }
    return String(decoding: decoded, as: UTF8.self)
  }
}
