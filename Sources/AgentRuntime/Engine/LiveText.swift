import Synchronization

/// Streamed text that observers in other processes wait for: filled by providers' threads, emptied by the engine.
///
/// The text of a message is kept until the message is complete, whether somebody observes or not: an observer of a session hears of a run a little
/// after it has begun, and is shown its text from the beginning.
final class LiveText: Sendable {
  private struct Entry {
    /// Nil: what follows of the run belongs behind an event that the engine has not made yet.
    var delta: StreamedDelta?
    /// How often the engine has looked at it in vain.
    var looks = 0
  }

  private struct Stream {
    private(set) var entries: [Entry] = []
    private var bytes = 0
    private(set) var hasProgress = false
    /// So much came that nobody wanted that the rest of the message is not streamed either: who is shown a text is shown no hole in it.
    private(set) var isSilent = false

    var isOver: Bool { entries.isEmpty && !isSilent }

    mutating func append(_ delta: StreamedDelta) {
      if isSilent { return }
      entries.append(Entry(delta: delta))
      bytes += delta.byteCount + overhead
      if case .toolProgress = delta { hasProgress = true }
      if bytes > mostBytes { (entries, bytes, hasProgress, isSilent) = ([], 0, false, true) }
    }

    mutating func begin() { entries.append(Entry(delta: nil)) }

    mutating func pass() {
      guard let place = entries.firstIndex(where: { $0.delta == nil }) else { return }
      keep(entries[(place + 1)...])
      isSilent = false
    }

    /// What does not wait for an event.
    mutating func take() -> [StreamedDelta] {
      let end = entries.firstIndex { $0.delta == nil } ?? entries.count
      let ready = entries[..<end].compactMap(\.delta)
      keep(entries[end...])
      return ready
    }

    mutating func forgetProgress() {
      for index in entries.indices { entries[index].looks += 1 }
      keep(
        entries.filter { entry in
          if case .toolProgress? = entry.delta { entry.looks <= mostLooks } else { true }
        }[...])
    }

    private mutating func keep(_ rest: ArraySlice<Entry>) {
      entries = Array(rest)
      bytes = entries.reduce(0) { $0 + ($1.delta.map { $0.byteCount + overhead } ?? 0) }
      hasProgress = entries.contains { entry in if case .toolProgress? = entry.delta { true } else { false } }
    }
  }

  /// Of one run.
  private static let mostBytes = 1 << 20
  /// What a delta takes besides its text.
  private static let overhead = 64
  /// Progress of a tool that nobody wanted for so long is of no use any more.
  private static let mostLooks = 20

  private let streams = Mutex<[ULID: Stream]>([:])

  var isEmpty: Bool { streams.withLock { $0.isEmpty } }
  var runs: [ULID] { streams.withLock { Array($0.keys) } }

  func append(_ runID: ULID, _ delta: StreamedDelta) { streams.withLock { $0[runID, default: Stream()].append(delta) } }

  /// The message begins anew: what comes now is not joined with what came.
  func begin(_ runID: ULID) { streams.withLock { $0[runID, default: Stream()].begin() } }

  /// The event that a beginning waited for is made, and voids what came before it.
  func pass(_ runID: ULID) { streams.withLock { $0[runID]?.pass() } }

  /// The message is complete: who has not seen its text gets it whole.
  func end(_ runID: ULID) { streams.withLock { $0[runID] = nil } }

  /// The events for what came since of the observed runs, text of one message in one piece.
  func take(_ observed: Set<ULID>, at now: Timestamp, after sequence: (ULID) -> Int) -> [LiveChunk] {
    let deltas = streams.withLock { streams in
      var ready: [(runID: ULID, delta: StreamedDelta)] = []
      for (runID, stream) in streams {
        if observed.contains(runID) {
          ready += (streams[runID]?.take() ?? []).map { (runID, $0) }
        } else if stream.hasProgress {
          streams[runID]?.forgetProgress()
        }
        if streams[runID]?.isOver == true { streams[runID] = nil }
      }
      return ready
    }
    return StreamedDelta.merged(deltas).map {
      LiveChunk(runID: $0.runID, event: $0.delta.event(of: $0.runID, at: now), afterSequence: sequence($0.runID))
    }
  }
}
