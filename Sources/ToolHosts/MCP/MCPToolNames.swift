import JSON

/// Gives the tools of an agent's servers names that a model can use: `server__tool`, matching `^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$`, each once.
///
/// The same server and tool get the same name whatever else there is, so that a call finds its tool after a restart.
struct MCPToolNames {
  private static let longest = 64
  private var taken: Set<String> = []

  /// The name of one more tool; its own, so not to be asked for twice.
  mutating func name(server: String, tool: String) -> String {
    let plain = "\(server)__\(tool)"
    // Where the server's name could be read on into the tool's, two could come out as one.
    let isClear = !server.holds("__") && !server.hasSuffix("_")
    if isClear, Self.isUsable(plain), taken.insert(plain).inserted { return plain }
    var attempt = 0
    while true {
      let name = Self.made(of: plain, hash: Self.hash(server, tool, attempt))
      if taken.insert(name).inserted { return name }
      attempt += 1
    }
  }

  private static func isUsable(_ text: String) -> Bool {
    guard let first = text.utf8.first, isLetter(first), text.utf8.count <= longest else { return false }
    return text.utf8.allSatisfy(isPart)
  }

  private static func made(of plain: String, hash: UInt64) -> String {
    let digits = String(hash & 0xFFFF_FFFF, radix: 16)
    let suffix = "_" + String(repeating: "0", count: 8 - digits.count) + digits
    var bytes: [UInt8] = []
    for scalar in plain.unicodeScalars {
      // One for a character of another script, not one for each of its bytes.
      let byte = scalar.isASCII ? UInt8(scalar.value) : 0x5F
      bytes.append(isPart(byte) ? byte : 0x5F)
    }
    if let first = bytes.first, !isLetter(first) { bytes.insert(0x5F, at: 0) }
    return String(decoding: bytes.prefix(longest - suffix.utf8.count), as: UTF8.self) + suffix
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
  }

  private static func isPart(_ byte: UInt8) -> Bool { isLetter(byte) || (0x30...0x39).contains(byte) || byte == 0x2D }

  /// FNV-1a, because Swift's own hash differs from process to process.
  private static func hash(_ server: String, _ tool: String, _ attempt: Int) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    // A zero between them, which neither has as a rule, keeps ("ab", "c") and ("a", "bc") apart.
    for byte in Array(server.utf8) + [0] + Array(tool.utf8) + [0] + Array(String(attempt).utf8) {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    return hash ^ hash >> 32
  }
}
