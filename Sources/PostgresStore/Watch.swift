import AgentRuntime
import JSON
import POSIXSupport

/// A thread with a connection of its own: keeps the lease of this process alive, tells others that something was committed, and hears of what they did.
///
/// The log is the truth, and a look at the counters of the other owners' writes several times a second finds every change; LISTEN and NOTIFY make it
/// come earlier, where no pooler swallows them. The thread begins with the first write, or when the engine first asks for changes.
final class Watch: Sendable {
  static let beatMilliseconds = 2000
  /// With the engine's own 50 ms well under the 250 ms that the protocol promises.
  private static let lookMilliseconds = 120
  /// Commits that come together are told of together.
  private static let notifyMilliseconds = 20
  /// Who has not asked for so long does not want to know.
  private static let interestMilliseconds = 1000

  /// What both threads see.
  private struct State {
    var isRunning = false
    var isClosed = false
    var isRegistered = false
    /// The last time the lease was renewed, by a write or by a beat.
    var lastBeat = 0
    var askedAt = Int.min / 2
    /// When the thread last knew the counters; nil while it does not look.
    var lookedAt: Int?
    var counters = Counters()
    var hasChanged = false
    var hasText = false
    var tells: Set<Telling> = []
  }

  enum Telling: String {
    case commit = "c"
    case text = "t"
  }

  /// How often the others have written, and how many they are.
  struct Counters: Equatable {
    var writes = 0
    var owners = 0
  }

  private let target: Target
  private let owner: OwnerID
  private let state = Monitor(State())
  private let wake = try? WakeDescriptor()

  init(_ target: Target, _ owner: OwnerID) {
    self.target = target
    self.owner = owner
  }

  static func changes(besides owner: OwnerID) -> Statement {
    Statement(query: counting, arguments: [.int(owner.number)])
  }

  private static let counting = Query(
    "SELECT coalesce(sum(batch), 0)::bigint, count(*) FROM footbridge.owners WHERE number <> $1")
  private static let beating = Query("UPDATE footbridge.owners SET beat = clock_timestamp() WHERE number = $1")
  private static let notifying = Query(
    "SELECT set_config('synchronous_commit', 'off', true), pg_notify('footbridge', $1)")

  // MARK: The engine's side

  /// Whether another process has written since this was last asked; nil when the thread has not looked lately.
  func changed() -> Bool? {
    let now = Clock.monotonicMilliseconds()
    let (answer, mustBegin) = state.withLock { state -> (Bool?, Bool) in
      state.askedAt = now
      guard let looked = state.lookedAt, now - looked < 3 * Self.lookMilliseconds else { return (nil, !state.isRunning) }
      defer { state.hasChanged = false }
      return (state.hasChanged, false)
    }
    if mustBegin { begin() } else if answer == nil { wake?.signal() }
    return answer
  }

  /// The counters, read by the engine itself.
  /// - Returns: whether they are others than before.
  @discardableResult func seen(_ answer: Answer) -> Bool {
    let counters = Counters(answer)
    return state.withLock { state in
      defer {
        state.counters = counters
        state.hasChanged = false
      }
      return state.counters != counters || state.hasChanged
    }
  }

  /// Whether streamed text may have come since this was last asked.
  func takeText() -> Bool {
    state.withLock { state in
      defer { state.hasText = false }
      return state.hasText
    }
  }

  /// A write is done, which has renewed the lease too.
  func wrote(_ telling: Telling = .commit) {
    let now = Clock.monotonicMilliseconds()
    let (mustBegin, mustWake) = state.withLock { state -> (Bool, Bool) in
      if telling == .commit {
        state.lastBeat = now
        state.isRegistered = true
      }
      // The first one wakes the thread; those that follow go with it.
      return (!state.isRunning, state.tells.insert(telling).inserted)
    }
    if mustBegin { begin() } else if mustWake { wake?.signal() }
  }

  func close() {
    state.withLock { $0.isClosed = true }
    wake?.signal()
  }

  private func begin() {
    let isFirst = state.withLock { state in
      defer { state.isRunning = true }
      return !state.isRunning && !state.isClosed
    }
    guard isFirst else { return }
    do throws(SystemError) { try Thread.start(name: "postgres") { self.run() } } catch { state.withLock { $0.isRunning = false } }
  }

  // MARK: The thread's side

  /// What only the thread has.
  private struct Own {
    var connection: Connection?
    var isListening = false
    var retryAt = 0
    var notifiedAt = 0
    var others = 0
  }

  private func run() {
    var own = Own()
    while !state.withLock({ $0.isClosed }) {
      let now = Clock.monotonicMilliseconds()
      if own.connection == nil, now >= own.retryAt { connect(&own, at: now) }
      if let connection = own.connection {
        do throws(PostgresError) { try work(connection, &own) } catch {
          own.connection = nil
          own.retryAt = Clock.monotonicMilliseconds() + 200
          state.withLock { $0.lookedAt = nil }
        }
      }
      wait(own)
    }
  }

  private func connect(_ own: inout Own, at now: Int) {
    do throws(PostgresError) {
      let connection = try Connection(target)
      own.isListening = !connection.isPooled
      if own.isListening { try connection.execute("LISTEN footbridge") }
      own.connection = connection
    } catch { own.retryAt = now + 500 }
  }

  private func work(_ connection: Connection, _ own: inout Own) throws(PostgresError) {
    let now = Clock.monotonicMilliseconds()
    let due = state.withLock { state in
      (
        beats: state.isRegistered && now - state.lastBeat >= Self.beatMilliseconds,
        looks: now - state.askedAt < Self.interestMilliseconds && now - (state.lookedAt ?? 0) >= Self.lookMilliseconds
      )
    }
    if due.beats {
      _ = try connection.run(Self.beating, [.int(owner.number)])
      state.withLock { $0.lastBeat = now }
    }
    if due.looks || due.beats { try look(connection, &own) }
    try tell(connection, &own, at: now)
    guard own.isListening else { return }
    for payload in try connection.notifications() { hear(payload) }
  }

  private func look(_ connection: Connection, _ own: inout Own) throws(PostgresError) {
    let counters = Counters(try connection.run(Self.counting, [.int(owner.number)]))
    own.others = counters.owners
    state.withLock { state in
      if counters != state.counters {
        state.hasChanged = true
        state.hasText = true
      }
      state.counters = counters
      state.lookedAt = Clock.monotonicMilliseconds()
    }
  }

  private func tell(_ connection: Connection, _ own: inout Own, at now: Int) throws(PostgresError) {
    guard now - own.notifiedAt >= Self.notifyMilliseconds else { return }
    let tells = state.withLock { state in
      defer { state.tells = [] }
      return state.tells
    }
    // Without LISTEN here there is none elsewhere, most likely, and alone in the store nobody hears.
    guard !tells.isEmpty, own.isListening, own.others > 0 else { return }
    own.notifiedAt = now
    _ = try connection.run(Self.notifying, [.text("\(owner.number) " + tells.map(\.rawValue).joined())])
  }

  private func hear(_ payload: String) {
    let words = payload.split(separator: " ")
    guard words.count == 2, words[0] != "\(owner.number)" else { return }
    state.withLock { state in
      if words[1].holds(Telling.commit.rawValue) { state.hasChanged = true }
      if words[1].holds(Telling.text.rawValue) { state.hasText = true }
    }
  }

  /// Until something is to be done, or comes.
  private func wait(_ own: Own) {
    let now = Clock.monotonicMilliseconds()
    let next = state.withLock { state -> Int in
      guard own.connection != nil else { return own.retryAt }
      var next = state.isRegistered ? state.lastBeat + Self.beatMilliseconds : now + 60_000
      if now - state.askedAt < Self.interestMilliseconds { next = min(next, (state.lookedAt ?? 0) + Self.lookMilliseconds) }
      if !state.tells.isEmpty { next = min(next, own.notifiedAt + Self.notifyMilliseconds) }
      return next
    }
    var waiting = PollSet(count: 2)
    waiting.watch(0, wake?.descriptor, for: .readable)
    waiting.watch(1, own.isListening ? own.connection?.socket : nil, for: .readable)
    _ = try? waiting.wait(timeoutMilliseconds: max(1, next - now))
    wake?.drain()
  }
}

extension Watch.Counters {
  fileprivate init(_ answer: Answer) { self.init(writes: answer.int(0, 0), owners: answer.int(0, 1)) }
}
