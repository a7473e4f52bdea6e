package import JSON

/// Tool results and messages as text for a model.
package enum ModelText {
  package typealias Load = (StoredValue) throws(StoreError) -> CarriedJSON

  /// The result in words: its blocks, or its structured content; then standard output and error, labelled. Cut after `maxBytes` with a note.
  package static func text(of result: ToolResult, maxBytes: Int, load: Load) throws(StoreError) -> String {
    var parts: [String] = []
    for block in result.content { parts.append(try text(of: block, load: load)) }
    if result.content.isEmpty, let structured = result.structuredContent { parts.append(try load(structured).bytes.string) }
    for (label, value) in [("stdout", result.stdout), ("stderr", result.stderr)] {
      var lines: [String] = []
      for line in value ?? [] { lines.append(try load(line).stringValue ?? "") }
      if !lines.isEmpty { parts.append("\(label):\n\(lines.joined(separator: "\n"))") }
    }
    return cut(parts.joined(separator: "\n"), to: maxBytes)
  }

  package static func text(of blocks: [ContentBlock], load: Load) throws(StoreError) -> String {
    var parts: [String] = []
    for block in blocks { parts.append(try text(of: block, load: load)) }
    return parts.joined(separator: "\n")
  }

  private static func text(of block: ContentBlock, load: Load) throws(StoreError) -> String {
    func string(_ name: String) throws(StoreError) -> String? {
      guard let value = block[name] else { return nil }
      return try load(value).stringValue
    }
    func size(_ name: String) -> Int {
      switch block[name] {
      case .inline(let value)?: max(0, value.bytes.count - 2) * 3 / 4
      case .blob(let reference)?: reference.bytes * 3 / 4
      case nil: 0
      }
    }
    switch block.type {
    case "text": return try string("text") ?? ""
    case "json":
      guard let value = block["value"] else { return "" }
      return try load(value).bytes.string
    case "image", "audio": return "[\(block.type) \(try string("mimeType") ?? ""), \(size("data")) bytes]"
    case "binary":
      if let url = try string("url") { return "[\(try string("mimeType") ?? "") at \(url)]" }
      return "[\(try string("filename") ?? "file") \(try string("mimeType") ?? ""), \(size("data")) bytes]"
    case "resource_link": return "[resource \(try string("name") ?? ""): \(try string("uri") ?? "")]"
    case "resource":
      guard let value = block["resource"] else { return "" }
      let resource = try load(value)
      return resource["text"]?.stringValue ?? "[resource \(resource["uri"]?.stringValue ?? "")]"
    default: return "[\(block.type)]"
    }
  }

  private static func cut(_ text: String, to maxBytes: Int) -> String {
    let count = text.utf8.count
    guard count > maxBytes else { return text }
    var stop = text.utf8.index(text.startIndex, offsetBy: maxBytes)
    // Not inside a character.
    while stop > text.startIndex, text.utf8[stop] & 0xC0 == 0x80 { stop = text.utf8.index(before: stop) }
    return text[..<stop] + "\n[cut: the first \(maxBytes) of \(count) bytes]"
  }
}
