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

@Suite struct FailureTests {
  private let folder: Folder

  init() throws { folder = try Folder() }

  private func code(_ body: () throws -> Void) -> StoreError.Code? {
    do { try body() } catch { return (error as? StoreError)?.code }
    return nil
  }

  private func big(_ summary: inout RunSummary, _ bytes: Int) -> Append {
    let position = summary.lastPosition + 1
    return T.append([LogRecord(position: position, sequence: position, type: "t", event: T.pattern(bytes), hidden: nil)], to: &summary)
  }

  @Test func `a full store refuses the whole batch, and takes it when there is room`() throws {
    let store = try folder.open()
    let trial = StoreTrial(store: store)
    var (first, second) = (try trial.create(1), try trial.create(2))
    let before = (first, second)
    let connection = try store.ready()
    let pages = try connection.integer("PRAGMA page_count")
    try connection.execute("PRAGMA max_page_count = \(pages + 2)")
    let batch = [T.append([T.event(2, 2, "{}")], to: &first), big(&second, 100_000)]
    #expect(throws: StoreError.diskFull(folder.database)) { try trial.submit(batch) }
    #expect(try store.summary(of: T.id(1)) == before.0)
    #expect(try store.summary(of: T.id(2)) == before.1)
    #expect(code { _ = try store.appendToBlob(T.id(3), type: .json, chunk: T.pattern(100_000), last: true) } == .full)
    #expect(try store.blob(T.id(3)) == nil)
    try connection.execute("PRAGMA max_page_count = 1000000")
    #expect(try trial.submit(batch) == [.appended, .appended])
    #expect(try store.positions(of: [T.id(1), T.id(2)]) == [T.id(1): 2, T.id(2): 2])
    store.close()
  }

  @Test(.enabled(if: PerThread.canMount)) func `a full disk refuses and recovers`() throws {
    try onOwnThread {
      #expect(PerThread.mountSmallDisk(at: folder.path, size: "3m"))
      let store = try folder.open()
      let trial = StoreTrial(store: store)
      var summary = try trial.create(1)
      let filling = try FileDescriptor.open(folder.path + "/other", O_CREAT | O_RDWR)
      #expect(throws: SystemError(call: "write", errno: ENOSPC)) { try filling.writeAll(String(repeating: "x", count: 4 << 20)) }
      let before = summary
      let append = big(&summary, 200_000)
      for _ in 0..<3 { #expect(throws: StoreError.diskFull(folder.database)) { try trial.append(append) } }
      #expect(try store.summary(of: T.id(1)) == before)
      #expect(ftruncate(filling.rawValue, 0) == 0)
      #expect(try trial.append(append) == .appended)
      #expect(try store.records(of: T.id(1), after: 1, maxBytes: 1 << 20) == append.records)
      store.close()
    }
  }

  @Test func `a run and a store have an end, and say so`() throws {
    let store = try folder.open()
    let trial = StoreTrial(store: store)
    var summary = try trial.create(1)
    try store.ready().execute("UPDATE runs SET last_position = 16777214")
    summary.lastPosition = 16_777_214
    try trial.change(&summary)
    let beyond = big(&summary, 10)
    #expect(
      throws: StoreError(.full, "\(folder.database): run \(T.id(1)) has 16777215 records, the most a run can have")
    ) { try trial.append(beyond) }
    #expect(try store.records(of: T.id(1), after: 16_777_214, maxBytes: 100).map(\.position) == [16_777_215])
    store.close()
  }

  @Test func `after damage every call fails until the store is opened again`() throws {
    let store = try folder.open()
    let trial = StoreTrial(store: store)
    var summary = try trial.create(1)
    for _ in 0..<10 { #expect(try trial.append(big(&summary, 1000)) == .appended) }
    let owner = store.owner
    store.close()
    // All of it is in the database now, and must be read from there.
    #expect(unsafe unlink(folder.database + "-wal") == 0)
    let sound = try FileReading.contents(of: folder.database)
    var damaged = sound
    for at in sound.count - Schema.pageSize..<sound.count { damaged[at] = 0xAA }
    func write(_ bytes: [UInt8]) throws {
      let file = try FileDescriptor.open(folder.database, O_WRONLY)
      try unsafe bytes.withUnsafeBytes { try unsafe file.writeAll($0) }
    }
    try write(damaged)
    let broken = try folder.open()
    let number = broken.owner
    #expect(number != owner)
    let failures = [
      code { _ = try broken.records(of: T.id(1), after: 0, maxBytes: 1 << 20) }, code { _ = try broken.summary(of: T.id(9)) },
      code { _ = try StoreTrial(store: broken).create(5) }, code { _ = try broken.changedByOthers() }, code { _ = try broken.orphans() },
      code { _ = try broken.observe(T.id(1), true) },
    ]
    #expect(failures == Array(repeating: .unavailable, count: 6))
    #expect(broken.isAlive(number))
    try write(sound)
    try broken.reopen()
    #expect(broken.owner == number)
    #expect(try broken.changedByOthers())
    #expect(try broken.summary(of: T.id(1)) == summary)
    #expect(try StoreTrial(store: broken).append(big(&summary, 10)) == .appended)
    broken.close()
  }

  @Test func `a file that was taken away is noticed before anything is promised`() throws {
    let store = try folder.open()
    let trial = StoreTrial(store: store)
    var summary = try trial.create(1)
    #expect(unsafe rename(folder.database, folder.path + "/elsewhere") == 0)
    let lost = StoreError(.unavailable, "\(folder.database) was moved, replaced or deleted while it was open; put it back")
    var lostSummary = summary
    #expect(throws: lost) { try trial.append(big(&lostSummary, 10)) }
    #expect(throws: lost) { try store.summary(of: T.id(1)) }
    #expect(unsafe mkdir(folder.database, 0o700) == 0)
    #expect(code { try store.reopen() } == .unavailable)
    #expect(throws: StoreError(.unavailable, "\(folder.database) is a folder; name a file in it")) { try store.summary(of: T.id(1)) }
    #expect(unsafe rmdir(folder.database) == 0)
    #expect(throws: lost) { try store.reopen() }
    #expect(unsafe access(folder.database, F_OK) != 0)
    #expect(unsafe rename(folder.path + "/elsewhere", folder.database) == 0)
    try store.reopen()
    #expect(try trial.append(big(&summary, 10)) == .appended)
    store.close()
  }

  @Test func `a log that was taken away is noticed, and what was in it is kept`() throws {
    let store = try folder.open()
    let trial = StoreTrial(store: store)
    var summary = try trial.create(1)
    let first = big(&summary, 10)
    #expect(try trial.append(first) == .appended)
    #expect(unsafe unlink(folder.database + "-wal") == 0)
    var lostSummary = summary
    #expect(throws: StoreError(.unavailable, "\(folder.database)-wal was moved, replaced or deleted while it was open; put it back")) {
      try trial.append(big(&lostSummary, 10))
    }
    try store.reopen()
    let second = big(&summary, 20)
    #expect(try trial.append(second) == .appended)
    #expect(try store.records(of: T.id(1), after: 1, maxBytes: 1 << 20) == first.records + second.records)
    store.close()
  }

  @Test func `after a failed sync the log is written once more by whoever is alone`() throws {
    let lock = try FileLock(path: folder.database + "-lock", mode: 0o600)
    let store = try folder.open()
    var summary = try StoreTrial(store: store).create(1)
    let append = big(&summary, 100_000)
    #expect(try StoreTrial(store: store).append(append) == .appended)
    try lock.setMark(true)
    let beside = try folder.open()
    let isStillMarked = try lock.isMarked
    #expect(isStillMarked)
    beside.close()
    store.close()
    let alone = try folder.open()
    let isMarked = try lock.isMarked
    #expect(!isMarked)
    #expect(try alone.records(of: T.id(1), after: 1, maxBytes: 1 << 20) == append.records)
    alone.close()
  }

  @Test func `a closed store says so, and closes twice`() throws {
    let store = try folder.open()
    store.close()
    store.close()
    #expect(throws: StoreError(.unavailable, "\(folder.database) is closed")) { try store.summary(of: T.id(1)) }
    #expect(throws: StoreError(.unavailable, "\(folder.database) is closed")) { try store.observe(T.id(1), true) }
  }
}
