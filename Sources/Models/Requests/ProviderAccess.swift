import AgentRuntime

/// Where a provider is reached and with which key, by the names of the environment's variables.
struct ProviderAccess: Sendable {
  let environment: @Sendable (String) -> String?
  let baseVariable: String
  let defaultBase: String
  let keyVariable: String

  /// The URL that paths are appended to.
  /// - Throws: `model.unavailable` for something that is no URL; it is not shown, since it may hold a password.
  func base() throws(RuntimeError) -> String {
    guard var base = environment(baseVariable), !base.isEmpty else { return defaultBase }
    // Bytes: to look at characters takes longer than anything else here, and this is asked for each turn.
    let bytes = base.utf8
    let scheme = bytes.prefix { $0 != 0x3A }.map { $0 | 0x20 }
    guard scheme.elementsEqual("http".utf8) || scheme.elementsEqual("https".utf8), bytes.dropFirst(scheme.count).starts(with: "://".utf8),
      bytes.count > scheme.count + 3, bytes.allSatisfy({ (0x21...0x7E).contains($0) })
    else { throw RuntimeError(.modelUnavailable, "\(baseVariable) is not an http or https URL") }
    while base.utf8.last == 0x2F { base.removeLast() }
    return base
  }

  /// The key. It is looked up when it is needed and kept nowhere.
  /// - Throws: `model.missingKey` that names the variable.
  func key() throws(RuntimeError) -> String {
    guard let key = environment(keyVariable), !key.isEmpty else {
      throw RuntimeError(.modelMissingKey, "\(keyVariable) is not set in the bridge's environment")
    }
    // https://www.rfc-editor.org/rfc/rfc9110#section-5.5; a blank or a line's end in a key is a mistake in how it was set.
    guard key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw RuntimeError(.modelMissingKey, "\(keyVariable) holds characters that a key cannot have")
    }
    return key
  }
}
