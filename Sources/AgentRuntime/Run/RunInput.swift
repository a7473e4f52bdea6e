package import JSON

/// What a run was asked: a text, content blocks, or messages with roles, as it was given; long values in it stand as blobs.
package struct RunInput: Sendable, Equatable {
  /// As it stands in `run.started`.
  package let wire: CarriedJSON

  init(wire: CarriedJSON) { self.wire = wire }

  /// An input that `RunAdmission` has checked, its long values stored one by one, so that the model sees the same whatever their size.
  init(_ given: CarriedJSON, storing spiller: inout BlobSpiller) {
    wire = Self.written(given) { spiller.store($0) }
  }

  /// The input as the log says it, whole: members of blocks that are null count as absent.
  static func tidied(_ given: CarriedJSON) -> CarriedJSON { written(given) { $0 } }

  private static func written(_ given: CarriedJSON, _ store: (StoredValue) -> StoredValue) -> CarriedJSON {
    guard given.kind == .array else { return store(.inline(given)).wire }
    func write(_ block: CarriedJSON, to writer: inout JSONWriter) {
      var block = ContentBlock(given: block)
      for index in block.members.indices { block.members[index].value = store(block.members[index].value) }
      block.write(to: &writer)
    }
    var writer = JSONWriter(capacity: 256)
    writer.beginArray()
    given.forEachElement { element in
      guard element.hasMember("role") else { return write(element, to: &writer) }
      writer.beginObject()
      element.forEachMember { name, value in
        writer.key(name)
        if name == "content", value.kind == .array {
          writer.beginArray()
          value.forEachElement { write($0, to: &writer) }
          writer.endArray()
        } else {
          writer.value(store(.inline(value)).wire)
        }
      }
      writer.endObject()
    }
    writer.endArray()
    return CarriedJSON(trusted: writer.finish())
  }

  /// The messages that the input stands for.
  var entries: [TranscriptEntry] {
    guard wire.kind == .array else { return [.user([.text(StoredValue(wire: wire))])] }
    var entries: [TranscriptEntry] = []
    var blocks: [ContentBlock] = []
    wire.forEachElement { element in
      guard let role = element["role"]?.stringValue else { return blocks.append(ContentBlock(logged: element)) }
      let content = element["content"] ?? CarriedJSON(string: "")
      let list = content.kind == .array ? [ContentBlock](logged: content) : [.text(StoredValue(wire: content))]
      entries.append(role == "assistant" ? .said(list) : .user(list))
    }
    if !blocks.isEmpty { entries.append(.user(blocks)) }
    return entries
  }

  /// As it was given, with what is stored in its place.
  func whole(_ load: (StoredValue) throws(StoreError) -> CarriedJSON) throws(StoreError) -> CarriedJSON {
    try Self.whole(wire, load)
  }

  private static func whole(
    _ value: CarriedJSON, _ load: (StoredValue) throws(StoreError) -> CarriedJSON
  ) throws(StoreError) -> CarriedJSON {
    if let reference = BlobReference(wire: value) { return try load(.blob(reference)) }
    guard value.bytes.contains("$blob") else { return value }
    var writer = JSONWriter(capacity: value.bytes.count)
    switch value.kind {
    case .array:
      writer.beginArray()
      try value.forEachElement { (element) throws(StoreError) in writer.value(try whole(element, load)) }
      writer.endArray()
    case .object:
      writer.beginObject()
      try value.forEachMember { (name, member) throws(StoreError) in
        writer.key(name)
        writer.value(try whole(member, load))
      }
      writer.endObject()
    default: return value
    }
    return CarriedJSON(trusted: writer.finish())
  }
}
