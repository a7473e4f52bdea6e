import POSIXSupport

/// Lines on their way to a descriptor that perhaps nobody reads, such as a pipe of a parent that only looks at stdout: whoever logs never waits.
///
/// A line is written at once where there is room. From the first one for which there is none a thread writes them, until all are out.
final class StderrQueue: Sendable {
  private struct State {
    var waiting: [[UInt8]] = []
    var byteCount = 0
    /// How many found no place in `waiting`.
    var lostCount = 0
    /// Says so, in the form of the log.
    var lossNotice: (@Sendable (_ count: Int) -> String)?
    var isBeingWritten = false

    mutating func add(_ line: [UInt8], _ lossNotice: @escaping @Sendable (Int) -> String) {
      guard byteCount + line.count <= StderrQueue.mostBytes else {
        lostCount += 1
        self.lossNotice = lossNotice
        return
      }
      waiting.append(line)
      byteCount += line.count
    }

    mutating func take() -> [[UInt8]] {
      var lines = waiting
      if let lossNotice { lines.append(Array(lossNotice(lostCount).utf8)) }
      (waiting, byteCount, lostCount, lossNotice) = ([], 0, 0, nil)
      return lines
    }
  }

  static let shared = StderrQueue(descriptor: 2)
  private static let mostBytes = 256 << 10
  /// A pipe that can be written to takes so many bytes without waiting (PIPE_BUF, pipe(7)).
  private static let piece = 4096

  private let descriptor: Int32
  private let state = Monitor(State())

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// Writes a line, which ends with a line feed, or keeps it to be written. Lines do not mix.
  func write(_ line: String, lossNotice: @escaping @Sendable (_ count: Int) -> String) {
    let mustStart = state.withLock { state in
      let line = Array(line.utf8)
      if state.isBeingWritten {
        state.add(line, lossNotice)
        return false
      }
      let rest = rest(of: line)
      if rest.isEmpty { return false }
      state.add(rest, lossNotice)
      state.isBeingWritten = true
      return true
    }
    if mustStart { startWriting() }
  }

  /// Waits until all is written, but not longer than that.
  func finish(withinMilliseconds limit: Int) {
    _ = state.wait(untilMilliseconds: Clock.monotonicMilliseconds() + limit) { state in state.isBeingWritten ? nil : true }
  }

  /// What of a line cannot be written without waiting; empty when all of it is out, or cannot be written at all: a lost log line is not worth an error.
  private func rest(of line: [UInt8]) -> [UInt8] {
    var rest = line[...]
    while !rest.isEmpty {
      if PollSet.look(descriptor, for: .writable).isEmpty { return Array(rest) }
      if Log.put(rest.prefix(Self.piece), to: descriptor) != nil { return [] }
      rest = rest.dropFirst(Self.piece)
    }
    return []
  }

  /// The thread ends when all is written.
  private func startWriting() {
    do throws(SystemError) {
      try Thread.start(name: "log") { [self] in
        while let lines = takeOrEnd() {
          for line in lines { Log.put(line[...], to: descriptor) }
        }
      }
    } catch {
      // Without a thread these lines are lost; those after them are tried again.
      _ = state.update { state in
        state.isBeingWritten = false
        return state.take().count
      }
    }
  }

  private func takeOrEnd() -> [[UInt8]]? {
    let lines = state.withLock { state -> [[UInt8]]? in
      let lines = state.take()
      if lines.isEmpty { state.isBeingWritten = false }
      return lines.isEmpty ? nil : lines
    }
    if lines == nil { state.wakeAll() }
    return lines
  }
}
