import AgentRuntime
import CSQLite

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension Connection {
  /// Every so many pages of the log one commit copies them into the database: 8 MB.
  static let checkpointPages = 1000
  /// What the log may keep on the disk when it starts again: room for the above. More came from a big transaction.
  private static let logBytes = 16 << 20

  /// Opens a store's file, sets it up and brings it to this version. The caller holds the write lock.
  static func open(
    _ file: StoreFile, synchronous: SQLiteStore.Synchronous, busyMilliseconds: Int, whenSyncFails: @escaping () -> Void
  ) throws(StoreError) -> Connection {
    let connection = try Connection(file: file.realPath, path: file.path, busyMilliseconds: busyMilliseconds)
    connection.whenSyncFails = whenSyncFails
    // SQLite opens what it may not write for reading, without a word.
    if connection.isReadOnly { throw StoreError(.unavailable, "\(file.path) cannot be written: it or its file system is read-only") }
    // The first statement that reads: here a file that is no database shows.
    let pages = try connection.integer("PRAGMA page_count")
    if pages == 0 { try connection.execute("PRAGMA page_size = \(Schema.pageSize)") }
    // Before the file is changed in any way.
    try Schema.checkOwnership(connection)
    let mode = try connection.text("PRAGMA journal_mode = WAL")
    guard mode == "wal" else {
      throw StoreError(
        .unavailable, "\(file.path) cannot have a write-ahead log (journal mode \(mode)); put it on a local disk of this machine")
    }
    connection.keepLogFile()
    connection.setAutocheckpoint()
    try connection.execute(
      """
      PRAGMA synchronous = \(synchronous.rawValue);
      PRAGMA fullfsync = \(synchronous == .full ? 1 : 0);
      PRAGMA checkpoint_fullfsync = \(synchronous == .full ? 1 : 0);
      PRAGMA journal_size_limit = \(logBytes);
      PRAGMA temp_store = MEMORY;
      PRAGMA trusted_schema = OFF;
      PRAGMA secure_delete = FAST;
      """)
    #if FOOTBRIDGE_BROKEN
      if Broken.sync.isChosen { try connection.execute("PRAGMA synchronous = OFF") }
    #endif
    try Schema.migrate(connection)
    // The log is open by now.
    try connection.gatherLogWrites()
    connection.watchLog(file.realPath + "-wal")
    return connection
  }

  /// Has the log left as long as it is and empty when this is closed, for the process that comes next; the caller is alone with the file.
  ///
  /// A commit into a log that grows takes half as long again as one into a log that has its size, so the file should stay. But what it holds is in the
  /// database: the next opening would read it for nothing, 5 us for each page, and lay it over a copy that somebody has put in the database's place.
  func rewindLog(of file: StoreFile) {
    guard poison == nil else { return }
    setBusyTimeout(milliseconds: 100)
    guard let pages = checkpoint(SQLITE_CHECKPOINT_RESTART), pages.inLog == pages.inDatabase else { return }
    var status = stat()
    // A longer one came from a big transaction: SQLite empties it when it closes.
    guard unsafe stat(file.realPath + "-wal", &status) == 0, status.st_size <= Self.logBytes else { return }
    do throws(StoreError) { try execute("PRAGMA journal_size_limit = -1") } catch { return }
    leavesLogEmptyOf = file
  }
}
