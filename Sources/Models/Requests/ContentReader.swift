import AgentRuntime
import JSON

/// Reads blocks of the log for a provider, and counts what it had to load from the store.
struct ContentReader {
  /// What kind of file the provider takes for a type such as `image/png`; nil: only a word about it is shown.
  var takes: @Sendable (_ mimeType: String) -> Media.Kind?
  private let loadStored: (StoredValue) throws(StoreError) -> CarriedJSON
  private(set) var loadedBytes = 0

  init(takes: @escaping @Sendable (String) -> Media.Kind?, load: @escaping (StoredValue) throws(StoreError) -> CarriedJSON) {
    self.takes = takes
    loadStored = load
  }

  mutating func load(_ value: StoredValue) throws(StoreError) -> CarriedJSON {
    let json = try loadStored(value)
    if case .blob = value { loadedBytes += json.bytes.count }
    return json
  }

  /// The inside of a string value, fit for a request.
  mutating func inside(_ value: StoredValue) throws(StoreError) -> Bytes { EscapedText.wellFormed(try load(value).inside ?? Bytes()) }

  mutating func content(of blocks: [ContentBlock]) throws(StoreError) -> ShownContent {
    var content = ShownContent()
    for block in blocks { try add(block, to: &content) }
    return content
  }

  /// The blocks of a result, or its structured content; then standard output and error, labelled. Text is cut after `maxBytes`.
  mutating func content(of result: ToolResult, maxBytes: Int) throws(StoreError) -> ShownContent {
    var content = try content(of: result.content)
    if result.content.isEmpty, let structured = result.structuredContent {
      let json = try load(structured)
      // One more than is shown, so that the cut sees that there is more.
      let shown = json.bytes.beginning(atLeast: min(maxBytes, .max - 1) + 1)
      content.add(text: .escaping(shown), leavingOut: json.bytes.count - shown.count)
    }
    for (label, lines) in [("stdout:", result.stdout), ("stderr:", result.stderr)] {
      guard let lines, !lines.isEmpty else { continue }
      var insides = [Bytes(label)]
      for line in lines { insides += [Bytes("\\n"), try inside(line)] }
      content.add(text: insides)
    }
    content.cut(to: maxBytes)
    return content
  }

  private mutating func add(_ block: ContentBlock, to content: inout ShownContent) throws(StoreError) {
    func member(_ name: String) -> StoredValue { block[name] ?? .inline(CarriedJSON(string: "")) }
    switch block.type {
    case "text": content.add(text: try inside(member("text")))
    case "json":
      if let value = block["value"] { content.add(text: .escaping(try load(value).bytes)) } else { content.add(text: Bytes()) }
    case "image", "audio":
      let mimeType = try inside(member("mimeType"))
      let name = Bytes(block.type)
      try add(file: member("data"), mimeType, named: nil, to: &content) { size in
        [Bytes("["), name, Bytes(" "), mimeType, Bytes(", \(size) bytes]")]
      }
    case "binary":
      let mimeType = try inside(member("mimeType"))
      if let url = block["url"] {
        return content.add(text: [Bytes("["), mimeType, Bytes(" at "), try inside(url), Bytes("]")])
      }
      let name = try block["filename"].map { (value) throws(StoreError) in try inside(value) }
      try add(file: member("data"), mimeType, named: name, to: &content) { size in
        [Bytes("["), name ?? Bytes("file"), Bytes(" "), mimeType, Bytes(", \(size) bytes]")]
      }
    case "resource_link":
      content.add(text: [Bytes("[resource "), try inside(member("name")), Bytes(": "), try inside(member("uri")), Bytes("]")])
    case "resource": try add(resource: try load(member("resource")), to: &content)
    default: content.add(text: [Bytes("["), EscapedText.escape(block.type), Bytes("]")])
    }
  }

  private mutating func add(resource: CarriedJSON, to content: inout ShownContent) throws(StoreError) {
    let uri = EscapedText.wellFormed(resource["uri"]?.inside ?? Bytes())
    if let text = resource["text"]?.inside {
      return content.add(text: [Bytes("[resource "), uri, Bytes("]\\n"), EscapedText.wellFormed(text)])
    }
    let mimeType = EscapedText.wellFormed(resource["mimeType"]?.inside ?? Bytes())
    guard let data = resource["blob"], data.kind == .string else {
      return content.add(text: [Bytes("[resource "), uri, Bytes("]")])
    }
    try add(file: .inline(data), mimeType, named: uri, to: &content) { _ in [Bytes("[resource "), uri, Bytes("]")] }
  }

  /// A file: as media, as the text it holds, or else as `words` say.
  private mutating func add(
    file data: StoredValue, _ mimeType: Bytes, named name: Bytes?, to content: inout ShownContent, words: (_ size: Int) -> [Bytes]
  ) throws(StoreError) {
    let type = CarriedJSON(quoting: mimeType).stringValue ?? ""
    let kind = takes(type)
    if Self.isText(type), let text = Base64.text(try inside(data)).map(EscapedText.escape) {
      guard kind == .plainText, !EscapedText.isBlank(text) else { return content.add(text: text) }
      return content.add(Media(kind: .plainText, mimeType: mimeType, data: text, name: name))
    }
    if let kind, kind != .plainText {
      let data = try inside(data)
      if Base64.isStrict(data) { return content.add(Media(kind: kind, mimeType: mimeType, data: data, name: name)) }
    }
    switch data {
    case .inline(let value): content.add(text: words(max(0, value.bytes.count - 2) * 3 / 4))
    case .blob(let reference): content.add(text: words(reference.bytes * 3 / 4))
    }
  }

  /// Whether files of that type are text, and are shown as text.
  static func isText(_ mimeType: String) -> Bool {
    let type = mimeType.mediaType
    return type.hasPrefix("text/") || ["application/json", "application/xml", "application/yaml"].contains(type)
  }
}

extension Bytes {
  /// At least `least` bytes of a text, and not the beginning of a character without its end; all of it when it is not longer.
  fileprivate func beginning(atLeast least: Int) -> Bytes {
    var end = Swift.min(count, Swift.max(0, least))
    while end < count, self[end] & 0xC0 == 0x80 { end += 1 }
    return self[0..<end]
  }
}
