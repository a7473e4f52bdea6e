import AgentRuntime

/// The tables of the store and how older ones become these.
///
/// All in the schema `footbridge` and named with it, since a pooler keeps no search path. Carried bytes are `bytea`: `text` cannot hold U+0000, and
/// `jsonb` keeps neither digits nor order.
enum Schema {
  /// Step n makes version n + 1 of version n. A released step never changes; functions get another name when they change.
  static let steps: [String] = [tables + functions, looseBlobs]

  static var version: Int { steps.count }

  /// Any number that other programs do not use: "FtBrMigr".
  private static let lock = 0x4674_4272_4D69_6772

  private static let installed = Query("SELECT version FROM footbridge.store")

  /// Brings the database to this version; many processes may try at once, and one does it.
  /// - Throws: `newer`.
  static func migrate(_ connection: Connection) throws(PostgresError) -> StoreError? {
    switch try found(connection) {
    case version: return nil
    case let found where found > version: return newer(found, connection.target)
    default: break
    }
    do throws(PostgresError) {
      // The lock ends with the transaction, so that it needs no session; a timeout of our own, because many may wait for it.
      try connection.execute("BEGIN; SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock(\(lock))")
      let found = try foundInTransaction(connection)
      for (index, step) in steps.enumerated().dropFirst(found) {
        try connection.execute(step)
        try connection.execute("UPDATE footbridge.store SET version = \(index + 1)")
      }
      try connection.execute("COMMIT")
      return found > version ? newer(found, connection.target) : nil
    } catch {
      if !error.isLoss { try? connection.execute("ROLLBACK") }
      throw error
    }
  }

  private static func newer(_ found: Int, _ target: Target) -> StoreError {
    StoreError(
      .newer, "\(target.name) has store version \(found), this program knows up to \(version); use a newer one, or another database")
  }

  /// 0 where there is no store yet.
  private static func found(_ connection: Connection) throws(PostgresError) -> Int {
    do throws(PostgresError) { return try connection.run(installed, [], isNamed: false).int(0, 0) } catch {
      guard error.isMissingTable else { throw error }
      return 0
    }
  }

  /// Without a statement that may fail, which would end the transaction.
  private static func foundInTransaction(_ connection: Connection) throws(PostgresError) -> Int {
    let exists = Query("SELECT to_regclass('footbridge.store') IS NOT NULL")
    return try connection.run(exists, [], isNamed: false).bool(0, 0) ? connection.run(installed, [], isNamed: false).int(0, 0) : 0
  }

  /// - `owners`: the processes that have written. `batch` is the token of the last write, `results` what it answered where that was not the usual.
  /// - `runs`: what an append changes is in no index, so that the row stays on its page (HOT); `ended` has the status once the run has ended.
  /// - `blobs`: a blob without a row in `blob_uses` is one that a client built and no run names yet. `loose_since` is when the client began it; NULL for
  ///   one of an append, and for one that was found to be named.
  /// - `observers`, `live_text`: streamed text on its way; lost when the server crashes, as may be.
  private static let tables = """
    DO $$ BEGIN
      IF to_regnamespace('footbridge') IS NULL THEN CREATE SCHEMA footbridge; END IF;
    END $$;
    CREATE TABLE footbridge.store (version int NOT NULL, made_at timestamptz NOT NULL DEFAULT now());
    INSERT INTO footbridge.store (version) VALUES (0);
    CREATE TABLE footbridge.owners (
      number bigint PRIMARY KEY, batch bigint NOT NULL, results bigint[], beat timestamptz NOT NULL, machine text NOT NULL,
      process bigint NOT NULL, process_start bigint NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE footbridge.runs (
      run_id uuid PRIMARY KEY, created_at bigint NOT NULL, updated_at bigint NOT NULL, owner bigint, last_position int NOT NULL,
      last_sequence int NOT NULL, epoch int NOT NULL, status text COLLATE "C" NOT NULL, ended text COLLATE "C", parent_run_id uuid,
      session_id uuid, agent_id bytea, idempotency_key bytea, metadata bytea) WITH (fillfactor = 70);
    CREATE UNIQUE INDEX runs_by_key ON footbridge.runs (sha256(idempotency_key)) WHERE idempotency_key IS NOT NULL;
    CREATE INDEX runs_by_session ON footbridge.runs (session_id, run_id) WHERE session_id IS NOT NULL;
    CREATE INDEX active_runs ON footbridge.runs (run_id) WHERE ended IS NULL;
    CREATE INDEX ended_runs ON footbridge.runs (ended, run_id) WHERE ended IS NOT NULL;
    CREATE TABLE footbridge.log (
      run_id uuid, position int, sequence int, type text COLLATE "C" NOT NULL, event bytea, hidden bytea, PRIMARY KEY (run_id, position));
    CREATE TABLE footbridge.blobs (
      id uuid PRIMARY KEY, bytes bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), type text COLLATE "C" NOT NULL,
      complete bool NOT NULL);
    CREATE TABLE footbridge.blob_chunks (blob_id uuid, start bigint, data bytea NOT NULL, PRIMARY KEY (blob_id, start));
    ALTER TABLE footbridge.blob_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
    CREATE TABLE footbridge.blob_uses (run_id uuid, blob_id uuid, PRIMARY KEY (run_id, blob_id));
    CREATE INDEX blob_uses_by_blob ON footbridge.blob_uses (blob_id);
    CREATE TABLE footbridge.documents (
      kind text COLLATE "C", id bytea, version bigint NOT NULL, updated_at bigint NOT NULL, json bytea NOT NULL, PRIMARY KEY (kind, id));
    CREATE UNLOGGED TABLE footbridge.observers (run_id uuid, owner bigint, PRIMARY KEY (run_id, owner));
    CREATE UNLOGGED TABLE footbridge.live_text (
      run_id uuid NOT NULL, number bigint NOT NULL, owner bigint NOT NULL, after int NOT NULL, event bytea NOT NULL);
    CREATE INDEX live_text_by_run ON footbridge.live_text (run_id, number);

    """
}
