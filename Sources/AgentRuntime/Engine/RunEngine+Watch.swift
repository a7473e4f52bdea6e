import JSON
import Synchronization

/// Noticing what other processes do with the runs that matter here.
extension RunEngine {
  /// How often the store is asked for changes while anything matters: well under the 250 ms that the protocol promises.
  static let tickMilliseconds = 50

  /// Looks at the store regularly while a run is in memory or a client watches one.
  func startTicking() {
    guard !isTicking, !isEnding else { return }
    isTicking = true
    _ = after(milliseconds: Self.tickMilliseconds) { [unowned self] in
      isTicking = false
      tick()
      if !live.isEmpty || !watched.isEmpty { startTicking() }
    }
  }

  private func tick() {
    if isEnding { return }
    do throws(StoreError) {
      if try store.changedByOthers() || looksAgain { try takeForeignChanges() }
      if !observing.isEmpty {
        for chunk in try store.liveChunks() where watched[chunk.runID] != nil { parent?.streamForeign(chunk) }
      }
    } catch { host.log("the store could not be asked for changes: \(error.message)") }
    for run in live.values where !run.waiters.isEmpty || run.state.cancelRequest != nil { lookAfterOrphan(run) }
    flushLiveText()
  }

  private func takeForeignChanges() throws(StoreError) {
    // A run with a decision on its way is not read now: it will find out by itself, or the next time.
    looksAgain = live.values.contains { $0.isDirty || !$0.inputs.isEmpty }
    var wanted = Set(live.keys)
    wanted.formUnion(watched.keys)
    let positions = try store.positions(of: Array(wanted))
    for (runID, position) in positions {
      if let run = live[runID] {
        guard position > run.committed else { continue }
        do throws(RuntimeError) { try refresh(run) } catch { drop(run, error) }
      } else if let last = watched[runID] {
        try publishForeign(runID, after: last)
      }
    }
    for runID in wanted where positions[runID] == nil {
      if let run = live[runID], run.committed > 0 { drop(run, RuntimeError(.runNotFound, "the run was deleted")) }
      watched[runID] = nil
    }
  }

  private func publishForeign(_ runID: ULID, after last: Int) throws(StoreError) {
    var last = last
    if !observing.contains(runID) { observe(runID, true) }
    while true {
      let events = try store.events(of: runID, after: last, limit: 1000, maxBytes: 1 << 20)
      guard let newest = events.last else { return }
      last = newest.sequence
      watched[runID] = last
      parent?.publish(runID, events.map { PublishedEvent(sequence: $0.sequence, type: EventType.read($0.event), bytes: $0.event) })
    }
  }

  /// A driver elsewhere that died says nothing: whoever waits here finds out, and a cancel that it left is carried out.
  private func lookAfterOrphan(_ run: LiveRun) {
    if run.state.cancelRequest != nil, !run.state.status.hasEnded, run.state.driver(own: store.owner, isAlive: { isAlive($0) }) == .none {
      return input(run) { (machine) throws(RuntimeError) in machine.advance(cause: .recovery) }
    }
    afterChange(run)
  }

  // MARK: Streamed text for other processes

  func flushLiveText() {
    guard !liveText.isEmpty else { return }
    do throws(StoreError) {
      let driven = live.values.filter { $0.isDriven(by: store.owner) || $0.modelCall != nil }.map(\.runID)
      let observed = try store.observed(among: driven)
      liveText.observed = observed
      let chunks = liveText.take(at: host.wallClock())
      if !chunks.isEmpty { try store.publish(chunks) }
    } catch { host.log("streamed text could not be passed on: \(error.message)") }
  }
}

/// Streamed text that observers in other processes wait for: filled by providers' threads, emptied by the engine.
final class LiveText: Sendable {
  private struct Content {
    var deltas: [(runID: ULID, delta: StreamedDelta)] = []
    var observed: Set<ULID> = []
  }

  private let content = Mutex(Content())

  var isEmpty: Bool { content.withLock { $0.deltas.isEmpty } }

  var observed: Set<ULID> {
    get { content.withLock { $0.observed } }
    set {
      content.withLock { content in
        content.observed = newValue
        content.deltas.removeAll { !newValue.contains($0.runID) }
      }
    }
  }

  /// Bounded: an observer that is late gets the text from the log.
  func append(_ runID: ULID, _ delta: StreamedDelta) {
    content.withLock { content in
      if content.deltas.count < 4096 { content.deltas.append((runID, delta)) }
    }
  }

  /// The events for what came since, text of one message in one piece.
  func take(at now: Timestamp) -> [LiveChunk] {
    let deltas = content.withLock { content in
      defer { content.deltas = [] }
      return content.deltas
    }
    return StreamedDelta.merged(deltas).map { LiveChunk(runID: $0.runID, event: $0.delta.event(of: $0.runID, at: now)) }
  }
}
