import AgentRuntime
import JSON

/// The tables of the store and how older ones become these.
///
/// A row that an append rewrites costs a page of the log each, so what an append changes is in no index: `ended` changes once in a run's life, and
/// the lists of runs that are active, or ended in one status, hang on it.
enum Schema {
  /// "FtBr": https://sqlite.org/pragma.html#pragma_application_id
  static let applicationID = 0x4674_4272

  /// Fits several records of a few hundred bytes; 4,096 is as fast for small commits and slower for big values, 16,384 the other way round.
  static let pageSize = 8192

  /// Step n makes version n + 1 of version n. A released step never changes; the next version is one more step.
  static let steps: [String] = [first, documents, metadata, ""]

  /// The step in which `adoptNamedBlobs` is called.
  private static let adoption = 3
  /// That of `indexMetadata`.
  private static let indexingStep = 2

  static var version: Int { steps.count }

  /// - `runs`: from `parent_run_id` on, written at the run's creation only.
  /// - `log`: `key` is run number, position and piece (`LogKey`), so a run's records lie side by side and need no second index.
  /// - `blobs`: `run_number` is NULL until a run names a blob that a client built. `blob_uses` has the further runs that name it.
  /// - `blob_chunks`: `key` is blob number and offset (`BlobKey`).
  private static let first = """
    CREATE TABLE runs (
      number INTEGER PRIMARY KEY, run_id BLOB NOT NULL, status TEXT NOT NULL, ended INTEGER NOT NULL, last_position INTEGER NOT NULL,
      last_sequence INTEGER NOT NULL, owner INTEGER, epoch INTEGER NOT NULL, updated_at INTEGER NOT NULL, created_at INTEGER NOT NULL,
      parent_run_id BLOB, session_id BLOB, agent_id BLOB, idempotency_key BLOB, metadata BLOB);
    CREATE UNIQUE INDEX runs_by_id ON runs (run_id);
    CREATE UNIQUE INDEX runs_by_key ON runs (idempotency_key) WHERE idempotency_key IS NOT NULL;
    CREATE INDEX runs_by_session ON runs (session_id, run_id) WHERE session_id IS NOT NULL;
    CREATE INDEX active_runs ON runs (run_id) WHERE ended = 0;
    CREATE INDEX ended_runs ON runs (status, run_id) WHERE ended = 1;
    CREATE TABLE log (key INTEGER PRIMARY KEY, sequence INTEGER, type TEXT, event BLOB, hidden BLOB);
    CREATE TABLE blobs (
      number INTEGER PRIMARY KEY, id BLOB NOT NULL, run_number INTEGER, type TEXT NOT NULL, bytes INTEGER NOT NULL, complete INTEGER NOT NULL,
      created_at INTEGER NOT NULL);
    CREATE UNIQUE INDEX blobs_by_id ON blobs (id);
    CREATE INDEX blobs_by_run ON blobs (run_number) WHERE run_number IS NOT NULL;
    CREATE INDEX loose_blobs ON blobs (created_at) WHERE run_number IS NULL;
    CREATE TABLE blob_uses (run_number INTEGER, blob_number INTEGER, PRIMARY KEY (run_number, blob_number)) WITHOUT ROWID;
    CREATE INDEX blob_uses_by_blob ON blob_uses (blob_number);
    CREATE TABLE blob_chunks (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
    """

  private static let documents = """
    CREATE TABLE documents (
      number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, updated_at INTEGER NOT NULL,
      json BLOB NOT NULL);
    CREATE UNIQUE INDEX documents_by_id ON documents (kind, id);
    """

  /// Which runs have a member in their metadata: the beginnings of its name and its value, and the run. What is found is compared whole. The runs that
  /// there are go in by `indexMetadata`.
  private static let metadata = """
    CREATE TABLE run_metadata (name BLOB NOT NULL, value BLOB NOT NULL, run BLOB NOT NULL, PRIMARY KEY (name, value, run)) WITHOUT ROWID;
    """

  /// SQLite's own JSON functions read some texts otherwise: those with U+0000 or half a surrogate pair, and empty ones become NULL.
  private static func indexMetadata(_ connection: Connection) throws(StoreError) {
    let insert = Statement("INSERT INTO run_metadata (name, value, run) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
    var rows = try connection.rows(Statement("SELECT run_id, metadata FROM runs WHERE metadata IS NOT NULL"))
    while try rows.next() {
      // What is damaged is told when the run is read.
      guard let run = rows.ulid(0), let bytes = rows.bytes(1), let metadata = try? CarriedJSON(validating: bytes) else { continue }
      for key in SQLiteStore.metadataKeys(of: metadata) { try connection.run(insert, .bytes(key.name), .bytes(key.value), .id(run)) }
    }
  }

  /// So much of a name or a value is in the index.
  static let metadataBytes = 64

  /// - Throws: `newer`; `unavailable` when the file belongs to another program.
  static func checkOwnership(_ connection: Connection) throws(StoreError) {
    let application = try connection.integer("PRAGMA application_id")
    let found = try connection.integer("PRAGMA user_version")
    if application != applicationID {
      let isEmpty = try connection.integer("SELECT count(*) FROM sqlite_master") == 0
      guard application == 0, found == 0, isEmpty else {
        throw StoreError(.unavailable, "\(connection.path) is another program's SQLite database; name another file")
      }
    }
    guard found <= version else {
      throw StoreError(
        .newer, "\(connection.path) has store version \(found), this program knows up to \(version); use a newer one, or another file")
    }
  }

  /// Brings the database to this version. The caller holds the write lock, so that of several processes one does it.
  static func migrate(_ connection: Connection) throws(StoreError) {
    let found = try connection.integer("PRAGMA user_version")
    for (index, step) in steps.enumerated().dropFirst(found) {
      do throws(StoreError) {
        try connection.execute("BEGIN IMMEDIATE;" + step)
        if index == indexingStep { try indexMetadata(connection) }
        if index == adoption { try adoptNamedBlobs(connection) }
        try connection.execute(
          """
          PRAGMA application_id = \(applicationID);
          PRAGMA user_version = \(index + 1);
          COMMIT;
          """)
      } catch {
        connection.rollBack()
        throw error
      }
    }
  }
}
