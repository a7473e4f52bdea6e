import AgentRuntime
import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Streamed text on its way between processes: a second database beside the store, never synced, made when somebody first observes.
///
/// The first process to open a store, and the last to close it, remove it: nothing in it outlives its readers. Writers hold `WriteLock.Part.live`.
final class LiveBoard {
  /// Nobody who still reads is so late.
  private static let keptMilliseconds = 10_000

  private let path: String
  private let permissions: UInt32
  private let owner: OwnerID
  private var connection: Connection?

  /// The runs this process wants, each with the last chunk that was there when it began to.
  private var wanted: [ULID: Int] = [:]
  private var lastRead = 0
  /// Chunks that were there when it began to want their runs.
  private var early: [LiveChunk] = []
  private var versionAtRead = -1
  private var others: [(run: ULID, owner: OwnerID)] = []
  private var versionAtOthers = -1
  /// How many times more this process may begin or end to observe before the rows of dead processes are looked for again.
  private var changesUntilSweep = 0

  private let dataVersion = Statement("PRAGMA data_version")
  private let lastChunk = Statement("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'")
  private let addObserver = Statement("INSERT OR IGNORE INTO observers (run_id, owner) VALUES (?, ?)")
  private let removeObserver = Statement("DELETE FROM observers WHERE run_id = ? AND owner = ?")
  private let observers = Statement("SELECT run_id, owner FROM observers")
  private let observerCounts = Statement("SELECT owner, count(*) FROM observers GROUP BY owner")
  private let addChunk = Statement("INSERT INTO chunks (run_id, publisher, at, after, event) VALUES (?, ?, ?, ?, ?)")
  private let removeChunks = Statement("DELETE FROM chunks WHERE at < ?")
  private let earlyChunks = Statement("SELECT event, after FROM chunks WHERE run_id = ? AND after > ? AND publisher <> ? ORDER BY number")
  private let chunks = Statement("SELECT number, run_id, after, event FROM chunks WHERE number > ? AND publisher <> ? ORDER BY number")

  init(_ file: StoreFile, _ owner: OwnerID) {
    path = file.livePath
    permissions = file.permissions
    self.owner = owner
  }

  /// The caller is alone with the store.
  static func remove(at file: StoreFile) {
    for end in ["", "-wal", "-shm"] { _ = unsafe unlink(file.livePath + end) }
  }

  func close() {
    connection?.close(checkpoint: false)
    connection = nil
  }

  var isOpen: Bool { connection != nil && connection?.poison == nil }
  var exists: Bool { unsafe access(path, F_OK) == 0 }

  /// The caller holds the lock.
  @discardableResult func open(creating: Bool) throws(StoreError) -> Connection? {
    if let connection, connection.poison == nil { return connection }
    close()
    if creating {
      do throws(SystemError) {
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_EXCL, mode: permissions)
        _ = fchmod(file.rawValue, mode_t(permissions))
      } catch { guard error.errno == EEXIST else { throw .file(error, "\(path) cannot be created") } }
    } else if !exists {
      return nil
    }
    let opened = try Connection(file: path, path: path, busyMilliseconds: 1000)
    guard try opened.text("PRAGMA journal_mode = WAL") == "wal" else {
      throw StoreError(.unavailable, "\(path) cannot have a write-ahead log")
    }
    // Numbers are never used again, or a reader would miss what came after everything was pruned.
    try opened.execute(
      """
      PRAGMA synchronous = OFF; PRAGMA journal_size_limit = \(4 << 20);
      CREATE TABLE IF NOT EXISTS observers (run_id BLOB, owner INTEGER, PRIMARY KEY (run_id, owner)) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS chunks (
        number INTEGER PRIMARY KEY AUTOINCREMENT, run_id BLOB NOT NULL, publisher INTEGER NOT NULL, at INTEGER NOT NULL,
        after INTEGER NOT NULL, event BLOB NOT NULL);
      """)
    connection = opened
    (versionAtRead, versionAtOthers, changesUntilSweep) = (-1, -1, 0)
    return opened
  }

  /// The caller holds the lock.
  func observe(_ run: ULID, _ isWanted: Bool, after sequence: Int, isAlive: (OwnerID) -> Bool) throws(StoreError) {
    guard isWanted || wanted[run] != nil, let connection = try open(creating: isWanted) else { return }
    let last = try connection.int(lastChunk) ?? 0
    let dead = try deadObservers(connection, isAlive)
    try connection.transaction { (connection) throws(StoreError) in
      try connection.run(isWanted ? self.addObserver : self.removeObserver, .id(run), .int(self.owner.number))
      for owner in dead { try connection.execute("DELETE FROM observers WHERE owner = \(owner.number)") }
    }
    if wanted.isEmpty { lastRead = last }
    if isWanted, wanted[run] == nil { try takeEarly(run, after: sequence, connection) }
    wanted[run] = isWanted ? wanted[run] ?? last : nil
    if !isWanted { early.removeAll { $0.runID == run } }
  }

  /// The owners of rows that nobody needs any more, looked for seldom enough that a row is read once for each change, however many rows there are.
  private func deadObservers(_ connection: Connection, _ isAlive: (OwnerID) -> Bool) throws(StoreError) -> [OwnerID] {
    guard changesUntilSweep == 0 else {
      changesUntilSweep -= 1
      return []
    }
    var rows = try connection.rows(observerCounts)
    var owners: [OwnerID] = []
    while try rows.next() {
      owners.append(OwnerID(number: rows.int(0)))
      changesUntilSweep += rows.int(1)
    }
    return owners.filter { !isAlive($0) }
  }

  private func takeEarly(_ run: ULID, after sequence: Int, _ connection: Connection) throws(StoreError) {
    var rows = try connection.rows(earlyChunks, .id(run), .int(sequence), .int(owner.number))
    while try rows.next() {
      if let event = rows.bytes(0) { early.append(LiveChunk(runID: run, event: event, afterSequence: rows.int(1))) }
    }
  }

  /// Reads the observers only after another process has written.
  func observed(among runs: [ULID], isAlive: (OwnerID) -> Bool) throws(StoreError) -> Set<ULID> {
    guard let connection else { return [] }
    let version = try connection.int(dataVersion) ?? 0
    if version != versionAtOthers {
      others = try readObservers(connection).filter { $0.owner != owner }
      versionAtOthers = version
    }
    if others.isEmpty { return [] }
    let asked = Set(runs)
    var observed: Set<ULID> = []
    for other in others where asked.contains(other.run) && isAlive(other.owner) { observed.insert(other.run) }
    return observed
  }

  private func readObservers(_ connection: Connection) throws(StoreError) -> [(run: ULID, owner: OwnerID)] {
    var rows = try connection.rows(observers)
    var found: [(run: ULID, owner: OwnerID)] = []
    while try rows.next() {
      if let run = rows.ulid(0) { found.append((run, OwnerID(number: rows.int(1)))) }
    }
    return found
  }

  /// The caller holds the lock and has asked which runs are observed.
  func publish(_ chunks: [LiveChunk], at time: Int) throws(StoreError) {
    guard let connection = try open(creating: false) else { return }
    try connection.transaction { (connection) throws(StoreError) in
      try connection.run(self.removeChunks, .int(time - Self.keptMilliseconds))
      for chunk in chunks {
        try connection.run(
          self.addChunk, .id(chunk.runID), .int(self.owner.number), .int(time), .int(chunk.afterSequence), .bytes(chunk.event))
      }
    }
  }

  func read() throws(StoreError) -> [LiveChunk] {
    guard !wanted.isEmpty, let connection else { return [] }
    let version = try connection.int(dataVersion) ?? 0
    if version == versionAtRead, early.isEmpty { return [] }
    var rows = try connection.rows(chunks, .int(lastRead), .int(owner.number))
    var found = early
    early = []
    while try rows.next() {
      lastRead = rows.int(0)
      if let run = rows.ulid(1), let start = wanted[run], rows.int(0) > start, let event = rows.bytes(3) {
        found.append(LiveChunk(runID: run, event: event, afterSequence: rows.int(2)))
      }
    }
    versionAtRead = version
    return found
  }
}
