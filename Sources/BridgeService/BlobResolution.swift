import AgentRuntime
import JSON

/// `{"$blob": id}` in a result that the parent sent: honoured for an id that this connection wrote or was sent, literal otherwise.
extension ToolResult {
  var namesBlobs: Bool {
    content.contains { block in block.members.contains { $0.value.namesBlob } } || structuredContent?.namesBlob == true
      || [stdout, stderr].contains { $0?.contains { $0.namesBlob } == true }
  }

  /// - Throws: `blob.notFound` and `invalidParams` (a text that names a JSON blob, say) with the pointer.
  func resolvingBlobs(_ outbox: Outbox, _ engine: RunEngine, at pointer: String) throws(RuntimeError) -> ToolResult {
    var result = self
    for (place, block) in content.enumerated() {
      for (index, member) in block.members.enumerated() {
        let wantsString = block.wantsString(member.name)
        result.content[place].members[index].value = try member.value.resolved(
          outbox, engine, wantsString: wantsString,
          // A text that stands for the content is no member of a block that the client sent.
          at: isPlainText ? pointer + "/content" : "\(pointer)/content/\(place)/\(member.name)")
      }
    }
    result.structuredContent = try structuredContent.map { value throws(RuntimeError) in
      try value.resolved(outbox, engine, wantsString: false, at: pointer + "/structuredContent")
    }
    result.stdout = try Self.resolved(stdout, outbox, engine, at: pointer + "/stdout")
    result.stderr = try Self.resolved(stderr, outbox, engine, at: pointer + "/stderr")
    return result
  }

  private static func resolved(_ lines: [StoredValue]?, _ outbox: Outbox, _ engine: RunEngine, at pointer: String) throws(RuntimeError)
    -> [StoredValue]?
  {
    guard var lines else { return nil }
    for index in lines.indices {
      lines[index] = try lines[index].resolved(outbox, engine, wantsString: true, at: "\(pointer)/\(index)")
    }
    return lines
  }
}

extension ContentBlock {
  fileprivate func wantsString(_ member: String) -> Bool {
    switch type {
    case "json": false
    case "resource": member != "resource"
    default: ["text", "data", "mimeType", "url", "uri", "name", "filename"].contains(member)
    }
  }
}

extension CarriedJSON {
  /// The value of the blob that this whole value names, when this connection wrote it or was sent it; itself otherwise.
  /// - Throws: `store.unavailable` and the like when it cannot be read.
  func resolvingBlob(_ outbox: Outbox, _ engine: RunEngine, at pointer: String) throws(RuntimeError) -> CarriedJSON {
    guard StoredValue.inline(self).namesBlob else { return self }
    let value = try StoredValue.inline(self).resolved(outbox, engine, wantsString: false, at: pointer)
    do throws(StoreError) { return try engine.load(value) } catch { throw RuntimeError(error) }
  }
}

extension StoredValue {
  var namesBlob: Bool {
    guard case .inline(let value) = self else { return false }
    return value.hasMember("$blob")
  }

  fileprivate func resolved(_ outbox: Outbox, _ engine: RunEngine, wantsString: Bool, at pointer: String) throws(RuntimeError)
    -> StoredValue
  {
    guard case .inline(let value) = self, let name = value["$blob"] else { return self }
    guard let id = name.stringValue.flatMap(ULID.init), outbox.knowsBlob(id) else {
      if wantsString { throw RuntimeError.invalidParams("must be a string, or a blob that this connection wrote or was sent", at: pointer) }
      return self
    }
    try engine.completeBlob(id, at: pointer)
    let reference = try engine.reference(to: id)
    if wantsString, reference.type != .string { throw .invalidParams("names a blob of type json where a string must be", at: pointer) }
    return .blob(reference)
  }
}
