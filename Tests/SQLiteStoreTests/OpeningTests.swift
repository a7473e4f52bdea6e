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

@Suite struct OpeningTests {
  private let folder: Folder

  init() throws { folder = try Folder() }

  private func permissions(_ path: String) -> String {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return "missing" }
    return String(status.st_mode & 0o7777, radix: 8)
  }

  @Test(
    "what opening creates is the user's alone, whatever the umask says", .enabled(if: PerThread.hasOwnUmask),
    arguments: [0o000, 0o022, 0o777] as [UInt32])
  func permissions(umask: UInt32) throws {
    let path = folder.path + "/new/folder/runs.db"
    try onOwnThread {
      #expect(PerThread.setUmask(umask))
      let store = try SQLiteStore.open(path: path, wallClock: { 1 })
      try StoreTrial(store: store).create(1)
      try store.observe(T.id(1), true)
      #expect(
        Folder.names(in: folder.path + "/new/folder").map { $0 + " " + self.permissions(folder.path + "/new/folder/" + $0) } == Self.files)
      store.close()
    }
    #expect(permissions(folder.path + "/new") == "700")
    #expect(permissions(folder.path + "/new/folder") == "700")
  }

  private static let files = ["", "-live", "-live-shm", "-live-wal", "-lock", "-shm", "-wal"].map { "runs.db\($0) 600" }

  @Test func `an empty file is a new store, and keeps its permissions`() throws {
    let file = try FileDescriptor.open(folder.database, O_CREAT | O_RDWR, mode: 0o640)
    #expect(fchmod(file.rawValue, 0o640) == 0)
    let store = try folder.open()
    try StoreTrial(store: store).create(1)
    for end in ["", "-wal", "-shm", "-lock"] { #expect(permissions(folder.database + end) == "640") }
    store.close()
  }

  @Test func `what was stored is there after closing and opening again`() throws {
    let first = try folder.open()
    var summary = try StoreTrial(store: first).create(1) { $0.idempotencyKey = "k" }
    // More than the log keeps before it is copied into the database.
    for _ in 0..<40 {
      let record = LogRecord(
        position: summary.lastPosition + 1, sequence: summary.lastPosition + 1, type: "t", event: StoreTrial.pattern(100_000), hidden: nil)
      #expect(try StoreTrial(store: first).append(StoreTrial.append([record], to: &summary)) == .appended)
    }
    let records = try first.records(of: summary.runID, after: 0, maxBytes: 1 << 30)
    first.close()
    for _ in 0..<3 {
      let again = try folder.open()
      #expect(try again.summary(of: summary.runID) == summary)
      #expect(try again.records(of: summary.runID, after: 0, maxBytes: 1 << 30) == records)
      again.close()
    }
  }

  @Test func `closing leaves the log file its size and nothing in it`() throws {
    let store = try folder.open()
    var summary = try StoreTrial(store: store).create(1)
    let record = LogRecord(position: 2, sequence: 2, type: "t", event: StoreTrial.pattern(1_000_000), hidden: nil)
    #expect(try StoreTrial(store: store).append(StoreTrial.append([record], to: &summary)) == .appended)
    store.close()
    try folder.open().close()
    var status = stat()
    #expect(unsafe stat(folder.database + "-wal", &status) == 0)
    #expect(status.st_size > 1_000_000)
    let again = try Connection(file: folder.database, path: folder.database, busyMilliseconds: 0)
    #expect(try again.integer("SELECT count(*) FROM log") == 2)
    #expect(again.checkpoint(0)?.inLog == 0)
  }

  @Test func `two names of one file are one store`() throws {
    let first = try folder.open()
    #expect(unsafe symlink("runs.db", folder.path + "/other") == 0)
    let second = try folder.open("other")
    try StoreTrial(store: first).create(1)
    #expect(try second.positions(of: [T.id(1)]) == [T.id(1): 1])
    #expect(second.hasOpen(first.owner))
    first.close()
    #expect(!second.hasOpen(first.owner))
    second.close()
    #expect(Folder.names(in: folder.path) == ["other", "runs.db", "runs.db-lock", "runs.db-shm", "runs.db-wal"])
  }

  @Test func `many openings of a missing file at once make one store`() throws {
    let opened = Monitor<[Result<Int, StoreError>]>([])
    for number in 1...8 as ClosedRange<UInt64> {
      try Thread.start(name: "opener") {
        let result = Result { () throws(StoreError) in
          let store = try folder.openPatiently("deep/runs.db")
          defer { store.close() }
          var appended = 0
          for run in 0..<20 {
            let trial = StoreTrial(store: store)
            if (try? trial.create(number * 100 + UInt64(run))) != nil { appended += 1 }
          }
          return appended
        }
        opened.update { $0.append(result) }
      }
    }
    let results = try opened.wait(for: "the end of the openers", minutes: 5) { $0.count == 8 ? $0 : nil }
    #expect(results == Array(repeating: .success(20), count: 8))
    let store = try folder.open("deep/runs.db")
    var query = RunQuery()
    query.limit = 1000
    #expect(try store.runs(matching: query).count == 160)
    store.close()
  }

  @Test func `blobs that no run named are removed after a week`() throws {
    let day = 24 * 3_600_000
    let first = try folder.open(at: 0)
    let trial = StoreTrial(store: first)
    _ = try first.appendToBlob(T.id(10), type: .string, chunk: T.pattern(300_000), last: true)
    _ = try first.appendToBlob(T.id(11), type: .string, chunk: T.pattern(300_000), last: true)
    _ = try first.appendToBlob(T.id(12), type: .string, chunk: T.pattern(10), last: false)
    var summary = T.summary(1)
    var naming = T.append([T.event(1, 1, "{}")], to: &summary)
    naming.adoptedBlobs = [T.id(11)]
    #expect(try trial.append(naming) == .appended)
    first.close()
    let early = try folder.open(at: 7 * day - 1)
    #expect(try early.blob(T.id(10))?.bytes == 300_000)
    early.close()
    let late = try folder.open(at: 7 * day + 1)
    #expect(try late.blob(T.id(10)) == nil)
    #expect(try late.blob(T.id(11))?.bytes == 300_000)
    #expect(try late.appendToBlob(T.id(12), type: .string, chunk: Bytes(), last: true) == 0)
    late.close()
  }

  @Test func `in a store of the version before, blobs that a log names stay, and go with the last run that does`() throws {
    let day = 24 * 3_600_000
    let store = try folder.open(at: 0)
    for number in 10...12 as ClosedRange<UInt64> {
      _ = try store.appendToBlob(T.id(number), type: .string, chunk: T.pattern(10), last: true)
    }
    for number in 1...2 as ClosedRange<UInt64> {
      var summary = T.summary(number)
      // So long that it stands in several rows, wherever these end.
      let name = #"{"$blob":"\#(T.id(10))","type":"string","bytes":8,"preview":""}"#
      let names = (0..<100).map { String(repeating: "y", count: $0) + #"",\#(name),""# }.joined()
      let other = #"{"x":{"$blob":"\#(T.id(11))","type":"string","bytes":8,"preview":""}}"#
      let record = T.event(1, 1, #"["\#(names)"]"#, hidden: number == 2 ? other : nil)
      #expect(try StoreTrial(store: store).append(T.append([record], to: &summary)) == .appended)
    }
    store.close()
    let raw = try Connection(file: folder.database, path: "raw", busyMilliseconds: 0)
    try raw.execute("PRAGMA user_version = 3")
    raw.close(checkpoint: true)
    let again = try folder.open(at: 8 * day)
    func sizes() throws -> [Int?] { try (10...12 as ClosedRange<UInt64>).map { try again.blob(T.id($0))?.bytes } }
    #expect(try sizes() == [10, 10, nil])
    #expect(try again.blobs(of: T.id(1)) == [T.id(10)])
    #expect(try again.blobs(of: T.id(2)) == [T.id(10), T.id(11)])
    try again.delete(run: T.id(1))
    #expect(try sizes() == [10, 10, nil])
    try again.delete(run: T.id(2))
    #expect(try sizes() == [nil, nil, nil])
    again.close()
  }

  @Test func `a store of the version before finds its runs by their metadata too`() throws {
    let store = try folder.open()
    let odd = #"{"nul":"x\u0000y","half":"\ud800z","\u0000n":"v","empty":"","number":"1","two":"é\ud83d\ude00"}"#
    let long = #"{"long":"\#(String(repeating: "y", count: 100))1"}"#
    for (number, text) in [#"{"a":"x","b":"\u00fc"}"#, #"{"a":"x"}"#, long, odd].enumerated() {
      var run = RunSummary(runID: T.id(UInt64(number + 1)), status: .success, createdAt: Timestamp(milliseconds: 1))
      (run.lastPosition, run.metadata) = (1, CarriedJSON(trusted: Bytes(text)))
      let record = LogRecord(position: 1, sequence: nil, type: "x", event: nil, hidden: Bytes("{}"))
      store.submit([Append(expectedPosition: 0, summary: run, records: [record])], meanwhile: nil) { _ in }
    }
    store.close()
    let raw = try Connection(file: folder.database, path: "raw", busyMilliseconds: 0)
    try raw.execute("DROP TABLE run_metadata; PRAGMA user_version = 2")
    raw.close(checkpoint: true)
    let again = try folder.open()
    func runs(_ metadata: [String: String]) throws -> [ULID] {
      var query = RunQuery()
      query.metadata = metadata
      return try again.runs(matching: query).map(\.runID)
    }
    #expect(try runs(["a": "x"]) == [T.id(2), T.id(1)])
    #expect(try runs(["b": "ü"]) == [T.id(1)])
    #expect(try runs(["long": String(repeating: "y", count: 100) + "1"]) == [T.id(3)])
    #expect(try runs(["long": String(repeating: "y", count: 100) + "2"]) == [])
    for (name, value) in ["nul": "x\0y", "half": "\u{FFFD}z", "\0n": "v", "empty": "", "number": "1", "two": "é😀"] {
      #expect(try runs([name: value]) == [T.id(4)], "\(name)")
    }
    try again.delete(run: T.id(1))
    #expect(try runs(["a": "x"]) == [T.id(2)])
    again.close()
  }
}

typealias T = StoreTrial
