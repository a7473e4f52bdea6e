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
    lastTick = host.monotonicClock()
    _ = after(milliseconds: Self.tickMilliseconds) { [unowned self] in
      isTicking = false
      tick()
      if live.isEmpty, keepsLease {
        store.keepLease(false)
        keepsLease = false
      }
      if !live.isEmpty || !watched.isEmpty || !sessionWatches.isEmpty { startTicking() }
    }
  }

  /// Before claims of this process are in the log.
  func keepLease() {
    guard !keepsLease, !live.isEmpty else { return }
    store.keepLease(true)
    keepsLease = true
    startTicking()
  }

  /// A process that was frozen for longer than its lease lasts may have lost its runs: it looks before it takes what came in meanwhile.
  func lookBeforeActing() {
    // A store may let leases end a little sooner.
    guard isTicking, host.monotonicClock() - lastTick >= Lease.milliseconds / 2 else { return }
    looksAgain = true
    tick()
    lastTick = host.monotonicClock()
  }

  private func tick() {
    if isEnding { return }
    do throws(StoreError) {
      if try store.changedByOthers() || looksAgain {
        try takeForeignChanges()
        lookAtSessions()
        for run in live.values where !run.state.hasBegun { afterChange(run) }
      }
      try takeForeignText()
      for runID in foreignText.keys { showForeignText(runID, before: (watched[runID] ?? 0) + 1) }
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

  func publishForeign(_ runID: ULID, after last: Int) throws(StoreError) {
    var last = last
    if !observing.contains(runID) { observe(runID, true) }
    while true {
      let events = try store.events(of: runID, after: last, limit: 1000, maxBytes: 1 << 20)
      guard let newest = events.last else { return }
      last = newest.sequence
      show(runID, events.map { PublishedEvent(sequence: $0.sequence, type: EventType.read($0.event), bytes: $0.event) })
    }
  }

  /// Events of a run, for the client that watches it. Text that another process streamed between them comes in its place: it was passed on before
  /// the event after it was written, so having read the event means that the text can be read.
  func show(_ runID: ULID, _ events: [PublishedEvent]) {
    guard let newest = events.last else { return }
    watched[runID] = newest.sequence
    if observing.contains(runID) {
      do throws(StoreError) { try takeForeignText() } catch { host.log("streamed text could not be read: \(error.message)") }
    }
    guard foreignText[runID] != nil else {
      parent?.publish(runID, events)
      return
    }
    var rest = events[...]
    while let first = rest.first {
      showForeignText(runID, before: first.sequence)
      let next = foreignText[runID]?.first?.afterSequence ?? .max
      let count = rest.prefix { $0.sequence <= max(next, first.sequence) }.count
      parent?.publish(runID, Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    showForeignText(runID, before: newest.sequence + 1)
  }

  private func takeForeignText() throws(StoreError) {
    if observing.isEmpty { return }
    for chunk in try store.liveChunks() where watched[chunk.runID] != nil { foreignText[chunk.runID, default: []].append(chunk) }
  }

  /// What waits for an event that is not read yet stays; the log is soon asked again.
  private func showForeignText(_ runID: ULID, before sequence: Int) {
    guard watched[runID] != nil, let chunks = foreignText.removeValue(forKey: runID) else { return }
    let ready = chunks.prefix { $0.afterSequence < sequence }
    for chunk in ready { parent?.streamForeign(chunk) }
    if ready.count < chunks.count { foreignText[runID] = Array(chunks.dropFirst(ready.count)) }
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
      let chunks = liveText.take(observed, at: host.wallClock()) { live[$0]?.state.sequence ?? 0 }
      if !chunks.isEmpty { try store.publish(chunks) }
    } catch { host.log("streamed text could not be passed on: \(error.message)") }
  }
}

/// Streamed text that observers in other processes wait for: filled by providers' threads, emptied by the engine.
///
/// What nobody observes is kept for a moment: an observer of a session hears of a run a little after it has begun.
final class LiveText: Sendable {
  private struct Entry {
    var runID: ULID
    /// Nil: what follows of the run belongs behind an event that the engine has not made yet.
    var delta: StreamedDelta?
    /// How often the engine has looked at it in vain.
    var looks = 0
  }

  private static let mostLooks = 20

  private let entries = Mutex<[Entry]>([])

  var isEmpty: Bool { entries.withLock { $0.isEmpty } }

  /// Bounded: an observer that is late gets the text from the log.
  func append(_ runID: ULID, _ delta: StreamedDelta) {
    entries.withLock { entries in
      if entries.count >= 4096 { entries.removeFirst(1024) }
      entries.append(Entry(runID: runID, delta: delta))
    }
  }

  /// The message begins anew: what comes now is not joined with what came.
  func begin(_ runID: ULID) { entries.withLock { $0.append(Entry(runID: runID, delta: nil)) } }

  /// The event that a beginning waited for is made.
  func pass(_ runID: ULID) {
    entries.withLock { entries in
      guard let place = entries.firstIndex(where: { $0.runID == runID && $0.delta == nil }) else { return }
      entries.remove(at: place)
    }
  }

  /// The message is complete: who has not seen its text gets it whole.
  func end(_ runID: ULID) { entries.withLock { $0.removeAll { $0.runID == runID } } }

  /// The events for what came since of the observed runs, text of one message in one piece.
  func take(_ observed: Set<ULID>, at now: Timestamp, after sequence: (ULID) -> Int) -> [LiveChunk] {
    let deltas = entries.withLock { entries in
      var ready: [(runID: ULID, delta: StreamedDelta)] = []
      var waiting: [Entry] = []
      var behind: Set<ULID> = []
      for var entry in entries {
        if let delta = entry.delta, observed.contains(entry.runID), !behind.contains(entry.runID) {
          ready.append((entry.runID, delta))
          continue
        }
        if entry.delta == nil { behind.insert(entry.runID) }
        entry.looks += 1
        if entry.looks <= Self.mostLooks { waiting.append(entry) }
      }
      entries = waiting
      return ready
    }
    return StreamedDelta.merged(deltas).map {
      LiveChunk(runID: $0.runID, event: $0.delta.event(of: $0.runID, at: now), afterSequence: sequence($0.runID))
    }
  }
}
