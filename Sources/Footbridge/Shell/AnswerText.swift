import AgentRuntime

/// Decides what of a model's messages is shown while they stream, so that each stands there whole and once.
struct AnswerText {
  /// The message that is being shown, and how much of it.
  private var current: ULID?
  private var shown = ""
  /// A retry has voided what was shown; the message is shown when it is complete.
  private var isVoid = false
  /// Those that are complete: what of them has been on its way since comes too late.
  private var completed: Set<ULID> = []

  /// Whether a piece of this message begins another one than was seen last.
  func isNew(_ messageID: ULID) -> Bool { messageID != current && !completed.contains(messageID) }

  /// What to show of a piece of streamed text.
  mutating func streamed(_ messageID: ULID, _ text: String) -> String {
    guard !completed.contains(messageID) else { return "" }
    begin(messageID)
    guard !isVoid else { return "" }
    shown += text
    return text
  }

  mutating func retried(_ messageID: ULID) {
    begin(messageID)
    isVoid = !shown.isEmpty
  }

  /// What to show of a message that is complete: what was not streamed. Begins a line anew where something else was shown.
  mutating func completed(_ messageID: ULID, _ text: String) -> String {
    begin(messageID)
    defer {
      completed.insert(messageID)
      current = nil
      shown = ""
      isVoid = false
    }
    // By bytes: Swift's prefix is one of characters, and a piece may end inside one.
    guard text.utf8.starts(with: shown.utf8) else { return "\n" + text }
    return String(decoding: text.utf8.dropFirst(shown.utf8.count), as: UTF8.self)
  }

  private mutating func begin(_ messageID: ULID) {
    guard messageID != current else { return }
    current = messageID
    shown = ""
    isVoid = false
  }
}
