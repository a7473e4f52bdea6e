import AgentRuntime
import JSON

/// `{"$blob": id}` in what a run begins with: the value takes the place of the name, so that the run is the same as one that was given it.
enum RunInputBlobs {
  /// - Throws: as `ToolResult.resolvingBlobs`, with a pointer into the params.
  static func resolve(_ input: CarriedJSON, _ outbox: Outbox, _ engine: RunEngine) throws(RuntimeError) -> CarriedJSON {
    // Most name none, and are not copied.
    guard try isNamed(in: input) else { return input }
    return try input.mapElements { (index, element) throws(RuntimeError) in
      let place = "/input/\(index)"
      guard element.hasMember("role") else { return try block(element, outbox, engine, at: place) }
      return try element.mapMembers { (name, value) throws(RuntimeError) in
        name == "content" ? try content(value, outbox, engine, at: place + "/content") : value
      }
    }
  }

  private static func isNamed(in list: CarriedJSON) throws(RuntimeError) -> Bool {
    var isNamed = false
    try list.forEachElement { (element) throws(RuntimeError) in
      if isNamed { return }
      if element.hasMember("role") {
        let content = element["content"] ?? .null
        isNamed = content.hasMember("$blob") ? true : try self.isNamed(in: content)
      } else {
        isNamed = try ContentBlock(reading: element, at: "").namesBlobs
      }
    }
    return isNamed
  }

  private static func content(
    _ content: CarriedJSON, _ outbox: Outbox, _ engine: RunEngine, at pointer: String
  ) throws(RuntimeError) -> CarriedJSON {
    if content.hasMember("$blob") { return try content.resolvingBlob(outbox, engine, wantsString: true, at: pointer) }
    return try content.mapElements { (index, element) throws(RuntimeError) in
      try block(element, outbox, engine, at: "\(pointer)/\(index)")
    }
  }

  private static func block(
    _ element: CarriedJSON, _ outbox: Outbox, _ engine: RunEngine, at pointer: String
  ) throws(RuntimeError) -> CarriedJSON {
    let block = try ContentBlock(reading: element, at: pointer)
    guard block.namesBlobs else { return element }
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
