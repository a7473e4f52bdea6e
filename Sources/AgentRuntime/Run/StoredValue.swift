package import JSON

/// A value inside an event: there whole, or stored once as a blob and named.
package enum StoredValue: Sendable, Equatable {
  case inline(CarriedJSON)
  case blob(BlobReference)

  /// As it stands in an event.
  package var wire: CarriedJSON {
    switch self {
    case .inline(let value): value
    case .blob(let reference): reference.wire
    }
  }

  /// Reads a place of an event where a blob may stand: an object with a `$blob` member is never literal there.
  package init(wire value: CarriedJSON) {
    if let reference = BlobReference(wire: value) { self = .blob(reference) } else { self = .inline(value) }
  }
}

/// `{"$blob": id, "type": "string" | "json", "bytes", "preview"}`.
package struct BlobReference: Sendable, Equatable {
  package var id: ULID
  package var type: BlobType
  /// Of the whole value: UTF-8 bytes of a string's text, of the JSON text otherwise.
  package var bytes: Int
  package let wire: CarriedJSON

  package init(id: ULID, type: BlobType, bytes: Int, preview: String) {
    self.id = id
    self.type = type
    self.bytes = bytes
    var writer = JSONWriter(capacity: 1200)
    writer.beginObject()
    writer.member("$blob", id.text)
    writer.member("type", type.rawValue)
    writer.member("bytes", bytes)
    writer.member("preview", preview)
    writer.endObject()
    wire = CarriedJSON(trusted: writer.finish())
  }

  package init?(wire value: CarriedJSON) {
    guard value.kind == .object, value.bytes.count < 16384, let id = value["$blob"]?.stringValue.flatMap(ULID.init),
      let type = value["type"]?.stringValue.flatMap(BlobType.init(rawValue:)), let bytes = value["bytes"]?.intValue
    else { return nil }
    self.id = id
    self.type = type
    self.bytes = bytes
    wire = value
  }
}

extension BlobReference {
  /// The blobs that a record's bytes name, each as often as they do.
  ///
  /// Found by the bytes that `init(id:type:bytes:preview:)` writes first: a quote inside a text is escaped, so that they stand nowhere but at the
  /// beginning of an object. One that only looks like a reference may be among them.
  package static func named(in bytes: Bytes) -> [ULID] {
    // From the rarer byte on.
    let member: StaticString = #"$blob":""#
    var found: [ULID] = []
    var place = bytes.firstIndex(of: member)
    while let at = place {
      let start = at + member.utf8CodeUnitCount
      let end = start + ULID.textBytes
      let isFirst = at >= 2 && bytes[at - 2] == UInt8(ascii: "{") && bytes[at - 1] == UInt8(ascii: "\"")
      if isFirst, end < bytes.count, bytes[end] == UInt8(ascii: "\""), let id = ULID(bytes[start..<end]) { found.append(id) }
      place = bytes.firstIndex(of: member, from: start)
    }
    return found
  }
}

extension [LogRecord] {
  /// The blobs that they name.
  package var namedBlobs: Set<ULID> {
    var named: Set<ULID> = []
    for record in self {
      if let event = record.event { named.formUnion(BlobReference.named(in: event)) }
      if let hidden = record.hidden { named.formUnion(BlobReference.named(in: hidden)) }
    }
    return named
  }
}

/// Decides which values of an event are stored as blobs, and collects those.
package struct BlobSpiller: Sendable {
  /// A value longer than this is stored once and named.
  package static let threshold = 65536
  static let previewCharacters = 1024

  package private(set) var blobs: [NewBlob] = []
  private let makeID: @Sendable () -> ULID

  package init(makeID: @escaping @Sendable () -> ULID) { self.makeID = makeID }

  /// The value itself, or a reference when it is long or could be mistaken for one.
  package mutating func store(_ value: StoredValue) -> StoredValue {
    guard case .inline(let literal) = value else { return value }
    guard literal.bytes.count > Self.threshold || literal.holdsMember("$blob") else { return value }
    let textBytes = literal.kind == .string ? literal.stringByteCount : nil
    if let textBytes, textBytes <= Self.threshold { return value }
    let (reference, blob) = reference(to: literal, textBytes: textBytes, previewCharacters: Self.previewCharacters)
    blobs.append(blob)
    return .blob(reference)
  }

  /// - Parameter textBytes: a string's `stringByteCount` where it is known: counting reads the whole string.
  func reference(to literal: CarriedJSON, textBytes: Int? = nil, previewCharacters: Int) -> (BlobReference, NewBlob) {
    let id = makeID()
    guard literal.kind == .string else {
      let preview = Self.preview(literal.bytes, characters: previewCharacters)
      return (
        BlobReference(id: id, type: .json, bytes: literal.bytes.count, preview: preview), NewBlob(id: id, type: .json, value: literal.bytes)
      )
    }
    let preview = literal.stringPrefix(characters: previewCharacters)
    return (
      BlobReference(id: id, type: .string, bytes: textBytes ?? literal.stringByteCount, preview: preview),
      NewBlob(id: id, type: .string, value: literal.bytes[1..<literal.bytes.count - 1])
    )
  }

  static func preview(_ text: Bytes, characters: Int = previewCharacters) -> String {
    text[0..<min(text.count, 4 * characters)].string.prefix(scalars: characters)
  }
}
