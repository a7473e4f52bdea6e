import AgentRuntime
import JSON
import TestSupport
import Testing

@testable import PostgresStore

private typealias T = StoreTrial

@Suite(.enabled(if: Cluster.folder != nil, "PostgreSQL is not installed")) struct LooseBlobTests {
  @Test func `blobs that no run named are removed after a week`() throws {
    let database = try Cluster.database()
    let store = try PostgresStore.open(database)
    for number in 10...12 as ClosedRange<UInt64> {
      _ = try store.appendToBlob(T.id(number), type: .string, chunk: T.pattern(10), last: number != 11)
    }
    var summary = T.summary(1)
    var naming = T.append([T.event(1, 1, "{}")], to: &summary, blobs: [NewBlob(id: T.id(20), type: .string, value: T.pattern(20))])
    naming.adoptedBlobs = [T.id(12)]
    #expect(try StoreTrial(store: store).append(naming) == .appended)
    // More than are removed at once.
    _ = try Cluster.ask(
      """
      INSERT INTO footbridge.blobs (id, bytes, type, complete, loose_since)
        SELECT gen_random_uuid(), 0, 'string', true, now() FROM generate_series(1, 1200)
      """, database)
    _ = try Cluster.ask("UPDATE footbridge.blobs SET loose_since = loose_since - interval '8 days'", database)
    _ = try store.appendToBlob(T.id(30), type: .string, chunk: T.pattern(30), last: true)
    #expect(store.isUntidy)
    store.tidy()
    #expect(!store.isUntidy)
    #expect(try [10, 12, 20, 30].map { try store.blob(T.id($0))?.bytes } == [nil, 10, 20, 30])
    let rows = try Cluster.ask(
      "SELECT (SELECT count(*) FROM footbridge.blobs), (SELECT count(*) FROM footbridge.blob_chunks)", database)
    #expect((rows.int(0, 0), rows.int(0, 1)) == (3, 3))
    store.close()
  }
}
