package import AgentRuntime
import JSON

struct RunStatements {
  let number = Statement("SELECT number FROM runs WHERE run_id = ?")
  let end = Statement("SELECT number, last_position FROM runs WHERE run_id = ?")
  let position = Statement("SELECT last_position FROM runs WHERE run_id = ?")
  let summary = Statement("SELECT \(RunStatements.columns) FROM runs WHERE run_id = ?")
  let records = Statement("SELECT key, sequence, type, event, hidden FROM log WHERE key >= ? AND key < ? ORDER BY key")
  let events = Statement("SELECT key, sequence, event, type FROM log WHERE key >= ? AND key < ? ORDER BY key")
  let driven = Statement(
    "SELECT run_id, owner FROM runs INDEXED BY active_runs WHERE ended = 0 AND (owner IS NOT NULL OR status = 'running') ORDER BY run_id")
  let deleteLog = Statement("DELETE FROM log WHERE key >= ? AND key < ?")
  let metadata = Statement("SELECT metadata FROM runs WHERE number = ?")
  let deleteMetadata = Statement("DELETE FROM run_metadata WHERE name = ? AND value = ? AND run = ?")
  let delete = Statement("DELETE FROM runs WHERE number = ?")

  static let columns = """
    run_id, status, last_position, last_sequence, owner, epoch, updated_at, created_at, parent_run_id, session_id, agent_id, idempotency_key, metadata
    """
}

extension SQLiteStore {
  package func summary(of run: ULID) throws(StoreError) -> RunSummary? {
    var rows = try ready().rows(runs.summary, .id(run))
    return try rows.next() ? summary(rows) : nil
  }

  package func positions(of runs: [ULID]) throws(StoreError) -> [ULID: Int] {
    let connection = try ready()
    var positions: [ULID: Int] = [:]
    for run in runs { positions[run] = try connection.int(self.runs.position, .id(run)) }
    return positions
  }

  package func run(withIdempotencyKey key: String) throws(StoreError) -> ULID? {
    var rows = try ready().rows(appends.withKey, .bytes(Bytes(key)))
    return try rows.next() ? rows.ulid(0) : nil
  }

  /// Queued runs wait for another one and waiting ones for a client: neither is an orphan unless a dead process still claims it.
  package func orphans() throws(StoreError) -> [ULID] {
    var rows = try ready().rows(runs.driven)
    var orphans: [ULID] = []
    while try rows.next() {
      if let owner = rows.optionalInt(1), isAlive(OwnerID(number: owner)) { continue }
      if let run = rows.ulid(0) { orphans.append(run) }
    }
    return orphans
  }

  package func delete(run: ULID) throws(StoreError) {
    // Freed pages are written too.
    try write(isBig: true) { (connection) throws(StoreError) in
      guard let number = try self.number(of: run, connection) else { return }
      try connection.run(self.runs.deleteLog, .int(number << 32), .int(LogKey.end(of: number)))
      try self.deleteBlobs(of: number, connection)
      try self.deleteMetadata(of: number, run, connection)
      try connection.run(self.runs.delete, .int(number))
    }
  }

  private func deleteMetadata(of number: Int, _ run: ULID, _ connection: Connection) throws(StoreError) {
    let metadata = try metadata(of: number, connection)
    for key in Self.metadataKeys(of: metadata) {
      try connection.run(runs.deleteMetadata, .bytes(key.name), .bytes(key.value), .id(run))
    }
  }

  private func metadata(of number: Int, _ connection: Connection) throws(StoreError) -> CarriedJSON? {
    var rows = try connection.rows(runs.metadata, .int(number))
    guard try rows.next(), let bytes = rows.bytes(0) else { return nil }
    return try CarriedJSON(stored: bytes, "the metadata of a run in \(path)")
  }

  /// The run in the current row of a query for `RunStatements.columns`.
  func summary(_ rows: borrowing Rows) throws(StoreError) -> RunSummary {
    guard let id = rows.ulid(0), let status = RunStatus(rawValue: rows.text(1) ?? "") else {
      throw StoreError(.newer, "\(path) has a run with a status that this program does not know; use a newer one")
    }
    var summary = RunSummary(runID: id, status: status, createdAt: Timestamp(milliseconds: rows.int(7)))
    summary.lastPosition = rows.int(2)
    summary.lastSequence = rows.int(3)
    summary.owner = rows.optionalInt(4).map { OwnerID(number: $0) }
    summary.epoch = rows.int(5)
    summary.updatedAt = Timestamp(milliseconds: rows.int(6))
    summary.parentRunID = rows.ulid(8)
    summary.sessionID = rows.ulid(9)
    summary.agentID = rows.bytes(10)?.string
    summary.idempotencyKey = rows.bytes(11)?.string
    summary.metadata = try rows.bytes(12).map { bytes throws(StoreError) in try CarriedJSON(stored: bytes, "the metadata of run \(id)") }
    return summary
  }
}
