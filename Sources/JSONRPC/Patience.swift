import POSIXSupport

/// How far the other side is with the output: it differs from what it was when something was taken.
struct OutputProgress: Equatable {
  /// What is in the pipe or socket; -1 when that cannot be known.
  var unread: Int
  var written: Int
}

/// Waits for another side that takes what is written, and no longer for one that takes nothing.
struct Patience {
  private let milliseconds: Int
  private var seen: OutputProgress?
  private var movedAt = 0

  init(milliseconds: Int) { self.milliseconds = milliseconds }

  /// For how many milliseconds it is still waited for if nothing moves; 0 when it is over.
  mutating func rest(after progress: OutputProgress) -> Int {
    let now = Clock.monotonicMilliseconds()
    if seen != progress {
      seen = progress
      movedAt = now
    }
    return max(0, milliseconds - (now - movedAt))
  }
}
