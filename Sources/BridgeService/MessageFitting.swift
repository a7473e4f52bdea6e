import AgentRuntime
import JSON

/// Makes messages fit a client that said how long a line it can read: what is too long is stored and travels as a `$blob`.
///
/// On the engine's thread, since it stores blobs.
final class MessageFitting {
  /// What a line has besides the value that is fitted: the envelope, and a header.
  private static let overhead = 256

  /// Members whose whole value may be stored, whatever is in it.
  private static let carriedMembers: Set<String> = [
    "arguments", "structuredContent", "structuredAnswer", "value", "input", "resource", "metadata", "_meta", "agent", "content", "stdout",
    "stderr", "state", "augmentation", "inputSchema", "outputSchema",
  ]

  private let room: Int
  /// References made so far, by the value: the same one is often sent several times.
  private var known: [Bytes: BlobReference] = [:]

  init(maxMessageBytes: Int) { room = maxMessageBytes - Self.overhead }

  func fits(_ bytes: Int) -> Bool { bytes <= room }

  /// Whether it goes out as it is: it fits, and nothing in it could be mistaken for the name of a blob.
  func isReady(_ json: CarriedJSON) -> Bool { fits(json.bytes.count) && !json.holdsLiteralBlobName }

  /// The value, with its longest parts stored until it fits, and those that a `$blob` in them would make ambiguous.
  func fit(_ json: CarriedJSON, _ engine: RunEngine) throws(RuntimeError) -> CarriedJSON {
    var fitted = fits(json.bytes.count) ? try rewrite(json, room, nil, engine) : json
    var longest = room / 2
    while !fits(fitted.bytes.count), longest >= 512 {
      fitted = try rewrite(json, longest, nil, engine)
      longest /= 2
    }
    return fitted
  }

  private func rewrite(_ json: CarriedJSON, _ longest: Int, _ name: String?, _ engine: RunEngine) throws(RuntimeError) -> CarriedJSON {
    guard json.bytes.count > longest || json.holdsLiteralBlobName else { return json }
    switch json.kind {
    case .string: return try reference(to: json, engine)
    case .object where name.map(Self.carriedMembers.contains) == true && BlobReference(wire: json) == nil:
      return try reference(to: json, engine)
    case .array where name.map(Self.carriedMembers.contains) == true: return try reference(to: json, engine)
    case .object where BlobReference(wire: json) == nil:
      var writer = JSONWriter(capacity: json.bytes.count)
      writer.beginObject()
      try json.forEachMember { (name, value) throws(RuntimeError) in
        writer.key(name)
        writer.value(try rewrite(value, longest, name.text, engine))
      }
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    case .array:
      var writer = JSONWriter(capacity: json.bytes.count)
      writer.beginArray()
      try json.forEachElement { (value) throws(RuntimeError) in writer.value(try rewrite(value, longest, nil, engine)) }
      writer.endArray()
      return CarriedJSON(trusted: writer.finish())
    default: return json
    }
  }

  private func reference(to json: CarriedJSON, _ engine: RunEngine) throws(RuntimeError) -> CarriedJSON {
    if let known = known[json.bytes] { return known.wire }
    let reference = try engine.storeLoose(json, previewCharacters: room < 16384 ? 128 : 1024)
    if known.count >= 256 { known = [:] }
    known[json.bytes] = reference
    return reference.wire
  }
}

extension CarriedJSON {
  /// Whether an object in it has a member `$blob` and is no reference of ours.
  var holdsLiteralBlobName: Bool {
    guard holdsMember("$blob") else { return false }
    if hasMember("$blob") { return BlobReference(wire: self) == nil }
    var found = false
    forEachMember { _, value in found = found || value.holdsLiteralBlobName }
    forEachElement { found = found || $0.holdsLiteralBlobName }
    return found
  }
}
