import AgentRuntime
import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import SQLiteStore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Two stores on one file: what two processes see of each other. Their locks and connections know nothing of being in one process.
@Suite struct SharingTests {
  private let folder: Folder

  init() throws { folder = try Folder() }

  @Test func `each sees what the other commits, and that it did`() throws {
    let (a, b) = (try folder.open(), try folder.open())
    _ = (try a.changedByOthers(), try b.changedByOthers())
    #expect(try (a.changedByOthers(), b.changedByOthers()) == (false, false))
    let summary = try StoreTrial(store: a).create(1)
    #expect(try (a.changedByOthers(), b.changedByOthers()) == (false, true))
    #expect(try (a.changedByOthers(), b.changedByOthers()) == (false, false))
    #expect(try b.summary(of: summary.runID) == summary)
    a.close()
    b.close()
  }

  /// The log is written in large pieces with the first, page by page with the second.
  @Test(arguments: [SQLiteStore.Synchronous.full, .normal], [0, 100, 100_000, 245_000, 3_000_000])
  func `what is committed is there for others at once, whatever its size`(synchronous: SQLiteStore.Synchronous, size: Int) throws {
    let a = try SQLiteStore.open(path: folder.database, synchronous: synchronous, wallClock: { 1 })
    let b = try SQLiteStore.open(path: folder.database, synchronous: synchronous, wallClock: { 1 })
    var summary = try StoreTrial(store: a).create(1)
    var blobs: [NewBlob] = []
    for number in 0..<8 {
      let (writer, reader) = number % 2 == 0 ? (a, b) : (b, a)
      let position = summary.lastPosition + 1
      let blob = NewBlob(id: T.id(UInt64(100 + number)), type: .json, value: T.pattern(size + number, seed: number))
      blobs.append(blob)
      let append = T.append([T.event(position, position, "{}")], to: &summary, blobs: [blob])
      #expect(try StoreTrial(store: writer).append(append) == .appended)
      #expect(try reader.summary(of: summary.runID) == summary)
      #expect(try reader.blobBytes(blob.id, offset: 0, length: .max) == blob.value)
      // A conflict is taken back, whatever of it is in the log.
      let refused = NewBlob(id: T.id(UInt64(200 + number)), type: .json, value: T.pattern(size))
      var stale = Append(expectedPosition: 1000, summary: summary, records: [T.event(1001, 1001, "{}")], blobs: [refused])
      stale.summary.lastPosition = 1001
      #expect(try StoreTrial(store: writer).append(stale) == .conflict)
    }
    a.close()
    let c = try folder.open()
    for blob in blobs {
      #expect(try b.blobBytes(blob.id, offset: 0, length: .max) == blob.value)
      #expect(try c.blobBytes(blob.id, offset: 0, length: .max) == blob.value)
    }
    b.close()
    c.close()
  }

  @Test func `of two appends at one position the first wins`() throws {
    let (a, b) = (try folder.open(), try folder.open())
    var left = try StoreTrial(store: a).create(1)
    var right = left
    let first = T.append([T.event(2, 2, "{\"a\":1}")], to: &left)
    let second = T.append([T.event(2, 2, "{\"b\":1}")], to: &right)
    #expect(try StoreTrial(store: b).append(second) == .appended)
    #expect(try StoreTrial(store: a).append(first) == .conflict)
    #expect(try a.records(of: T.id(1), after: 1, maxBytes: 100) == second.records)
    try b.delete(run: T.id(1))
    #expect(try StoreTrial(store: a).append(first) == .missing)
    a.close()
    b.close()
  }

  @Test func `a store that closed, or was dropped, lives no more, and leaves orphans`() throws {
    let watcher = try folder.open()
    let closed = try folder.open()
    var dropped: SQLiteStore? = try folder.open()
    let owners = [closed.owner, dropped!.owner]
    closed.keepLease(true)
    dropped!.keepLease(true)
    #expect(Set(owners + [watcher.owner]).count == 3)
    try StoreTrial(store: closed).create(1) { $0.owner = owners[0] }
    try StoreTrial(store: watcher).create(2) { $0.owner = owners[1] }
    #expect(owners.map { watcher.isAlive($0) } == [true, true])
    #expect(try watcher.orphans() == [])
    closed.close()
    #expect(owners.map { watcher.isAlive($0) } == [false, true])
    #expect(try watcher.orphans() == [T.id(1)])
    dropped = nil
    #expect(owners.map { watcher.isAlive($0) } == [false, false])
    #expect(try watcher.orphans() == [T.id(1), T.id(2)])
    watcher.close()
  }

  @Test func `appends of many threads, each with a store, are all there and in order`() throws {
    let done = Monitor(0)
    let failures = Monitor<[String]>([])
    try folder.open().close()
    for number in 1...4 as ClosedRange<UInt64> {
      try Thread.start(name: "writer") {
        do {
          let store = try folder.openPatiently()
          let trial = StoreTrial(store: store)
          var own = try trial.create(number)
          for _ in 0..<100 {
            try trial.change(&own)
            // One run that all write to: whoever loses loads and tries again.
            while try !self.addToShared(trial, by: number) {}
          }
          store.close()
        } catch { failures.update { $0.append("\(error)") } }
        done.update { $0 += 1 }
      }
    }
    try done.wait(for: "the end of the writers", minutes: 5) { $0 == 4 ? () : nil }
    #expect(failures.withLock { $0 } == [])
    let store = try folder.open()
    #expect(try store.positions(of: (1...4).map { T.id($0) }) == Dictionary(uniqueKeysWithValues: (1...4).map { (T.id($0), 101) }))
    let shared = try store.records(of: T.id(100), after: 0, maxBytes: 1 << 30)
    #expect(shared.map(\.position) == Array(1...400))
    for number in 1...4 { #expect(shared.count { $0.type == "by \(number)" } == 100) }
    store.close()
    let check = try Connection(file: folder.database, path: "check", busyMilliseconds: 0)
    #expect(try check.text("PRAGMA integrity_check") == "ok")
  }

  @Test func `while another process writes, appends and deletions wait, and reading and streaming go on`() throws {
    let store = try SQLiteStore.open(path: folder.database, busyMilliseconds: 20, wallClock: { 1 })
    let watcher = try folder.open()
    let trial = StoreTrial(store: store)
    var summary = try trial.create(1)
    try watcher.observe(T.id(1), true)
    let writer = try FileLock(path: folder.database + "-lock", mode: 0o600)
    #expect(try writer.tryLock(byte: 0))
    let locked = StoreError.locked(folder.database)
    let next = T.append([T.event(2, 2, "{}")], to: &summary)
    #expect(throws: locked) { try trial.append(next) }
    #expect(throws: locked) { try store.delete(run: T.id(1)) }
    #expect(throws: locked) { try store.appendToBlob(T.id(2), type: .json, chunk: Bytes("1"), last: true) }
    #expect(try store.positions(of: [T.id(1)]) == [T.id(1): 1])
    try store.publish([LiveChunk(runID: T.id(1), event: Bytes("text"))])
    #expect(try watcher.liveChunks() == [LiveChunk(runID: T.id(1), event: Bytes("text"))])
    writer.unlock(byte: 0)
    #expect(try trial.append(next) == .appended)
    store.close()
    watcher.close()
  }

  private func addToShared(_ trial: StoreTrial, by number: UInt64) throws -> Bool {
    var summary = try trial.store.summary(of: T.id(100)) ?? T.summary(100)
    let position = summary.lastPosition + 1
    let record = LogRecord(position: position, sequence: position, type: "by \(number)", event: T.pattern(position * 10), hidden: nil)
    return try trial.append(T.append([record], to: &summary)) == .appended
  }

  // A real second process, which knows the files and nothing else.

  private static let python: String? = {
    let places: [String] = ["/usr/bin/python3", "/usr/local/bin/python3"]
    return places.first { unsafe access($0, X_OK) == 0 }
  }()

  /// A program that has said "ready" and waits for its standard input to end.
  private final class Program {
    let process: ChildProcess
    private var input: FileDescriptor?

    init(_ text: String, _ argument: String) throws {
      let input = try FileDescriptor.pipe()
      let output = try FileDescriptor.pipe()
      process = try ChildProcess.spawn(
        [SharingTests.python!, "-c", text, argument], environment: ["PATH=/usr/bin:/bin"], stdin: .descriptor(input.readEnd.rawValue),
        stdout: .descriptor(output.writeEnd.rawValue))
      self.input = try input.writeEnd.duplicate()
      _ = consume input.writeEnd
      #expect(try output.readEnd.read(upTo: 100, for: "the program's word") == Array("ready\n".utf8))
    }

    func endInput() { input = nil }
  }

  @Test(.enabled(if: python != nil)) func `another process's owner is free the moment it is killed`() throws {
    let store = try folder.open()
    let owner = OwnerID(number: 12345)
    #expect(!store.isAlive(owner))
    let other = try Program(
      """
      import fcntl, struct, sys
      lock = open(sys.argv[1] + "-lock", "r+b")
      fcntl.fcntl(lock, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 16 + 12345, 1, 0))
      print("ready", flush=True)
      sys.stdin.read()
      """, folder.database)
    #expect(store.isAlive(owner))
    #expect(other.process.kill(SIGKILL))
    #expect(try other.process.wait(for: "the program's end") == .signal(SIGKILL))
    #expect(!store.isAlive(owner))
    store.close()
  }

  @Test(.enabled(if: python != nil)) func `a program that holds SQLite's own lock makes an append wait, fail and succeed later`() throws {
    let store = try SQLiteStore.open(path: folder.database, busyMilliseconds: 50, wallClock: { 1 })
    let trial = StoreTrial(store: store)
    var summary = try trial.create(1)
    let other = try Program(
      """
      import sqlite3, sys
      store = sqlite3.connect(sys.argv[1], isolation_level=None)
      store.execute("begin immediate")
      print("ready", flush=True)
      sys.stdin.read()
      """, folder.database)
    let next = T.append([T.event(2, 2, "{}")], to: &summary)
    #expect(throws: StoreError.locked(folder.database)) { try trial.append(next) }
    #expect(try store.positions(of: [T.id(1)]) == [T.id(1): 1])
    other.endInput()
    #expect(try other.process.wait(for: "the program's end") == .code(0))
    #expect(try trial.append(next) == .appended)
    store.close()
  }
}
