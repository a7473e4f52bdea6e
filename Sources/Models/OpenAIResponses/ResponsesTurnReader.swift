import AgentRuntime
import JSON

/// Reads the events of a streamed response: https://platform.openai.com/docs/api-reference/responses-streaming
///
/// Types: openai-python, src/openai/types/responses/response_*_event.py. An item counts as `response.output_item.done` has it; its deltas are for
/// observers, and for servers that send nothing else.
struct ResponsesTurnReader: TurnReader {
  let model: String
  private var items = ResponsesItems()
  /// Of reasoning as it is shown; what is kept of it comes with its item.
  private var reasoning = JoinedDeltas()
  private var usage = Usage()
  private var incompleteReason: String?
  private(set) var isComplete = false

  init(model: String) { self.model = model }

  static func knows(_ eventName: String) -> Bool { eventName.hasPrefix("response.") }

  mutating func take(_ event: SSEEvent, _ signals: inout [ModelSignal]) throws(ProviderFault) {
    // Some servers end the stream as Chat Completions does.
    if event.isDone { return }
    var type: String?
    var place: Int?
    var id: CarriedJSON?
    var delta: CarriedJSON?
    var item: CarriedJSON?
    var response: CarriedJSON?
    guard let json = try json(of: event) else { return }
    json.forEachMember { name, value in
      switch name {
      case "type": type = value.stringValue
      case "output_index": place = value.intValue
      case "item_id": id = value
      case "delta": delta = value
      case "item": item = value
      case "response": response = value
      default: break
      }
    }
    switch type ?? event.name {
    case "response.output_item.added": items.begin(item, at: place)
    case "response.output_item.done":
      signals.show(reasoning: reasoning.showRest())
      signals.show(text: items.end(item, at: place))
    case "response.output_text.delta", "response.refusal.delta":
      signals.show(text: items.add(text: delta, isRefusal: type == "response.refusal.delta", to: id, at: place))
    case "response.function_call_arguments.delta": items.add(arguments: delta, to: id, at: place)
    case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
      signals.show(reasoning: reasoning.take(delta).shown)
    case "response.reasoning_summary_part.added":
      if let index = json["summary_index"]?.intValue, index > 0 { signals.append(.reasoning(reasoning.showRest() + "\n\n")) }
    case "response.completed", "response.incomplete":
      signals.show(reasoning: reasoning.showRest())
      signals.show(text: items.showRest())
      end(response ?? .emptyObject)
    case "response.failed": throw ProviderFault(inAnswer: response ?? json)
    case "error": throw ProviderFault(inAnswer: json)
    default: if type == nil, json["error"].map({ !$0.isNull }) == true { throw ProviderFault(inAnswer: json) }
    }
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
    items.complete(response["output"])
  }

  // MARK: The turn

  func turn() throws(ProviderFault) -> ModelTurn {
    var builder = TurnBuilder(provider: ResponsesFormat.provider, model: model)
    let isFiltered = incompleteReason == "content_filter"
    var isRefusal = isFiltered
    for item in items.all {
      switch item.type {
      case "message":
        let (text, refuses) = Self.text(of: item)
        isRefusal = isRefusal || refuses
        builder.add(text: text, extras: Self.extras(of: item, "phase"))
      case "function_call" where !isFiltered:
        builder.add(
          call: item.json?["name"]?.stringValue ?? "", Self.arguments(of: item), id: Self.id(item.json?["call_id"]),
          isCutOff: item.json?["status"]?.stringValue == "incomplete", extras: Self.extras(of: item))
      case "reasoning":
        if item.isDone, let json = item.json, json["encrypted_content"]?.kind == .string { builder.carry(Self.withoutStatus(json)) }
      // What tools of the service did: it refuses reasoning without the item that followed it.
      case "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call", "mcp_list_tools":
        if item.isDone, let json = item.json { builder.carry(json) }
      default: break
      }
    }
    let isCut = incompleteReason != nil && !isFiltered
    if isCut, let last = items.all.last, last.type == "function_call", last.json?["status"]?.stringValue != "completed" {
      builder.cutLastCall()
    }
    return try builder.turn(stop: isRefusal ? .refusal : isCut ? .cut : .natural, usage: usage)
  }

  /// As the item has them, or as they were streamed, where one of the two says nothing.
  private static func arguments(of item: ResponsesItems.Item) -> Bytes {
    let streamed = Bytes(item.arguments.text)
    guard item.isDone || streamed.isEmpty, let whole = item.json?["arguments"] else { return streamed }
    let said = whole.kind == .object ? whole.bytes : Bytes(whole.stringValue ?? "")
    return said.isEmpty ? streamed : said
  }

  /// The inside of a message's text, refusals included.
  private static func text(of item: ResponsesItems.Item) -> (Bytes, refuses: Bool) {
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
    return pieces.isEmpty ? (item.text.inside, item.isRefusal) : (pieces.joined, refuses)
  }

  private static func id(_ value: CarriedJSON?) -> CarriedJSON? {
    guard let value, let text = value.stringValue, !text.isEmpty, text.utf8.count <= 256 else { return nil }
    return CarriedJSON(string: text)
  }

  private static func extras(of item: ResponsesItems.Item, _ more: StaticString...) -> PartExtras {
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
