import JSON

/// Reasoning beside the content of a chat, as servers stream it and want it back with the calls that it led to.
///
/// OpenAI shows none. DeepSeek refuses a request in which the `reasoning_content` of a message with calls is missing, empty or not
/// (https://api-docs.deepseek.com/guides/thinking_mode); vLLM and Ollama take `reasoning`; OpenRouter has signatures in `reasoning_details`
/// (https://openrouter.ai/docs/use-cases/reasoning-tokens), and LiteLLM those of Anthropic's models in `thinking_blocks`
/// (https://docs.litellm.ai/docs/reasoning_content).
struct ChatReasoning: Sendable {
  /// One of `reasoning_details`: its members, of which those that grow come in fragments.
  private struct Detail: Sendable {
    private static let growingNames: Set<String> = ["text", "summary", "data", "signature"]

    private(set) var members: [(name: String, value: CarriedJSON)] = []
    private(set) var growing: [(name: String, text: StreamedText)] = []

    mutating func take(_ name: String, _ value: CarriedJSON) {
      // A null says nothing new of what is there.
      if value.isNull, members.contains(where: { $0.name == name }) || growing.contains(where: { $0.name == name }) { return }
      members.removeAll { $0.name == name }
      guard Self.growingNames.contains(name), value.kind == .string else {
        return members.append((name, CarriedJSON(trusted: value.bytes.compacted())))
      }
      if !growing.contains(where: { $0.name == name }) { growing.append((name, StreamedText())) }
      for place in growing.indices where growing[place].name == name { _ = growing[place].text.append(value) }
    }
  }

  private var member: String?
  private var text = StreamedText()
  private var details: [Detail] = []
  private var blocks = ThinkingBlocks()

  /// Takes `reasoning_content` or `reasoning` of a delta; returns what to show.
  mutating func add(_ name: String, _ value: CarriedJSON) -> String {
    guard value.kind == .string else { return "" }
    // A server that says it under both names says it twice.
    if let member, member != name { return "" }
    member = name
    return text.append(value)
  }

  /// What is left to show when no more is to come.
  mutating func showRest() -> String { text.showRest() }

  /// Takes `reasoning_details` of a delta.
  mutating func add(details list: CarriedJSON) {
    list.forEachElement { fragment in
      guard fragment.kind == .object else { return }
      if !continues(fragment) { details.append(Detail()) }
      fragment.forEachMember { details[details.count - 1].take($0.text, $1) }
    }
  }

  /// Takes `thinking_blocks` of a delta; what they show stands in `reasoning_content` too.
  mutating func add(blocks list: CarriedJSON) { list.forEachElement { blocks.add($0) } }

  /// Whether a fragment goes on with the last detail: it has its type and its index.
  private func continues(_ fragment: CarriedJSON) -> Bool {
    guard let last = details.last else { return false }
    func known(_ name: String) -> Bytes? { last.members.first { $0.name == name }?.value.bytes }
    return fragment["type"]?.bytes == known("type") && fragment["index"]?.bytes == known("index") && fragment["index"] != nil
  }

  /// What goes back, as a part of the turn's notes: members of the message. nil when there is nothing.
  var notes: CarriedJSON? {
    guard member != nil || !details.isEmpty || !blocks.whole.isEmpty else { return nil }
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("type", "reasoning")
    writer.key("members")
    writer.beginObject()
    if details.isEmpty, let member {
      writer.key(escaping: member)
      writer.value(CarriedJSON(quoting: text.inside))
    }
    if !blocks.whole.isEmpty {
      writer.key("thinking_blocks")
      writer.beginArray()
      for block in blocks.whole { writer.value(block) }
      writer.endArray()
    }
    if !details.isEmpty {
      writer.key("reasoning_details")
      writer.beginArray()
      for detail in details {
        writer.beginObject()
        for (name, value) in detail.members {
          writer.key(escaping: name)
          writer.value(value)
        }
        for (name, text) in detail.growing {
          writer.key(escaping: name)
          writer.value(CarriedJSON(quoting: text.inside))
        }
        writer.endObject()
      }
      writer.endArray()
    }
    writer.endObject()
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}

/// Anthropic's thinking as LiteLLM streams it: text in fragments, then the signature that ends the block; what is redacted comes whole.
///
/// Put together as LiteLLM's own `stream_chunk_builder` does. A block without a signature is left out, since no service takes it back.
private struct ThinkingBlocks: Sendable {
  private(set) var whole: [CarriedJSON] = []
  private var text = StreamedText()

  mutating func add(_ fragment: CarriedJSON) {
    if fragment["type"]?.stringValue == "redacted_thinking" {
      text = StreamedText()
      guard let data = fragment["data"], data.kind == .string else { return }
      return end { writer in
        writer.member("type", "redacted_thinking")
        writer.member("data", data)
      }
    }
    _ = text.append(fragment["thinking"])
    guard let signature = fragment["signature"], let inside = signature.inside, !inside.isEmpty else { return }
    let thinking = CarriedJSON(quoting: text.inside)
    text = StreamedText()
    end { writer in
      writer.member("type", "thinking")
      writer.member("thinking", thinking)
      writer.member("signature", signature)
    }
  }

  private mutating func end(_ members: (inout JSONWriter) -> Void) {
    var writer = JSONWriter()
    writer.beginObject()
    members(&writer)
    writer.endObject()
    whole.append(CarriedJSON(trusted: writer.finish()))
  }
}
