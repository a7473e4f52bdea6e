import JSON

/// What a provider noted for itself, as it can be sent back to it.
enum SentBack {
  /// The parts of a message's notes, with U+FFFD for half surrogate pairs, which services refuse.
  ///
  /// Signed thinking would not be what was signed any more. Where that is so, no thinking of the message goes back: Anthropic refuses blocks that
  /// have changed, and others when one among them is missing, but takes a message without any, as one that another model has written
  /// (https://platform.claude.com/docs/en/build-with-claude/preserved-thinking/prefix-checks).
  static func parts(_ noted: CarriedJSON) -> CarriedJSON {
    guard let repaired = EscapedText.repaired(noted.bytes) else { return noted }
    let parts = CarriedJSON(trusted: repaired)
    let breaksSeal = noted.elements.contains { $0.isSealed && EscapedText.repaired($0.bytes) != nil }
    return breaksSeal ? withoutThinking(parts) : parts
  }

  private static func withoutThinking(_ parts: CarriedJSON) -> CarriedJSON {
    var writer = JSONWriter(capacity: parts.bytes.count)
    writer.beginArray()
    parts.forEachElement { part in
      if !part.isSealed { writer.value(part) }
    }
    writer.endArray()
    return CarriedJSON(trusted: writer.finish())
  }
}

extension CarriedJSON {
  /// Whether it is thinking that only holds unchanged: a block of Anthropic's, or notes of a chat (`ChatReasoning`) with such blocks or with
  /// OpenRouter's signed details in them.
  fileprivate var isSealed: Bool {
    if self["type"]?.stringValue == "redacted_thinking" || self["signature"]?.inside?.isEmpty == false { return true }
    var isAnySealed = false
    self["members"]?.forEachMember { _, list in
      list.forEachElement { isAnySealed = isAnySealed || $0.isSealed }
    }
    return isAnySealed
  }
}
