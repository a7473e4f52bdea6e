import AgentRuntime
import JSON

/// Reads the events of a streamed message: https://platform.claude.com/docs/en/build-with-claude/streaming
///
/// Types: anthropic-sdk-python, src/anthropic/types/raw_message_stream_event.py and the files beside it. Events and blocks of other types are
/// passed over: new ones may come at any time.
struct AnthropicTurnReader: TurnReader {
  private enum Kind: Sendable {
    case text, thinking, unknown
    /// Sent back as it came.
    case sealed(CarriedJSON)
    case call(id: CarriedJSON?, name: String, whole: Bytes?)
    /// A call of a tool that the service has itself, as it began, and its result. They go back together or not at all: the service refuses one
    /// without the other.
    case serviceCall(CarriedJSON)
    case serviceResult(CarriedJSON)
  }

  private struct Block: Sendable {
    var index: Int
    var kind: Kind
    /// Of text and thinking, or a call's arguments. Here and not in `kind`, so that it grows in place.
    var text = StreamedText()
    var signature = StreamedText()

    /// It has ended.
    mutating func showRest(_ signals: inout [ModelSignal]) {
      switch kind {
      case .text: signals.show(text: text.showRest())
      case .thinking: signals.show(reasoning: text.showRest())
      default: break
      }
    }
  }

  let model: String
  private var blocks: [Block] = []
  private var counts: [String: Int] = [:]
  private var stopReason: String?
  private(set) var isComplete = false

  init(model: String) { self.model = model }

  static func knows(_ eventName: String) -> Bool { eventName.hasPrefix("message_") || eventName.hasPrefix("content_block_") }

  mutating func take(_ event: SSEEvent, _ signals: inout [ModelSignal]) throws(ProviderFault) {
    var type: String?
    var index: Int?
    var body: CarriedJSON?
    guard let json = try json(of: event) else { return }
    json.forEachMember { name, value in
      switch name {
      case "type": type = value.stringValue
      case "index": index = value.intValue
      case "delta", "content_block", "message": body = value
      default: break
      }
    }
    switch type ?? event.name {
    case "message_start": if let usage = body?["usage"] { count(usage) }
    case "content_block_start": begin(index ?? blocks.count, body ?? .emptyObject, &signals)
    case "content_block_delta": add(index, body ?? .emptyObject, &signals)
    case "content_block_stop": if let place = place(of: index) { blocks[place].showRest(&signals) }
    case "message_delta":
      if let reason = body?["stop_reason"]?.stringValue { stopReason = reason }
      if let usage = json["usage"] { count(usage) }
    case "message_stop":
      for place in blocks.indices { blocks[place].showRest(&signals) }
      isComplete = true
    case "error": throw ProviderFault(inAnswer: json)
    default: break
    }
  }

  /// The figures are cumulative: the later ones count.
  private mutating func count(_ usage: CarriedJSON) {
    usage.forEachMember { name, value in
      if let number = value.intValue { counts[name.text] = number }
    }
  }

  private mutating func begin(_ index: Int, _ start: CarriedJSON, _ signals: inout [ModelSignal]) {
    // Some servers do not tell of the end of a block.
    if let last = blocks.indices.last { blocks[last].showRest(&signals) }
    var block = Block(index: index, kind: .unknown)
    switch start["type"]?.stringValue {
    case "text":
      block.kind = .text
      signals.show(text: block.text.append(start["text"]))
    case "thinking":
      block.kind = .thinking
      signals.show(reasoning: block.text.append(start["thinking"]))
      _ = block.signature.append(start["signature"])
    case "redacted_thinking": block.kind = .sealed(CarriedJSON(trusted: start.bytes.compacted()))
    case "tool_use":
      // Services that only resemble Anthropic's may give the whole input here.
      let whole = start["input"].flatMap { $0.kind == .object && $0.bytes.count > 2 ? $0.bytes.compacted() : nil }
      block.kind = .call(id: Self.id(start["id"]), name: start["name"]?.stringValue ?? "", whole: whole)
    case "server_tool_use", "mcp_tool_use": block.kind = .serviceCall(CarriedJSON(trusted: start.bytes.compacted()))
    case let type? where type.hasSuffix("_tool_result"): block.kind = .serviceResult(CarriedJSON(trusted: start.bytes.compacted()))
    default: break
    }
    blocks.append(block)
  }

  /// An id that can be sent back: the service takes only these characters.
  private static func id(_ value: CarriedJSON?) -> CarriedJSON? {
    guard let text = value?.stringValue, !text.isEmpty, text.utf8.count <= 256,
      text.utf8.allSatisfy({
        (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x5F || $0 == 0x2D
      })
    else { return nil }
    return CarriedJSON(string: text)
  }

  /// The block that an event means; the last one, where it does not say.
  private func place(of index: Int?) -> Int? {
    index.map { index in blocks.lastIndex { $0.index == index } } ?? blocks.indices.last
  }

  private mutating func add(_ index: Int?, _ delta: CarriedJSON, _ signals: inout [ModelSignal]) {
    guard let place = place(of: index) else { return }
    var type: String?
    var value: CarriedJSON?
    delta.forEachMember { name, member in
      switch name {
      case "type": type = member.stringValue
      case "text", "thinking", "signature", "partial_json": value = member
      default: break
      }
    }
    switch (type, blocks[place].kind) {
    case ("text_delta", .text): signals.show(text: blocks[place].text.append(value))
    case ("thinking_delta", .thinking): signals.show(reasoning: blocks[place].text.append(value))
    case ("signature_delta", .thinking): _ = blocks[place].signature.append(value)
    case ("input_json_delta", .call), ("input_json_delta", .serviceCall): _ = blocks[place].text.append(value)
    default: break
    }
  }

  // MARK: The turn

  func turn() throws(ProviderFault) -> ModelTurn {
    // The service asks to be sent what there is, to go on with it. To take it for the answer would be wrong, and another attempt no better.
    if stopReason == "pause_turn" {
      throw ProviderFault(.unusable, "it is only the first part of one (stop reason pause_turn), since a tool of the service takes longer")
    }
    let whole = wholeServiceCalls
    var builder = TurnBuilder(provider: AnthropicFormat.provider, model: model)
    let isRefusal = stopReason == "refusal"
    for block in blocks {
      switch block.kind {
      case .text: builder.add(text: block.text.inside)
      case .thinking: builder.carry(Self.thinking(block.text, block.signature))
      case .sealed(let sealed): builder.carry(sealed)
      case .call(let id, let name, let whole):
        // A message that the service broke off holds no call that the model meant to its end.
        if !isRefusal { builder.add(call: name, block.text.isEmpty ? whole ?? Bytes() : Bytes(block.text.text), id: id) }
      case .serviceCall(let start):
        if let id = start["id"]?.bytes, whole.contains(id) { builder.carry(Self.serviceCall(start, block.text)) }
      case .serviceResult(let result):
        if let id = result["tool_use_id"]?.bytes, whole.contains(id) { builder.carry(result) }
      case .unknown: break
      }
    }
    // What was cut off is what came last.
    let isCut = stopReason == "max_tokens" || stopReason == "model_context_window_exceeded"
    if isCut, case .call? = blocks.last?.kind { builder.cutLastCall() }
    return try builder.turn(stop: stop, usage: usage)
  }

  /// The ids of those calls of the service's tools that have their results.
  private var wholeServiceCalls: Set<Bytes> {
    var calls: Set<Bytes> = []
    var results: Set<Bytes> = []
    for block in blocks {
      switch block.kind {
      case .serviceCall(let start): if let id = start["id"]?.bytes { calls.insert(id) }
      case .serviceResult(let result): if let id = result["tool_use_id"]?.bytes { results.insert(id) }
      default: break
      }
    }
    return calls.intersection(results)
  }

  private static func serviceCall(_ start: CarriedJSON, _ input: StreamedText) -> CarriedJSON {
    let streamed = Bytes(input.text)
    guard streamed.isJSONObject else { return start }
    var writer = JSONWriter()
    writer.beginObject()
    start.forEachMember { name, value in
      writer.key(escaping: name.text)
      writer.value(name == "input" ? CarriedJSON(trusted: streamed) : value)
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
  private var stop: TurnBuilder.Stop {
    switch stopReason {
    case "max_tokens", "model_context_window_exceeded": .cut
    case "refusal": .refusal
    case "stop_sequence": .stopped
    default: .natural
    }
  }

  private var usage: Usage {
    var usage = Usage()
    usage.cacheReadTokens = counts["cache_read_input_tokens"] ?? 0
    usage.cacheWriteTokens = counts["cache_creation_input_tokens"] ?? 0
    usage.inputTokens = (counts["input_tokens"] ?? 0).saturatingAdd(usage.cacheReadTokens).saturatingAdd(usage.cacheWriteTokens)
    usage.outputTokens = counts["output_tokens"] ?? 0
    return usage
  }

  private static func thinking(_ thinking: StreamedText, _ signature: StreamedText) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("type", "thinking")
    writer.member("thinking", CarriedJSON(quoting: thinking.inside))
    writer.member("signature", CarriedJSON(quoting: signature.inside))
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}
