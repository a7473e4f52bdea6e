import AgentRuntime
import JSON

/// `{"$blob": id}` in what the parent sent: honoured for an id that this connection wrote or was sent, literal otherwise.
extension ToolResult {
  var namesBlobs: Bool {
    content.contains(where: \.namesBlobs) || structuredContent?.namesBlob == true
      || [stdout, stderr].contains { $0?.contains { $0.namesBlob } == true }
      || augmentation.map { AugmentationBlobs.areNamed(in: $0.wire) } == true
  }

  /// - Throws: `blob.notFound` and `invalidParams` (a text that names a JSON blob, say) with the pointer.
  func resolvingBlobs(_ outbox: Outbox, _ engine: RunEngine, at pointer: String) throws(RuntimeError) -> ToolResult {
    var result = self
    for (place, block) in content.enumerated() {
      // A text that stands for the content is no member of a block that the client sent.
      let whole = isPlainText ? pointer + "/content" : nil
      result.content[place] = try block.resolvingBlobs(outbox, engine, at: "\(pointer)/content/\(place)", whole: whole)
    }
    result.structuredContent = try structuredContent.map { value throws(RuntimeError) in
      try value.resolved(outbox, engine, wantsString: false, at: pointer + "/structuredContent")
    }
    result.stdout = try Self.resolved(stdout, outbox, engine, at: pointer + "/stdout")
    result.stderr = try Self.resolved(stderr, outbox, engine, at: pointer + "/stderr")
    result.augmentation = try augmentation.map { value throws(RuntimeError) in
      .inline(try AugmentationBlobs.resolve(value.wire, outbox, engine, at: pointer + "/augmentation"))
    }
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
  var namesBlobs: Bool { members.contains { $0.value.namesBlob || holdsNames($0) } }

  /// An embedded resource, whose text or data is a blob's.
  private func holdsNames(_ member: Member) -> Bool {
    guard type == "resource", member.name == "resource", case .inline(let resource) = member.value else { return false }
    var found = false
    resource.forEachMember { _, value in found = found || value.hasMember("$blob") }
    return found
  }

  /// - Parameter whole: Where the block's only text stands, when the client sent no block.
  func resolvingBlobs(
    _ outbox: Outbox, _ engine: RunEngine, at pointer: String, whole: String? = nil
  ) throws(RuntimeError) -> ContentBlock {
    var block = self
    for (index, member) in members.enumerated() {
      let place = whole ?? "\(pointer)/\(member.name)"
      block.members[index].value =
        holdsNames(member)
        ? .inline(try Self.resolving(member.value.wire, outbox, engine, at: place))
        : try member.value.resolved(outbox, engine, wantsString: wantsString(member.name), at: place)
    }
    return block
  }

  private static func resolving(
    _ resource: CarriedJSON, _ outbox: Outbox, _ engine: RunEngine, at pointer: String
  ) throws(RuntimeError) -> CarriedJSON {
    try resource.mapMembers { (name, value) throws(RuntimeError) in
      let wantsString = ["uri", "mimeType", "text", "blob"].contains(name.text)
      return try value.resolvingBlob(outbox, engine, wantsString: wantsString, at: "\(pointer)/\(JSONPointer.escape(name.text))")
    }
  }

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
  func resolvingBlob(
    _ outbox: Outbox, _ engine: RunEngine, wantsString: Bool = false, at pointer: String
  ) throws(RuntimeError) -> CarriedJSON {
    guard StoredValue.inline(self).namesBlob else { return self }
    let value = try StoredValue.inline(self).resolved(outbox, engine, wantsString: wantsString, at: pointer)
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
