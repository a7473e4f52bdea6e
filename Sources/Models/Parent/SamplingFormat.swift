import AgentRuntime
import JSON

/// MCP's `sampling/createMessage` with tools: https://modelcontextprotocol.io/specification/2025-11-25/client/sampling
///
/// A message of results holds nothing but results, so messages are not merged.
struct SamplingFormat: TranscriptFormat {
  static let provider = "parent"
  /// MCP demands a number.
  static let defaultMaxTokens = 8192

  let model: String

  var cacheKey: String { "\(Self.provider):\(model)" }

  func makeReader(_ load: @escaping (StoredValue) throws(StoreError) -> CarriedJSON) -> ContentReader {
    ContentReader(takes: Self.media, load: load)
  }

  @Sendable private static func media(_ mimeType: String) -> Media.Kind? {
    mimeType.hasPrefix("image/") ? .image : mimeType.hasPrefix("audio/") ? .audio : nil
  }

  // MARK: Messages

  func write(
    _ stretch: TranscriptStretch, after last: MessageRole?, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) -> MessageRole? {
    switch stretch.entries.first {
    case .user(let blocks): return Self.write(try reader.content(of: blocks), .user, after: last, to: &writer)
    case .said(let blocks): return Self.write(try reader.content(of: blocks), .assistant, after: last, to: &writer)
    case .assistant(let message): return try write(message, after: last, to: &writer, &reader)
    case .tool, nil:
      // Results may hold what messages may not: files as embedded resources.
      reader.takes = { Self.media($0) ?? (ContentReader.isText($0) ? nil : .pdf) }
      try Self.write(resultsOf: stretch, after: last, to: &writer, &reader)
      return .user
    }
  }

  private static func open(_ role: MessageRole, after last: MessageRole?, to writer: inout PartWriter) {
    if last != nil { writer.raw(",") }
    writer.raw(role == .user ? "{\"role\":\"user\",\"content\":" : "{\"role\":\"assistant\",\"content\":")
  }

  /// A single block goes as itself, which clients of MCP's older revisions take too.
  private static func write(
    _ content: ShownContent, _ role: MessageRole, after last: MessageRole?, to writer: inout PartWriter
  ) -> MessageRole? {
    let blocks = content.blocks
    if blocks.isEmpty { return last }
    open(role, after: last, to: &writer)
    if blocks.count > 1 { writer.raw("[") }
    for (index, block) in blocks.enumerated() {
      if index > 0 { writer.raw(",") }
      write(block, to: &writer)
    }
    writer.raw(blocks.count > 1 ? "]}" : "}")
    return role
  }

  private func write(
    _ message: ModelMessage, after last: MessageRole?, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) -> MessageRole? {
    let spoken = SpokenMessage(message, text: try reader.inside(message.text), provider: Self.provider, model: model)
    let parts = spoken.parts { !$0.isEmpty }
    if parts.isEmpty { return last }
    var ids = CallIDs(message, provider: Self.provider)
    Self.open(.assistant, after: last, to: &writer)
    if parts.count > 1 { writer.raw("[") }
    for (index, part) in parts.enumerated() {
      if index > 0 { writer.raw(",") }
      switch part {
      case .text(let text, _): Self.write(.text([.plain(text)]), to: &writer)
      case .carried(let block): writer.raw(block.bytes)
      case .call(let place, let extras):
        let call = message.calls[place]
        writer.raw("{\"type\":\"tool_use\",\"id\":")
        writer.raw(ids.id(of: call.callID))
        writer.raw(",\"name\":")
        writer.raw(SpokenCall.name(call.name))
        writer.raw(",\"input\":")
        writer.raw(SpokenCall.arguments(try reader.load(call.arguments)))
        if let meta = extras?["_meta"] {
          writer.raw(",\"_meta\":")
          writer.raw(meta.bytes)
        }
        writer.raw("}")
      }
    }
    writer.raw(parts.count > 1 ? "]}" : "}")
    return .assistant
  }

  private static func write(
    resultsOf stretch: TranscriptStretch, after last: MessageRole?, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) {
    var ids = CallIDs(stretch.caller, provider: provider)
    open(.user, after: last, to: &writer)
    writer.raw("[")
    var isFirst = true
    for case .tool(let callID, _, let result, let maxBytes) in stretch.entries {
      if !isFirst { writer.raw(",") }
      isFirst = false
      writer.raw("{\"type\":\"tool_result\",\"toolUseId\":")
      writer.raw(ids.id(of: callID))
      if result.isError { writer.raw(",\"isError\":true") }
      writer.raw(",\"content\":[")
      for (index, block) in try reader.content(of: result, maxBytes: maxBytes).blocks.enumerated() {
        if index > 0 { writer.raw(",") }
        write(block, to: &writer)
      }
      writer.raw("]}")
    }
    writer.raw("]}")
  }

  private static func write(_ block: ShownContent.Block, to writer: inout PartWriter) {
    switch block {
    case .text(let text):
      writer.raw("{\"type\":\"text\",\"text\":")
      writer.string(text)
      writer.raw("}")
    case .media(let media):
      switch media.kind {
      case .image: writer.raw("{\"type\":\"image\",\"data\":")
      case .audio: writer.raw("{\"type\":\"audio\",\"data\":")
      case .pdf, .plainText:
        writer.raw("{\"type\":\"resource\",\"resource\":{\"uri\":")
        writer.string(media.name.map { isURI($0) ? [$0] : [Bytes("attachment:"), $0] } ?? [Bytes("attachment:file")])
        writer.raw(",\"blob\":")
      }
      writer.string(inside: media.data)
      writer.raw(",\"mimeType\":")
      writer.string(inside: media.mimeType)
      writer.raw(media.kind == .pdf || media.kind == .plainText ? "}}" : "}")
    }
  }

  private static func isURI(_ name: Bytes) -> Bool {
    name.firstIndex(of: 0x3A).map { $0 > 1 && name[$0 - 1] != 0x2F } ?? false
  }

  // MARK: The request

  func params(of request: ModelRequest, _ transcript: RenderedTranscript) -> CarriedJSON {
    var writer = PartWriter()
    writer.raw("{\"messages\":[")
    for piece in transcript.pieces { writer.raw(piece) }
    writer.raw("]")
    let system = request.system.filter { !$0.isEmpty }.joined(separator: "\n\n")
    if !system.isEmpty {
      writer.raw(",\"systemPrompt\":")
      writer.string(system)
    }
    writer.raw(",\"modelPreferences\":{\"hints\":[{\"name\":")
    writer.string(model)
    writer.raw("}]},\"maxTokens\":")
    writer.int(request.agent.maxOutputTokens ?? Self.defaultMaxTokens)
    if let temperature = request.agent.temperature {
      var number = JSONWriter(capacity: 32)
      number.double(temperature)
      writer.raw(",\"temperature\":")
      writer.raw(number.finish())
    }
    if !request.tools.isEmpty { Self.write(request.tools, to: &writer) }
    if let options = request.agent.providerOptions {
      writer.raw(",\"metadata\":")
      writer.raw(EscapedText.wellFormed(options.bytes))
    }
    writer.raw(",\"_meta\":{\"progressToken\":")
    writer.string(request.messageID.text)
    writer.raw(",\"runId\":")
    writer.string(request.runID.text)
    writer.raw(",\"messageId\":")
    writer.string(request.messageID.text)
    writer.raw("}}")
    return CarriedJSON(trusted: writer.finish().joined)
  }

  private static func write(_ tools: [Tool], to writer: inout PartWriter) {
    for (index, tool) in tools.enumerated() {
      writer.raw(index == 0 ? ",\"tools\":[{\"name\":" : ",{\"name\":")
      writer.string(tool.name)
      if let title = tool.title {
        writer.raw(",\"title\":")
        writer.string(title)
      }
      writer.raw(",\"description\":")
      writer.string(tool.description)
      writer.raw(",\"inputSchema\":")
      writer.raw(tool.schemaForModels)
      writer.raw("}")
    }
    writer.raw("],\"toolChoice\":{\"mode\":\"auto\"}")
  }
}

/// Reads what a client answers to `sampling/createMessage`.
enum SamplingResult {
  /// What in it is only carried.
  static let carriedPaths: CarriedPaths = ["/content/input", "/content/*/input", "/content/_meta", "/content/*/_meta", "/_meta"]

  static func turn(_ result: CarriedJSON, model: String) throws(ProviderFault) -> ModelTurn {
    guard let content = result["content"], content.kind == .object || content.kind == .array else {
      throw .passing("an answer without content")
    }
    var builder = TurnBuilder(provider: SamplingFormat.provider, model: model)
    var endsWithCall = false
    for block in content.kind == .array ? content.elements : [content] {
      endsWithCall = false
      switch block["type"]?.stringValue {
      case "text": builder.add(text: block["text"]?.inside ?? Bytes())
      case "tool_use":
        guard let name = block["name"]?.stringValue else { throw .passing("a tool_use without a name") }
        let id = block["id"].flatMap { $0.kind == .string && $0.bytes.count > 2 ? $0 : nil }
        builder.add(
          call: name, block["input"]?.bytes.compacted() ?? Bytes(), id: id, extras: PartExtras("_meta", block["_meta"]))
        endsWithCall = true
      default: break
      }
    }
    let stop: TurnBuilder.Stop =
      switch result["stopReason"]?.stringValue {
      case "maxTokens": .cut
      case "stopSequence": .stopped
      case "refusal": .refusal
      default: .natural
      }
    if case .cut = stop, endsWithCall { builder.cutLastCall() }
    return try builder.turn(stop: stop, usage: Usage())
  }
}
