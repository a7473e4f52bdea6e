import AgentRuntime
import JSON

extension Schema {
  private struct LooseBlob {
    var number: Int
    var isAdopted = false
  }

  /// Makes the runs that name a blob which a client has built those that it goes with: versions before the fourth did not note it, and cleared such
  /// blobs up after a week.
  ///
  /// Of the logs only those are read that were written to since the oldest of the blobs was begun.
  static func adoptNamedBlobs(_ connection: Connection) throws(StoreError) {
    var (loose, oldest) = try looseBlobs(connection)
    if loose.isEmpty { return }
    let adopt = Statement("UPDATE blobs SET run_number = ? WHERE number = ?")
    let use = Statement("INSERT OR IGNORE INTO blob_uses (run_number, blob_number) VALUES (?, ?)")
    let log = Statement("SELECT event, hidden FROM log WHERE key >= ? AND key < ? ORDER BY key")
    defer { for statement in [adopt, use, log] { connection.forget(statement) } }
    for run in try runs(since: oldest, connection) {
      for id in try named(by: run, log, connection) {
        guard let blob = loose[id] else { continue }
        try connection.run(blob.isAdopted ? use : adopt, .int(run), .int(blob.number))
        loose[id]?.isAdopted = true
      }
    }
  }

  private static func looseBlobs(_ connection: Connection) throws(StoreError) -> (blobs: [ULID: LooseBlob], oldest: Int) {
    let query = Statement("SELECT id, number, created_at FROM blobs WHERE run_number IS NULL")
    defer { connection.forget(query) }
    var rows = try connection.rows(query)
    var found: [ULID: LooseBlob] = [:]
    var oldest = Int.max
    while try rows.next() {
      guard let id = rows.ulid(0) else { continue }
      found[id] = LooseBlob(number: rows.int(1))
      oldest = min(oldest, rows.int(2))
    }
    return (found, oldest)
  }

  private static func runs(since time: Int, _ connection: Connection) throws(StoreError) -> [Int] {
    let query = Statement("SELECT number FROM runs WHERE updated_at >= ?")
    defer { connection.forget(query) }
    var rows = try connection.rows(query, .int(time))
    var numbers: [Int] = []
    while try rows.next() { numbers.append(rows.int(0)) }
    return numbers
  }

  /// The pieces of a record are joined, as a name may be cut between two of them; so are the records, which does no harm.
  private static func named(by run: Int, _ log: Statement, _ connection: Connection) throws(StoreError) -> Set<ULID> {
    var rows = try connection.rows(log, .int(LogKey(run: run, position: 0).value), .int(LogKey.end(of: run)))
    var events = ByteBuffer(capacity: 4096)
    var hidden = ByteBuffer(capacity: 4096)
    while try rows.next() {
      if let piece = rows.bytes(0) { events.append(piece) }
      if let piece = rows.bytes(1) { hidden.append(piece) }
    }
    return Set(BlobReference.named(in: events.finish()) + BlobReference.named(in: hidden.finish()))
  }
}
