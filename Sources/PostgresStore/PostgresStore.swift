package import AgentRuntime
import JSON
import POSIXSupport

/// The log of runs in a PostgreSQL database, which many processes on many machines may share.
///
/// At most two connections a process: one for what the engine asks, and one, of a thread of its own, for the lease's heartbeat and for hearing of
/// others (`Watch`). A write is one call of a function in the server: one round trip, one transaction, one sync for all runs that decided something.
/// A connection that breaks is replaced, and what was under way on it is asked again: reads may be, and a write is told apart by its token.
///
/// Unchecked, because: all calls come from one thread at a time, the engine's, as `RunStore` demands; what the other thread needs is in `Watch`.
package final class PostgresStore: RunStore, @unchecked Sendable {
  package let owner: OwnerID
  let target: Target
  let watch: Watch
  private let patienceMilliseconds: Int

  private var connection: Connection?
  private var isClosed = false
  /// The last attempt to reach the server failed: the next one does not wait for it.
  private var isDown = false
  private var askAgainAt = 0
  private var prepares = true
  /// The token of the last write.
  var lastBatch = 0
  /// Something was written, so there is a row in `owners` to remove.
  private var isRegistered = false
  let leases = Leases()
  /// The runs this process wants the streamed text of, each with the number of the last chunk that it has.
  var wanted: [ULID: Int] = [:]
  /// A server that has crashed has forgotten who observes.
  var declaresAgain = false
  var otherObservers: [(run: ULID, owner: OwnerID)] = []
  var observersDue = 0
  /// When loose blobs are looked for again.
  var sweepDue = 0

  /// Connects, and makes or brings up to date the tables.
  ///
  /// - Parameter patienceMilliseconds: for how long a call waits for a server that has gone to come back.
  /// - Throws: a `StoreError` that says which database, why, and what to do.
  package static func open(_ connection: String, patienceMilliseconds: Int = 5000) throws(StoreError) -> PostgresStore {
    let store = PostgresStore(try Target(connection), patienceMilliseconds: patienceMilliseconds)
    if let newer = try store.perform(isOpening: true, { (connection) throws(PostgresError) in try Schema.migrate(connection) }) {
      throw newer
    }
    store.watch.seen(try store.perform(Watch.changes(besides: store.owner)))
    return store
  }

  private init(_ target: Target, patienceMilliseconds: Int) {
    self.target = target
    self.patienceMilliseconds = patienceMilliseconds
    // 52 random bits: none is ever used twice, without a row to write when the store opens.
    owner = OwnerID(number: Int(Random.random128().0 >> 12) | 1)
    watch = Watch(target, owner)
  }

  deinit { close() }

  // MARK: Statements

  /// One statement, asked again on another connection where this one breaks.
  func perform(_ query: Query, _ arguments: [Argument] = [], isNamed: Bool = true) throws(StoreError) -> Answer {
    try perform { (connection) throws(PostgresError) in try connection.run(query, arguments, isNamed: isNamed) }
  }

  func perform(_ statement: Statement) throws(StoreError) -> Answer { try perform(statement.query, statement.arguments) }

  /// A write under a token of its own: `query` begins with the five arguments that say whose and which it is.
  ///
  /// - Parameter meanwhile: called at most once, when the server has it.
  func write(_ query: Query, _ arguments: [Argument], meanwhile: (() -> Void)? = nil) throws(StoreError) -> Answer {
    lastBatch += 1
    let process = ProcessIdentity.current
    let identity: [Argument] = [.int(owner.number), .text(process.machine), .int(process.number), .int(process.start), .int(lastBatch)]
    isRegistered = true
    var work = meanwhile
    let answer = try perform { (connection) throws(PostgresError) in
      // Not again when it is asked again.
      try connection.run(query, identity + arguments, meanwhile: work.take())
    }
    watch.wrote()
    return answer
  }

  /// - Parameter isOpening: the server has not been reached yet: only one that is about to take connections is waited for.
  private func perform<T>(
    isOpening: Bool = false, _ body: (Connection) throws(PostgresError) -> T
  ) throws(StoreError) -> T {
    if isClosed { throw StoreError(.unavailable, "\(target.name) is closed") }
    var patience = Patience(milliseconds: isDown ? 0 : patienceMilliseconds)
    while true {
      do throws(PostgresError) {
        let result = try body(try connected())
        isDown = false
        return result
      } catch {
        if error.isLoss { connection = nil }
        if error.isForeignPreparation {
          prepares = false
          connection?.stopPreparing()
        }
        guard patience.allowsAnother(after: error, isOpening: isOpening) else {
          isDown = error.isLoss
          throw error.storeError(target)
        }
      }
    }
  }

  private func connected() throws(PostgresError) -> Connection {
    if let connection { return connection }
    let connection = try Connection(target)
    if !prepares { connection.stopPreparing() }
    declaresAgain = !wanted.isEmpty
    self.connection = connection
    return connection
  }

  // MARK: RunStore

  package func changedByOthers() throws(StoreError) -> Bool {
    if let answer = watch.changed() { return answer }
    // A server that is away is not asked with every look of the engine; the watch tries by itself.
    let now = Clock.monotonicMilliseconds()
    if isDown, now < askAgainAt { return false }
    askAgainAt = now + 1000
    // Nobody has looked for a while: look now, and have the watch go on.
    return try askForChanges()
  }

  package func changedByOthersSoFar() throws(StoreError) -> Bool {
    let now = Clock.monotonicMilliseconds()
    if isDown, now < askAgainAt { return false }
    if isDown { askAgainAt = now + 1000 }
    return try askForChanges()
  }

  private func askForChanges() throws(StoreError) -> Bool { watch.seen(try perform(Watch.changes(besides: owner))) }

  package func reopen() throws(StoreError) {
    if isClosed { throw StoreError(.unavailable, "\(target.name) is closed") }
    if !isDown { return }
    if let newer = try perform({ (connection) throws(PostgresError) in try Schema.migrate(connection) }) { throw newer }
  }

  package func close() {
    if isClosed { return }
    watch.close()
    if isRegistered, !isDown {
      isDown = true
      // Where it fails, the lease runs out by itself.
      _ = try? perform(Self.leave, [.int(owner.number)])
    }
    isClosed = true
    connection = nil
  }

  private static let leave = Query(
    "WITH gone AS (DELETE FROM footbridge.observers WHERE owner = $1) DELETE FROM footbridge.owners WHERE number = $1")
}

/// A query with its arguments.
struct Statement {
  var query: Query
  var arguments: [Argument]
}

/// How often and how long something is tried again.
private struct Patience {
  private static let mostCollisions = 20

  private let end: Int
  private var collisions = 0
  private var losses = 0

  init(milliseconds: Int) { end = Clock.monotonicMilliseconds() + milliseconds }

  /// Waits before it says yes, where waiting helps.
  mutating func allowsAnother(after error: PostgresError, isOpening: Bool) -> Bool {
    if error.isCollision {
      collisions += 1
      guard collisions <= Self.mostCollisions else { return false }
      // Not all at once again.
      Self.sleep(milliseconds: Int(Random.random128().0 % UInt64(4 * collisions)))
      return true
    }
    if error.isForeignPreparation {
      collisions += 1
      return collisions <= Self.mostCollisions
    }
    guard error.isLoss, !isOpening || error.mayPass else { return false }
    losses += 1
    // The first time at once: a connection may have been closed while it was idle.
    if losses == 1, !isOpening { return true }
    guard Clock.monotonicMilliseconds() < end else { return false }
    Self.sleep(milliseconds: min(50 << min(losses, 4), max(1, end - Clock.monotonicMilliseconds())))
    return true
  }

  private static func sleep(milliseconds: Int) {
    _ = PollSet.look(-1, for: [], timeoutMilliseconds: Int32(clamping: milliseconds))
  }
}
