import JSON

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
      if !live.isEmpty || !watched.isEmpty || !sessionWatches.isEmpty || !letGo.isEmpty { startTicking() }
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
        knownBlockers = [:]
        try takeForeignChanges()
        lookAtSessions()
        for run in live.values where !run.state.hasBegun { afterChange(run) }
      }
      try takeForeignText()
      for (runID, chunks) in foreignText {
        let seen = watched[runID] ?? 0
        // What was streamed before events that the client has seen, and was not known when they were shown, would stand in the wrong place.
        foreignText[runID] = chunks.filter { $0.afterSequence >= seen }
        showForeignText(runID, before: seen + 1)
      }
    } catch { host.log("the store could not be asked for changes: \(error.message)") }
    freeRunsLetGo()
    lookAfterOrphans()
    flushLiveText()
  }

  private func takeForeignChanges() throws(StoreError) {
    // A run with a decision on its way is not read now: it will find out by itself, or the next time.
    looksAgain = live.values.contains(where: \.isDeciding)
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
      unwatch(runID)
    }
  }

  func publishForeign(_ runID: ULID, after last: Int) throws(StoreError) {
    var last = last
    if !observing.contains(runID) { observe(runID, true, after: last) }
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
    defer { tellOfChildren(runID, events) }
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

  /// Who sees a run sees those of its sub-agents.
  private func tellOfChildren(_ runID: ULID, _ events: [PublishedEvent]) {
    for event in events where event.type == "tool.started" {
      guard let child = CarriedJSON(trusted: event.bytes)["data"]?["childRunId"]?.stringValue.flatMap(ULID.init) else { continue }
      parent?.childBegan(child, of: runID, in: self)
    }
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

  /// Of many that wait so many at a time, in turn: each look asks the store.
  private static var mostLooks: Int { 64 }

  private func lookAfterOrphans() {
    var waiting = live.values.filter { !$0.waiters.isEmpty || $0.state.cancelRequest != nil || $0.state.pauseRequested }
    if waiting.count > Self.mostLooks {
      waiting.sort { $0.runID < $1.runID }
      let first = waiting.firstIndex { $0.runID > lastLookedAfter } ?? 0
      waiting = Array((waiting[first...] + waiting[..<first]).prefix(Self.mostLooks))
      lastLookedAfter = waiting[waiting.count - 1].runID
    }
    for run in waiting { lookAfterOrphan(run) }
  }

  /// A driver elsewhere that died says nothing: whoever waits here finds out, and a cancel or a pause that it left is carried out.
  private func lookAfterOrphan(_ run: LiveRun) {
    if !run.state.status.hasEnded, run.state.driver(own: store.owner, isAlive: { isAlive($0) }) == .none {
      if run.state.cancelRequest != nil { return input(run) { (machine) throws(RuntimeError) in machine.advance(cause: .recovery) } }
      if run.state.pauseRequested { return input(run) { (machine) throws(RuntimeError) in machine.pause() } }
    }
    if let taker = run.state.callTaker, !isAlive(taker), canGoOnHere(run) {
      return input(run) { (machine) throws(RuntimeError) in machine.advance(cause: .invoke) }
    }
    afterChange(run)
  }

  // MARK: Streamed text for other processes

  func flushLiveText() {
    guard !liveText.isEmpty else { return }
    do throws(StoreError) {
      let observed = try store.observed(among: liveText.runs)
      let chunks = liveText.take(observed, at: host.wallClock()) { live[$0]?.state.sequence ?? 0 }
      if !chunks.isEmpty { try store.publish(chunks) }
    } catch { host.log("streamed text could not be passed on: \(error.message)") }
  }
}
