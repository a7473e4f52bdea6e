package import AgentRuntime
import CSQLite
import JSON

struct AppendStatements {
  let head = Statement("SELECT number, last_position, ended, epoch FROM runs WHERE run_id = ?")
  let withKey = Statement("SELECT run_id FROM runs WHERE idempotency_key = ?")
  let create = Statement(
    """
    INSERT INTO runs (run_id, status, ended, last_position, last_sequence, owner, epoch, updated_at, created_at,
      parent_run_id, session_id, agent_id, idempotency_key, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    """)
  /// What most appends are: the row is known, the run goes on. One comparison with what is there, and no search by id.
  let advance = Statement(
    """
    UPDATE runs SET status = ?, last_position = ?, last_sequence = ?, owner = ?, epoch = ?, updated_at = ?
      WHERE number = ? AND +run_id = ? AND +ended = 0 AND last_position = ? AND epoch = ?
    """)
  /// Without `ended`, so that SQLite leaves the index of active runs alone.
  let update = Statement(
    "UPDATE runs SET status = ?, last_position = ?, last_sequence = ?, owner = ?, epoch = ?, updated_at = ? WHERE number = ?")
  let end = Statement(
    "UPDATE runs SET status = ?, last_position = ?, last_sequence = ?, owner = ?, epoch = ?, updated_at = ?, ended = ? WHERE number = ?")
  let metadata = Statement("INSERT OR IGNORE INTO run_metadata (name, value, run) VALUES (?, ?, ?)")
  let record = Statement("\(Self.insertion) INTO log (key, sequence, type, event, hidden) VALUES (?, ?, ?, ?, ?)")
  let mark = Statement("SAVEPOINT appends")
  let undo = Statement("ROLLBACK TO appends")
  let keep = Statement("RELEASE appends")

  private static var insertion: String {
    #if FOOTBRIDGE_BROKEN
      if Broken.position.isChosen { return "INSERT OR REPLACE" }
    #endif
    return "INSERT"
  }
}

extension SQLiteStore {
  /// From so many bytes on, a batch's commit does not also checkpoint.
  private static let bigBatch = 1 << 20
  private static let mostKnownRows = 4096

  package func submit(
    _ batch: [Append], meanwhile: (() -> Void)?, completion: @escaping @Sendable (Result<[AppendResult], StoreError>) -> Void
  ) {
    let isBig = batch.reduce(0) { $0 + $1.payloadBytes } >= Self.bigBatch
    do throws(StoreError) {
      let results = try write(isBig: isBig, meanwhile: isBig ? nil : meanwhile) { (connection) throws(StoreError) in
        var results: [AppendResult] = []
        for group in batch.groups { results += try self.append(group, connection) }
        return results
      }
      completion(.success(results))
    } catch {
      completion(.failure(error))
    }
  }

  /// All or none.
  private func append(_ group: ArraySlice<Append>, _ connection: Connection) throws(StoreError) -> [AppendResult] {
    guard group.count > 1 else { return [try append(group[group.startIndex], connection)] }
    try connection.run(appends.mark)
    var results: [AppendResult] = []
    for append in group { results.append(try self.append(append, connection)) }
    if results.contains(where: { $0 != .appended }) {
      try connection.run(appends.undo)
      results = results.map { $0 == .appended ? .conflict : $0 }
    }
    try connection.run(appends.keep)
    return results
  }

  private func append(_ append: Append, _ connection: Connection) throws(StoreError) -> AppendResult {
    let summary = append.summary
    guard summary.lastPosition <= LogKey.lastPosition else {
      throw StoreError(.full, "\(path): run \(summary.runID) has \(LogKey.lastPosition) records, the most a run can have")
    }
    guard try fit(append.documents, connection) else { return .conflict }
    if let row = try advance(append, connection) {
      try insert(append, row, connection)
    } else {
      switch try head(of: summary.runID, connection) {
      case nil where append.expectedPosition == 0:
        if let key = summary.idempotencyKey, let other = try run(withIdempotencyKey: key) { return .keyTaken(other) }
        try insert(append, try create(summary, connection), connection)
      case nil:
        return .missing
      case let head? where head.position > 0 && mayFollow(append, head.position, head.epoch):
        if append.records.isEmpty { return .appended }
        try update(head.number, summary, wasEnded: head.ended, connection)
        remember(head.number, of: summary.runID)
        try insert(append, head.number, connection)
      default:
        return .conflict
      }
    }
    try apply(append.documents, connection)
    return .appended
  }

  /// What most appends are, a run that goes on: the row, changed where the log still ends as the writer thinks. Nil when that is to be found out.
  private func advance(_ append: Append, _ connection: Connection) throws(StoreError) -> Int? {
    #if FOOTBRIDGE_BROKEN
      if Broken.position.isChosen { return nil }
    #endif
    let run = append.summary
    guard !append.records.isEmpty, !run.status.hasEnded, let epoch = append.expectedEpoch, let row = knownRows[run.runID] else {
      return nil
    }
    try connection.run(
      appends.advance, .text(run.status.rawValue), .int(run.lastPosition), .int(run.lastSequence), .optional(run.owner?.number),
      .int(run.epoch),
      .int(run.updatedAt.milliseconds), .int(row), .id(run.runID), .int(append.expectedPosition), .int(epoch))
    return connection.changedRows == 1 ? row : nil
  }

  private func remember(_ row: Int, of run: ULID) {
    if knownRows.count == Self.mostKnownRows { knownRows = [:] }
    knownRows[run] = row
  }

  /// The one comparison that decides every race; `AppendStatements.advance` makes it in SQL.
  private func mayFollow(_ append: Append, _ position: Int, _ epoch: Int) -> Bool {
    #if FOOTBRIDGE_BROKEN
      if Broken.position.isChosen { return true }
    #endif
    return append.expectedPosition == position && append.expectedEpoch ?? epoch == epoch
  }

  private func head(of run: ULID, _ connection: Connection) throws(StoreError) -> (number: Int, position: Int, ended: Bool, epoch: Int)? {
    var rows = try connection.rows(appends.head, .id(run))
    return try rows.next() ? (rows.int(0), rows.int(1), rows.int(2) != 0, rows.int(3)) : nil
  }

  private func create(_ run: RunSummary, _ connection: Connection) throws(StoreError) -> Int {
    try connection.run(
      appends.create, .id(run.runID), .text(run.status.rawValue), .int(run.status.hasEnded ? 1 : 0), .int(run.lastPosition),
      .int(run.lastSequence), .optional(run.owner?.number), .int(run.epoch), .int(run.updatedAt.milliseconds),
      .int(run.createdAt.milliseconds), .optional(run.parentRunID), .optional(run.sessionID), .optional(run.agentID.map { Bytes($0) }),
      .optional(run.idempotencyKey.map { Bytes($0) }), .optional(run.metadata?.bytes))
    let number = connection.lastInsertedRow
    guard number <= LogKey.lastRun else { throw StoreError(.full, "\(path) has \(LogKey.lastRun) runs, the most a store can have") }
    for key in Self.metadataKeys(of: run.metadata) {
      try connection.run(appends.metadata, .bytes(key.name), .bytes(key.value), .id(run.runID))
    }
    remember(number, of: run.runID)
    return number
  }

  private func update(_ number: Int, _ run: RunSummary, wasEnded: Bool, _ connection: Connection) throws(StoreError) {
    let status = SQLValue.text(run.status.rawValue)
    let (position, sequence) = (SQLValue.int(run.lastPosition), SQLValue.int(run.lastSequence))
    let (owner, epoch, time) = (SQLValue.optional(run.owner?.number), SQLValue.int(run.epoch), SQLValue.int(run.updatedAt.milliseconds))
    if run.status.hasEnded == wasEnded {
      try connection.run(appends.update, status, position, sequence, owner, epoch, time, .int(number))
    } else {
      try connection.run(appends.end, status, position, sequence, owner, epoch, time, .int(wasEnded ? 0 : 1), .int(number))
    }
  }

  private func insert(_ append: Append, _ run: Int, _ connection: Connection) throws(StoreError) {
    var position = append.expectedPosition
    for record in append.records {
      position += 1
      precondition(record.position == position, "an append's records follow on its expected position")
      var stored = record
      if let event = record.event, let sequence = record.sequence {
        stored.event = PackedEvent.pack(event, run: append.summary.runID, sequence: sequence, type: record.type)
      }
      try insert(stored, run, connection)
    }
    precondition(position == append.summary.lastPosition, "a summary's last position is that of its last record")
    for blob in append.blobs { try insert(blob, run, connection) }
    for blob in append.adoptedBlobs { try adopt(blob, run, connection) }
  }

  private func insert(_ record: LogRecord, _ run: Int, _ connection: Connection) throws(StoreError) {
    let first = LogKey(run: run, position: record.position)
    let pieces = RecordPieces(record)
    for piece in 0..<pieces.count {
      let isFirst = piece == 0
      try connection.run(
        appends.record, .int(first.value + piece), isFirst ? .optional(record.sequence) : .null, isFirst ? .text(record.type) : .null,
        .optional(pieces.part(piece, of: record.event)), .optional(pieces.part(piece, of: record.hidden)))
    }
  }
}

extension Append {
  fileprivate var payloadBytes: Int {
    records.reduce(0) { $0 + ($1.event?.count ?? 0) + ($1.hidden?.count ?? 0) } + blobs.reduce(0) { $0 + $1.value.count }
  }
}
