import AgentRuntime
import JSON

/// Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages
///
/// Members and blocks: anthropic-sdk-python, src/anthropic/types/message_create_params.py and *_block_param.py.
struct AnthropicFormat: HTTPProviderFormat {
  static let provider = "anthropic"
  static let path = "/v1/messages"
  /// The API demands a number. The models since Claude 3.5 take this one; older ones need `maxOutputTokens`.
  static let defaultMaxTokens = 8192

  let model: String
  private let agent: Agent

  init(agent: Agent, model: String, base: String) {
    self.agent = agent
    self.model = model
  }

  func headers(key: String) -> [(name: String, value: String)] { [("x-api-key", key), ("anthropic-version", "2023-06-01")] }

  func makeTurnReader() -> any TurnReader { AnthropicTurnReader(model: model) }

  func body(of request: ModelRequest, _ transcript: RenderedTranscript) -> HTTPBody {
    let thinking = AnthropicThinking(agent, model: model)
    var members = RequestMembers()
    members.set("model", model)
    members.set("max_tokens", agent.maxOutputTokens ?? Self.defaultMaxTokens + thinking.reserve)
    members.set("stream", true)
    if let setting = thinking.setting { members.set("thinking", setting) }
    if let config = thinking.outputConfig { members.set("output_config", config) }
    // Thinking allows no other temperature than its own.
    if let temperature = agent.temperature, thinking.setting == nil { members.set("temperature", temperature) }
    if !request.system.allSatisfy(\.isEmpty) { members.set("system", Self.system(request.system)) }
    let own = agent.providerTools
    if !request.tools.isEmpty || !own.isEmpty || transcript.hasCalls { members.set("tools", Self.tools(request.tools, own)) }
    members.merge(agent.providerOptions, owned: ["messages", "stream", "tools", "model"])
    return members.body("messages", Self.messages(transcript))
  }

  private static let mark: StaticString = ",\"cache_control\":{\"type\":\"ephemeral\"}"

  /// One block a part; the prefix up to the most lasting one is cached.
  private static func system(_ parts: [String]) -> [RequestPiece] {
    var writer = PartWriter()
    var isFirst = true
    for part in parts where !part.isEmpty {
      writer.raw(isFirst ? "[{\"type\":\"text\",\"text\":" : ",{\"type\":\"text\",\"text\":")
      writer.string(part)
      if isFirst { writer.raw(mark) }
      writer.raw("}")
      isFirst = false
    }
    writer.raw("]")
    return writer.finish()
  }

  /// Calls in the messages demand that there are tools, also when the run has lost them.
  private static func tools(_ tools: [Tool], _ own: [CarriedJSON]) -> [RequestPiece] {
    var writer = PartWriter()
    writer.raw("[")
    for (index, tool) in tools.enumerated() {
      if index > 0 { writer.raw(",") }
      writer.raw("{\"name\":")
      writer.string(tool.name)
      writer.raw(",\"description\":")
      writer.string(tool.description)
      writer.raw(",\"input_schema\":")
      writer.raw(tool.schemaForModels)
      if index == tools.count - 1 { writer.raw(mark) }
      writer.raw("}")
    }
    writer.add(own, toEmptyList: tools.isEmpty)
    if tools.isEmpty, own.isEmpty {
      writer.raw(
        "{\"name\":\"no_tools\",\"description\":\"There are no tools any more. Do not call this.\",\"input_schema\":{\"type\":\"object\"}}")
    }
    writer.raw("]")
    return writer.finish()
  }

  /// The messages, closed, with two marks: where this request ends, and where the one before it ended, since the service looks for what it
  /// has cached only 20 blocks back from a mark (https://platform.claude.com/docs/en/build-with-claude/prompt-caching).
  private static func messages(_ transcript: RenderedTranscript) -> [RequestPiece] {
    guard transcript.last != nil else { return [.plain(Bytes("[]"))] }
    var pieces: [RequestPiece] = [.plain(Bytes("["))]
    pieces.reserveCapacity(transcript.pieces.count + 6)
    let mark = RequestPiece.plain(Bytes("\(mark)}"))
    for (index, piece) in transcript.pieces.enumerated() {
      let isLast = index == transcript.pieces.count - 1 && transcript.last == .user
      guard isLast || index + 1 == transcript.answeredEnd, case .plain(let block) = piece else {
        pieces.append(piece)
        continue
      }
      // A message ends with the brace that closes a block, which is never escaped.
      pieces.append(.plain(block[0..<block.count - 1]))
      pieces.append(mark)
    }
    pieces.append(.plain(Bytes("]}]")))
    return pieces
  }
}

// MARK: Messages

extension AnthropicFormat {
  var cacheKey: String { "\(Self.provider):\(model)" }

  func makeReader(_ load: @escaping (StoredValue) throws(StoreError) -> CarriedJSON) -> ContentReader {
    ContentReader(takes: Self.media, load: load)
  }

  @Sendable private static func media(_ mimeType: String) -> Media.Kind? {
    switch mimeType {
    case "image/jpeg", "image/png", "image/gif", "image/webp": .image
    case "application/pdf": .pdf
    default: ContentReader.isText(mimeType) ? .plainText : nil
    }
  }

  /// Consecutive messages of one role become one, as the service would combine them: its results must stand together, and first.
  func write(
    _ stretch: TranscriptStretch, after last: MessageRole?, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) -> MessageRole? {
    var blocks = BlockList(last: last)
    switch stretch.entries.first {
    case .user(let content):
      let content = try reader.content(of: content).withoutBlankText
      // The service takes neither a message without content nor one of white space. Left out, the request would have no message, or end with
      // what the model said, which the service would have it go on with; or two answers would become one.
      if content.blocks.isEmpty { blocks.add(text: [Self.nothingSaid], by: .user, to: &writer) }
      blocks.add(content, by: .user, to: &writer)
    case .said(let content):
      blocks.add(text: try reader.content(of: content).text, by: .assistant, to: &writer)
    case .assistant(let message): try write(message, &blocks, to: &writer, &reader)
    case .tool, nil: try write(resultsOf: stretch, &blocks, to: &writer, &reader)
    }
    return blocks.last
  }

  private static let nothingSaid = RequestPiece.plain(Bytes("(The user sent an empty message.)"))

  private func write(
    _ message: ModelMessage, _ blocks: inout BlockList, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) {
    let spoken = SpokenMessage(message, text: try reader.inside(message.text), provider: Self.provider, model: model)
    var ids = CallIDs(message, provider: Self.provider)
    for part in spoken.parts(where: { !EscapedText.isBlank($0) }) {
      switch part {
      case .text(let text, _): blocks.add(text: [.plain(text)], by: .assistant, to: &writer)
      case .carried(let block):
        blocks.begin(by: .assistant, to: &writer)
        writer.raw(block.bytes)
      case .call(let index, _):
        let call = message.calls[index]
        blocks.begin(by: .assistant, to: &writer)
        writer.raw("{\"type\":\"tool_use\",\"id\":")
        writer.raw(ids.id(of: call.callID))
        writer.raw(",\"name\":")
        writer.raw(SpokenCall.name(call.name))
        writer.raw(",\"input\":")
        writer.raw(SpokenCall.arguments(try reader.load(call.arguments)))
        writer.raw("}")
      }
    }
  }

  /// The results of a batch. One that is an error may hold nothing but text, so its other blocks follow after all results.
  private func write(
    resultsOf stretch: TranscriptStretch, _ blocks: inout BlockList, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) {
    var ids = CallIDs(stretch.caller, provider: Self.provider)
    var later: [(id: Bytes, media: [Media])] = []
    for case .tool(let callID, _, let result, let maxBytes) in stretch.entries {
      let id = ids.id(of: callID)
      let content = try reader.content(of: result, maxBytes: maxBytes).withoutBlankText
      blocks.begin(by: .user, to: &writer)
      writer.raw("{\"type\":\"tool_result\",\"tool_use_id\":")
      writer.raw(id)
      if result.isError {
        writer.raw(",\"is_error\":true")
        if !content.media.isEmpty { later.append((id, content.media)) }
      }
      var isFirst = true
      for block in content.blocks {
        if case .media = block, result.isError { continue }
        writer.raw(isFirst ? ",\"content\":[" : ",")
        isFirst = false
        switch block {
        case .text(let text): BlockList.write(text: text, to: &writer)
        case .media(let media): BlockList.write(media, to: &writer)
        }
      }
      if !isFirst { writer.raw("]") }
      writer.raw("}")
    }
    for (id, media) in later {
      blocks.add(
        text: [.plain(Bytes("Belongs to the result of call ")), .plain(id[1..<id.count - 1]), .plain(Bytes(":"))], by: .user, to: &writer)
      for file in media {
        blocks.begin(by: .user, to: &writer)
        BlockList.write(file, to: &writer)
      }
    }
  }
}

/// The content blocks of messages that follow one another.
private struct BlockList {
  var last: MessageRole?

  /// Writes what stands before a block of that role's message.
  mutating func begin(by role: MessageRole, to writer: inout PartWriter) {
    switch (last, role) {
    case (.user, .user), (.assistant, .assistant): writer.raw(",")
    case (.assistant, .user): writer.raw("]},{\"role\":\"user\",\"content\":[")
    case (.user, .assistant): writer.raw("]},{\"role\":\"assistant\",\"content\":[")
    case (nil, .user): writer.raw("{\"role\":\"user\",\"content\":[")
    case (nil, .assistant): writer.raw("{\"role\":\"assistant\",\"content\":[")
    }
    last = role
  }

  mutating func add(_ content: ShownContent, by role: MessageRole, to writer: inout PartWriter) {
    for block in content.blocks {
      switch block {
      case .text(let text): add(text: text, by: role, to: &writer)
      case .media(let media):
        begin(by: role, to: &writer)
        Self.write(media, to: &writer)
      }
    }
  }

  /// The service refuses blocks of nothing but white space.
  mutating func add(text: [RequestPiece], by role: MessageRole, to writer: inout PartWriter) {
    if text.allSatisfy(\.isBlank) { return }
    begin(by: role, to: &writer)
    Self.write(text: text, to: &writer)
  }

  static func write(text: [RequestPiece], to writer: inout PartWriter) {
    writer.raw("{\"type\":\"text\",\"text\":")
    writer.string(text)
    writer.raw("}")
  }

  static func write(_ media: Media, to writer: inout PartWriter) {
    switch media.kind {
    case .plainText:
      writer.raw("{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":")
    case .pdf, .audio, .image:
      writer.raw(media.kind == .pdf ? "{\"type\":\"document\"" : "{\"type\":\"image\"")
      writer.raw(",\"source\":{\"type\":\"base64\",\"media_type\":")
      writer.string(inside: media.mimeType)
      writer.raw(",\"data\":")
    }
    writer.string(inside: media.data)
    writer.raw("}")
    if let name = media.name, media.kind != .image, !EscapedText.isBlank(name) {
      writer.raw(",\"title\":")
      writer.string(inside: name)
    }
    writer.raw("}")
  }
}
