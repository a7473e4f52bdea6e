import AgentRuntime
import JSON

/// `{"$blob": id}` in what a run begins with: the value takes the place of the name, so that the run is the same as one that was given it.
enum RunInputBlobs {
  /// - Throws: as `ToolResult.resolvingBlobs`, with a pointer into the params.
  static func resolve(_ input: CarriedJSON, _ outbox: Outbox, _ engine: RunEngine) throws(RuntimeError) -> CarriedJSON {
    guard input.kind == .array else { return input }
    let resolved = try list(input, at: "/input") { (element, place) throws(RuntimeError) in
      guard element.hasMember("role") else { return try block(element, outbox, engine, at: place) }
      return try message(element, outbox, engine, at: place)
    }
    return resolved ?? input
  }

  // Nil where nothing is named.

  private static func list(
    _ list: CarriedJSON, at pointer: String, _ body: (_ element: CarriedJSON, _ place: String) throws(RuntimeError) -> CarriedJSON?
  ) throws(RuntimeError) -> CarriedJSON? {
    var isChanged = false
    var index = 0
    var writer = JSONWriter(capacity: list.bytes.count)
    writer.beginArray()
    try list.forEachElement { (element) throws(RuntimeError) in
      let resolved = try body(element, "\(pointer)/\(index)")
      index += 1
      isChanged = isChanged || resolved != nil
      writer.value(resolved ?? element)
    }
    writer.endArray()
    return isChanged ? CarriedJSON(trusted: writer.finish()) : nil
  }

  private static func message(
    _ message: CarriedJSON, _ outbox: Outbox, _ engine: RunEngine, at pointer: String
  ) throws(RuntimeError) -> CarriedJSON? {
    guard let content = message["content"] else { return nil }
    var resolved: CarriedJSON?
    if content.hasMember("$blob") {
      resolved = try content.resolvingBlob(outbox, engine, wantsString: true, at: pointer + "/content")
    } else if content.kind == .array {
      resolved = try list(content, at: pointer + "/content") { (element, place) throws(RuntimeError) in
        try block(element, outbox, engine, at: place)
      }
    }
    guard let resolved else { return nil }
    var writer = JSONWriter(capacity: resolved.bytes.count + 64)
    writer.beginObject()
    message.forEachMember { name, value in
      writer.key(name)
      writer.value(name == "content" ? resolved : value)
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  private static func block(
    _ element: CarriedJSON, _ outbox: Outbox, _ engine: RunEngine, at pointer: String
  ) throws(RuntimeError) -> CarriedJSON? {
    let block = try ContentBlock(reading: element, at: pointer)
    guard block.namesBlobs else { return nil }
    var resolved = try block.resolvingBlobs(outbox, engine, at: pointer)
    for index in resolved.members.indices {
      do throws(StoreError) { resolved.members[index].value = .inline(try engine.load(resolved.members[index].value)) } catch {
        throw RuntimeError(error)
      }
    }
    var writer = JSONWriter()
    resolved.write(to: &writer)
    return CarriedJSON(trusted: writer.finish())
  }
}
