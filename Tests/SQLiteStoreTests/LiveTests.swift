import AgentRuntime
import JSON
import TestSupport
import Testing

@testable import SQLiteStore

@Suite struct LiveTests {
  private let folder: Folder
  private let driver: SQLiteStore
  private let watcher: SQLiteStore

  init() throws {
    folder = try Folder()
    driver = try folder.open()
    watcher = try folder.open()
  }

  private func chunk(_ run: UInt64, _ text: String) -> LiveChunk { LiveChunk(runID: T.id(run), event: Bytes(text)) }

  @Test func `chunks of an observed run reach the observer once and in order`() throws {
    try watcher.observe(T.id(1), true)
    #expect(try driver.observed(among: [T.id(1), T.id(2)]) == [T.id(1)])
    try driver.publish([chunk(1, "a"), chunk(2, "not observed"), chunk(1, "b")])
    #expect(try watcher.liveChunks() == [chunk(1, "a"), chunk(1, "b")])
    #expect(try watcher.liveChunks() == [])
    try driver.publish([chunk(1, "c")])
    try driver.publish([chunk(1, "d")])
    #expect(try watcher.liveChunks() == [chunk(1, "c"), chunk(1, "d")])
  }

  @Test func `who begins to observe sees what comes from then on`() throws {
    try watcher.observe(T.id(1), true)
    try driver.publish([chunk(1, "early")])
    let late = try folder.open()
    try late.observe(T.id(1), true)
    try driver.publish([chunk(1, "late")])
    #expect(try late.liveChunks() == [chunk(1, "late")])
    #expect(try watcher.liveChunks() == [chunk(1, "early"), chunk(1, "late")])
    late.close()
  }

  @Test func `who is shown a run from an earlier event sees what was streamed after it, and then what comes`() throws {
    func chunk(_ text: String, after sequence: Int) -> LiveChunk {
      LiveChunk(runID: T.id(1), event: Bytes(text), afterSequence: sequence)
    }
    try watcher.observe(T.id(1), true, after: 0)
    try driver.publish([chunk("a", after: 2), chunk("b", after: 5), chunk("c", after: 5)])
    let late = try folder.open()
    try late.observe(T.id(2), true)
    try late.observe(T.id(1), true, after: 4)
    try late.observe(T.id(1), true, after: 0)
    try driver.publish([chunk("d", after: 5)])
    #expect(try late.liveChunks() == [chunk("b", after: 5), chunk("c", after: 5), chunk("d", after: 5)])
    #expect(try late.liveChunks() == [])
    #expect(try watcher.liveChunks().count == 4)
    late.close()
  }

  @Test func `who ends to observe, closes or dies is no observer`() throws {
    var third: SQLiteStore? = try folder.open()
    try watcher.observe(T.id(1), true)
    try watcher.observe(T.id(2), true)
    try third!.observe(T.id(3), true)
    #expect(try driver.observed(among: [T.id(1), T.id(2), T.id(3)]) == [T.id(1), T.id(2), T.id(3)])
    try watcher.observe(T.id(1), false)
    #expect(try driver.observed(among: [T.id(1), T.id(2)]) == [T.id(2)])
    third = nil
    #expect(try driver.observed(among: [T.id(2), T.id(3)]) == [T.id(2)])
    watcher.close()
    #expect(try driver.observed(among: [T.id(2)]) == [])
    try driver.publish([chunk(2, "into the void")])
  }

  @Test func `an observer never sees its own chunks, nor those of runs it does not want`() throws {
    try watcher.observe(T.id(1), true)
    try driver.observe(T.id(1), true)
    try driver.observe(T.id(2), true)
    try watcher.publish([chunk(1, "w1"), chunk(2, "w2")])
    try driver.publish([chunk(1, "d1")])
    #expect(try watcher.liveChunks() == [chunk(1, "d1")])
    #expect(try driver.liveChunks() == [chunk(1, "w1"), chunk(2, "w2")])
  }

  @Test func `observing outlasts a failure of the store`() throws {
    try watcher.observe(T.id(1), true)
    try driver.publish([chunk(1, "before")])
    _ = try watcher.ready().lost("the store")
    #expect(throws: StoreError.self) { try watcher.liveChunks() }
    try watcher.reopen()
    try driver.publish([chunk(1, "after")])
    #expect(try watcher.liveChunks() == [chunk(1, "before"), chunk(1, "after")])
  }

  @Test func `old chunks are dropped, and what comes after an emptied board still arrives`() throws {
    let early = try folder.open(at: 0)
    let later = try folder.open(at: 10_001)
    try watcher.observe(T.id(1), true)
    try early.publish([chunk(1, "old")])
    try later.publish([chunk(1, "new")])
    #expect(try watcher.liveChunks() == [chunk(1, "new")])
    let board = try Connection(file: folder.database + "-live", path: "board", busyMilliseconds: 0)
    #expect(try board.integer("SELECT count(*) FROM chunks") == 1)
    try board.execute("DELETE FROM chunks")
    try early.publish([chunk(1, "newer")])
    #expect(try watcher.liveChunks() == [chunk(1, "newer")])
    early.close()
    later.close()
  }

  @Test func `the board is made when somebody observes, and gone when all have closed`() throws {
    func board() -> [String] { Folder.names(in: folder.path).filter { $0.contains("-live") } }
    try driver.publish([chunk(1, "nobody")])
    #expect(try driver.observed(among: [T.id(1)]) == [])
    #expect(try watcher.liveChunks() == [])
    try watcher.observe(T.id(1), false)
    #expect(board() == [])
    try watcher.observe(T.id(1), true)
    #expect(board().contains("runs.db-live"))
    watcher.close()
    #expect(board().contains("runs.db-live"))
    driver.close()
    #expect(board() == [])
  }

  @Test func `to observe many runs asks seldom who lives, and what the dead have left goes all the same`() throws {
    let board = LiveBoard(try StoreFile(preparing: folder.database), OwnerID(number: 1 << 40))
    defer { board.close() }
    var asked = 0
    func observe(_ run: UInt64, _ isWanted: Bool) throws {
      try board.observe(T.id(run), isWanted, after: .max) { _ in
        asked += 1
        return true
      }
    }
    for run in 1...512 { try observe(UInt64(run), true) }
    for run in 1...512 { try observe(UInt64(run), false) }
    // It asks again after as many changes as it found rows.
    #expect(asked <= 24)

    let dead = OwnerID(number: 1 << 41)
    let other = LiveBoard(try StoreFile(preparing: folder.database), dead)
    for run in 1...8 { try other.observe(T.id(UInt64(run)), true, after: .max) { _ in true } }
    other.close()
    for run in 1...32 { try board.observe(T.id(UInt64(run)), true, after: .max) { $0 != dead } }
    let rows = try Connection(file: folder.database + "-live", path: "board", busyMilliseconds: 0)
    #expect(try rows.integer("SELECT count(*) FROM observers WHERE owner = \(dead.number)") == 0)
    #expect(try rows.integer("SELECT count(*) FROM observers") == 32)
  }
}
