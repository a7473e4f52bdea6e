import JSON

/// A piece of text that a stored agent keeps and edits, as an Agent declares it: protocol section 8.
package struct MemoryBlock: Sendable, Codable, Equatable {
  package var label: String
  package var description: String?
  /// What the block begins with.
  package var value: String
  /// In characters.
  package var limit: Int?
  /// The agent itself may not edit it, nor `memory.set`.
  package var readOnly: Bool?

  package static let members = ["label", "description", "value", "limit", "readOnly"]
  package static let defaultLimit = 20000

  var mostCharacters: Int { limit ?? Self.defaultLimit }

  /// The characters of a text as limits count them: Unicode code points, like `maxLength` of JSON Schema.
  static func length(of text: String) -> Int { text.unicodeScalars.count }

  /// - Throws: `invalidParams` with the pointer of the member.
  static func check(_ blocks: [MemoryBlock], at pointer: String) throws(RuntimeError) {
    var labels: Set<String> = []
    for (index, block) in blocks.enumerated() {
      let place = "\(pointer)/\(index)"
      guard Tool.isName(block.label) else { throw .invalidParams("must match ^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$", at: place + "/label") }
      guard labels.insert(block.label).inserted else { throw .invalidParams("is the label of two blocks", at: place + "/label") }
      if let limit = block.limit, limit < 1 { throw .invalidParams("must be at least 1", at: place + "/limit") }
      let length = length(of: block.value)
      guard length <= block.mostCharacters else {
        throw .invalidParams("has \(length) characters, more than the block's limit of \(block.mostCharacters)", at: place + "/value")
      }
    }
  }
}

/// A memory block as it stands in the store: document `memory`, by agent and label. Its history is beside it.
package struct StoredBlock: Sendable, Equatable {
  package let agentID: String
  package let label: String
  package var description: String?
  package var value: String
  /// In characters.
  package var limit: Int
  package var isReadOnly: Bool
  /// A mark of the value that the agent declares, to tell when another one is declared.
  var declared: String
  /// From 1, one more with every change; 0 for a block that is not stored yet.
  package private(set) var version: Int
  package private(set) var updatedAt: Timestamp

  /// Who made a change, for the history.
  enum Author: Sendable, Equatable {
    case call(run: ULID, call: ULID)
    case client
    /// The declaration of the agent.
    case agent
  }

  package static let kind = "memory"
  package static let historyKind = "memoryHistory"
  /// Versions of a block that the history has.
  package static let keptVersions = 1000

  /// No agent's id has a slash in it, and no label.
  static func documentID(_ agentID: String, _ label: String) -> String { "\(agentID)/\(label)" }

  /// Sorts by version.
  static func historyID(_ agentID: String, _ label: String, _ version: Int) -> String {
    let digits = String(version)
    return "\(agentID)/\(label)/\(String(repeating: "0", count: max(0, 12 - digits.utf8.count)))\(digits)"
  }

  var characters: Int { MemoryBlock.length(of: value) }

  init(agentID: String, declaring block: MemoryBlock) {
    self.agentID = agentID
    label = block.label
    description = block.description
    value = block.value
    limit = block.mostCharacters
    isReadOnly = block.readOnly ?? false
    declared = Self.mark(block.value)
    version = 0
    updatedAt = Timestamp(milliseconds: 0)
  }

  /// - Throws: `unavailable` for a document that this version does not understand.
  init(_ document: Document) throws(StoreError) {
    guard let slash = document.id.lastIndex(of: "/"), let value = document.json["value"]?.stringValue,
      let limit = document.json["limit"]?.intValue
    else { throw StoreError(.newer, "the store has a memory block that this version does not understand") }
    agentID = String(document.id[..<slash])
    label = String(document.id[document.id.index(after: slash)...])
    description = document.json["description"]?.stringValue
    self.value = value
    self.limit = limit
    isReadOnly = document.json["readOnly"]?.boolValue ?? false
    declared = document.json["declared"]?.stringValue ?? ""
    version = document.version
    updatedAt = document.updatedAt
  }

  /// Takes what the agent declares of it now. The value is the one that was edited meanwhile, unless another one is declared than before.
  mutating func take(_ block: MemoryBlock) {
    description = block.description
    limit = block.mostCharacters
    isReadOnly = block.readOnly ?? false
    let mark = Self.mark(block.value)
    if mark != declared { value = block.value }
    declared = mark
  }

  private static func mark(_ value: String) -> String { String(Fingerprint.of(Bytes(value)), radix: 16) }

  // MARK: Writing

  /// The changes that make this the next version: the block, an entry of its history, and the end of the entry that is beyond those kept.
  func writes(
    by author: Author, at time: Timestamp, _ document: (_ kind: String, _ id: String) throws(StoreError) -> Document?
  ) throws(StoreError) -> [DocumentWrite] {
    let next = version + 1
    var writes = [
      DocumentWrite(
        kind: Self.kind, id: Self.documentID(agentID, label), expectedVersion: version, json: json, updatedAt: time),
      DocumentWrite(
        kind: Self.historyKind, id: Self.historyID(agentID, label, next), expectedVersion: 0, json: entry(by: author), updatedAt: time),
    ]
    guard next > Self.keptVersions else { return writes }
    let oldest = Self.historyID(agentID, label, next - Self.keptVersions)
    if let past = try document(Self.historyKind, oldest) {
      writes.append(DocumentWrite(kind: Self.historyKind, id: oldest, expectedVersion: past.version, json: nil, updatedAt: time))
    }
    return writes
  }

  private var json: CarriedJSON {
    var writer = JSONWriter(capacity: value.utf8.count + 256)
    writer.beginObject()
    writer.member("value", value)
    writer.member("description", ifPresent: description)
    writer.member("limit", limit)
    if isReadOnly { writer.member("readOnly", true) }
    writer.member("declared", declared)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  private func entry(by author: Author) -> CarriedJSON {
    var writer = JSONWriter(capacity: value.utf8.count + 128)
    writer.beginObject()
    writer.member("value", value)
    switch author {
    case .call(let run, let call):
      writer.member("runId", run.text)
      writer.member("callId", call.text)
    case .client: writer.member("by", "client")
    case .agent: writer.member("by", "agent")
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}

/// FNV-1a, 64 bits, http://www.isthe.com/chongo/tech/comp/fnv/: tells texts apart that nobody makes alike on purpose.
enum Fingerprint {
  static func of(_ bytes: Bytes) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in 0..<bytes.count { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3 }
    return hash
  }
}
