package import JSON

extension RunEngine.Details {
  /// The agent as it may be shown: literal `env` values are stored, but shown nowhere.
  package var shownAgent: CarriedJSON? {
    guard let agent, agent.bytes.contains("\"env\"") else { return agent }
    var writer = JSONWriter(capacity: agent.bytes.count)
    writer.beginObject()
    agent.forEachMember { name, value in
      writer.key(escaping: name)
      guard name == "tools" else { return writer.value(value) }
      writer.beginArray()
      value.forEachElement { Self.write($0, to: &writer) }
      writer.endArray()
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  private static func write(_ tool: CarriedJSON, to writer: inout JSONWriter) {
    writer.beginObject()
    tool.forEachMember { name, value in
      writer.key(escaping: name)
      guard name == "env" else { return writer.value(value) }
      writer.beginObject()
      value.forEachMember { variable, _ in
        writer.key(escaping: variable)
        writer.string("(hidden)")
      }
      writer.endObject()
    }
    writer.endObject()
  }
}
