import AgentRuntime

/// Where a provider is reached and with which key, by the names of the environment's variables.
struct ProviderAccess: Sendable {
  let environment: @Sendable (String) throws(RuntimeError) -> String?
  let baseVariable: String
  let defaultBase: String
  let keyVariable: String

  /// The URL that paths are appended to.
  /// - Throws: `model.unavailable` for something that is no URL; it is not shown, since it may hold a password.
  func base() throws(RuntimeError) -> String {
    guard var base = try environment(baseVariable), !base.isEmpty else { return defaultBase }
    guard base.withUTF8({ unsafe Self.isURL(UnsafeRawBufferPointer($0)) }) else {
      throw RuntimeError(.modelUnavailable, "\(baseVariable) is not an http or https URL")
    }
    while base.utf8.last == 0x2F { base.removeLast() }
    return base
  }

  /// Bytes: to look at characters takes longer than anything else here, and this is asked for each turn.
  private static func isURL(_ text: UnsafeRawBufferPointer) -> Bool {
    let hasScheme = ["http://", "https://"].contains { (scheme: StaticString) in
      guard text.count > scheme.utf8CodeUnitCount else { return false }
      // An upper-case letter differs by one bit; of what is no letter, the bit is set.
      for place in 0..<scheme.utf8CodeUnitCount where unsafe text[place] | 0x20 != scheme.utf8Start[place] { return false }
      return true
    }
    return unsafe hasScheme && text.allSatisfy { $0 &- 0x21 <= 0x7E - 0x21 }
  }

  /// The key. It is looked up when it is needed and kept nowhere.
  /// - Throws: `model.missingKey` that names the variable.
  func key() throws(RuntimeError) -> String {
    let value: String?
    do throws(RuntimeError) { value = try environment(keyVariable) } catch { throw RuntimeError(.modelMissingKey, error.message) }
    guard let key = value, !key.isEmpty else {
      throw RuntimeError(.modelMissingKey, "\(keyVariable) is not set in the bridge's environment")
    }
    // https://www.rfc-editor.org/rfc/rfc9110#section-5.5; a blank or a line's end in a key is a mistake in how it was set.
    guard key.utf8.allSatisfy({ $0 &- 0x21 <= 0x7E - 0x21 }) else {
      throw RuntimeError(.modelMissingKey, "\(keyVariable) holds characters that a key cannot have")
    }
    return key
  }
}
