import AgentRuntime
import CSQLite
import CSQLiteLog
import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One connection to one database file, with its prepared statements.
///
/// Used by one thread at a time: opened without SQLite's mutex.
@safe final class Connection {
  /// As the user named it, for messages.
  let path: String
  /// nil once closed; the store has dropped the connection by then.
  private var database: OpaquePointer?
  private var prepared: [Statement] = []
  private let begin = Statement("BEGIN IMMEDIATE")
  private let commit = Statement("COMMIT")
  /// The first failure after which nothing may be believed; kept until the connection is replaced.
  private(set) var poison: StoreError?
  /// Called while the lock is held under which it was tried.
  var whenSyncFails: () -> Void = {}
  /// nil where there is none to watch.
  private var log: FileIdentity?
  private var logDescriptor: FileDescriptor?
  /// What is in the log can still be read here, and nowhere else.
  private(set) var hasLostLog = false
  /// The file whose log is all in the database, when nobody else has it open.
  var leavesLogEmptyOf: StoreFile?

  /// Refused when another part of the program has used SQLite before; then it costs some memory.
  private static let takesPagesOneByOne = csqlite_take_pages_one_by_one() == SQLITE_OK

  /// - Parameters:
  ///   - file: what SQLite opens; it must exist, or be `:memory:`.
  ///   - busyMilliseconds: how long to wait for programs that lock the file without the store's own lock.
  init(file: String, path: String, busyMilliseconds: Int) throws(StoreError) {
    _ = Self.takesPagesOneByOne
    var opened: OpaquePointer?
    let result = unsafe sqlite3_open_v2(file, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, csqlitelog_vfs())
    guard let database = unsafe opened else { throw StoreError(.unavailable, "\(path): out of memory") }
    unsafe sqlite3_extended_result_codes(database, 1)
    guard result == SQLITE_OK else {
      let call = unsafe sqlite3_system_errno(database)
      unsafe sqlite3_close_v2(database)
      throw .sqlite(result, path: path, doing: "opening", systemErrno: call)
    }
    self.path = path
    unsafe self.database = unsafe database
    unsafe sqlite3_busy_timeout(database, Int32(busyMilliseconds))
  }

  deinit { close(checkpoint: false) }

  /// Closes, with the checkpoint of the last connection if asked; a poisoned connection never touches the file again.
  func close(checkpoint: Bool) {
    guard let database = unsafe database else { return }
    #if FOOTBRIDGE_BROKEN
      try? commitLate()
    #endif
    finalizeStatements()
    if !checkpoint || poison != nil { unsafe csqlite_skip_checkpoint_on_close(database) }
    unsafe sqlite3_close_v2(database)
    unsafe self.database = nil
    if let file = leavesLogEmptyOf, let log = logDescriptor?.rawValue { LogFile.empty(log, of: file) }
  }

  private func finalizeStatements() {
    for statement in prepared { statement.finalize() }
    prepared.removeAll()
  }

  /// The error for a result, remembering it when it poisons.
  func failure(_ result: Int32, doing what: String) -> StoreError {
    let call = unsafe sqlite3_system_errno(database)
    let error = StoreError.sqlite(result, path: path, doing: what, systemErrno: call)
    if poison == nil, StoreError.poisons(result, systemErrno: call) { poison = error }
    if result == ioErrorSync { whenSyncFails() }
    return error
  }

  /// The error of a file that was taken away.
  func lost(_ path: String) -> StoreError {
    let error = StoreFile.takenAway(path)
    if poison == nil { poison = error }
    return error
  }

  private func handle(of statement: Statement) throws(StoreError) -> OpaquePointer {
    if let handle = unsafe statement.handle { return unsafe handle }
    if let poison { throw poison }
    var handle: OpaquePointer?
    let result = unsafe sqlite3_prepare_v3(database, statement.sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
    guard result == SQLITE_OK, let handle = unsafe handle else { throw failure(result, doing: "reading the schema") }
    unsafe statement.keep(handle)
    prepared.append(statement)
    return unsafe handle
  }

  /// Runs a statement that answers no rows.
  func run(_ statement: Statement, _ values: SQLValue...) throws(StoreError) {
    let handle = try unsafe handle(of: statement)
    let result = unsafe Self.step(handle, values, from: 0)
    unsafe sqlite3_reset(handle)
    unsafe sqlite3_clear_bindings(handle)
    guard result == SQLITE_DONE || result == SQLITE_ROW else { throw failure(result, doing: "writing") }
  }

  /// Binds from `index` on and steps inside all the closures, so that big values are bound without a copy.
  private static func step(_ handle: OpaquePointer, _ values: [SQLValue], from index: Int) -> Int32 {
    guard index < values.count else { return unsafe sqlite3_step(handle) }
    if case .bytes(let bytes) = values[index] {
      return unsafe bytes.withUnsafeBytes { raw in
        let result = unsafe sqlite3_bind_blob64(handle, Int32(index + 1), raw.baseAddress, UInt64(raw.count), nil)
        return result == SQLITE_OK ? unsafe step(handle, values, from: index + 1) : result
      }
    }
    let result = unsafe values[index].bind(to: handle, at: Int32(index + 1))
    return result == SQLITE_OK ? unsafe step(handle, values, from: index + 1) : result
  }

  /// The rows of a query, one after another.
  func rows(_ statement: Statement, _ values: SQLValue...) throws(StoreError) -> Rows {
    try rows(statement, values)
  }

  func rows(_ statement: Statement, _ values: [SQLValue]) throws(StoreError) -> Rows {
    let handle = try unsafe handle(of: statement)
    for (index, value) in values.enumerated() {
      let result = unsafe value.bind(to: handle, at: Int32(index + 1))
      guard result == SQLITE_OK else { throw failure(result, doing: "reading") }
    }
    return unsafe Rows(handle, of: self)
  }

  /// The integer in the first column of the first row; nil without a row.
  func int(_ statement: Statement, _ values: SQLValue...) throws(StoreError) -> Int? {
    var rows = try rows(statement, values)
    return try rows.next() ? rows.int(0) : nil
  }

  /// One transaction: all of `body` or nothing. The caller holds the write lock.
  ///
  /// - Parameters:
  ///   - isBig: leaves out the checkpoint that would be part of the commit.
  ///   - meanwhile: called at most once, when the commit waits for the disk; it must not use the connection.
  func transaction<T>(isBig: Bool = false, meanwhile: (() -> Void)? = nil, _ body: (Connection) throws(StoreError) -> T) throws(StoreError)
    -> T
  {
    #if FOOTBRIDGE_BROKEN
      try commitLate()
    #endif
    try run(begin)
    do throws(StoreError) {
      if hasMoved { throw lost(path) }
      if logHasMoved {
        hasLostLog = true
        throw lost("\(path)-wal")
      }
      let result = try body(self)
      #if FOOTBRIDGE_BROKEN
        if Broken.skipsCommit { rollBack() }
        if unsafe sqlite3_get_autocommit(database) != 0 || Broken.acknowledgement.isChosen { return result }
      #endif
      if isBig { unsafe sqlite3_wal_autocheckpoint(database, 0) }
      defer { if isBig { setAutocheckpoint() } }
      if let meanwhile { try commit(meanwhile) } else { try run(commit) }
      return result
    } catch {
      // After some errors SQLite has rolled back already: https://sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction
      rollBack()
      throw error
    }
  }

  private func commit(_ meanwhile: @escaping () -> Void) throws(StoreError) {
    let context = unsafe Unmanaged.passRetained(Meanwhile(work: meanwhile))
    defer { unsafe context.release() }
    let database = unsafe UnsafeMutableRawPointer(database)
    unsafe csqlitelog_meanwhile(database, { unsafe Unmanaged<Meanwhile>.fromOpaque($0!).takeUnretainedValue().work() }, context.toOpaque())
    // A commit that does not sync has not called it.
    defer { unsafe csqlitelog_meanwhile(database, nil, nil) }
    try run(commit)
  }

  private final class Meanwhile {
    let work: () -> Void
    init(work: @escaping () -> Void) { self.work = work }
  }

  #if FOOTBRIDGE_BROKEN
    /// What `Broken.acknowledgement` has left open.
    func commitLate() throws(StoreError) {
      if unsafe sqlite3_get_autocommit(database) == 0 { try run(commit) }
    }
  #endif

  /// Ends a transaction, if there is one. Of its own failure nothing can be told that the error before it does not tell.
  func rollBack() {
    if unsafe sqlite3_get_autocommit(database) == 0 { unsafe sqlite3_exec(database, "ROLLBACK", nil, nil, nil) }
  }

  /// Runs statements that are used once.
  func execute(_ sql: String, doing what: String = "preparing the database") throws(StoreError) {
    if let poison { throw poison }
    let result = unsafe sqlite3_exec(database, sql, nil, nil, nil)
    guard result == SQLITE_OK else { throw failure(result, doing: what) }
  }

  /// The first column of the first row of a statement that is used once.
  func text(_ sql: String) throws(StoreError) -> String {
    let statement = Statement(sql)
    defer { forget(statement) }
    var rows = try rows(statement)
    return try rows.next() ? rows.text(0) ?? "" : ""
  }

  func integer(_ sql: String) throws(StoreError) -> Int { Int(try text(sql)) ?? 0 }

  /// Finalizes a statement that will not be used again.
  func forget(_ statement: Statement) {
    statement.finalize()
    prepared.removeAll { $0 === statement }
  }

  var isReadOnly: Bool { unsafe sqlite3_db_readonly(database, "main") == 1 }
  /// How many rows the last statement changed.
  var changedRows: Int { Int(unsafe sqlite3_changes(database)) }
  var lastInsertedRow: Int { Int(unsafe sqlite3_last_insert_rowid(database)) }

  /// Whether the path names another file, or none, since this connection opened it.
  var hasMoved: Bool {
    var moved: Int32 = 0
    let result = unsafe sqlite3_file_control(database, "main", SQLITE_FCNTL_HAS_MOVED, &moved)
    return result == SQLITE_OK && moved != 0
  }

  /// The same for the write-ahead log, of which SQLite does not look: it would go on writing into a file without a name.
  private var logHasMoved: Bool { log.map { $0 != FileIdentity(of: $0.path) } ?? false }

  /// Remembers which file the log is; SQLite has opened it by now, and keeps it.
  func watchLog(_ path: String) {
    log = FileIdentity(of: path)
    // No lock of SQLite's is on this file, which closing it would drop.
    logDescriptor = try? FileDescriptor.open(path, O_RDWR)
    unsafe csqlitelog_begin_early(UnsafeMutableRawPointer(database), logDescriptor?.rawValue ?? -1)
  }

  /// Keeps the `-wal` file when the last connection closes.
  func keepLogFile() {
    var on: Int32 = 1
    unsafe sqlite3_file_control(database, "main", SQLITE_FCNTL_PERSIST_WAL, &on)
  }

  /// Makes the writes of a commit one. Nothing else would bring them into the file before others are told of the commit, so it is only for a
  /// connection that syncs each: SQLite is asked whether this one does.
  func gatherLogWrites() throws(StoreError) {
    guard try integer("PRAGMA synchronous") >= 2 else { return }
    _ = unsafe csqlitelog_gather(UnsafeMutableRawPointer(database))
  }

  func setAutocheckpoint() { unsafe sqlite3_wal_autocheckpoint(database, Int32(Self.checkpointPages)) }

  /// Copies what it can of the log into the database; where it fails, the next one goes on. Answers how many pages are in the log, and how many of
  /// these in the database.
  @discardableResult func checkpoint(_ mode: Int32) -> (inLog: Int, inDatabase: Int)? {
    var (all, copied): (Int32, Int32) = (0, 0)
    guard unsafe sqlite3_wal_checkpoint_v2(database, nil, mode, &all, &copied) == SQLITE_OK else { return nil }
    return (Int(all), Int(copied))
  }

  func setBusyTimeout(milliseconds: Int) { unsafe sqlite3_busy_timeout(database, Int32(milliseconds)) }
}
