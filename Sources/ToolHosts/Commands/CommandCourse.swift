/// How a command comes to its end: decided from what was seen of it and from the time, which is always given.
///
/// Times are milliseconds of one clock. The process that was started leads its group; the group is killed in any case, so that nothing outlives the
/// call.
struct CommandCourse: Sendable, Equatable {
  /// Why a command did not end by itself.
  enum Interruption: Sendable, Equatable {
    case timeout(milliseconds: Int)
    case stop
    case tooMuchOutput(of: OutputStream)
  }

  enum Step: Sendable, Equatable {
    /// Nothing to do before that time, unless something is seen.
    case wait(until: Int)
    /// Ask the group to end.
    case terminate
    /// End the group.
    case kill
    /// Tell the result: it has ended, or cannot be ended.
    case finish
  }

  /// Between asking a group to end and killing it.
  static let graceMilliseconds = 500
  /// For output that somebody still holds open after the group was killed: a process that left the group.
  static let drainMilliseconds = 100
  /// For a killed process to end; one that runs as another user, or hangs in the kernel, does not.
  static let unkillableMilliseconds = 1000

  private(set) var interruption: Interruption?
  private(set) var hasExited = false
  private let timeoutMilliseconds: Int
  private let deadline: Int
  private var outputEnded = false
  private var terminatedAt: Int?
  private var mustDie = false
  private var killedAt: Int?
  private var exitedAt: Int?

  init(startedAt now: Int, timeoutMilliseconds: Int) {
    self.timeoutMilliseconds = timeoutMilliseconds
    let (sum, overflows) = now.addingReportingOverflow(timeoutMilliseconds)
    deadline = overflows ? .max : sum
  }

  /// The process that was started has ended.
  mutating func exited(at now: Int) {
    guard !hasExited else { return }
    hasExited = true
    exitedAt = now
  }

  /// Nobody can write any more.
  mutating func endOutput() { outputEnded = true }

  /// Whoever asked for it does not want it any more.
  mutating func stop() {
    if interruption == nil, !hasExited { interruption = .stop }
  }

  /// The bridge ends: no time to be asked.
  mutating func stopAtOnce() {
    stop()
    mustDie = true
  }

  /// After the end it is what others write that the process has left behind: no fault of its own.
  mutating func exceedOutput(of stream: OutputStream) {
    if interruption == nil, !hasExited { interruption = .tooMuchOutput(of: stream) }
    mustDie = true
  }

  /// What to do now; to be asked again until the answer is `wait` or `finish`.
  mutating func next(at now: Int) -> Step {
    if interruption == nil, !hasExited, now >= deadline { interruption = .timeout(milliseconds: timeoutMilliseconds) }
    guard let killedAt else {
      if interruption != nil, !mustDie, !hasExited, terminatedAt == nil {
        terminatedAt = now
        return .terminate
      }
      let killTime = timeToKill
      guard now >= killTime else { return .wait(until: killTime) }
      killedAt = now
      return .kill
    }
    guard let exitedAt else {
      let end = killedAt + Self.unkillableMilliseconds
      return now < end ? .wait(until: end) : .finish
    }
    let end = max(killedAt, exitedAt) + Self.drainMilliseconds
    return outputEnded || now >= end ? .finish : .wait(until: end)
  }

  private var timeToKill: Int {
    if mustDie { return .min }
    guard let terminatedAt else { return hasExited ? .min : deadline }
    // Asked to end, the leader has gone; those of its group that are about to end as well still hold the output.
    return hasExited && outputEnded ? .min : terminatedAt + Self.graceMilliseconds
  }
}
