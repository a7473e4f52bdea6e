import AgentRuntime
import JSON

/// A value in a message that is too long as it is, and what of it may travel as a blob.
///
/// Strings and carried values may, wherever they stand, and the lists that grow with what they list; what says what a message is about never does.
/// Nothing inside a carried value is taken out of it: it travels whole or as one blob.
final class MessagePart {
  enum Role {
    case kept
    /// A string or a carried value.
    case value
    case list
    /// What goes only when all else does not help.
    case lastResort
    /// It is one already; its preview can become shorter.
    case reference(BlobReference)
  }

  /// Members that are carried, or whose items mean nothing to the bridge.
  private static let carried: Set<String> = [
    "_meta", "agent", "arguments", "augmentation", "components", "content", "duplicate", "input", "inputSchema", "metadata", "methods",
    "missing", "modelPreferences", "outputSchema", "parameters", "requestedSchema", "resource", "state", "stderr", "stdout",
    "stopSequences", "structuredAnswer", "structuredContent", "unknown", "value", "verdicts", "warnings", "x-events", "x-notifications",
    "x-reverse-methods",
  ]
  private static let lists: Set<String> = [
    "blocks", "branches", "context", "messages", "pendingToolCalls", "runs", "toolCalls", "toolkits", "tools",
  ]
  /// Members that stay as they are, or go with the list that they stand in.
  private static let kept: Set<String> = [
    "agentId", "annotations", "branchId", "callId", "client", "command", "cwd", "env", "id", "key", "kind", "label", "messageId", "name",
    "nextCursor", "parentRunId", "pointer", "progressToken", "references", "requestId", "role", "runId", "sessionId", "status", "time",
    "title", "tool", "type", "usage",
  ]
  /// Members of a `_meta` that stay beside the name of its blob: what a request is answered by, and traced.
  private static let keptOfMeta: Set<String> = ["callId", "mcpServer", "messageId", "progressToken", "runId", "traceparent", "tracestate"]

  /// What is not longer has nothing in it that is worth taking out.
  static let smallest = 160

  let json: CarriedJSON
  private(set) var role = Role.kept
  private(set) var parts: [(name: MemberName?, part: MessagePart)] = []
  /// Members that stand beside the reference in its place.
  private(set) var beside: [(name: String, value: CarriedJSON)] = []
  /// It would be taken for the name of a blob, so it must be one.
  let isAmbiguous: Bool
  var isReplaced = false
  /// As it would be written now: at most, for a reference.
  private(set) var bytes: Int
  private(set) var isChanged = false

  convenience init(_ json: CarriedJSON, lastResort: MessageFitting.LastResort, _ naming: BlobNaming) {
    self.init(json, nil, lastResort, isInList: false, isWary: naming.isMistakable(json), naming)
  }

  private init(
    _ json: CarriedJSON, _ name: String?, _ lastResort: MessageFitting.LastResort?, isInList: Bool, isWary: Bool, _ naming: BlobNaming
  ) {
    self.json = json
    bytes = json.bytes.count
    let isKept = name.map(Self.kept.contains) == true
    let isCarried = name.map(Self.carried.contains) == true
    switch json.kind {
    case .string:
      isAmbiguous = false
      if !isKept { role = .value }
    case .object where json.hasMember("$blob"):
      let reference = naming.reference(json)
      isAmbiguous = reference == nil
      role = reference.map(Role.reference) ?? .value
    case .object where isCarried || isKept, .array where isCarried || isKept:
      isAmbiguous = isWary && naming.isMistakable(json)
      if !isKept || isAmbiguous { role = .value }
    case .object, .array:
      isAmbiguous = false
      let isList = !isInList && name.map(Self.lists.contains) == true
      if isList { role = .list }
      if lastResort == .whole || (lastResort == .data && name == "data") { role = .lastResort }
      guard bytes > Self.smallest || isWary else { break }
      let inner = lastResort == .data && name == nil ? lastResort : nil
      json.forEachMember { name, value in
        parts.append((name, MessagePart(value, name.text, inner, isInList: isInList || isList, isWary: isWary, naming)))
      }
      json.forEachElement { parts.append((nil, MessagePart($0, nil, nil, isInList: isInList || isList, isWary: isWary, naming))) }
    case .number, .bool, .null: isAmbiguous = false
    }
    isReplaced = isAmbiguous
    if name == "_meta" { beside = Self.toKeep(ofMeta: json) }
  }

  private static func toKeep(ofMeta json: CarriedJSON) -> [(name: String, value: CarriedJSON)] {
    var found: [(name: String, value: CarriedJSON)] = []
    json.forEachMember { name, value in
      let name = name.text
      guard keptOfMeta.contains(name), value.bytes.count <= 128, value.kind == .string || value.kind == .number else { return }
      if !found.contains(where: { $0.name == name }) { found.append((name, value)) }
    }
    return found
  }

  /// Calls `body` with each part in it, itself first, but with none in one that is replaced.
  func forEachPart(_ body: (MessagePart) -> Void) {
    body(self)
    if !isReplaced { for (_, part) in parts { part.forEachPart(body) } }
  }

  func reset() {
    isReplaced = isAmbiguous
    for (_, part) in parts { part.reset() }
  }

  /// What it takes when it is a reference with a preview of that size.
  func bytesReplaced(_ previewBytes: Int) -> Int {
    beside.reduce(BlobReference.bytesWithoutPreview + previewBytes) { $0 + $1.name.utf8.count + $1.value.bytes.count + 4 }
  }

  /// Works `bytes` out anew, here and below.
  func measure(_ previewBytes: Int) {
    isChanged = isReplaced
    bytes = json.bytes.count
    if isReplaced {
      bytes = bytesReplaced(previewBytes)
    } else if case .reference = role {
      isChanged = bytes > bytesReplaced(previewBytes)
      bytes = min(bytes, bytesReplaced(previewBytes))
    } else {
      for (_, part) in parts {
        part.measure(previewBytes)
        bytes += part.bytes - part.json.bytes.count
        isChanged = isChanged || part.isChanged
      }
    }
  }
}

extension BlobReference {
  /// At most.
  static let bytesWithoutPreview = 96

  /// The reference with at most so much of its preview, counted as it is written.
  func shortened(_ previewBytes: Int) -> BlobReference {
    let preview = wire["preview"]?.stringValue ?? ""
    return BlobReference(id: id, type: type, bytes: bytes, preview: preview.prefix(writtenBytes: previewBytes))
  }
}
