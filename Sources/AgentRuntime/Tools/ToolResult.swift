package import JSON

/// What a tool call came to: protocol section 3, `ToolResult`.
package struct ToolResult: Sendable, Equatable {
  package var content: [ContentBlock] = []
  /// The content was given as a text, and stands so in the log: `content` is one text block then.
  package var isPlainText = false
  package var structuredContent: StoredValue?
  package var isError = false
  /// JSON strings.
  package var stdout: [StoredValue]?
  package var stderr: [StoredValue]?
  /// Of a command that ran to its end.
  package var exitCode: Int?
  package var meta: StoredValue?
  /// What the client wants changed of the toolbox; an object.
  package var augmentation: StoredValue?
  /// Accepted; the result comes later.
  package var deferred = false

  package init() {}

  /// What the runtime itself has to say to a call.
  static func said(_ text: String) -> ToolResult {
    var result = ToolResult()
    result.content = [.text(text)]
    result.isPlainText = true
    return result
  }

  /// An error for the model, in words.
  package static func failure(_ text: String) -> ToolResult {
    var result = ToolResult()
    result.content = [.text(text)]
    result.isError = true
    return result
  }

  /// The error that stands for a result that cannot be used. What a command printed, and how it ended, stays.
  package func refused(_ words: String) -> ToolResult {
    var result = ToolResult.failure(words)
    // Its output was the content, and was not kept twice.
    result.stdout = stdout ?? (exitCode == nil ? nil : content.first?["text"].map { [$0] })
    result.stderr = stderr
    result.exitCode = exitCode
    return result
  }

  /// What in a ToolResult is only carried.
  package static let carriedPaths: CarriedPaths = [
    "/structuredContent", "/content/*/value", "/content/*/resource", "/content/*/annotations", "/content/*/_meta", "/_meta",
    "/augmentation",
  ]

  /// Reads what a parent sent. `callId` is left to the caller. A member that is null is absent, but for `structuredContent`, which may be any value.
  /// - Throws: `invalidParams` with the pointer of what is wrong.
  package init(reading value: CarriedJSON, at pointer: String = "") throws(RuntimeError) {
    guard value.kind == .object else { throw .invalidParams("must be an object", at: pointer) }
    try value.forEachMember { (name, member) throws(RuntimeError) in
      if member.isNull, name != "structuredContent" { return }
      let place = pointer + "/" + name.text
      switch name {
      case "content":
        content = try [ContentBlock](reading: member, at: place)
        isPlainText = member.kind != .array
      case "structuredContent": structuredContent = .inline(member)
      case "isError": isError = try Self.bool(member, at: place)
      case "deferred": deferred = try Self.bool(member, at: place)
      case "stdout": stdout = try Self.lines(member, at: place)
      case "stderr": stderr = try Self.lines(member, at: place)
      case "_meta":
        guard member.kind == .object else { throw .invalidParams("must be an object", at: place) }
        meta = .inline(member)
      case "augmentation":
        guard member.kind == .object else { throw .invalidParams("must be an object", at: place) }
        augmentation = .inline(member)
      default: break
      }
    }
  }

  private static func bool(_ value: CarriedJSON, at pointer: String) throws(RuntimeError) -> Bool {
    guard let bool = value.boolValue else { throw .invalidParams("must be true or false", at: pointer) }
    return bool
  }

  private static func lines(_ value: CarriedJSON, at pointer: String) throws(RuntimeError) -> [StoredValue] {
    guard value.kind == .array else { throw .invalidParams("must be a list of strings", at: pointer) }
    var lines: [StoredValue] = []
    try value.forEachElement { (line) throws(RuntimeError) in
      // A blob's name is judged by who knows the client's blobs, as in a content block.
      if line.kind != .string, !line.hasMember("$blob") { throw .invalidParams("must be a string", at: "\(pointer)/\(lines.count)") }
      lines.append(.inline(line))
    }
    return lines
  }

  /// Reads the `data` of a `tool.completed` event.
  init(logged data: CarriedJSON) {
    data.forEachMember { name, member in
      switch name {
      case "content":
        isPlainText = member.kind != .array
        content = isPlainText ? [.text(StoredValue(wire: member))] : [ContentBlock](logged: member)
      case "structuredContent": structuredContent = StoredValue(wire: member)
      case "isError": isError = member.boolValue ?? false
      case "stdout": stdout = member.elements.map(StoredValue.init(wire:))
      case "stderr": stderr = member.elements.map(StoredValue.init(wire:))
      case "exitCode": exitCode = member.intValue
      case "augmentation": augmentation = StoredValue(wire: member)
      case "_meta": meta = StoredValue(wire: member)
      default: break
      }
    }
  }

  /// The same result with long values as blobs.
  func stored(by spiller: inout BlobSpiller) -> ToolResult {
    var result = self
    result.content = content.map { $0.stored(by: &spiller) }
    result.structuredContent = structuredContent.map { spiller.store($0) }
    result.stdout = stdout?.map { spiller.store($0) }
    result.stderr = stderr?.map { spiller.store($0) }
    result.augmentation = augmentation.map { spiller.store($0) }
    result.meta = meta.map { spiller.store($0) }
    return result
  }

  func writeMembers(to writer: inout JSONWriter) {
    writer.key("content")
    if isPlainText, let text = content.first?["text"] { writer.value(text.wire) } else { content.write(to: &writer) }
    writer.member("structuredContent", ifPresent: structuredContent?.wire)
    if let stdout {
      writer.key("stdout")
      Self.write(stdout, to: &writer)
    }
    if let stderr {
      writer.key("stderr")
      Self.write(stderr, to: &writer)
    }
    writer.member("exitCode", ifPresent: exitCode)
    writer.member("augmentation", ifPresent: augmentation?.wire)
    writer.member("_meta", ifPresent: meta?.wire)
  }

  private static func write(_ lines: [StoredValue], to writer: inout JSONWriter) {
    writer.beginArray()
    for line in lines { writer.value(line.wire) }
    writer.endArray()
  }

  /// Bytes of all its values, for accounting.
  package var byteCount: Int {
    func size(_ value: StoredValue?) -> Int {
      switch value {
      case .inline(let json)?: json.bytes.count
      case .blob(let reference)?: reference.bytes
      case nil: 0
      }
    }
    return content.reduce(0) { $0 + $1.members.reduce(0) { $0 + size($1.value) } } + size(structuredContent)
      + ((stdout ?? []) + (stderr ?? [])).reduce(0) { $0 + size($1) }
  }
}
