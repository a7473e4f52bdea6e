package import JSON

/// One block of a tool result or of a user message: its type, and every member as it came.
///
/// The text of a block may be 50 MB, so members stay carried; what is long stands in the log as a blob.
package struct ContentBlock: Sendable, Equatable {
  package struct Member: Sendable, Equatable {
    package var name: String
    package var value: StoredValue
  }

  package var type: String
  /// All members but `type`, in order.
  package var members: [Member]

  package init(type: String, members: [Member]) {
    self.type = type
    self.members = members
  }

  package static func text(_ text: String) -> ContentBlock { .text(.inline(CarriedJSON(string: text))) }

  package static func text(_ value: StoredValue) -> ContentBlock {
    ContentBlock(type: "text", members: [Member(name: "text", value: value)])
  }

  package subscript(_ name: String) -> StoredValue? { members.first { $0.name == name }?.value }

  /// A member that need not be there and is null counts as absent.
  ///
  /// - Parameter isForgiving: A member that need not be there and is not as it should be is left out, instead of refused.
  /// - Throws: `invalidParams` with the pointer of the member that is missing or wrong.
  package init(reading value: CarriedJSON, at pointer: String, isForgiving: Bool = false) throws(RuntimeError) {
    guard value.kind == .object else { throw .invalidParams("must be an object", at: pointer) }
    var type: String?
    var members: [Member] = []
    try value.forEachMember { (name, member) throws(RuntimeError) in
      if name == "type" {
        guard let text = member.stringValue else { throw .invalidParams("must be a string", at: pointer + "/type") }
        type = text
      } else {
        members.append(Member(name: name.text, value: StoredValue.inline(member)))
      }
    }
    guard let type else { throw .invalidParams("is required", at: pointer + "/type") }
    self.init(type: type, members: members)
    try check(at: pointer, isForgiving: isForgiving)
  }

  /// A block that was checked before; nothing in it is a reference.
  init(given value: CarriedJSON) {
    type = value["type"]?.stringValue ?? "text"
    var members: [Member] = []
    value.forEachMember { name, member in
      if name != "type" { members.append(Member(name: name.text, value: .inline(member))) }
    }
    self.members = members
    leaveOutNulls()
  }

  /// Reads a block of the log, where long members are references.
  init(logged value: CarriedJSON) {
    type = value["type"]?.stringValue ?? "text"
    var members: [Member] = []
    value.forEachMember { name, member in
      if name != "type" { members.append(Member(name: name.text, value: StoredValue(wire: member))) }
    }
    self.members = members
  }

  func stored(by spiller: inout BlobSpiller) -> ContentBlock {
    var block = self
    for index in members.indices { block.members[index].value = spiller.store(members[index].value) }
    return block
  }

  package func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("type", type)
    for member in members {
      writer.key(escaping: member.name)
      writer.value(member.value.wire)
    }
    writer.endObject()
  }
}

extension [ContentBlock] {
  /// Reads `content`: a string, or a list of blocks.
  /// - Throws: `invalidParams` with the pointer of what is wrong.
  package init(reading content: CarriedJSON, at pointer: String) throws(RuntimeError) {
    switch content.kind {
    case .string: self = [.text(.inline(content))]
    case .object where content.hasMember("$blob"): self = [.text(.inline(content))]
    case .array:
      self = []
      var index = 0
      try content.forEachElement { (block) throws(RuntimeError) in
        append(try ContentBlock(reading: block, at: "\(pointer)/\(index)"))
        index += 1
      }
    default: throw .invalidParams("must be a string or a list of content blocks", at: pointer)
    }
  }

  init(logged value: CarriedJSON) { self = value.elements.map { ContentBlock(logged: $0) } }

  package func write(to writer: inout JSONWriter) {
    writer.beginArray()
    for block in self { block.write(to: &writer) }
    writer.endArray()
  }
}
