import AgentRuntime
import POSIXSupport
import TestSupport
import Testing

@testable import SQLiteStore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct OpenErrorTests {
  private let folder: Folder

  init() throws { folder = try Folder() }

  private func write(_ text: String, to name: String = "runs.db") throws {
    try FileDescriptor.open(folder.path + "/" + name, O_CREAT | O_RDWR | O_TRUNC).writeAll(text)
  }

  /// The error without the test's own folder in it.
  private func error(_ name: String = "runs.db", busyMilliseconds: Int = 50) -> StoreError? {
    do throws(StoreError) {
      try SQLiteStore.open(path: folder.path + "/" + name, busyMilliseconds: busyMilliseconds, wallClock: { 1 }).close()
      return nil
    } catch {
      let message = error.message.split(separator: folder.path, omittingEmptySubsequences: false).joined(separator: "DIR")
      return StoreError(error.code, message)
    }
  }

  private func makeDatabase(_ sql: String) throws {
    try write("")
    let connection = try Connection(file: folder.database, path: folder.database, busyMilliseconds: 0)
    try connection.execute(sql)
    connection.close(checkpoint: true)
  }

  @Test func `a file that is no database`() throws {
    for text in ["hello, I am a letter\n", String(repeating: "garbage ", count: 10_000)] {
      try write(text)
      #expect(error() == StoreError(.unavailable, "DIR/runs.db is not an SQLite database; name another file, or move this one away"))
      #expect(try FileReading.contents(of: folder.database) == Array(text.utf8))
    }
  }

  @Test func `a database whose rest is missing`() throws {
    try folder.open().close()
    #expect(unsafe truncate(folder.database, 5000) == 0)
    #expect(unsafe unlink(folder.database + "-wal") == 0)
    let found = error()
    #expect(found?.code == .unavailable)
    #expect(found?.message.hasPrefix("DIR/runs.db is damaged (SQLite error ") == true, "\(String(describing: found))")
  }

  @Test("a database of another program", arguments: ["CREATE TABLE t (a)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"])
  func foreign(sql: String) throws {
    try makeDatabase(sql)
    let before = try FileReading.contents(of: folder.database)
    #expect(error() == StoreError(.unavailable, "DIR/runs.db is another program's SQLite database; name another file"))
    #expect(try FileReading.contents(of: folder.database) == before)
  }

  @Test func `a store of a newer version`() throws {
    try makeDatabase("PRAGMA application_id = \(Schema.applicationID); PRAGMA user_version = 99; CREATE TABLE t (a)")
    #expect(
      error()
        == StoreError(
          .newer, "DIR/runs.db has store version 99, this program knows up to \(Schema.version); use a newer one, or another file"))
  }

  @Test func `names that cannot be a store`() throws {
    #expect(unsafe mkdir(folder.database, 0o700) == 0)
    #expect(error() == StoreError(.unavailable, "DIR/runs.db is a folder; name a file in it"))
    #expect(unsafe mkfifo(folder.path + "/pipe", 0o600) == 0)
    #expect(error("pipe") == StoreError(.unavailable, "DIR/pipe is not a regular file"))
    try write("", to: "file")
    #expect(error("file/runs.db") == StoreError(.unavailable, "DIR/file/runs.db: Not a directory"))
    #expect(unsafe symlink("missing/target", folder.path + "/link") == 0)
    #expect(error("link") == StoreError(.unavailable, "DIR/link: No such file or directory"))
    #expect(unsafe symlink("loop", folder.path + "/loop") == 0)
    #expect(error("loop") == StoreError(.unavailable, "DIR/loop: Too many levels of symbolic links"))
    #expect(error(String(repeating: "n", count: 300)) != nil)
    #expect(throws: StoreError(.unavailable, "the store has no file name")) { try SQLiteStore.open(path: "", wallClock: { 1 }) }
  }

  @Test func `a file that may not be written`() throws {
    try folder.open().close()
    #expect(unsafe chmod(folder.path, 0o777) == 0)
    for (mode, name) in [(0o444, "Permission denied"), (0o222, "Permission denied"), (0, "Permission denied")] as [(mode_t, String)] {
      #expect(unsafe chmod(folder.database, mode) == 0)
      let found = try onOwnThread {
        PerThread.dropRights()
        return error()
      }
      #expect(found == StoreError(.unavailable, "DIR/runs.db cannot be read and written: \(name)"))
    }
  }

  @Test func `a folder that may not be written`() throws {
    #expect(unsafe chmod(folder.path, 0o555) == 0)
    let fresh = try onOwnThread {
      PerThread.dropRights()
      return [error(), error("deep/er/runs.db")]
    }
    #expect(
      fresh == [
        StoreError(.unavailable, "DIR/runs.db cannot be created: Permission denied"),
        StoreError(.unavailable, "DIR/deep/er/runs.db: the folder DIR/deep cannot be created: Permission denied"),
      ])
    #expect(unsafe chmod(folder.path, 0o755) == 0)
    try write("")
    #expect(unsafe chmod(folder.database, 0o666) == 0)
    #expect(unsafe chmod(folder.path, 0o555) == 0)
    let existing = try onOwnThread {
      PerThread.dropRights()
      return error()
    }
    #expect(
      existing
        == StoreError(.unavailable, "DIR/runs.db: its lock file DIR/runs.db-lock cannot be used: Permission denied"))
    #expect(unsafe chmod(folder.path, 0o755) == 0)
    try write("", to: "runs.db-lock")
    #expect(unsafe chmod(folder.database + "-lock", 0o666) == 0)
    #expect(unsafe chmod(folder.path, 0o555) == 0)
    let lockable = try onOwnThread {
      PerThread.dropRights()
      return error()
    }
    #expect(
      lockable
        == StoreError(.unavailable, "DIR/runs.db cannot be written: it, its folder or its file system is read-only; make it writable"))
    #expect(unsafe chmod(folder.path, 0o700) == 0)
  }

  @Test func `a store that another process keeps locked, and that is free later`() throws {
    try folder.open().close()
    let stuck = try FileLock(path: folder.database + "-lock", mode: 0o600)
    #expect(try stuck.tryLock(byte: 0))
    let locked = StoreError(.unavailable, "DIR/runs.db is locked by another program for too long; try again, or end that program")
    #expect(error() == locked)
    stuck.unlock(byte: 0)
    #expect(error() == nil)
    // A program that knows nothing of the lock file, as SQLite's shell.
    let shell = try Connection(file: folder.database, path: "shell", busyMilliseconds: 0)
    try shell.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE x (y)")
    #expect(error() == locked)
    try shell.execute("ROLLBACK")
    shell.close(checkpoint: false)
    #expect(error() == nil)
  }

  @Test(.enabled(if: PerThread.canMount)) func `a disk without room`() throws {
    let found = try onOwnThread {
      #expect(PerThread.mountSmallDisk(at: folder.path, size: "24k"))
      return error()
    }
    #expect(found?.code == .full, "\(String(describing: found))")
    #expect(found?.message.hasPrefix("DIR/runs.db") == true)
  }

  @Test(.enabled(if: PerThread.canMount)) func `a file system that is read-only`() throws {
    let found = try onOwnThread {
      #expect(PerThread.mountSmallDisk(at: folder.path, size: "2m"))
      #expect(error() == nil)
      #expect(PerThread.makeReadOnly(folder.path))
      return [error(), error("new.db"), error("new/runs.db")]
    }
    #expect(
      found == [
        StoreError(.unavailable, "DIR/runs.db cannot be read and written: Read-only file system"),
        StoreError(.unavailable, "DIR/new.db cannot be created: Read-only file system"),
        StoreError(.unavailable, "DIR/new/runs.db: the folder DIR/new cannot be created: Read-only file system"),
      ])
  }
}
