import AgentRuntime
import JSON

/// OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses/create
///
/// Members and items: openai-python, src/openai/types/responses/response_create_params.py and response_input_item_param.py. Nothing is stored at the
/// service: reasoning travels encrypted (https://platform.openai.com/docs/guides/reasoning).
struct ResponsesFormat: HTTPProviderFormat {
  static let provider = "openai-responses"
  static let path = "/responses"

  let model: String
  private let agent: Agent

  init(agent: Agent, model: String, base: String) {
    self.agent = agent
    self.model = model
  }

  func headers(key: String) -> [(name: String, value: String)] { [("Authorization", "Bearer " + key)] }

  func makeTurnReader() -> any TurnReader { ResponsesTurnReader(model: model) }

  func body(of request: ModelRequest, _ transcript: RenderedTranscript) -> HTTPBody {
    var members = RequestMembers()
    members.set("model", model)
    members.set("stream", true)
    members.set("store", false)
    let included = Self.included(agent.providerOptions)
    members.set("include", included ?? Self.reasoningToInclude)
    let instructions = request.system.filter { !$0.isEmpty }.joined(separator: "\n\n")
    if !instructions.isEmpty { members.set("instructions", instructions) }
    if let most = agent.maxOutputTokens { members.set("max_output_tokens", most) }
    if let temperature = agent.temperature { members.set("temperature", temperature) }
    if let reasoning = Self.reasoning(agent) { members.set("reasoning", reasoning) }
    let own = agent.providerTools
    if !request.tools.isEmpty || !own.isEmpty { members.set("tools", Self.tools(request.tools, own)) }
    members.merge(agent.providerOptions, owned: ["input", "stream", "tools", "model"] + (included == nil ? [] : ["include"]))
    return members.body("input", [.plain(Bytes("["))] + transcript.pieces + [.plain(Bytes("]"))])
  }

  /// Without it no reasoning comes that could be sent back.
  private static let reasoningToInclude = CarriedJSON(trusted: Bytes("[\"reasoning.encrypted_content\"]"))

  /// What the options name besides, when they have a list; anything else stands as it is, so that null turns it off.
  private static func included(_ options: CarriedJSON?) -> CarriedJSON? {
    guard let own = options?["include"], own.kind == .array else { return nil }
    let needed = reasoningToInclude.elements
    var writer = JSONWriter()
    writer.beginArray()
    for item in needed + own.elements.filter({ !needed.contains($0) }) { writer.value(item) }
    writer.endArray()
    return CarriedJSON(trusted: writer.finish())
  }

  /// The agent's `reasoning` as it is, with an effort in place of a budget.
  private static func reasoning(_ agent: Agent) -> CarriedJSON? {
    guard let reasoning = agent.reasoning else { return nil }
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("effort", ifPresent: OpenAIReasoning.effort(agent))
    reasoning.forEachMember { name, value in
      if name == "effort" || name == "budgetTokens" { return }
      writer.key(escaping: name.text)
      writer.value(value)
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// Left out, `strict` would be true, and that changes what a schema means.
  private static func tools(_ tools: [Tool], _ own: [CarriedJSON]) -> [RequestPiece] {
    var writer = PartWriter()
    writer.raw("[")
    for (index, tool) in tools.enumerated() {
      if index > 0 { writer.raw(",") }
      writer.raw("{\"type\":\"function\",\"name\":")
      writer.string(tool.name)
      writer.raw(",\"description\":")
      writer.string(tool.description)
      writer.raw(",\"parameters\":")
      writer.raw(tool.schemaForModels)
      writer.raw(",\"strict\":false}")
    }
    writer.add(own, toEmptyList: tools.isEmpty)
    writer.raw("]")
    return writer.finish()
  }
}

// MARK: Items

extension ResponsesFormat {
  var cacheKey: String { "\(Self.provider):\(model)" }

  func makeReader(_ load: @escaping (StoredValue) throws(StoreError) -> CarriedJSON) -> ContentReader {
    ContentReader(takes: { OpenAIMedia.images.contains($0) ? .image : $0 == "application/pdf" ? .pdf : nil }, load: load)
  }

  func write(
    _ stretch: TranscriptStretch, after last: MessageRole?, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) -> MessageRole? {
    var items = ItemList(last: last)
    switch stretch.entries.first {
    case .user(let blocks):
      items.begin(by: .user, to: &writer)
      writer.raw("{\"role\":\"user\",\"content\":")
      let content = try reader.content(of: blocks)
      if content.blocks.count > 1 { Self.write(blocks: content, isError: false, to: &writer) } else { Self.write(content, to: &writer) }
      writer.raw("}")
    case .said(let blocks):
      items.begin(by: .assistant, to: &writer)
      writer.raw("{\"role\":\"assistant\",\"content\":")
      writer.string(try reader.content(of: blocks).text)
      writer.raw("}")
    case .assistant(let message): try write(message, &items, to: &writer, &reader)
    case .tool, nil:
      var ids = CallIDs(stretch.caller, provider: Self.provider)
      for case .tool(let callID, _, let result, let maxBytes) in stretch.entries {
        items.begin(by: .user, to: &writer)
        writer.raw("{\"type\":\"function_call_output\",\"call_id\":")
        writer.raw(ids.id(of: callID))
        writer.raw(",\"output\":")
        Self.write(try reader.content(of: result, maxBytes: maxBytes), isError: result.isError, to: &writer)
        writer.raw("}")
      }
    }
    return items.last
  }

  private func write(
    _ message: ModelMessage, _ items: inout ItemList, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) {
    let spoken = SpokenMessage(message, text: try reader.inside(message.text), provider: Self.provider, model: model)
    var ids = CallIDs(message, provider: Self.provider)
    for part in spoken.parts(where: { !$0.isEmpty }) {
      items.begin(by: .assistant, to: &writer)
      switch part {
      case .carried(let item): writer.raw(item.bytes)
      case .text(let text, let extras): Self.write(text, spoken.isOwn ? extras : nil, to: &writer)
      case .call(let index, let extras):
        let call = message.calls[index]
        writer.raw("{\"type\":\"function_call\",\"call_id\":")
        writer.raw(ids.id(of: call.callID))
        // The service pairs reasoning with what followed it by these ids.
        if spoken.isOwn, let item = extras?["item"] {
          writer.raw(",\"id\":")
          writer.raw(item.bytes)
        }
        writer.raw(",\"name\":")
        writer.raw(SpokenCall.name(call.name))
        writer.raw(",\"arguments\":")
        writer.text(of: SpokenCall.arguments(try reader.load(call.arguments)))
        writer.raw("}")
      }
    }
  }

  private static func write(_ text: Bytes, _ extras: CarriedJSON?, to writer: inout PartWriter) {
    if let id = extras?["item"] {
      writer.raw("{\"type\":\"message\",\"role\":\"assistant\",\"status\":\"completed\",\"id\":")
      writer.raw(id.bytes)
      writer.raw(",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"text\":")
      writer.string(inside: text)
      writer.raw("}]")
    } else {
      writer.raw("{\"role\":\"assistant\",\"content\":")
      writer.string(inside: text)
    }
    if let phase = extras?["phase"] {
      writer.raw(",\"phase\":")
      writer.raw(phase.bytes)
    }
    writer.raw("}")
  }

  /// Text alone goes as a string. The format has no word for a failed call, so its text begins with one.
  private static func write(_ content: ShownContent, isError: Bool = false, to writer: inout PartWriter) {
    if content.media.isEmpty { return writer.string((isError ? [.plain(Bytes("Error: "))] : []) + content.text) }
    write(blocks: content, isError: isError, to: &writer)
  }

  private static func write(blocks content: ShownContent, isError: Bool, to writer: inout PartWriter) {
    writer.raw(isError ? "[{\"type\":\"input_text\",\"text\":\"Error:\"}" : "[")
    for (index, block) in content.blocks.enumerated() {
      if index > 0 || isError { writer.raw(",") }
      switch block {
      case .text(let text):
        writer.raw("{\"type\":\"input_text\",\"text\":")
        writer.string(text)
        writer.raw("}")
      case .media(let media): write(media, to: &writer)
      }
    }
    writer.raw("]")
  }

  private static func write(_ media: Media, to writer: inout PartWriter) {
    if media.kind == .pdf {
      writer.raw("{\"type\":\"input_file\",\"filename\":")
      writer.string(inside: media.name.flatMap { $0.isEmpty ? nil : $0 } ?? Bytes("file.pdf"))
      writer.raw(",\"file_data\":")
    } else {
      // `detail` may be left out in results only: openai-python, src/openai/types/responses/response_input_image_param.py.
      writer.raw("{\"type\":\"input_image\",\"detail\":\"auto\",\"image_url\":")
    }
    writer.string(media.dataURL)
    writer.raw("}")
  }
}

/// Items that follow one another.
private struct ItemList {
  var last: MessageRole?

  mutating func begin(by role: MessageRole, to writer: inout PartWriter) {
    if last != nil { writer.raw(",") }
    last = role
  }
}
