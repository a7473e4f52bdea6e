import AgentRuntime
import JSON

/// What a model said, in the order and with the extras that its provider wants to see again.
///
/// The log has the text in one piece and the calls in a list. `providerData` says how these lay among what only the provider can read:
/// `{"provider", "model", "parts": [{"type": "text", "bytes": 12}, {"type": "call", "id": "toolu_1"}, {"type": "thinking", ...}]}`. Nothing
/// of the text or of the arguments stands there again. A message that another provider wrote is its text and then its calls.
struct SpokenMessage {
  enum Part {
    /// The inside of a JSON string; `extras` is the part as the provider noted it.
    case text(Bytes, extras: CarriedJSON?)
    case call(Int, extras: CarriedJSON?)
    /// Sent back as it came, but for what `SentBack` says.
    case carried(CarriedJSON)
  }

  private let parts: [Part]
  /// Whether the same model said it: only that one can read what is carried.
  let isOwn: Bool

  init(_ message: ModelMessage, text: Bytes, provider: String, model: String) {
    let noted = NotedParts(message, provider: provider)
    isOwn = noted?.model == model
    let own = noted?.parts.flatMap { Self.parts($0, text, calls: message.calls.count) }
    parts = own ?? Self.plain(text, calls: message.calls.count)
  }

  /// What goes out: carried parts only to the model that made them, and before something that follows them, as the providers demand.
  func parts(where hasContent: (Bytes) -> Bool) -> [Part] {
    var kept = parts.filter { part in
      switch part {
      case .text(let text, _): hasContent(text)
      case .call: true
      case .carried: isOwn
      }
    }
    while case .carried? = kept.last { kept.removeLast() }
    return kept
  }

  private static func plain(_ text: Bytes, calls: Int) -> [Part] {
    (text.isEmpty ? [] : [.text(text, extras: nil)]) + (0..<calls).map { .call($0, extras: nil) }
  }

  /// nil when the notes are not about this text and these calls.
  private static func parts(_ noted: CarriedJSON, _ text: Bytes, calls: Int) -> [Part]? {
    var parts: [Part] = []
    var walk = EscapeWalk()
    var call = 0
    SentBack.parts(noted).forEachElement { part in
      switch part["type"]?.stringValue {
      case "text":
        let start = walk.encoded
        walk.advance(over: text, decodedLimit: walk.decoded + (part["bytes"]?.intValue ?? 0))
        if walk.encoded > start { parts.append(.text(text[start..<walk.encoded], extras: part)) }
      case "call":
        parts.append(.call(call, extras: part))
        call += 1
      default: parts.append(.carried(part))
      }
    }
    return walk.encoded == text.count && call == calls ? parts : nil
  }
}

/// What the notes of a message say to the provider that made them.
private struct NotedParts {
  var model: String?
  var parts: CarriedJSON?

  /// Nil when there are none, or when they are another provider's.
  init?(_ message: ModelMessage, provider: String) {
    var maker: String?
    message.providerData?.forEachMember { name, value in
      switch name {
      case "provider": maker = value.stringValue
      case "model": model = value.stringValue
      case "parts": parts = value
      default: break
      }
    }
    if maker != provider { return nil }
  }
}

/// The ids of a message's calls for its provider, as JSON: those it gave, else the bridge's own.
struct CallIDs {
  private var all: [(callID: ULID, id: Bytes)] = []
  /// Calls and results are mostly asked for in their order.
  private var next = 0

  init(_ message: ModelMessage?, provider: String) {
    guard let message, !message.calls.isEmpty else { return }
    var given: [CarriedJSON?] = []
    NotedParts(message, provider: provider)?.parts?.forEachElement { part in
      if part["type"]?.stringValue == "call" { given.append(part["id"]) }
    }
    for (index, call) in message.calls.enumerated() {
      let id = given.count == message.calls.count ? given[index] : nil
      all.append((call.callID, id.map { EscapedText.wellFormed($0.bytes) } ?? Self.own(call.callID)))
    }
  }

  mutating func id(of callID: ULID) -> Bytes {
    let isNext = next < all.count && all[next].callID == callID
    guard let place = isNext ? next : all.firstIndex(where: { $0.callID == callID }) else { return Self.own(callID) }
    next = place + 1
    return all[place].id
  }

  private static func own(_ callID: ULID) -> Bytes { CarriedJSON(string: callID.text).bytes }
}

/// More members of a part.
typealias PartExtras = [(name: StaticString, value: CarriedJSON)]

extension PartExtras {
  init(_ name: StaticString, _ value: CarriedJSON?) { self = value.map { [(name, $0)] } ?? [] }
}

/// Notes of a turn for the turns after it: what `SpokenMessage` reads.
struct SpokenNotes: ~Copyable {
  private var writer = JSONWriter()

  init(provider: String, model: String) {
    writer.beginObject()
    writer.member("provider", provider)
    writer.member("model", model)
    writer.key("parts")
    writer.beginArray()
  }

  mutating func text(bytes: Int, extras: PartExtras = []) {
    writer.beginObject()
    writer.member("type", "text")
    writer.member("bytes", bytes)
    for (name, value) in extras { writer.member(name, value) }
    writer.endObject()
  }

  mutating func call(id: CarriedJSON?, extras: PartExtras = []) {
    writer.beginObject()
    writer.member("type", "call")
    writer.member("id", ifPresent: id)
    for (name, value) in extras { writer.member(name, value) }
    writer.endObject()
  }

  mutating func carried(_ part: CarriedJSON) { writer.value(part) }

  mutating func finish() -> CarriedJSON {
    writer.endArray()
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}

/// Calls as a provider can take them back, whatever the model made of them.
enum SpokenCall {
  /// The name as JSON, with `_` for what no tool's name may have: providers refuse other names, also those a model made up.
  static func name(_ name: String) -> Bytes {
    let bytes = name.utf8.prefix(64).map { byte -> UInt8 in
      let isFit =
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F || byte == 0x2D
      return isFit ? byte : 0x5F
    }
    return CarriedJSON(string: bytes.isEmpty ? "_" : String(decoding: bytes, as: UTF8.self)).bytes
  }

  /// The arguments as a JSON object; what is none stands in one, since providers (and the templates of local servers) refuse anything else.
  static func arguments(_ arguments: CarriedJSON) -> Bytes {
    let bytes = EscapedText.wellFormed(arguments.bytes)
    if arguments.kind == .object { return bytes }
    var writer = JSONWriter(capacity: bytes.count + 32)
    writer.beginObject()
    writer.member("invalid_arguments", CarriedJSON(trusted: bytes))
    writer.endObject()
    return writer.finish()
  }
}
