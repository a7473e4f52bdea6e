import JSON
import TestSupport
import Testing

@testable import AgentRuntime

extension SessionTests {
  /// What one message more costs must not depend on how many wait: three times as many cost three times as much and what a look costs anyway; were
  /// each to pass all others, they would cost nine times as much.
  struct QueueCosts {
    static let strategies: [MessageConcurrency] = [.queue, .latest, .merge, .debounce(milliseconds: 100_000)]

    static func word(_ strategy: MessageConcurrency) -> String {
      switch strategy {
      case .latest: #""latest""#
      case .merge: #""merge""#
      case .debounce(let milliseconds): #"{"strategy":"debounce","debounceMs":\#(milliseconds)}"#
      default: #""queue""#
      }
    }
  }

  /// A turn that is held, and so many messages behind it.
  private func waiting(
    _ count: Int, _ strategy: MessageConcurrency, _ process: VirtualProcess, wait: Bool = true
  ) throws -> (session: ULID, runs: [ULID], reads: [Int]) {
    let id = try session(process).sessionID
    let params = self.strategy(QueueCosts.word(strategy))
    _ = process.start("held", params, session: id)
    var (runs, reads): ([ULID], [Int]) = ([], [])
    for number in 0..<count {
      let before = process.store.readCount
      runs.append(
        try #require(process.start("message \(number)", params, wait: wait, session: id, concurrency: strategy).runID))
      reads.append(process.store.readCount - before)
    }
    return (id, runs, reads)
  }

  @Test("a message that comes reads as much however many wait", arguments: QueueCosts.strategies)
  func startsAreLinear(strategy: MessageConcurrency) throws {
    let process = launch(holding: ["held"])
    let reads = try waiting(60, strategy, process).reads
    #expect(reads[59] <= reads[9])
  }

  @Test("to cancel messages that wait reads as much however many have waited", arguments: QueueCosts.strategies, [false, true])
  func cancelsAreLinear(strategy: MessageConcurrency, isBackward: Bool) throws {
    func reads(_ count: Int) throws -> Int {
      let process = launch(holding: ["held"])
      let runs = try waiting(count, strategy, process, wait: false).runs
      let before = process.store.readCount
      for run in isBackward ? runs.reversed() : runs { #expect(process.cancel(run).outcome?.status == .cancelled) }
      return process.store.readCount - before
    }
    #expect(try reads(60) < 4 * reads(20))
  }

  @Test("what waits is carried out with as many reads each, however many they are", arguments: [MessageConcurrency.queue, .merge])
  func drainIsLinear(strategy: MessageConcurrency) throws {
    func reads(_ count: Int) throws -> Int {
      let process = launch(holding: ["held"])
      let runs = try waiting(count, strategy, process, wait: false).runs
      let before = process.store.readCount
      try process.model.call(0).finish(.say("first"))
      world.settle()
      #expect(runs.allSatisfy { process.look($0)?.status == .success })
      return process.store.readCount - before
    }
    #expect(try reads(60) < 4 * reads(20))
  }

  @Test func `merge: each message says once which one it was passed on to`() throws {
    let process = launch(holding: ["held"])
    let runs = try waiting(30, .merge, process).runs
    func types(_ run: ULID) -> [String] { world.disk.records(of: run).map(\.type) }
    #expect(runs.dropLast().allSatisfy { types($0) == ["run.started", "run.merged"] })
    #expect(types(runs[29]) == ["run.started"])
    #expect(runs.dropLast().allSatisfy { process.look($0)?.mergedInto == runs[29] })
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect(runs.dropLast().allSatisfy { types($0) == ["run.started", "run.merged", "run.completed"] })
    #expect(runs.dropLast().allSatisfy { process.look($0)?.mergedInto == runs[29] })
  }

  @Test("merge: one between two that is cancelled, and deleted, keeps the first with the last", arguments: [false, true])
  func linkOutlivesItsRun(isDeleted: Bool) throws {
    let process = launch(holding: ["held"])
    let (id, runs, _) = try waiting(3, .merge, process)
    #expect(process.cancel(runs[1]).outcome?.mergedInto == nil)
    if isDeleted { try process.engine.delete(runs[1]) }
    for one in [process, launch()] { #expect(one.look(runs[0])?.mergedInto == runs[2]) }
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect(process.look(runs[0])?.status == .success && process.look(runs[0])?.mergedInto == runs[2])
    #expect(try texts(launch(), id) == ["user held", "assistant first", "user message 0", "user message 2", "assistant re: message 2"])
  }

  @Test func `merge: logs of earlier versions, where each message names the newest, mean the same`() throws {
    let process = launch(holding: ["held"])
    let (id, runs, _) = try waiting(3, .merge, process, wait: false)
    process.kill()
    // As it was: the first was told of every message behind it.
    let row = try #require(world.disk.summary(of: runs[0]))
    let other = launch()
    var after = row
    after.lastPosition += 1
    let hidden = Bytes(#"{"into":"\#(runs[2])"}"#)
    let record = LogRecord(position: after.lastPosition, sequence: nil, type: "run.merged", event: nil, hidden: hidden)
    other.store.submit([Append(expectedPosition: row.lastPosition, summary: after, records: [record])], meanwhile: nil) { _ in }
    #expect(world.disk.records(of: runs[0]).map(\.type) == ["run.started", "run.merged", "run.merged"])
    let held = try #require(try other.engine.branches(of: id).first.flatMap { try other.engine.turnRun($0.branchID, 0) })
    #expect(other.cancel(held).outcome?.status == .cancelled)
    #expect(runs.map { other.resume($0).outcome?.status } == [.success, .success, .success])
    #expect(runs.map { other.look($0)?.mergedInto } == [runs[2], runs[2], nil])
    #expect(other.model.shown == [["user: held", "user: message 0", "user: message 1", "user: message 2"]])
  }
}
