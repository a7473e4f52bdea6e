import AgentRuntime
import JSON

/// Makes messages fit a client that said how long a line it can read: what is too long is stored and travels as a `$blob`.
///
/// A blob holds exactly what would have stood in its place. On the engine's thread, since it stores blobs.
final class MessageFitting {
  /// What goes when it is not enough that all else does.
  enum LastResort {
    /// The whole of a result.
    case whole
    /// The `data` of an event.
    case data
    /// Nothing: of a request the client has to know what it is about.
    case none
  }

  /// What a line has besides the value that is fitted: the envelope, a header, and an id that is not long.
  private static let overhead = 256
  /// What of a preview is always worth its place.
  private static let usualPreview = 288
  /// A string or list that is not longer is replaced only when previews are not enough to leave out.
  private static let usualSmallest = 512
  /// A thousand characters of six bytes.
  private static let longestPreview = 6144

  private let room: Int
  /// References made so far, by the value: the same one is often sent several times.
  private var known: [Bytes: BlobReference] = [:]

  init(maxMessageBytes: Int) { room = maxMessageBytes - Self.overhead }

  /// - Parameter reserved: Bytes that something else in the line takes.
  func room(besides reserved: Int) -> Int { room - reserved }

  func fits(_ bytes: Int, besides reserved: Int = 0) -> Bool { bytes <= room - reserved }

  /// Whether it goes out as it is: it fits, and nothing in it could be mistaken for the name of a blob.
  func isReady(_ json: CarriedJSON, besides reserved: Int = 0, _ naming: BlobNaming) -> Bool {
    fits(json.bytes.count, besides: reserved) && !naming.isMistakable(json)
  }

  /// The value with as much of it stored as makes it fit, and what a `$blob` in it would make ambiguous.
  func fit(
    _ json: CarriedJSON, besides reserved: Int, _ lastResort: LastResort, _ naming: BlobNaming, _ engine: RunEngine
  ) throws(RuntimeError) -> CarriedJSON {
    let whole = MessagePart(json, lastResort: lastResort, naming)
    let preview = choose(whole, room - reserved)
    var writer = JSONWriter(capacity: max(0, whole.bytes) + 64)
    try write(whole, preview, to: &writer, engine)
    return CarriedJSON(trusted: writer.finish())
  }

  // MARK: Choosing

  /// Marks what is replaced. The result is how long a preview can be.
  private func choose(_ whole: MessagePart, _ room: Int) -> Int {
    whole.measure(Self.longestPreview)
    if whole.bytes <= room { return Self.longestPreview }
    var preview = Self.usualPreview
    if !replaceValues(in: whole, room, preview) && !replaceAny(in: whole, room, preview, Self.usualSmallest) {
      preview = 0
      if !replaceAny(in: whole, room, preview, MessagePart.smallest) {
        whole.forEachPart { part in
          if case .lastResort = part.role { part.isReplaced = true }
        }
        whole.measure(preview)
      }
    }
    var references = 0
    whole.forEachPart { part in
      if part.isChanged, part.parts.isEmpty || part.isReplaced { references += 1 }
    }
    preview = min(preview + max(0, room - whole.bytes) / max(1, references), Self.longestPreview)
    whole.measure(preview)
    return preview
  }

  /// Strings and carried values alone, the longest first. True when that is enough.
  private func replaceValues(in whole: MessagePart, _ room: Int, _ preview: Int) -> Bool {
    whole.measure(preview)
    var values: [MessagePart] = []
    whole.forEachPart { part in
      if case .value = part.role, !part.isReplaced, part.bytes > Self.usualSmallest { values.append(part) }
    }
    var bytes = whole.bytes
    for value in values.sorted(by: { $0.bytes > $1.bytes }) where bytes > room {
      value.isReplaced = true
      bytes += value.bytesReplaced(preview) - value.bytes
    }
    whole.measure(preview)
    return whole.bytes <= room
  }

  /// Lists too: each time the smallest that is enough, or else the largest that there is. True when that is enough.
  private func replaceAny(in whole: MessagePart, _ room: Int, _ preview: Int, _ smallest: Int) -> Bool {
    whole.reset()
    while true {
      whole.measure(preview)
      if whole.bytes <= room { return true }
      let excess = whole.bytes - room
      var enough: MessagePart?
      var largest: MessagePart?
      whole.forEachPart { part in
        switch part.role {
        case .value, .list: break
        case .kept, .lastResort, .reference: return
        }
        guard !part.isReplaced, part.bytes > max(smallest, part.bytesReplaced(preview)) else { return }
        if part.bytes - part.bytesReplaced(preview) >= excess, part.bytes < enough?.bytes ?? .max { enough = part }
        if part.bytes > largest?.bytes ?? 0 { largest = part }
      }
      guard let chosen = enough ?? largest else { return false }
      chosen.isReplaced = true
    }
  }

  // MARK: Writing

  private func write(_ part: MessagePart, _ preview: Int, to writer: inout JSONWriter, _ engine: RunEngine) throws(RuntimeError) {
    guard part.isChanged else { return writer.value(part.json) }
    if part.isReplaced {
      let reference = try reference(to: part.json, engine).shortened(preview).wire
      guard !part.beside.isEmpty else { return writer.value(reference) }
      writer.beginObject()
      reference.forEachMember { name, value in
        writer.key(name)
        writer.value(value)
      }
      for (name, value) in part.beside {
        writer.key(escaping: name)
        writer.value(value)
      }
      return writer.endObject()
    }
    if case .reference(let reference) = part.role { return writer.value(reference.shortened(preview).wire) }
    let isObject = part.json.kind == .object
    if isObject { writer.beginObject() } else { writer.beginArray() }
    for (name, inner) in part.parts {
      if let name { writer.key(name) }
      try write(inner, preview, to: &writer, engine)
    }
    if isObject { writer.endObject() } else { writer.endArray() }
  }

  private func reference(to json: CarriedJSON, _ engine: RunEngine) throws(RuntimeError) -> BlobReference {
    if let known = known[json.bytes] { return known }
    let reference = try engine.storeLoose(json, previewCharacters: 1024)
    if known.count >= 256 { known = [:] }
    known[json.bytes] = reference
    return reference
  }
}
