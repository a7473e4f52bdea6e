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

/// Whether claims count: by the lock of a process, and by the stamp that it renews.
@Suite struct LeaseTests {
  private let folder: Folder

  init() throws { folder = try Folder() }

  /// Another process as the lock file shows it: it holds the lock of `owner`, and its slot, if it has one, says `stamp`.
  private func pretend(_ owner: OwnerID, stamp: Int?) throws -> FileLock {
    let lock = try FileLock(path: folder.database + "-lock", mode: 0o600)
    #expect(try lock.tryLock(byte: 16 + owner.number))
    guard let stamp else { return lock }
    let file = try FileDescriptor.open(folder.database + "-lock", O_RDWR)
    let words = [owner.number.littleEndian, stamp.littleEndian]
    // Behind the slots of the stores that are open.
    let count = unsafe words.withUnsafeBytes { unsafe pwrite(file.rawValue, $0.baseAddress, $0.count, 160) }
    #expect(count == 16)
    return lock
  }

  @Test(arguments: [0, 1, 2000, 4000]) func `claims count while the stamp is young`(age: Int) throws {
    let store = try folder.open()
    let other = OwnerID(number: 4711)
    #expect(!store.isAlive(other) && store.leaseLeft(of: other) == 0)
    let lock = try pretend(other, stamp: Clock.monotonicMilliseconds() - age)
    #expect(store.isAlive(other))
    let left = try #require(store.leaseLeft(of: other))
    #expect(left <= Lease.milliseconds - age)
    _ = consume lock
    #expect(!store.isAlive(other))
  }

  @Test func `claims of a process that holds its lock do not count when its stamp is old`() throws {
    let store = try folder.open()
    let other = OwnerID(number: 4711)
    let lock = try pretend(other, stamp: max(1, Clock.monotonicMilliseconds() - Lease.milliseconds))
    #expect(!store.isAlive(other) && store.leaseLeft(of: other) == 0)
    try StoreTrial(store: store).create(1) { $0.owner = other }
    #expect(try store.orphans() == [T.id(1)])
    // It wakes.
    _ = try pretendAgain(other)
    #expect(store.isAlive(other))
    #expect(try store.orphans() == [])
    _ = consume lock
  }

  @Test func `a lease whose thread could not be made lasts with the lock, and the next one has a thread`() throws {
    let path = folder.path + "/lock"
    _ = try FileDescriptor.open(path, O_RDWR | O_CREAT)
    let attempts = Monitor(0)
    let board = try LeaseBoard(
      lockFile: path, own: OwnerID(number: 7),
      startThread: { (body) throws(SystemError) in
        let attempt = attempts.withLock { count in
          count += 1
          return count
        }
        if attempt == 1 { throw SystemError(call: "pthread_create", errno: EAGAIN) }
      }, hasOpen: { _ in false })
    board.keep(true)
    #expect(board.left(of: OwnerID(number: 7)) == Lease.milliseconds)
    board.keep(false)
    #expect(board.left(of: OwnerID(number: 7)) == 0)
    for _ in 0..<3 { board.keep(true) }
    #expect(attempts.withLock { $0 } == 2)
  }

  private func pretendAgain(_ owner: OwnerID) throws {
    let file = try FileDescriptor.open(folder.database + "-lock", O_RDWR)
    let words = [owner.number.littleEndian, Clock.monotonicMilliseconds().littleEndian]
    #expect(unsafe words.withUnsafeBytes { unsafe pwrite(file.rawValue, $0.baseAddress, $0.count, 160) } == 16)
  }

  @Test(arguments: [nil, Int.max] as [Int?]) func `one that does not say is judged by its lock alone`(stamp: Int?) throws {
    let store = try folder.open()
    let other = OwnerID(number: 4711)
    let lock = try pretend(other, stamp: stamp)
    #expect(store.isAlive(other))
    if stamp != Int.max { #expect(store.leaseLeft(of: other) == nil) }
    _ = consume lock
    #expect(!store.isAlive(other))
  }

  @Test func `a store shows that it is at work while it keeps its lease, and keeps its slot`() throws {
    let watcher = try folder.open()
    let store = try folder.open()
    // It holds no claims, whatever a log says.
    #expect(watcher.leaseLeft(of: store.owner) == 0 && !watcher.isAlive(store.owner))
    store.keepLease(true)
    let first = try #require(watcher.leaseLeft(of: store.owner))
    #expect(first > 0 && first <= Lease.milliseconds)
    store.keepLease(false)
    #expect(watcher.leaseLeft(of: store.owner) == 0 && !watcher.isAlive(store.owner))
    store.keepLease(true)
    store.close()
    #expect(watcher.leaseLeft(of: store.owner) == 0)
    // Its slot is free for the next one.
    let size = try fileSize()
    for _ in 0..<5 { try folder.open().close() }
    #expect(try fileSize() == size)
    watcher.close()
  }

  private func fileSize() throws -> Int {
    var status = stat()
    #expect(unsafe stat(folder.database + "-lock", &status) == 0)
    return Int(status.st_size)
  }
}
