package import JSON

/// A conversation that outlives its runs, as it is kept: document `session`, by its id.
package struct Session: Sendable, Equatable {
  package var sessionID: ULID
  /// The branch that a turn goes to when none is named.
  package var mainBranch: ULID
  /// A stored agent, for turns that bring none.
  package var agentID: String?
  /// An object of strings.
  package var metadata: CarriedJSON?
  package var createdAt: Timestamp

  package static let kind = "session"

  init(sessionID: ULID, mainBranch: ULID, agentID: String?, metadata: CarriedJSON?, createdAt: Timestamp) {
    self.sessionID = sessionID
    self.mainBranch = mainBranch
    self.agentID = agentID
    self.metadata = metadata
    self.createdAt = createdAt
  }

  /// - Throws: `store.newer` for what this version does not understand.
  init(_ document: Document) throws(RuntimeError) {
    guard let id = ULID(document.id), let branch = document.json["branchId"]?.stringValue.flatMap(ULID.init),
      let created = document.json["createdAt"]?.intValue
    else { throw RuntimeError(.storeNewer, "the store has a session that this version does not understand") }
    self.init(
      sessionID: id, mainBranch: branch, agentID: document.json["agentId"]?.stringValue, metadata: document.json["metadata"],
      createdAt: Timestamp(milliseconds: created))
  }

  /// The change that makes the document.
  var creation: DocumentWrite {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("branchId", mainBranch.text)
    writer.member("agentId", ifPresent: agentID)
    writer.member("metadata", ifPresent: metadata)
    writer.member("createdAt", createdAt.milliseconds)
    writer.endObject()
    return DocumentWrite(
      kind: Self.kind, id: sessionID.text, expectedVersion: 0, json: CarriedJSON(trusted: writer.finish()), updatedAt: createdAt)
  }
}

/// One line of turns in a session: document `branch`. Its version is what decides between two that would both add the next turn.
package struct Branch: Sendable, Equatable {
  /// Where a branch leaves another one: after `entries` messages of its turn `turns - 1`.
  package struct Base: Sendable, Equatable {
    package var branchID: ULID
    package var turns: Int
    package var entries: Int
  }

  package var sessionID: ULID
  package var branchID: ULID
  package var base: Base?
  /// Turns of its own.
  package var turns = 0
  /// The run of the last of them.
  package var tail: ULID?
  /// Own turns before this one are out of sight (`session.clear`), and with it (above 0, or `isCleared`) those of the base.
  package var clearedTurns = 0
  package var isCleared = false
  /// Runs of the session that were deleted so far: who remembers its messages and has another number reads them anew.
  var deletions = 0
  package var version = 0

  static let kind = "branch"

  init(sessionID: ULID, branchID: ULID, base: Base? = nil) {
    self.sessionID = sessionID
    self.branchID = branchID
    self.base = base
  }

  static func documentID(_ sessionID: ULID, _ branchID: ULID) -> String { "\(sessionID.text)/\(branchID.text)" }

  /// - Throws: `store.newer` for what this version does not understand.
  init(_ document: Document) throws(RuntimeError) {
    let ids = document.id.split(separator: "/").compactMap { ULID(String($0)) }
    guard ids.count == 2, let turns = document.json["turns"]?.intValue else {
      throw RuntimeError(.storeNewer, "the store has a branch that this version does not understand")
    }
    self.init(sessionID: ids[0], branchID: ids[1])
    self.turns = turns
    version = document.version
    tail = document.json["tail"]?.stringValue.flatMap(ULID.init)
    clearedTurns = document.json["clearedTurns"]?.intValue ?? 0
    isCleared = document.json["isCleared"]?.boolValue ?? false
    deletions = document.json["deletions"]?.intValue ?? 0
    if let value = document.json["base"], let branch = value["branchId"]?.stringValue.flatMap(ULID.init) {
      base = Base(branchID: branch, turns: value["turns"]?.intValue ?? 0, entries: value["entries"]?.intValue ?? 0)
    }
  }

  /// The change from what the document was when this was read.
  func write(at time: Timestamp) -> DocumentWrite {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("turns", turns)
    writer.member("tail", ifPresent: tail?.text)
    if isCleared {
      writer.member("clearedTurns", clearedTurns)
      writer.member("isCleared", true)
    }
    if deletions > 0 { writer.member("deletions", deletions) }
    if let base {
      writer.key("base")
      writer.beginObject()
      writer.member("branchId", base.branchID.text)
      writer.member("turns", base.turns)
      writer.member("entries", base.entries)
      writer.endObject()
    }
    writer.endObject()
    return DocumentWrite(
      kind: Self.kind, id: Self.documentID(sessionID, branchID), expectedVersion: version, json: CarriedJSON(trusted: writer.finish()),
      updatedAt: time)
  }

  func removal(at time: Timestamp) -> DocumentWrite {
    DocumentWrite(kind: Self.kind, id: Self.documentID(sessionID, branchID), expectedVersion: version, json: nil, updatedAt: time)
  }

  /// The place of the next turn.
  var next: TurnPlace { TurnPlace(sessionID: sessionID, branchID: branchID, number: turns, previous: tail) }

  /// The branch with one more turn, and what makes it so.
  func adding(_ runID: ULID, at time: Timestamp) -> (place: TurnPlace, writes: [DocumentWrite]) {
    var next = self
    next.turns += 1
    next.tail = runID
    let writes = [next.write(at: time), TurnDocument(branchID: branchID, number: turns, runID: runID).write(at: time)]
    return (self.next, writes)
  }
}

/// Which run a turn of a branch is: document `turn`. Its ids sort in the order of the turns.
struct TurnDocument: Sendable, Equatable {
  var branchID: ULID
  var number: Int
  var runID: ULID
  /// Written before the run is deleted; while that is there, it counts for nothing.
  var remains: TurnRemains?
  private var version = 0

  static let kind = "turn"

  static func documentID(_ branchID: ULID, _ number: Int) -> String {
    let digits = String(number)
    return "\(branchID.text)/\(String(repeating: "0", count: max(0, 12 - digits.count)))\(digits)"
  }

  init(branchID: ULID, number: Int, runID: ULID) {
    self.branchID = branchID
    self.number = number
    self.runID = runID
  }

  /// - Throws: `store.newer` for what this version does not understand.
  init?(_ document: Document) throws(RuntimeError) {
    guard let (branchID, number) = Self.place(document.id), let runID = document.json["runId"]?.stringValue.flatMap(ULID.init) else {
      return nil
    }
    self.init(branchID: branchID, number: number, runID: runID)
    version = document.version
    if let remains = document.json["remains"] { self.remains = try TurnRemains(reading: remains) }
  }

  /// What `documentID` was made of.
  static func place(_ documentID: String) -> (branchID: ULID, number: Int)? {
    let parts = documentID.split(separator: "/")
    guard parts.count == 2, let branchID = ULID(String(parts[0])), let number = Int(parts[1]) else { return nil }
    return (branchID, number)
  }

  /// The change from what the document was when this was read, or its creation.
  func write(at time: Timestamp) -> DocumentWrite {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("runId", runID.text)
    if let remains {
      writer.key("remains")
      remains.write(to: &writer)
    }
    writer.endObject()
    return DocumentWrite(
      kind: Self.kind, id: Self.documentID(branchID, number), expectedVersion: version, json: CarriedJSON(trusted: writer.finish()),
      updatedAt: time)
  }
}
