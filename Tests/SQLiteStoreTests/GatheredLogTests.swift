import CSQLite
import CSQLiteLog
import Testing

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

    func run(_ sql: String) throws { try #require(unsafe sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK, "\(sql)") }

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
