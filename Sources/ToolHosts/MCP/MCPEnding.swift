/// How the process of a server is ended: its input is closed, then it is asked, then killed. Decided from the time, which is given.
///
/// https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#shutdown
struct MCPEnding: Sendable, Equatable {
  enum Step: Sendable, Equatable {
    case wait(until: Int)
    case terminate
    case kill
    /// It has ended, or cannot be ended.
    case finish
  }

  /// Milliseconds, each from the step before.
  private struct Times: Sendable, Equatable {
    var toTerminate: Int
    var toKill: Int
    var toGiveUp: Int
  }

  private static let patience = Times(toTerminate: 2000, toKill: 2000, toGiveUp: 1000)
  /// When the bridge ends.
  private static let hurry = Times(toTerminate: 150, toKill: 250, toGiveUp: 200)

  private let closedAt: Int
  private var times = Self.patience
  private var terminatedAt: Int?
  private var killedAt: Int?

  init(closedAt now: Int) { closedAt = now }

  mutating func hurryUp() { times = Self.hurry }

  /// To be asked again until the answer is `wait` or `finish`.
  mutating func next(at now: Int, hasExited: Bool) -> Step {
    if hasExited { return .finish }
    if let killedAt { return now < killedAt + times.toGiveUp ? .wait(until: killedAt + times.toGiveUp) : .finish }
    if let terminatedAt {
      guard now >= terminatedAt + times.toKill else { return .wait(until: terminatedAt + times.toKill) }
      killedAt = now
      return .kill
    }
    guard now >= closedAt + times.toTerminate else { return .wait(until: closedAt + times.toTerminate) }
    terminatedAt = now
    return .terminate
  }
}
