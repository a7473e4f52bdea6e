import AgentRuntime
import JSON
import TestSupport
import Testing

@testable import PostgresStore

private typealias T = StoreTrial

@Suite(.enabled(if: Cluster.folder != nil, "PostgreSQL is not installed")) struct LiveTests {
  private let driver: PostgresStore
  private let watcher: PostgresStore
  private let database: String

  init() throws {
    database = try Cluster.database()
    driver = try PostgresStore.open(database)
    watcher = try PostgresStore.open(database)
  }

  private func chunk(_ run: UInt64, _ text: String) -> LiveChunk { LiveChunk(runID: T.id(run), event: Bytes(text), afterSequence: 4) }

  @Test func `chunks of an observed run reach the observer once and in order`() throws {
    try watcher.observe(T.id(1), true)
    #expect(try driver.observed(among: [T.id(1), T.id(2)]) == [T.id(1)])
    try driver.publish([chunk(1, "a"), chunk(2, "not observed"), chunk(1, "b")])
    #expect(try watcher.liveChunks() == [chunk(1, "a"), chunk(1, "b")])
    #expect(try watcher.liveChunks() == [])
    try driver.publish([chunk(1, "c")])
    try driver.publish([chunk(1, "\u{0}d")])
    #expect(try watcher.liveChunks() == [chunk(1, "c"), chunk(1, "\u{0}d")])
    driver.close()
    watcher.close()
  }

  @Test func `who begins to observe sees what comes from then on, and who closes observes no more`() throws {
    try watcher.observe(T.id(1), true)
    try driver.publish([chunk(1, "early")])
    let late = try PostgresStore.open(database)
    try late.observe(T.id(1), true)
    try driver.publish([chunk(1, "late")])
    #expect(try late.liveChunks() == [chunk(1, "late")])
    #expect(try watcher.liveChunks() == [chunk(1, "early"), chunk(1, "late")])
    late.close()
    watcher.close()
    driver.observersDue = 0
    #expect(try driver.observed(among: [T.id(1)]) == [])
    driver.close()
  }

  @Test func `an observer never sees its own chunks`() throws {
    try watcher.observe(T.id(1), true)
    try driver.observe(T.id(1), true)
    try driver.publish([chunk(1, "d")])
    #expect(try driver.liveChunks() == [])
    #expect(try watcher.liveChunks() == [chunk(1, "d")])
    driver.close()
    watcher.close()
  }
}
