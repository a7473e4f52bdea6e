import AgentRuntime
import JSON

/// OpenAI's Chat Completions, and the many servers that resemble them: https://platform.openai.com/docs/api-reference/chat/create
///
/// Members: openai-python, src/openai/types/chat/completion_create_params.py and chat_completion_*_param.py.
struct ChatFormat: HTTPProviderFormat {
  static let provider = "openai"
  static let path = "/chat/completions"
  static let defaultBase = "https://api.openai.com/v1"

  let model: String
  private let agent: Agent
  private let base: String

  init(agent: Agent, model: String, base: String) {
    self.agent = agent
    self.model = model
    self.base = base
  }

  /// What the limit of tokens is called. The older name is what most other servers know, and OpenAI's models that reason refuse it, also behind a
  /// gateway: https://platform.openai.com/docs/api-reference/chat/create
  private var limitName: String { isOpenAI || isReasoningModel ? "max_completion_tokens" : "max_tokens" }

  /// `gpt-5` and its kin, `o1`, `o3-mini`, `o4-mini`, with what a gateway puts before the name (`openai/gpt-5`).
  private var isReasoningModel: Bool {
    let name = (model.split(separator: "/").last ?? "").lowercased()
    return name.hasPrefix("gpt-5") || ["o1", "o3", "o4"].contains(name.prefix { $0.isLetter || $0.isNumber })
  }

  /// Whether it is OpenAI's own service that is asked, in whatever region, or the same at Azure.
  private var isOpenAI: Bool {
    let host = HTTPRequest.host(of: base).prefix { $0 != ":" }.lowercased()
    return host == "api.openai.com" || [".api.openai.com", ".openai.azure.com", ".openai.azure.us"].contains { host.hasSuffix($0) }
  }

  func headers(key: String) -> [(name: String, value: String)] { [("Authorization", "Bearer " + key)] }

  func makeTurnReader() -> any TurnReader { ChatTurnReader(model: model) }

  func body(of request: ModelRequest, _ transcript: RenderedTranscript) -> HTTPBody {
    var members = RequestMembers()
    members.set("model", model)
    members.set("stream", true)
    members.set("stream_options", CarriedJSON(trusted: Bytes("{\"include_usage\":true}")))
    if let most = agent.maxOutputTokens { members.set(limitName, most) }
    if let temperature = agent.temperature { members.set("temperature", temperature) }
    if let effort = OpenAIReasoning.effort(agent) { members.set("reasoning_effort", effort) }
    let own = agent.providerTools
    if !request.tools.isEmpty || !own.isEmpty { members.set("tools", Self.tools(request.tools, own)) }
    members.merge(
      agent.providerOptions, owned: ["messages", "stream", "tools", "model"], rivals: [["max_tokens", "max_completion_tokens"]])
    return members.body("messages", Self.messages(request.system, transcript))
  }

  private static func tools(_ tools: [Tool], _ own: [CarriedJSON]) -> [RequestPiece] {
    var writer = PartWriter()
    writer.raw("[")
    for (index, tool) in tools.enumerated() {
      if index > 0 { writer.raw(",") }
      writer.raw("{\"type\":\"function\",\"function\":{\"name\":")
      writer.string(tool.name)
      writer.raw(",\"description\":")
      writer.string(tool.description)
      writer.raw(",\"parameters\":")
      writer.raw(tool.schemaForModels)
      writer.raw("}}")
    }
    writer.add(own, toEmptyList: tools.isEmpty)
    writer.raw("]")
    return writer.finish()
  }

  private static func messages(_ system: [String], _ transcript: RenderedTranscript) -> [RequestPiece] {
    var writer = PartWriter()
    writer.raw("[")
    let instructions = system.filter { !$0.isEmpty }.joined(separator: "\n\n")
    if !instructions.isEmpty {
      writer.raw("{\"role\":\"system\",\"content\":")
      writer.string(instructions)
      writer.raw(transcript.last == nil ? "}" : "},")
    }
    return writer.finish() + transcript.pieces + [.plain(Bytes("]"))]
  }
}

/// What an agent's `reasoning` means for OpenAI's services, which know efforts and no budgets.
enum OpenAIReasoning {
  static func effort(_ agent: Agent) -> String? {
    if let effort = agent.reasoningEffort { return effort }
    guard let budget = agent.reasoningBudget else { return nil }
    return ReasoningEffort.nearest(budget)
  }
}

enum OpenAIMedia {
  /// https://platform.openai.com/docs/guides/images-vision: others are refused, and the run with them.
  static let images: Set<String> = ["image/png", "image/jpeg", "image/webp", "image/gif"]
}

// MARK: Messages

extension ChatFormat {
  var cacheKey: String { "\(Self.provider):\(model)" }

  func makeReader(_ load: @escaping (StoredValue) throws(StoreError) -> CarriedJSON) -> ContentReader {
    ContentReader(takes: Self.media, load: load)
  }

  @Sendable private static func media(_ mimeType: String) -> Media.Kind? {
    if OpenAIMedia.images.contains(mimeType) { return .image }
    if mimeType == "application/pdf" { return .pdf }
    return audioFormat(mimeType) == nil ? nil : .audio
  }

  private static func audioFormat(_ mimeType: String) -> StaticString? {
    switch mimeType {
    case "audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave": "wav"
    case "audio/mpeg", "audio/mp3": "mp3"
    default: nil
    }
  }

  func write(
    _ stretch: TranscriptStretch, after last: MessageRole?, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) -> MessageRole? {
    switch stretch.entries.first {
    case .user(let blocks):
      if last != nil { writer.raw(",") }
      writer.raw("{\"role\":\"user\",\"content\":")
      Self.write(try reader.content(of: blocks), to: &writer)
      writer.raw("}")
      return .user
    case .said(let blocks):
      if last != nil { writer.raw(",") }
      writer.raw("{\"role\":\"assistant\",\"content\":")
      writer.string(try reader.content(of: blocks).text)
      writer.raw("}")
      return .assistant
    case .assistant(let message): return try write(message, after: last, to: &writer, &reader)
    case .tool, nil:
      try write(resultsOf: stretch, after: last, to: &writer, &reader)
      return .user
    }
  }

  private func write(
    _ message: ModelMessage, after last: MessageRole?, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) -> MessageRole? {
    let text = try reader.inside(message.text)
    if text.isEmpty, message.calls.isEmpty { return last }
    if last != nil { writer.raw(",") }
    writer.raw("{\"role\":\"assistant\",\"content\":")
    if text.isEmpty { writer.raw("null") } else { writer.string(inside: text) }
    if message.calls.isEmpty, message.providerData == nil {
      writer.raw("}")
      return .assistant
    }
    var ids = CallIDs(message, provider: Self.provider)
    let spoken = SpokenMessage(message, text: text, provider: Self.provider, model: model)
    let parts = spoken.parts { _ in true }
    for case .carried(let notes) in parts {
      notes["members"]?.forEachMember { name, value in
        writer.raw(",")
        writer.string(name.text)
        writer.raw(":")
        writer.raw(value.bytes)
      }
    }
    var isFirst = true
    for case .call(let index, let extras) in parts {
      let call = message.calls[index]
      writer.raw(isFirst ? ",\"tool_calls\":[" : ",")
      isFirst = false
      writer.raw("{\"id\":")
      writer.raw(ids.id(of: call.callID))
      writer.raw(",\"type\":\"function\",\"function\":{\"name\":")
      writer.raw(SpokenCall.name(call.name))
      writer.raw(",\"arguments\":")
      writer.text(of: SpokenCall.arguments(try reader.load(call.arguments)))
      writer.raw("}")
      if spoken.isOwn, let extra = extras?["extra_content"] {
        writer.raw(",\"extra_content\":")
        writer.raw(extra.bytes)
      }
      writer.raw("}")
    }
    writer.raw(isFirst ? "}" : "]}")
    return .assistant
  }

  /// A tool's message holds only text: files of the results follow in a message of the user, after all of the batch, since nothing may stand
  /// between a call and its results. It says which call each belongs to.
  private func write(
    resultsOf stretch: TranscriptStretch, after last: MessageRole?, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) {
    var ids = CallIDs(stretch.caller, provider: Self.provider)
    var files: [(id: Bytes, name: String, media: [Media])] = []
    var isFirst = last == nil
    for case .tool(let callID, let name, let result, let maxBytes) in stretch.entries {
      let id = ids.id(of: callID)
      let content = try reader.content(of: result, maxBytes: maxBytes)
      if !isFirst { writer.raw(",") }
      isFirst = false
      writer.raw("{\"role\":\"tool\",\"tool_call_id\":")
      writer.raw(id)
      writer.raw(",\"content\":")
      writer.string(Self.text(of: content, isError: result.isError))
      writer.raw("}")
      if !content.media.isEmpty { files.append((id, name, content.media)) }
    }
    if files.isEmpty { return }
    writer.raw(",{\"role\":\"user\",\"content\":[")
    isFirst = true
    for (id, name, media) in files {
      if !isFirst { writer.raw(",") }
      isFirst = false
      writer.raw("{\"type\":\"text\",\"text\":")
      writer.string([Bytes("From the result of call "), id[1..<id.count - 1], Bytes(" ("), EscapedText.escape(name), Bytes("):")])
      writer.raw("}")
      for file in media {
        writer.raw(",")
        Self.write(file, to: &writer)
      }
    }
    writer.raw("]}")
  }

  /// The format has no word for a failed call, so its text begins with one.
  private static func text(of content: ShownContent, isError: Bool) -> [RequestPiece] {
    let files = content.media.count
    var text = content.text
    if files > 0 {
      if !text.isEmpty { text.append(.plain(Bytes("\\n"))) }
      text.append(.plain(Bytes(files == 1 ? "[1 file, shown below]" : "[\(files) files, shown below]")))
    }
    return isError ? [.plain(Bytes("Error: "))] + text : text
  }

  /// A single text goes as a string, which every server takes.
  private static func write(_ content: ShownContent, to writer: inout PartWriter) {
    if content.blocks.count <= 1, content.media.isEmpty { return writer.string(content.text) }
    writer.raw("[")
    for (index, block) in content.blocks.enumerated() {
      if index > 0 { writer.raw(",") }
      switch block {
      case .text(let text):
        writer.raw("{\"type\":\"text\",\"text\":")
        writer.string(text)
        writer.raw("}")
      case .media(let media): write(media, to: &writer)
      }
    }
    writer.raw("]")
  }

  private static func write(_ media: Media, to writer: inout PartWriter) {
    switch media.kind {
    case .audio:
      writer.raw("{\"type\":\"input_audio\",\"input_audio\":{\"data\":")
      writer.string(inside: media.data)
      writer.raw(",\"format\":\"")
      writer.raw(audioFormat(CarriedJSON(quoting: media.mimeType).stringValue ?? "") ?? "wav")
      writer.raw("\"}}")
    case .pdf:
      writer.raw("{\"type\":\"file\",\"file\":{\"filename\":")
      writer.string(inside: media.name.flatMap { $0.isEmpty ? nil : $0 } ?? Bytes("file.pdf"))
      writer.raw(",\"file_data\":")
      writer.string(media.dataURL)
      writer.raw("}}")
    case .image, .plainText:
      writer.raw("{\"type\":\"image_url\",\"image_url\":{\"url\":")
      writer.string(media.dataURL)
      writer.raw("}}")
    }
  }
}
