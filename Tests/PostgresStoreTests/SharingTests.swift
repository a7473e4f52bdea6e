import AgentRuntime
import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import PostgresStore

private typealias T = StoreTrial

/// Several stores on one database: what processes see of each other.
@Suite(.enabled(if: Cluster.folder != nil, "PostgreSQL is not installed")) struct SharingTests {
  private let database: String

  init() throws { database = try Cluster.database() }

  private func open() throws -> PostgresStore { try PostgresStore.open(database) }

  /// Asks until it is so; a change of another process is seen within 250 ms, and on this machine there is other work.
  private func eventually(_ body: () throws -> Bool) throws -> Bool {
    let deadline = Patience.deadline
    while Clock.monotonicMilliseconds() < deadline {
      if try body() { return true }
      _ = PollSet.look(-1, for: [], timeoutMilliseconds: 10)
    }
    return false
  }

  @Test func `each hears that the other has committed`() throws {
    let (a, b) = (try open(), try open())
    #expect(try !a.changedByOthers())
    #expect(try !b.changedByOthers())
    var summary = try StoreTrial(store: a).create(1)
    #expect(try eventually { try b.changedByOthers() })
    #expect(try b.summary(of: summary.runID) == summary)
    try StoreTrial(store: b).change(&summary)
    #expect(try eventually { try a.changedByOthers() })
    a.close()
    b.close()
  }

  @Test func `of two appends at one position the first wins`() throws {
    let (a, b) = (try open(), try open())
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

  @Test func `an append of an older epoch is a conflict`() throws {
    let store = try open()
    var summary = try StoreTrial(store: store).create(1) { $0.epoch = 3 }
    summary.epoch = 2
    #expect(try StoreTrial(store: store).append(T.append([T.event(2, 2, "{}")], to: &summary)) == .conflict)
    store.close()
  }

  @Test func `appends of many threads, each with a store, are all there and in order`() throws {
    let done = Monitor(0)
    let failures = Monitor<[String]>([])
    for number in 1...4 as ClosedRange<UInt64> {
      try Thread.start(name: "writer") {
        do {
          // On an empty database: they all want to make the tables.
          let store = try self.open()
          let trial = StoreTrial(store: store)
          var own = try trial.create(number)
          for _ in 0..<50 {
            try trial.change(&own)
            while try !self.addToShared(trial, by: number) {}
          }
          store.close()
        } catch { failures.update { $0.append("\(error)") } }
        done.update { $0 += 1 }
      }
    }
    try done.wait(for: "the end of the writers", minutes: 5) { $0 == 4 ? () : nil }
    #expect(failures.withLock { $0 } == [])
    let store = try open()
    #expect(try store.positions(of: (1...4).map { T.id($0) }) == Dictionary(uniqueKeysWithValues: (1...4).map { (T.id($0), 51) }))
    #expect(try store.records(of: T.id(100), after: 0, maxBytes: 1 << 30).map(\.position) == Array(1...200))
    store.close()
  }

  private func addToShared(_ trial: StoreTrial, by number: UInt64) throws -> Bool {
    var summary = try trial.store.summary(of: T.id(100)) ?? T.summary(100)
    let position = summary.lastPosition + 1
    return try trial.append(T.append([T.event(position, position, "{\"by\":\(number)}")], to: &summary)) == .appended
  }

  @Test func `batches that name the same runs in another order do not wait for each other`() throws {
    let done = Monitor(0)
    let failures = Monitor<[String]>([])
    let store = try open()
    for number in 1...20 as ClosedRange<UInt64> { try StoreTrial(store: store).create(number) }
    for direction in [true, false] {
      try Thread.start(name: "writer") {
        do {
          let store = try self.open()
          for _ in 0..<30 {
            var batch: [Append] = []
            for number in 1...20 as ClosedRange<UInt64> {
              guard var summary = try store.summary(of: T.id(direction ? number : 21 - number)) else { continue }
              let next = T.event(summary.lastPosition + 1, summary.lastSequence + 1, "{}")
              batch.append(T.append([next], to: &summary))
            }
            _ = try StoreTrial(store: store).submit(batch)
          }
          store.close()
        } catch { failures.update { $0.append("\(error)") } }
        done.update { $0 += 1 }
      }
    }
    try done.wait(for: "the end of the writers", minutes: 5) { $0 == 2 ? () : nil }
    #expect(failures.withLock { $0 } == [])
    let deadlocks = try Cluster.ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", database).int(0, 0)
    #expect(deadlocks == 0)
    store.close()
  }

  @Test func `a store that closed lives no more and leaves orphans`() throws {
    let watcher = try open()
    let closed = try open()
    try StoreTrial(store: closed).create(1) { $0.owner = closed.owner }
    #expect(watcher.isAlive(closed.owner))
    #expect(try watcher.orphans() == [])
    closed.close()
    #expect(try eventually { try watcher.orphans() == [T.id(1)] })
    #expect(!watcher.isAlive(closed.owner))
    watcher.close()
  }

  @Test func `an owner is dead when its lease ran out, and alive again when it gave a sign`() throws {
    let (watcher, other) = (try open(), try open())
    try StoreTrial(store: other).create(1)
    #expect(watcher.isAlive(other.owner))
    let name = try Cluster.ask("SELECT current_database()::text", database).text(0, 0)
    func age(_ milliseconds: Int) throws {
      try Cluster.execute(
        "UPDATE footbridge.owners SET beat = clock_timestamp() - interval '\(milliseconds) ms', number = number WHERE number = \(other.owner.number)",
        name)
    }
    other.watch.close()
    try age(Leases.longestSilenceMilliseconds + 60_000)
    // A server that has just begun gives everybody the time of a lease.
    #expect(try eventually { !watcher.isAlive(other.owner) })
    try StoreTrial(store: other).create(2)
    #expect(try eventually { watcher.isAlive(other.owner) })
    watcher.close()
    other.close()
  }

  @Test func `a process of this machine that has ended is dead at once, whatever its lease says`() throws {
    let store = try open()
    try StoreTrial(store: store).create(1)
    let process = ProcessIdentity.current
    #expect(!process.hasEnded)
    #expect(ProcessIdentity(machine: process.machine, number: process.number, start: process.start - 1).hasEnded)
    #expect(!ProcessIdentity(machine: "elsewhere", number: process.number, start: 0).hasEnded)
    let name = try Cluster.ask("SELECT current_database()::text", database).text(0, 0)
    try Cluster.execute(
      """
      INSERT INTO footbridge.owners (number, batch, beat, machine, process, process_start)
        VALUES (1, 1, clock_timestamp(), '\(process.machine)', \(process.number), 0), (3, 1, clock_timestamp(), 'elsewhere', 1, 0)
      """, name)
    #expect(!store.isAlive(OwnerID(number: 1)))
    #expect(store.isAlive(OwnerID(number: 3)))
    store.close()
  }
}
