import AgentRuntime
import JSON
import TestSupport
import Testing

@testable import SQLiteStore

/// What a repair of the database (`.recover`) can leave: rows that are missing.
@Suite struct DamageTests {
  private let store: SQLiteStore

  init() throws { store = try SQLiteStore.open(path: ":memory:", wallClock: { 0 }) }

  private func error(_ body: () throws -> Void) -> StoreError? {
    do { try body() } catch { return error as? StoreError }
    return nil
  }

  private func damage(_ sql: String) throws { try store.ready().execute(sql) }

  private func missing(_ position: Int) -> StoreError {
    StoreError(.damaged, "the log of run \(T.id(1)) is damaged: the record at position \(position) is missing")
  }

  private func create(records count: Int) throws {
    var summary = try StoreTrial(store: store).create(1)
    for _ in 1..<count { try StoreTrial(store: store).change(&summary) }
  }

  private func records(after position: Int) throws -> [Int] {
    try store.records(of: T.id(1), after: position, maxBytes: 1 << 20).map(\.position)
  }

  @Test func `a record that is missing in a log is damage, wherever it was`() throws {
    try create(records: 5)
    #expect(try records(after: 0) == [1, 2, 3, 4, 5])
    try damage("DELETE FROM log WHERE key >> 8 & 0xFFFFFF = 3")
    #expect(error { _ = try records(after: 0) } == missing(3))
    #expect(error { _ = try records(after: 2) } == missing(3))
    #expect(try records(after: 3) == [4, 5])
    try damage("DELETE FROM log WHERE key >> 8 & 0xFFFFFF = 5")
    #expect(try records(after: 3) == [4])
    #expect(error { _ = try records(after: 4) } == missing(5))
    #expect(try records(after: 5) == [])
    try damage("DELETE FROM log WHERE key >> 8 & 0xFFFFFF = 1")
    #expect(error { _ = try records(after: 0) } == missing(1))
  }

  @Test func `a run that is damaged is left out of a copy, and the others are copied`() throws {
    try create(records: 3)
    let good = try StoreTrial(store: store).create(2)
    try damage("DELETE FROM log WHERE key >> 32 = 1 AND key >> 8 & 0xFFFFFF = 2")
    let destination = try SQLiteStore.open(path: ":memory:", wallClock: { 0 })
    let copy = StoreCopy(from: store, to: destination)
    #expect(try copy.copy(run: T.id(1)) == .refused(missing(2).message))
    #expect(try copy.copy(run: T.id(2)) == .copied)
    #expect(try destination.summary(of: T.id(2)) == good)
  }

  @Test(arguments: [0, 1, 2]) func `a chunk that is missing in a blob is damage`(chunk: Int) throws {
    #expect(try store.appendToBlob(T.id(8), type: .string, chunk: T.pattern(400_000), last: true) == 400_000)
    let bytes = T.pattern(700_000)
    #expect(try store.appendToBlob(T.id(9), type: .string, chunk: bytes, last: true) == bytes.count)
    let size = 256 << 10
    try damage("DELETE FROM blob_chunks WHERE key = \(BlobKey.first(of: 2) + chunk * size)")
    for (offset, length) in [(0, bytes.count), (300_000, 10), (0, 10), (699_990, 10), (size - 5, 10), (699_990, 1000), (0, .max)] {
      let end = offset + min(length, bytes.count - offset)
      let found = Result { try store.blobBytes(T.id(9), offset: offset, length: length) }
      if offset < (chunk + 1) * size, end > chunk * size {
        #expect(throws: StoreError(.damaged, "blob \(T.id(9)) is damaged: a part of it is missing")) { try found.get() }
      } else {
        #expect(try found.get() == bytes[offset..<end])
      }
    }
    #expect(try store.blobBytes(T.id(9), offset: bytes.count, length: 10) == Bytes())
  }

  @Test func `numbers that no run and no blob can have are damage, and do not end the process`() throws {
    try create(records: 1)
    #expect(try store.appendToBlob(T.id(9), type: .string, chunk: Bytes("abc"), last: true) == 3)
    try damage("UPDATE blobs SET number = \(Int.max); UPDATE runs SET number = \(Int.max)")
    let damaged = StoreError(.damaged, "the row of blob \(T.id(9)) in :memory: is damaged")
    #expect(throws: damaged) { try store.blobBytes(T.id(9), offset: 0, length: 3) }
    #expect(throws: damaged) { try store.blob(T.id(9)) }
    #expect(error { _ = try records(after: 0) } == missing(1))
    #expect(try store.events(of: T.id(1), after: 0, limit: 9, maxBytes: 1000).isEmpty)
    try store.delete(run: T.id(1))
    #expect(try store.summary(of: T.id(1)) == nil)
  }
}
