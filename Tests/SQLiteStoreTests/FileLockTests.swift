import POSIXSupport
import TestSupport
import Testing

@Suite struct FileLockTests {
  private let folder: Folder

  init() throws { folder = try Folder() }

  @Test func `a byte has one holder at a time, other bytes are free`() throws {
    let path = folder.path + "/lock"
    let a = try FileLock(path: path, mode: 0o600)
    let b = try FileLock(path: path, mode: 0o600)
    #expect(try a.tryLock(byte: 3))
    #expect(try a.tryLock(byte: 3))
    #expect(try !b.tryLock(byte: 3))
    #expect(try b.tryLock(byte: 1 << 52))
    #expect(try b.isLockedElsewhere(bytes: 3..<4))
    #expect(try !a.isLockedElsewhere(bytes: 0..<1 << 52))
    #expect(try a.isLockedElsewhere(bytes: 0..<1 << 53))
    a.unlock(byte: 3)
    #expect(try b.tryLock(byte: 3))
  }

  @Test func `waiting ends with the lock or with the time`() throws {
    let path = folder.path + "/lock"
    let a = try FileLock(path: path, mode: 0o600)
    let b = try FileLock(path: path, mode: 0o600)
    #expect(try a.tryLock(byte: 0))
    #expect(try !b.lock(byte: 0, timeoutMilliseconds: 5))
    let waiting = Monitor(false)
    let result = Monitor<Bool?>(nil)
    try Thread.start(name: "waiter") {
      let mine = try? FileLock(path: path, mode: 0o600)
      waiting.update { $0 = true }
      let taken = (try? mine?.lock(byte: 0, timeoutMilliseconds: 60_000)) ?? false
      result.update { $0 = taken }
    }
    try waiting.wait(for: "the other thread") { $0 ? () : nil }
    a.unlock(byte: 0)
    #expect(try result.wait(for: "the lock") { $0 } == true)
  }

  @Test func `the last descriptor takes the locks along`() throws {
    let path = folder.path + "/lock"
    let watcher = try FileLock(path: path, mode: 0o600)
    do {
      let other = try FileLock(path: path, mode: 0o600)
      #expect(try other.tryLock(byte: 7))
      #expect(try watcher.isLockedElsewhere(bytes: 7..<8))
    }
    #expect(try !watcher.isLockedElsewhere(bytes: 7..<8))
  }

  @Test func `a side file that was replaced is noticed`() throws {
    let path = folder.path + "/lock"
    let old = try FileLock(path: path, mode: 0o600)
    let before = old.isInPlace
    #expect(unsafe unlink(path) == 0)
    let without = old.isInPlace
    let new = try FileLock(path: path, mode: 0o600)
    let after = [old.isInPlace, new.isInPlace]
    #expect([before, without] + after == [true, false, false, true])
  }
}

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif
