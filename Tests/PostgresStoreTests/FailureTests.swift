import AgentRuntime
import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import PostgresStore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

private typealias T = StoreTrial

@Suite(.enabled(if: Cluster.folder != nil, "PostgreSQL is not installed")) struct FailureTests {
  private let connection: String
  private let store: PostgresStore

  init() throws {
    connection = try Cluster.database()
    store = try PostgresStore.open(connection)
  }

  /// As if the answer to the last write had been lost.
  private func again() { store.lastBatch -= 1 }

  @Test func `a write that is sent again with its token answers the same and is not done again`() throws {
    let trial = StoreTrial(store: store)
    var first = try trial.create(1)
    let stale = first
    let next = T.append([T.event(2, 2, "{}")], to: &first)
    var second = T.summary(2)
    let batch = [next, T.append([T.event(1, 1, "{}")], to: &second)]
    #expect(try trial.submit(batch) == [.appended, .appended])
    again()
    #expect(try trial.submit(batch) == [.appended, .appended])
    #expect(try store.records(of: T.id(1), after: 0, maxBytes: 1000).map(\.position) == [1, 2])
    var late = stale
    let mixed = [T.append([T.event(2, 2, "{}")], to: &late), T.append([T.event(2, 2, "{}")], to: &second)]
    #expect(try trial.submit(mixed) == [.conflict, .appended])
    again()
    #expect(try trial.submit(mixed) == [.conflict, .appended])
    #expect(try trial.submit(mixed) == [.conflict, .conflict])
    let document = DocumentWrite(
      kind: "agent", id: "a", expectedVersion: 0, json: CarriedJSON(trusted: Bytes("1")), updatedAt: Timestamp(milliseconds: 1))
    #expect(try store.write([document]))
    again()
    #expect(try store.write([document]))
    #expect(try !store.write([document]))
    #expect(try store.appendToBlob(T.id(9), type: .json, chunk: Bytes("12345"), last: false) == 5)
    again()
    #expect(try store.appendToBlob(T.id(9), type: .json, chunk: Bytes("12345"), last: false) == 5)
    #expect(try store.appendToBlob(T.id(9), type: .json, chunk: Bytes("67"), last: true) == 7)
    #expect(try store.blobBytes(T.id(9), offset: 0, length: 100) == Bytes("1234567"))
    store.close()
  }

  @Test func `a write that comes after its successor is refused`() throws {
    var summary = try StoreTrial(store: store).create(1)
    try StoreTrial(store: store).change(&summary)
    store.lastBatch -= 2
    #expect(throws: StoreError.self) { try StoreTrial(store: store).change(&summary) }
    #expect(try store.positions(of: [T.id(1)]) == [T.id(1): 2])
    store.close()
  }

  @Test func `a connection that is terminated is replaced, for reads and for writes`() throws {
    var summary = try StoreTrial(store: store).create(1)
    let owner = store.owner
    for _ in 0..<5 {
      _ = try Cluster.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()", connection)
      #expect(try store.summary(of: T.id(1)) == summary)
      _ = try Cluster.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()", connection)
      try StoreTrial(store: store).change(&summary)
    }
    #expect(store.owner == owner)
    #expect(try store.summary(of: T.id(1)) == summary)
    store.close()
  }

  @Test func `statements that a pooler does not know are sent whole from then on`() throws {
    try StoreTrial(store: store).create(1)
    // What a pooler does: the session behind the connection is another one.
    _ = try store.perform(Query("DEALLOCATE ALL"), isNamed: false)
    #expect(try store.positions(of: [T.id(1)]) == [T.id(1): 1])
    var summary = try #require(try store.summary(of: T.id(1)))
    try StoreTrial(store: store).change(&summary)
    store.close()
  }

  @Test func `a store of a newer program is not opened`() throws {
    store.close()
    _ = try Cluster.ask("UPDATE footbridge.store SET version = 99 RETURNING version", connection)
    do {
      _ = try PostgresStore.open(connection)
      Issue.record("it was opened")
    } catch { #expect(error.code == .newer) }
  }

  @Test func `a server that is frozen is waited for as long as was said, and no longer`() throws {
    guard let server = PrivateCluster() else {
      Issue.record("no server could be started")
      return
    }
    let connection = try Connection(Target(server.connection), patience: 500)
    let backend = try connection.run(Query("SELECT pg_backend_pid()"), []).int(0, 0)
    // Where the whole server is frozen, a connection to it is made by the kernel, and never answered.
    server.signal(SIGSTOP, and: backend)
    defer { server.signal(SIGCONT, and: backend) }
    do throws(PostgresError) {
      _ = try connection.run(Query("SELECT 1"), [])
      Issue.record("it was answered")
    } catch { #expect(error.cause == .timeout) }
  }

  @Test func `a log with a record missing is damage, wherever that was`() throws {
    let trial = StoreTrial(store: store)
    var summary = try trial.create(1)
    for _ in 1..<5 { try trial.change(&summary) }
    func records(after position: Int) throws -> [Int] {
      try store.records(of: T.id(1), after: position, maxBytes: 1 << 20).map(\.position)
    }
    func missing(_ position: Int) -> StoreError {
      StoreError(.damaged, "the log of run \(T.id(1)) is damaged: the record at position \(position) is missing")
    }
    #expect(try records(after: 0) == [1, 2, 3, 4, 5])
    _ = try Cluster.ask("DELETE FROM footbridge.log WHERE position IN (3, 5)", connection)
    #expect(throws: missing(3)) { try records(after: 0) }
    #expect(throws: missing(3)) { try records(after: 2) }
    #expect(try records(after: 3) == [4])
    #expect(throws: missing(5)) { try records(after: 4) }
    #expect(try records(after: 5) == [])
    #expect(try store.events(of: T.id(1), after: 5, limit: 10, maxBytes: 1000).isEmpty)
    store.close()
  }

  @Test(arguments: [0, 1, 2]) func `a blob with a chunk missing is damage`(chunk: Int) throws {
    let bytes = T.pattern(700_000)
    #expect(try store.appendToBlob(T.id(9), type: .string, chunk: bytes, last: true) == bytes.count)
    let size = 256 << 10
    _ = try Cluster.ask("DELETE FROM footbridge.blob_chunks WHERE start = \(chunk * size)", connection)
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
    #expect(try store.blobBytes(T.id(7), offset: 0, length: 10) == Bytes())
    store.close()
  }

  @Test func `what cannot be understood is no part of the error`() throws {
    for text in ["postgresql://user:hidden%ZZ@host/x", "postgresql://user:hidden@host/x?no=1", "password=hidden x"] {
      do {
        _ = try PostgresStore.open(text)
        Issue.record("\(text) was opened")
      } catch { #expect(!"\(error)".contains("hidden")) }
    }
  }
}
