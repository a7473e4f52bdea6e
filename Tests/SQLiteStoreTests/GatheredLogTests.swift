import CSQLite
import CSQLiteLog
import POSIXSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// SQLite with its log gathered, and what other connections to the same file then see.
@Suite struct GatheredLogTests {
  private let folder: Folder

  init() throws { folder = try Folder() }

  @safe private final class Connection {
    let database: OpaquePointer

    init(_ path: String) throws {
      var opened: OpaquePointer?
      #expect(
        unsafe sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, csqlitelog_vfs())
          == SQLITE_OK)
      unsafe database = unsafe opened!
      // A page of 1 KB and a cache of ten: what a transaction writes goes to the log long before its end.
      for sql in ["PRAGMA page_size = 1024", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA cache_size = 10"] {
        try run(sql)
      }
      try run("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b BLOB)")
      #expect(unsafe csqlitelog_gather(UnsafeMutableRawPointer(database)) == 1)
    }

    deinit { unsafe sqlite3_close_v2(database) }

    func result(_ sql: String) -> Int32 { unsafe sqlite3_exec(database, sql, nil, nil, nil) }

    func run(_ sql: String) throws { try #require(result(sql) == SQLITE_OK, "\(sql)") }

    /// So many rows of 600 bytes, in one statement.
    func insert(into table: String, _ rows: ClosedRange<Int>) throws {
      try run(
        """
        WITH RECURSIVE s(x) AS (SELECT \(rows.lowerBound) UNION ALL SELECT x + 1 FROM s WHERE x < \(rows.upperBound))
        INSERT INTO \(table) SELECT x, hex(zeroblob(300)), x FROM s
        """)
    }

    func text(_ sql: String) -> String {
      var statement: OpaquePointer?
      #expect(unsafe sqlite3_prepare_v2(database, sql, -1, &statement, nil) == SQLITE_OK)
      defer { unsafe sqlite3_finalize(statement) }
      #expect(unsafe sqlite3_step(statement) == SQLITE_ROW)
      return unsafe sqlite3_column_text(statement, 0).map { unsafe String(cString: $0) } ?? ""
    }

    /// So many rows of 2,000 bytes, each with `letter` in it.
    func insert(_ count: Int, _ letter: Character) throws {
      let text = String(repeating: letter, count: 2000)
      for _ in 0..<count { try run("INSERT INTO t (b) VALUES ('\(text)')") }
    }

    var letters: String { text("SELECT coalesce(group_concat(substr(b, 1, 1), ''), '') FROM t WHERE b = replace(b, ' ', '')") }
  }

  @Test(arguments: [1, 20, 50, 200]) func `what is taken back is never written over what another connection has committed since`(rows: Int)
    throws
  {
    let path = folder.database
    let a = try Connection(path)
    let b = try Connection(path)
    try a.insert(1, "0")
    for end in ["ROLLBACK", "an error", "ROLLBACK TO s; COMMIT"] {
      try a.run("BEGIN IMMEDIATE; SAVEPOINT s")
      try a.insert(rows, "x")
      // It sees its own.
      #expect(a.text("SELECT count(*) FROM t WHERE b LIKE 'x%'") == "\(rows)")
      // To look wrote what was gathered; this is gathered when the transaction ends.
      try a.insert(rows, "x")
      if end == "an error" {
        #expect(unsafe sqlite3_exec(a.database, "INSERT OR ROLLBACK INTO t VALUES (1, 'twice')", nil, nil, nil) != SQLITE_OK)
      } else {
        try a.run(end)
      }
      try b.insert(rows, "b")
      #expect(a.text("SELECT count(*) FROM t WHERE b LIKE 'x%'") == "0")
      try a.insert(1, "a")
      #expect(a.text("PRAGMA integrity_check") == "ok")
      #expect(b.text("PRAGMA integrity_check") == "ok")
    }
    #expect(a.letters == b.letters)
    #expect(a.letters.count == 1 + 3 * (rows + 1))
  }

  /// The first is read back from what is gathered, the statement ends for want of room, and its transaction goes on.
  @Test(arguments: 1...12) func `a transaction that goes on after a write without room has all of it or nothing`(failing: Int) throws {
    let path = folder.database
    let a = try Connection(path)
    try a.run("CREATE TABLE u (a INTEGER PRIMARY KEY, b BLOB, c UNIQUE)")
    try a.insert(into: "u", 1...100)
    try a.run("BEGIN IMMEDIATE")
    try a.insert(into: "u", 1001...1060)
    try FullDisk.on("\(path)-wal", write: failing) {
      let updated = a.result("UPDATE u SET c = c + 100000, b = b || 'y'")
      #expect(updated == SQLITE_OK || updated == SQLITE_FULL)
      let goesOn = unsafe sqlite3_get_autocommit(a.database) == 0
      let isCommitted = goesOn && a.result("COMMIT") == SQLITE_OK
      if unsafe sqlite3_get_autocommit(a.database) == 0 { try a.run("ROLLBACK") }
      let b = try Connection(path)
      #expect(b.text("PRAGMA integrity_check") == "ok")
      #expect(b.text("SELECT count(*) FROM u") == (isCommitted ? "160" : "100"))
      #expect(b.text("SELECT count(*) FROM u WHERE c > 100000") == (isCommitted && updated == SQLITE_OK ? "160" : "0"))
    }
  }

  @Test func `a connection that is closed in the middle of a transaction writes nothing any more`() throws {
    let path = folder.database
    let b = try Connection(path)
    try b.insert(1, "0")
    do {
      let a = try Connection(path)
      try a.run("BEGIN IMMEDIATE")
      try a.insert(100, "x")
    }
    try b.insert(100, "b")
    let c = try Connection(path)
    #expect(c.text("PRAGMA integrity_check") == "ok")
    #expect(c.letters == "0" + String(repeating: "b", count: 100))
  }
}

/// Has one of SQLite's writes to a file find no room on the disk, by SQLite's own way for tests (sqlite3_vfs.xSetSystemCall).
private enum FullDisk {
  private struct State {
    /// Whose writes are counted.
    var files: [File: (seen: Int, failing: Int)] = [:]
    var isInPlace = false
  }

  /// The number alone is that of other files on other file systems, too.
  private struct File: Hashable, Sendable {
    let device: UInt64
    let number: UInt64

    init(_ status: stat) {
      device = UInt64(status.st_dev)
      number = UInt64(status.st_ino)
    }
  }

  private static let state = Monitor(State())

  static func on(_ path: String, write number: Int, _ body: () throws -> Void) throws {
    var status = stat()
    try #require(unsafe stat(path, &status) == 0)
    let file = File(status)
    state.withLock { state in
      state.files[file] = (0, number)
      if !state.isInPlace { replaceCalls() }
      state.isInPlace = true
    }
    defer { state.withLock { $0.files[file] = nil } }
    try body()
  }

  private static func isToFail(_ descriptor: Int32) -> Bool {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { return false }
    let file = File(status)
    return state.withLock { state in
      guard var writes = state.files[file] else { return false }
      writes.seen += 1
      state.files[file] = writes
      return writes.seen == writes.failing
    }
  }

  private static func replaceCalls() {
    let write: @convention(c) (Int32, UnsafeRawPointer?, Int, off_t) -> Int = { descriptor, bytes, count, offset in
      if FullDisk.isToFail(descriptor) {
        errno = ENOSPC
        return -1
      }
      return unsafe pwrite(descriptor, bytes, count, offset)
    }
    guard let system = unsafe sqlite3_vfs_find(nil) else { return }
    for name in ["pwrite", "pwrite64"] {
      _ = unsafe system.pointee.xSetSystemCall(system, name, unsafeBitCast(write, to: sqlite3_syscall_ptr.self))
    }
  }
}
