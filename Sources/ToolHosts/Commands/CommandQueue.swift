import AgentRuntime
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A command to run, and whom to tell.
struct CommandOrder: Sendable {
  let id: Int
  let call: ServerToolCall
  let orderedAt: Int
  let progress: @Sendable (_ stream: String, _ text: String) -> Void
  let completion: @Sendable (ToolResult) -> Void

  var timeoutMilliseconds: Int { call.tool.timeoutMs ?? Tool.defaultCommandTimeoutMilliseconds }

  /// Its time counts from when it was asked for: it may wait for a place among those that run.
  var deadline: Int {
    let (sum, overflows) = orderedAt.addingReportingOverflow(timeoutMilliseconds)
    return overflows ? .max : sum
  }
}

/// What passes between those who ask for commands and the one thread that runs them.
///
/// The orders that wait have no bound of their own: each is a call of a run, which the engine holds and limits.
final class CommandQueue: Sendable {
  private struct State: Sendable {
    /// There once the thread runs.
    var wake: WakeDescriptor?
    var nextID = 0
    /// Of those that wait, by id: the order in which they came.
    var oldestID = 0
    var waiting: [Int: CommandOrder] = [:]
    /// None of those that wait is late before then.
    var firstLate = Int.max
    /// Taken back while they waited; their completion is still to come.
    var withdrawn: [CommandOrder] = []
    /// The one that is being started, and those that run.
    var starting: Int?
    var running: [Int: ChildProcess] = [:]
    var stopped: Set<Int> = []
    var isClosed = false
  }

  /// What the thread has to know since it asked last.
  struct News: Sendable {
    var withdrawn: [CommandOrder]
    var stopped: Set<Int>
    var isClosed: Bool
  }

  private let state = Monitor(State())

  // MARK: From any thread

  /// Puts an order at the end of the queue and returns its id; nil when the queue is closed. `startThread` is called at the first.
  func add(
    _ call: ServerToolCall, progress: @escaping @Sendable (String, String) -> Void, completion: @escaping @Sendable (ToolResult) -> Void,
    startThread: (WakeDescriptor) throws(SystemError) -> Void
  ) throws(SystemError) -> Int? {
    let (id, wake) = try state.withLock { (state) throws(SystemError) -> (Int?, WakeDescriptor?) in
      guard !state.isClosed else { return (nil, nil) }
      if state.wake == nil {
        let wake = try WakeDescriptor()
        try startThread(wake)
        state.wake = wake
      }
      let id = state.nextID
      state.nextID += 1
      let order = CommandOrder(id: id, call: call, orderedAt: Clock.monotonicMilliseconds(), progress: progress, completion: completion)
      state.waiting[id] = order
      state.firstLate = min(state.firstLate, order.deadline)
      return (id, state.wake)
    }
    wake?.signal()
    return id
  }

  /// Takes back what waits, has ended what runs; nothing for what is over.
  func stop(_ id: Int) {
    let wake = state.withLock { state -> WakeDescriptor? in
      if let order = state.waiting.removeValue(forKey: id) {
        state.withdrawn.append(order)
      } else if state.starting == id || state.running[id] != nil {
        state.stopped.insert(id)
      } else {
        return nil
      }
      return state.wake
    }
    wake?.signal()
  }

  /// Takes back everything and kills what runs; nothing starts any more. Returns the processes that were killed, which may not have ended yet.
  @discardableResult
  func close() -> [ChildProcess] {
    let wake = state.withLock { state -> WakeDescriptor? in
      state.isClosed = true
      return state.wake
    }
    wake?.signal()
    // One that is just being started would escape.
    let patience = Clock.monotonicMilliseconds() + 1000
    let children = state.wait(untilMilliseconds: patience) { $0.starting == nil ? Array($0.running.values) : nil }
    let killed = children ?? state.withLock { Array($0.running.values) }
    for child in killed { child.kill(SIGKILL) }
    return killed
  }

  // MARK: From the thread that runs commands

  func takeNews() -> News {
    state.withLock { state in
      if state.isClosed {
        state.withdrawn += state.waiting.values.sorted { $0.id < $1.id }
        state.waiting = [:]
      }
      let news = News(withdrawn: state.withdrawn, stopped: state.stopped, isClosed: state.isClosed)
      state.withdrawn = []
      state.stopped = []
      return news
    }
  }

  /// When to look for late ones.
  var firstLate: Int { state.withLock { $0.firstLate } }

  /// Takes back those whose time has passed while they waited.
  func takeLate(at now: Int) -> [CommandOrder] {
    state.withLock { state in
      if now < state.firstLate { return [] }
      let late = state.waiting.values.filter { $0.deadline <= now }.sorted { $0.id < $1.id }
      for order in late { state.waiting[order.id] = nil }
      state.firstLate = state.waiting.values.map(\.deadline).min() ?? .max
      return late
    }
  }

  /// The order whose turn it is; `started` must follow.
  func next() -> CommandOrder? {
    state.withLock { state in
      guard !state.isClosed, !state.waiting.isEmpty else { return nil }
      while state.oldestID < state.nextID {
        let id = state.oldestID
        state.oldestID += 1
        if let order = state.waiting.removeValue(forKey: id) {
          state.starting = id
          return order
        }
      }
      return nil
    }
  }

  func started(_ id: Int, _ child: ChildProcess?) {
    state.update { state in
      state.starting = nil
      state.running[id] = child
    }
  }

  func finished(_ id: Int) {
    state.withLock { state in
      state.running[id] = nil
      state.stopped.remove(id)
    }
  }
}
