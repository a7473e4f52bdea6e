import AgentRuntime
import JSON

/// Reads the events of a streamed response: https://platform.openai.com/docs/api-reference/responses-streaming
///
/// Types: openai-python, src/openai/types/responses/response_*_event.py. An item counts as `response.output_item.done` has it; its deltas are for
/// observers, and for servers that send nothing else.
struct ResponsesTurnReader: TurnReader {
  private struct Item: Sendable {
    var place: Int
    var type = ""
    var text = StreamedText()
    var isRefusal = false
    var arguments = StreamedText()
    /// As far as it is known: from the end of the item, else from its beginning.
    var json: CarriedJSON?
    var isDone = false
  }

  let model: String
  private var items: [Item] = []
  private var usage = Usage()
  private var incompleteReason: String?
  private(set) var isComplete = false

  init(model: String) { self.model = model }

  mutating func take(_ event: SSEEvent, _ signals: inout [ModelSignal]) throws(ProviderFault) {
    // Some servers end the stream as Chat Completions does.
    if event.data == Self.done { return }
    var type: String?
    var place: Int?
    var delta: CarriedJSON?
    var item: CarriedJSON?
    var response: CarriedJSON?
    let json = try CarriedJSON(event: event.data)
    json.forEachMember { name, value in
      switch name {
      case "type": type = value.stringValue
      case "output_index": place = value.intValue
      case "delta": delta = value
      case "item": item = value
      case "response": response = value
      default: break
      }
    }
    switch type ?? event.name {
    case "response.output_item.added": update(place, item, isDone: false)
    case "response.output_item.done": update(place, item, isDone: true)
    case "response.output_text.delta", "response.refusal.delta":
      take(text: delta, place, isRefusal: type == "response.refusal.delta", &signals)
    case "response.function_call_arguments.delta":
      let index = index(of: place, type: "function_call")
      _ = items[index].arguments.append(delta)
    case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
      if let text = delta?.stringValue, !text.isEmpty { signals.append(.reasoning(text)) }
    case "response.reasoning_summary_part.added":
      if let index = json["summary_index"]?.intValue, index > 0 { signals.append(.reasoning("\n\n")) }
    case "response.completed", "response.incomplete": end(response ?? .emptyObject)
    case "response.failed": throw ProviderFault(inAnswer: response ?? json)
    case "error": throw ProviderFault(inAnswer: json)
    default: if type == nil, json["error"].map({ !$0.isNull }) == true { throw ProviderFault(inAnswer: json) }
    }
  }

  private static let done = Bytes("[DONE]")

  /// Where the item of an event is kept; one that has not been announced begins here.
  private mutating func index(of place: Int?, type: String) -> Int {
    let known = place.map { place in items.lastIndex { $0.place == place } } ?? items.lastIndex { $0.type == type }
    if let known { return known }
    items.append(Item(place: place ?? (items.last?.place ?? -1) + 1, type: type))
    return items.count - 1
  }

  private mutating func update(_ place: Int?, _ item: CarriedJSON?, isDone: Bool) {
    guard let item, let type = item["type"]?.stringValue else { return }
    let index = index(of: place, type: type)
    items[index].type = type
    items[index].json = CarriedJSON(trusted: item.bytes.compacted())
    items[index].isDone = isDone
  }

  private mutating func take(text delta: CarriedJSON?, _ place: Int?, isRefusal: Bool, _ signals: inout [ModelSignal]) {
    let index = index(of: place, type: "message")
    let shown = items[index].text.append(delta)
    if isRefusal { items[index].isRefusal = true }
    if !shown.isEmpty { signals.append(.text(shown)) }
  }

  private mutating func end(_ response: CarriedJSON) {
    isComplete = true
    if let counted = response["usage"], counted.kind == .object {
      usage.inputTokens = counted["input_tokens"]?.intValue ?? 0
      usage.outputTokens = counted["output_tokens"]?.intValue ?? 0
      usage.cacheReadTokens = counted["input_tokens_details"]?["cached_tokens"]?.intValue ?? 0
      usage.cacheWriteTokens = counted["input_tokens_details"]?["cache_write_tokens"]?.intValue ?? 0
    }
    if response["status"]?.stringValue == "incomplete" {
      incompleteReason = response["incomplete_details"]?["reason"]?.stringValue ?? "max_output_tokens"
    }
    // Items that no event of their own has brought.
    var place = 0
    response["output"]?.forEachElement { item in
      if !items.contains(where: { $0.place == place && $0.json != nil }) { update(place, item, isDone: true) }
      place += 1
    }
  }

  // MARK: The turn

  func turn() throws(ProviderFault) -> ModelTurn {
    var builder = TurnBuilder(provider: ResponsesFormat.provider, model: model)
    let isFiltered = incompleteReason == "content_filter"
    var isRefusal = isFiltered
    let ordered = items.enumerated().sorted { ($0.element.place, $0.offset) < ($1.element.place, $1.offset) }.map(\.element)
    for item in ordered {
      switch item.type {
      case "message":
        let (text, refuses) = Self.text(of: item)
        isRefusal = isRefusal || refuses
        builder.add(text: text, extras: Self.extras(of: item, "phase"))
      case "function_call" where !isFiltered:
        let arguments = (item.isDone ? item.json?["arguments"]?.stringValue : nil) ?? item.arguments.text
        builder.add(
          call: item.json?["name"]?.stringValue ?? "", Bytes(arguments), id: Self.id(item.json?["call_id"]),
          isCutOff: item.json?["status"]?.stringValue == "incomplete", extras: Self.extras(of: item))
      case "reasoning":
        if item.isDone, let json = item.json, json["encrypted_content"]?.kind == .string { builder.carry(Self.withoutStatus(json)) }
      default: break
      }
    }
    let isCut = incompleteReason != nil && !isFiltered
    if isCut, let last = ordered.last, last.type == "function_call", last.json?["status"]?.stringValue != "completed" {
      builder.cutLastCall()
    }
    return try builder.turn(stop: isRefusal ? .refusal : isCut ? .cut : .natural, usage: usage)
  }

  /// The inside of a message's text, refusals included.
  private static func text(of item: Item) -> (Bytes, refuses: Bool) {
    guard item.isDone, let content = item.json?["content"], content.kind == .array else { return (item.text.inside, item.isRefusal) }
    var pieces: [Bytes] = []
    var refuses = false
    content.forEachElement { part in
      if let refusal = part["refusal"]?.inside {
        pieces.append(refusal)
        refuses = true
      } else if let text = part["text"]?.inside {
        pieces.append(text)
      }
    }
    return (pieces.isEmpty ? Bytes() : pieces.joined, refuses)
  }

  private static func id(_ value: CarriedJSON?) -> CarriedJSON? {
    guard let value, let text = value.stringValue, !text.isEmpty, text.utf8.count <= 256 else { return nil }
    return CarriedJSON(string: text)
  }

  private static func extras(of item: Item, _ more: StaticString...) -> PartExtras {
    var extras: PartExtras = []
    if item.isDone, let id = id(item.json?["id"]) { extras.append(("item", id)) }
    for name in more {
      if let value = item.json?[name.description], value.kind == .string { extras.append((name, value)) }
    }
    return extras
  }

  private static func withoutStatus(_ item: CarriedJSON) -> CarriedJSON {
    var writer = JSONWriter(capacity: item.bytes.count)
    writer.beginObject()
    item.forEachMember { name, value in
      guard name != "status", !value.isNull else { return }
      writer.key(escaping: name.text)
      writer.value(value)
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}
