import AgentRuntime
import JSON

extension Tool {
  /// The schema of its arguments as models' services want it: an object's. Arguments are an object whatever the schema says of other types.
  var schemaForModels: Bytes {
    guard let schema, schema.kind == .object else { return Bytes("{\"type\":\"object\"}") }
    let bytes = EscapedText.wellFormed(schema.bytes)
    if schema.hasMember("type") { return bytes }
    var writer = JSONWriter(capacity: bytes.count + 20)
    writer.beginObject()
    writer.member("type", "object")
    CarriedJSON(trusted: bytes).forEachMember { name, value in
      writer.key(escaping: name.text)
      writer.value(value)
    }
    writer.endObject()
    return writer.finish()
  }
}

extension PartWriter {
  /// Tools of the provider, after those that the list has already.
  mutating func add(_ tools: [CarriedJSON], toEmptyList isEmpty: Bool) {
    for (index, tool) in tools.enumerated() {
      if index > 0 || !isEmpty { raw(",") }
      raw(EscapedText.wellFormed(tool.bytes))
    }
  }
}
