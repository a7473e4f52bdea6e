import AgentRuntime
import JSON

/// Reads the answer of one provider, event by event, and puts the turn together.
protocol TurnReader: Sendable {
  /// Whether the format has events of that name that say something of the answer; those without a name always may.
  static func knows(_ eventName: String) -> Bool

  /// Takes the data of one event; appends what observers shall see.
  /// - Throws: what the event says is wrong, or what is wrong with it.
  mutating func take(_ event: SSEEvent, _ signals: inout [ModelSignal]) throws(ProviderFault)

  /// Takes an answer that came as one JSON document, although a stream was asked for.
  mutating func takeWhole(_ json: CarriedJSON, _ signals: inout [ModelSignal]) throws(ProviderFault)

  /// Whether the format's end marker has come.
  var isComplete: Bool { get }

  /// Whether the turn is whole when the stream has ended properly here, although the end marker has not come.
  var mayEndHere: Bool { get }

  /// The turn, once it is complete or the stream was allowed to end.
  func turn() throws(ProviderFault) -> ModelTurn
}

extension [ModelSignal] {
  mutating func show(text: String) {
    if !text.isEmpty { append(.text(text)) }
  }

  mutating func show(reasoning: String) {
    if !reasoning.isEmpty { append(.reasoning(reasoning)) }
  }
}

extension TurnReader {
  static func knows(_ eventName: String) -> Bool { false }

  var mayEndHere: Bool { false }

  mutating func takeWhole(_ json: CarriedJSON, _ signals: inout [ModelSignal]) throws(ProviderFault) {
    if let error = json["error"], !error.isNull { throw ProviderFault(inAnswer: json) }
    throw .passing("it answered with JSON instead of a stream")
  }
}

/// One attempt's answer, as it comes in.
struct ResponseReader: ~Copyable {
  /// Of an answer that is an error, no more is read.
  static let longestErrorBody = 64 << 10

  private enum Phase {
    case head
    case opening(BodyOpening)
    case stream, whole
    case error(HTTPHead)
  }

  private var phase = Phase.head
  private var reader: any TurnReader
  private var parser = SSEParser()
  private var body: [UInt8] = []
  private let now: @Sendable () -> Int

  /// - Parameter now: milliseconds since 1970.
  init(_ reader: any TurnReader, now: @escaping @Sendable () -> Int) {
    self.reader = reader
    self.now = now
  }

  /// Takes what came next; returns the turn when it is whole. After that, or a fault, nothing more is of interest.
  mutating func take(_ event: HTTPEvent, _ signals: inout [ModelSignal]) throws(ProviderFault) -> ModelTurn? {
    switch event {
    case .head(let head):
      phase = try Self.phase(after: head)
      return nil
    case .body(let bytes): return try take(bytes, &signals)
    case .finished: return try end(&signals)
    case .failed(let failure):
      // A status says what it means also when its body does not come whole, as where a server refuses a request that it has not read to its end.
      if case .error(let head) = phase, failure.kind != .closed { throw ProviderFault(head, body: Bytes(body), now: now()) }
      throw ProviderFault(failure)
    }
  }

  private static func phase(after head: HTTPHead) throws(ProviderFault) -> Phase {
    guard (200..<300).contains(head.status) else { return .error(head) }
    // A server that does so once does so always.
    if let coding = head.contentCoding { throw ProviderFault(.unusable, ErrorBody(coding: coding).words) }
    return .opening(BodyOpening(head))
  }

  private mutating func take(_ bytes: Bytes, _ signals: inout [ModelSignal]) throws(ProviderFault) -> ModelTurn? {
    switch phase {
    case .head: return nil
    case .opening(var opening):
      guard let (nature, start) = opening.take(bytes) else {
        phase = .opening(opening)
        return nil
      }
      phase = nature == .stream ? .stream : .whole
      return try take(start, &signals)
    case .stream:
      parser.feed(bytes)
      return try takeEvents(&signals)
    case .whole:
      append(bytes)
      return nil
    case .error(let head):
      append(bytes[0..<min(bytes.count, Self.longestErrorBody - body.count)])
      if body.count == Self.longestErrorBody { throw ProviderFault(head, body: Bytes(body), now: now()) }
      return nil
    }
  }

  private mutating func takeEvents(_ signals: inout [ModelSignal]) throws(ProviderFault) -> ModelTurn? {
    while let event = try nextEvent() {
      try reader.take(event, &signals)
      if reader.isComplete { return try reader.turn() }
    }
    return nil
  }

  private mutating func nextEvent() throws(ProviderFault) -> SSEEvent? {
    do throws(SSEError) { return try parser.next() } catch { throw .passing("an event of its stream is too large") }
  }

  private mutating func append(_ bytes: Bytes) {
    unsafe bytes.withUnsafeBytes { unsafe body.append(contentsOf: $0) }
  }

  private mutating func end(_ signals: inout [ModelSignal]) throws(ProviderFault) -> ModelTurn? {
    switch phase {
    case .head: throw .passing("an answer without a head")
    case .error(let head): throw ProviderFault(head, body: Bytes(body), now: now())
    case .opening(let opening):
      // Nothing has come, or no more than the beginning of a word.
      phase = opening.isCalledWhole ? .whole : .stream
      append(opening.start)
      return try end(&signals)
    case .stream:
      guard reader.mayEndHere else { throw .passing("the stream ended before the answer did") }
      return try reader.turn()
    case .whole:
      let json: CarriedJSON
      do throws(JSONError) { json = try CarriedJSON(validating: Bytes(body)) } catch {
        let what = body.first { $0 > 0x20 } == 0x3C ? "a page of HTML" : body.isEmpty ? "nothing" : "something that is not JSON"
        throw .passing("it answered with \(what)")
      }
      if json.isListOfErrors { throw ProviderFault(inAnswer: json) }
      try reader.takeWhole(json, &signals)
      return try reader.turn()
    }
  }
}

extension TurnReader {
  /// The JSON of an event; nil when it says nothing of the answer, as what only keeps the connection alive.
  /// - Throws: what the event says is wrong, when it is called an error, whatever its data is, or is a list of errors.
  func json(of event: SSEEvent) throws(ProviderFault) -> CarriedJSON? {
    if event.name == "error" { throw ProviderFault(inAnswer: ErrorBody(event.data)) }
    let json: CarriedJSON
    do throws(JSONError) { json = try CarriedJSON(validating: event.data) } catch {
      if isIdle(event) { return nil }
      throw .passing("an event that is not JSON")
    }
    if json.kind == .object { return json }
    if json.isListOfErrors { throw ProviderFault(inAnswer: json) }
    if isIdle(event) { return nil }
    throw .passing("an event that is no JSON object")
  }

  /// Whether an event that is no JSON object is none of the format's: without data, or with words under a name that the format does not know.
  /// What begins as an object may be a piece of the answer that has come broken, whatever it is called.
  private func isIdle(_ event: SSEEvent) -> Bool {
    let data = event.data.withoutLeadingBlanks
    return data.isEmpty || data[0] != 0x7B && event.name != "message" && !Self.knows(event.name)
  }
}

extension CarriedJSON {
  /// `[{"error": ...}]`, as Google's services say it.
  fileprivate var isListOfErrors: Bool {
    guard kind == .array, let error = elements.first?["error"] else { return false }
    return !error.isNull
  }
}
