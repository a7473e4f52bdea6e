import JSON

/// What a turn that is over has left in its session.
struct PastTurn: Sendable, Equatable {
  var runID: ULID
  var entries: [TranscriptEntry] = []
  var compactions: [Compaction] = []
  /// Messages of a run that was deleted.
  var missing = 0
  /// Nothing of it changes any more.
  var isOver = true
  var isInChapter = false

  init(runID: ULID) { self.runID = runID }

  /// Of a run that was deleted.
  init(runID: ULID, _ remains: TurnRemains) {
    self.runID = runID
    missing = remains.messages
    compactions = remains.compactions
  }

  /// A queued turn that has become part of another one is over for its session: when it is read for a later one, that other turn has begun, and
  /// notes to it are notes to that.
  init(of state: RunState) {
    runID = state.runID
    entries = state.sessionEntries
    compactions = state.compactions
    isOver = state.status.hasEnded || state.mergedInto != nil
  }
}

/// The messages of consecutive turns of a branch, in one document (`chapter`), so that a process that has not seen the session need not fold the
/// log of each of its turns. The logs remain the truth: a chapter that is missing is made again from them.
///
/// Turns that are over do not change, so a chapter is written once and then only read. It repeats short messages, for which a reference would
/// take as much room and a look of its own; a turn with long ones is only named, and read from its log.
struct Chapter: Sendable {
  var branchID: ULID
  /// The number of its first turn.
  var first: Int
  /// Nil entries: to be read from the log of the run.
  var turns: [(runID: ULID, past: PastTurn?)]

  static let kind = "chapter"

  /// Messages, or turns without any, from which on a chapter is made.
  static let size = 64
  /// The most bytes a message may take, on the average of its turn, to be repeated.
  private static let bytesPerMessage = 2048

  static func weight(of turn: PastTurn) -> Int { max(1, turn.entries.count) }

  // MARK: Writing

  static func creation(_ branchID: ULID, first: Int, _ turns: some Sequence<PastTurn>, at time: Timestamp) -> DocumentWrite {
    var writer = JSONWriter(capacity: 8192)
    writer.beginObject()
    writer.key("turns")
    writer.beginArray()
    for turn in turns {
      var line = JSONWriter(capacity: 1024)
      turn.write(to: &line)
      let bytes = line.finish()
      // What a deleted one has left stands in the document of its turn.
      if turn.missing == 0, bytes.count <= bytesPerMessage * (turn.entries.count + 1) {
        writer.value(CarriedJSON(trusted: bytes))
      } else {
        writer.beginArray()
        writer.string(turn.runID.text)
        writer.endArray()
      }
    }
    writer.endArray()
    writer.endObject()
    return DocumentWrite(
      kind: kind, id: TurnDocument.documentID(branchID, first), expectedVersion: 0, json: CarriedJSON(trusted: writer.finish()),
      updatedAt: time)
  }

  // MARK: Reading

  /// Nil for what this version does not understand: the logs say the same.
  init?(_ document: Document) {
    guard let (branchID, first) = TurnDocument.place(document.id), var lines = ArrayWalk(document.json, member: "turns") else { return nil }
    self.branchID = branchID
    self.first = first
    turns = []
    while lines.enter() {
      guard let runID = lines.next().flatMap(ULID.init(json:)) else { return nil }
      guard lines.enter() else {
        turns.append((runID, nil))
        if lines.next() == nil { continue } else { return nil }
      }
      guard let past = PastTurn(runID, &lines) else { return nil }
      turns.append((runID, past))
    }
    guard lines.next() == nil, !turns.isEmpty else { return nil }
  }

  var end: Int { first + turns.count }

  /// Those whose messages stand in it.
  var repeatedRuns: [ULID] { turns.compactMap { $0.past?.entries.isEmpty == false ? $0.runID : nil } }
}

extension PastTurn {
  /// `[runID, entries, compactions?]`
  fileprivate func write(to writer: inout JSONWriter) {
    writer.beginArray()
    writer.string(runID.text)
    writer.beginArray()
    for entry in entries { entry.writeBriefly(to: &writer) }
    writer.endArray()
    if !compactions.isEmpty { Compaction.write(compactions, to: &writer) }
    writer.endArray()
  }

  /// Of a line what stands behind the run's id, when its entries have been entered.
  fileprivate init?(_ runID: ULID, _ line: inout ArrayWalk) {
    self.runID = runID
    // What was asked, and the answer.
    entries.reserveCapacity(2)
    while line.enter() {
      guard let entry = TranscriptEntry(brief: &line) else { return nil }
      entries.append(entry)
    }
    guard line.next() == nil else { return nil }
    if line.enter() {
      while let element = line.next() {
        guard let compaction = Compaction(reading: element) else { return nil }
        compactions.append(compaction)
      }
    }
    guard line.next() == nil else { return nil }
  }
}

/// Entries as lists: the kind, then what belongs to it. What no later turn is shown (usage, why the model stopped) is left to the log.
extension TranscriptEntry {
  fileprivate func writeBriefly(to writer: inout JSONWriter) {
    writer.beginArray()
    switch self {
    case .user(let blocks):
      writer.string("u")
      Self.write(blocks, to: &writer)
    case .said(let blocks):
      writer.string("s")
      Self.write(blocks, to: &writer)
    case .assistant(let message):
      writer.string("a")
      message.writeBriefly(to: &writer)
    case .tool(let callID, let name, let result, let maxBytes):
      writer.string("t")
      writer.string(callID.text)
      writer.string(name)
      writer.value(CarriedJSON(trusted: Bytes(String(maxBytes))))
      writer.beginObject()
      writer.member("isError", result.isError)
      result.writeMembers(to: &writer)
      writer.endObject()
    }
    writer.endArray()
  }

  /// A text alone stands as it is.
  private static func write(_ blocks: [ContentBlock], to writer: inout JSONWriter) {
    if blocks.count == 1, blocks[0].type == "text", blocks[0].members.count == 1, case .inline(let text)? = blocks[0]["text"],
      text.kind == .string
    {
      writer.value(text)
    } else {
      blocks.write(to: &writer)
    }
  }

  /// An entry that has been entered, to its end.
  fileprivate init?(brief parts: inout ArrayWalk) {
    guard let kind = parts.next(), kind.bytes.count == 3, let first = parts.next() else { return nil }
    switch kind.bytes[1] {
    case UInt8(ascii: "u"): self = .user(Self.blocks(first))
    case UInt8(ascii: "s"): self = .said(Self.blocks(first))
    case UInt8(ascii: "a"):
      guard let message = ModelMessage(ULID(json: first), brief: &parts) else { return nil }
      self = .assistant(message)
      return
    case UInt8(ascii: "t"):
      guard let callID = ULID(json: first), let name = parts.next()?.stringValue, let maxBytes = parts.next()?.intValue,
        let result = parts.next()
      else { return nil }
      self = .tool(callID: callID, name: name, result: ToolResult(logged: result), maxBytes: maxBytes)
    default: return nil
    }
    guard parts.next() == nil else { return nil }
  }

  private static func blocks(_ value: CarriedJSON) -> [ContentBlock] {
    value.kind == .array ? [ContentBlock](logged: value) : [.text(.inline(value))]
  }
}

extension ModelMessage {
  /// `messageID, text, [[callID, name, arguments, refusal?]], providerData`
  fileprivate func writeBriefly(to writer: inout JSONWriter) {
    writer.string(messageID.text)
    writer.value(text.wire)
    if calls.isEmpty, providerData == nil { return }
    writer.beginArray()
    for call in calls {
      writer.beginArray()
      writer.string(call.callID.text)
      writer.string(call.name)
      writer.value(call.arguments.wire)
      if let refusal = call.refusal { writer.string(refusal) }
      writer.endArray()
    }
    writer.endArray()
    if let providerData { writer.value(providerData) }
  }

  fileprivate init?(_ messageID: ULID?, brief parts: inout ArrayWalk) {
    guard let messageID, let text = parts.next() else { return nil }
    self.init(messageID: messageID, text: StoredValue(wire: text), calls: [], usage: Usage(), stopReason: "", providerData: nil)
    guard parts.enter() else {
      if parts.next() == nil { return } else { return nil }
    }
    while parts.enter() {
      guard let callID = parts.next().flatMap(ULID.init(json:)), let name = parts.next()?.stringValue, let arguments = parts.next() else {
        return nil
      }
      let refusal = parts.next()
      if refusal != nil, parts.next() != nil { return nil }
      calls.append(Call(callID: callID, name: name, arguments: StoredValue(wire: arguments), refusal: refusal?.stringValue))
    }
    guard parts.next() == nil else { return nil }
    providerData = parts.next()
    if providerData != nil, parts.next() != nil { return nil }
  }
}
