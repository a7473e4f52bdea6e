package import AgentRuntime
package import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The turns of the engine, one at a time, and the mailbox in front of them.
///
/// To wake another thread takes as long as a commit. So the threads that bring most of the work take turns themselves when the engine is at rest: what
/// they post wakes nobody, and before they wait they say so (`rest`). The engine's own thread is there for all others, for timers, for what comes
/// in quick succession, and to do what such a thread leaves undone while its turn takes long.
package final class EngineThread: EngineHost {
  /// Carried out by a thread that has nothing else to do, until the one that it stands in for is back.
  package typealias StandIn = @Sendable () -> Void

  private struct State {
    var engine: TurnBound?
    var inputs: [@Sendable (RunEngine) -> Void] = []
    var isClosed = false
    /// The engine's thread is gone, and nothing is carried out any more.
    var hasEnded = false
    /// Some thread takes turns, and looks at `inputs` before it stops.
    var isTurning = false
    /// When the next turn is due, on the monotonic clock.
    var due: Int?
    /// Threads that call `rest` before they wait.
    var enlisted: [Thread.Identity] = []
    /// What another thread than the engine's does now.
    var visit: Visit?
    var visitCount = 0
    /// The engine's thread is to look.
    var isCalled = false
    /// When it looks without being called.
    var sleepsUntil = Int.max
    /// While there are visits it looks now and then whether one takes long.
    var watch: Watch?

    mutating func beginTurns() -> [@Sendable (RunEngine) -> Void] {
      isTurning = true
      defer { inputs = [] }
      return inputs
    }

    /// What the engine's thread does next.
    mutating func task(at now: Int) -> Task {
      isCalled = false
      if !isTurning {
        if !inputs.isEmpty || due.map({ $0 <= now }) == true { return .turns(beginTurns()) }
        if isClosed { return .end }
      }
      if let standIn = watchVisits(at: now) { return .standIn(standIn) }
      // The end of a visit tells anew when a turn is due.
      sleepsUntil = min(watch?.next ?? .max, isTurning ? .max : due ?? .max)
      return .sleep(untilMilliseconds: sleepsUntil)
    }

    private mutating func watchVisits(at now: Int) -> StandIn? {
      guard var watch else {
        if visit != nil { watch = Watch(next: now + EngineThread.watchMilliseconds, seenVisits: visitCount) }
        return nil
      }
      guard now >= watch.next else { return nil }
      let isQuiet = visit == nil && visitCount == watch.seenVisits
      watch = Watch(next: now + EngineThread.watchMilliseconds, seenVisits: visitCount, inVain: isQuiet ? watch.inVain + 1 : 0)
      self.watch = watch.inVain < EngineThread.watchesInVain ? watch : nil
      guard let visit, now - visit.began >= EngineThread.watchMilliseconds else { return nil }
      defer { self.visit?.standIn = nil }
      return visit.standIn
    }
  }

  /// The turns of another thread than the engine's.
  private struct Visit {
    var began: Int
    var standIn: StandIn?
  }

  private struct Watch {
    var next: Int
    var seenVisits: Int
    var inVain = 0
  }

  /// More than so many inputs at once are left to the engine's thread, so that whoever brought them brings more meanwhile.
  private static let fewInputs = 3
  /// So many turns in a row, then the thread goes back to its own work.
  private static let turnsOfVisit = 4
  private static let watchMilliseconds = 10
  /// After so many looks without a visit in between the engine's thread sleeps soundly.
  private static let watchesInVain = 50

  private let state = Monitor(State())
  private let write: @Sendable (_ message: String) -> Void

  package init(log: @escaping @Sendable (_ message: String) -> Void) { write = log }

  package func wallClock() -> Timestamp { Timestamp(milliseconds: Clock.wallMilliseconds()) }
  package func monotonicClock() -> Int { Clock.monotonicMilliseconds() }
  package func random() -> (UInt64, UInt64) { Random.random128() }
  package func log(_ message: String) { write(message) }

  package func post(_ body: @escaping @Sendable (RunEngine) -> Void) {
    let calls = state.withLock { state in
      if state.hasEnded { return false }
      state.inputs.append(body)
      return !state.isTurning && !state.enlisted.contains(Thread.current)
    }
    if calls { call() }
  }

  /// Begins the thread; `make` is called on it, before anything that was posted.
  package func start(_ make: @escaping @Sendable () -> RunEngine) throws(SystemError) {
    // Threads that take turns need as much room.
    try Thread.start(name: "engine", stackSize: Self.stackSize) { [self] in
      // A turn may send a request to a model itself, and TLS libraries write without MSG_NOSIGNAL.
      Signals.block([SIGPIPE])
      run(make())
    }
  }

  /// What a thread needs that takes turns, in bytes.
  package static let stackSize = 8 << 20

  /// Ends the thread when everything posted before is done; what is posted later may be dropped.
  package func stop() {
    state.withLock { $0.isClosed = true }
    call()
  }

  /// Waits until `body` was carried out in a turn, with everything that was posted before; what it decided is durable then.
  package func perform<Value: Sendable>(_ body: @escaping @Sendable (RunEngine) -> Value) -> Value {
    // No deadline: the engine's thread always comes round.
    begin(body).wait { $0 }!
  }

  /// The same, but waits only so long for a turn that is under way: nil when it did not end.
  package func perform<Value: Sendable>(within milliseconds: Int, _ body: @escaping @Sendable (RunEngine) -> Value) -> Value? {
    begin(body).wait(untilMilliseconds: Clock.monotonicMilliseconds() + milliseconds) { $0 }
  }

  private func begin<Value: Sendable>(_ body: @escaping @Sendable (RunEngine) -> Value) -> Monitor<Value?> {
    let result = Monitor<Value?>(nil)
    post { engine in
      let value = body(engine)
      result.update { $0 = value }
    }
    call()
    return result
  }

  /// Waits until what `perform` and the inputs before it decided has been committed, published and answered.
  package func settle() {
    _ = perform { _ in true }
    _ = perform { _ in true }
  }

  /// - Returns: false when that took too long.
  package func settle(within milliseconds: Int) -> Bool {
    perform(within: milliseconds) { _ in true } != nil && perform(within: milliseconds) { _ in true } != nil
  }

  // MARK: Visits

  /// To be called by a thread that brings work, always before it waits: takes turns for what it brought, or has the engine's thread do it.
  ///
  /// - Parameters:
  ///   - takesTurns: False when others wait for this thread.
  ///   - standIn: Called on the engine's thread when the turns take long; it has to return soon after this has.
  package func rest(takesTurns: Bool = true, standIn: StandIn? = nil) {
    let visit = state.withLock { state -> (inputs: [@Sendable (RunEngine) -> Void], engine: TurnBound?, calls: Bool) in
      if !state.enlisted.contains(Thread.current) { state.enlisted.append(Thread.current) }
      guard !state.isTurning, !state.inputs.isEmpty else { return ([], nil, false) }
      guard takesTurns, !state.isClosed, state.inputs.count <= Self.fewInputs, let engine = state.engine else { return ([], nil, true) }
      state.visit = Visit(began: Clock.monotonicMilliseconds(), standIn: standIn)
      state.visitCount += 1
      return (state.beginTurns(), engine, state.watch == nil)
    }
    if visit.calls { call() }
    if let engine = visit.engine, takeTurns(visit.inputs, engine, atMost: Self.turnsOfVisit) { call() }
  }

  /// - Returns: whether something is left for the engine's thread.
  private func takeTurns(_ first: [@Sendable (RunEngine) -> Void], _ engine: TurnBound, atMost turns: Int) -> Bool {
    var inputs = first
    for turn in 1... {
      let due = engine.engine.turn(inputs)
      let (more, leavesSome) = state.withLock { state -> ([@Sendable (RunEngine) -> Void]?, Bool) in
        state.due = due
        if !state.inputs.isEmpty, turn < turns { return (state.beginTurns(), false) }
        state.isTurning = false
        state.visit = nil
        return (nil, !state.inputs.isEmpty || state.isClosed || due.map { $0 < state.sleepsUntil } == true)
      }
      guard let more else { return leavesSome }
      inputs = more
    }
    return false
  }

  // MARK: The engine's own thread

  private enum Task {
    case turns([@Sendable (RunEngine) -> Void])
    case standIn(StandIn)
    case sleep(untilMilliseconds: Int)
    case end
  }

  private func run(_ engine: RunEngine) {
    let engine = TurnBound(engine)
    state.withLock { $0.engine = engine }
    while true {
      let now = Clock.monotonicMilliseconds()
      switch state.withLock({ $0.task(at: now) }) {
      case .turns(let inputs): _ = takeTurns(inputs, engine, atMost: .max)
      case .standIn(let body): body()
      case .sleep(let deadline): _ = state.wait(untilMilliseconds: deadline == .max ? nil : deadline) { $0.isCalled ? true : nil }
      case .end:
        // The engine holds this object, and what came after the last look may as well.
        let rest = state.withLock { state in
          state.engine = nil
          state.hasEnded = true
          defer { state.inputs = [] }
          return state.inputs
        }
        return withExtendedLifetime(rest) {}
      }
    }
  }

  private func call() {
    state.update { $0.isCalled = true }
  }
}

/// The engine, for whoever takes its turns.
private final class TurnBound: @unchecked Sendable {
  // Unchecked, because: it is used by the thread alone that has set `State.isTurning`, which one thread at a time can.
  let engine: RunEngine
  init(_ engine: RunEngine) { self.engine = engine }
}
