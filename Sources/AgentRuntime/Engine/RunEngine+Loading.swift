package import JSON

/// Bringing runs into memory and letting them go.
extension RunEngine {
  /// The run, from memory or from its log.
  /// - Throws: `run.notFound`, `store.newer`, or what keeps the store from answering.
  func run(_ runID: ULID) throws(RuntimeError) -> LiveRun {
    if let run = live[runID] {
      if let tree = run.tree { try refresh(tree) } else { try refresh(run) }
      // What it just learned may have made it superfluous, but now it is wanted.
      live[runID] = run
      try assemble(around: run)
      return run
    }
    guard let (state, position, _) = try load(runID) else { throw RuntimeError(.runNotFound, "there is no such run") }
    let run = LiveRun(machine: RunMachine(state: state, context: context(for: runID, invokesHere: false)), committed: position)
    (run.loadedAt, run.committedEpoch) = (position, state.epoch)
    live[runID] = run
    wakeChildTimers(of: run)
    startTicking()
    // A client that watches it has seen what the last look found, and not what came since: nothing will be new about that any more.
    if let last = watched[runID], last < run.state.sequence {
      try read { () throws(StoreError) in try publishForeign(runID, after: last) }
    }
    try assemble(around: run)
    return run
  }

  /// A run that is only looked at: not kept. What is decided in this turn and not in the log yet is not told.
  func glance(_ runID: ULID) throws(RuntimeError) -> RunState {
    if let run = live[runID], run.committed == 0 || run.isInLog {
      try refresh(run)
      return run.state
    }
    guard let (state, _, _) = try load(runID, disowning: live[runID]?.loadedAt ?? .max) else {
      throw RuntimeError(.runNotFound, "there is no such run")
    }
    return state
  }

  /// As the log has it, and nothing happens by looking; nil for a run that is not there.
  func stored(_ runID: ULID) throws(RuntimeError) -> RunState? {
    if let run = live[runID], run.isInLog {
      let position = try read { () throws(StoreError) in try store.positions(of: [runID])[runID] }
      if position == run.committed { return run.state }
    }
    return try load(runID)?.state
  }

  /// A run as it was when it had so many messages, with what their results brought along; nil for a run that is not there.
  func stored(_ runID: ULID, upTo entries: Int) throws(RuntimeError) -> RunState? {
    try load(runID) { state, next in
      guard state.sessionEntries.count >= entries else { return false }
      // In the log it comes behind the result.
      if case .augmentationApplied = next { return false }
      return true
    }?.state
  }

  /// Folds a run's log. Records after `keepingAfter` are handed over too.
  ///
  /// - Parameter disowning: What this process wrote up to this position it wrote before it had the run in memory: since then the store has
  ///   failed under it, and it is not at work on the run, whatever the log says.
  /// - Parameter stops: Whether the fold ends before this event.
  func load(
    _ runID: ULID, keepingAfter: Int = .max, disowning lastDisowned: Int = .max, before stops: ((RunState, RunEvent) -> Bool)? = nil
  ) throws(RuntimeError) -> (state: RunState, position: Int, records: [LogRecord])? {
    var state: RunState?
    var position = 0
    var kept: [LogRecord] = []
    reading: while true {
      let after = position
      let records = try read { () throws(StoreError) in try store.records(of: runID, after: after, maxBytes: 1 << 20) }
      if records.isEmpty { break }
      for record in records {
        let (event, time) = try RunEvent.decode(record)
        if let stops, state.map({ stops($0, event) }) == true { break reading }
        if state == nil {
          guard case .started(let start) = event, let time else {
            throw RuntimeError(.storeUnavailable, "the log of run \(runID) does not begin with run.started")
          }
          state = try RunState(runID: runID, start: start, at: time)
        } else {
          let before = state?.updatedAt ?? Timestamp(milliseconds: 0)
          try state?.apply(event, at: time ?? before)
        }
        position = record.position
        if position == lastDisowned { state?.disown(store.owner) }
        if position > keepingAfter { kept.append(record) }
      }
    }
    if position < lastDisowned { state?.disown(store.owner) }
    return state.map { ($0, position, kept) }
  }

  /// Takes what other processes have appended, when the run has nothing of its own on the way.
  func refresh(_ run: LiveRun) throws(RuntimeError) {
    guard run.inputs.isEmpty, !run.isDirty else { return }
    var hasChanged = false
    while true {
      let records = try read { () throws(StoreError) in try store.records(of: run.runID, after: run.committed, maxBytes: 1 << 20) }
      guard let last = records.last else { break }
      try run.machine.take(records)
      (run.committed, run.committedEpoch) = (last.position, run.state.epoch)
      publish(run.runID, records)
      hasChanged = true
    }
    guard hasChanged else { return }
    knownBlockers = [:]
    if run.tree != nil || run.state.hasPendingChildren {
      try assemble(around: run)
      if let tree = run.tree { try bringChildren(of: [run], in: tree) }
      // It may matter to the others of its tree.
      markDirty(run)
    }
    reconcile(run)
    afterChange(run)
  }

  /// Asks once for all of its runs.
  private func refresh(_ tree: RunTree) throws(RuntimeError) {
    let members = tree.members
    let positions = try read { () throws(StoreError) in try store.positions(of: Array(members.keys)) }
    for (runID, position) in positions {
      if let member = members[runID], position > member.committed { try refresh(member) }
    }
  }

  func context(for runID: ULID, invokesHere: Bool) -> MachineContext {
    var context = MachineContext(
      now: host.wallClock(), own: store.owner, isAlive: { [unowned self] in isAlive($0) },
      leaseRetryMilliseconds: { [unowned self] in leaseRetry(behind: $0) },
      makeID: { [host] in host.newID() }, invokesHere: invokesHere,
      load: { [unowned self] (value) throws(StoreError) in try load(value) },
      failures: { [unowned self] in schemas.failures($0, $1) },
      storedData: { [unowned self] (sequence) throws(StoreError) in try storedData(of: runID, at: sequence) },
      checkDrivable: { [unowned self] (state) throws(RuntimeError) in try checkDrivable(state) },
      hasPlace: driven.count < limits.maxConcurrentRuns,
      compactionPlan: { [unowned self] in compactionPlan(of: $0) },
      checkTools: { [unowned self] (lists) throws(RuntimeError) in try checkTools(lists) },
      changedToolbox: { [unowned self] in changedToolbox($0) }, jitter: Double(host.random().0 >> 40) / Double(1 << 24),
      document: { [unowned self] (kind, id) throws(StoreError) in try store.document(kind, id) })
    context.modelWaits = { [unowned self] in live[runID]?.modelCall?.call.isWaiting ?? false }
    context.child = { [unowned self] in live[$0]?.state }
    context.claimDocument = { [unowned self] kind, id in live[runID]?.tree?.claim(kind, id, for: runID) ?? true }
    context.subAgentProblem = { [unowned self] in problem(ofSubAgent: $0) }
    return context
  }

  /// Whether a claim or an open call of `owner` counts. This process' own no longer do when it is ending.
  func isAlive(_ owner: OwnerID) -> Bool {
    owner == store.owner ? !isEnding : store.isAlive(owner)
  }

  /// A driver that shows itself may be done soon. One that has not for a while may be frozen: then its lease must be over first.
  private func leaseRetry(behind owner: OwnerID?) -> Int {
    guard let left = owner.flatMap({ store.leaseLeft(of: $0) }), left < Lease.milliseconds / 2 else { return 1000 }
    return max(left, 50)
  }

  /// A stored value, whole.
  package func load(_ value: StoredValue) throws(StoreError) -> CarriedJSON {
    if case .blob(let reference) = value, let fresh = freshBlobs[reference.id] { return fresh.json }
    return try store.load(value)
  }

  /// The same, for a model's provider.
  var loader: @Sendable (StoredValue) throws(StoreError) -> CarriedJSON {
    { [store, freshBlobs] (value) throws(StoreError) in
      if case .blob(let reference) = value, let fresh = freshBlobs[reference.id] { return fresh.json }
      return try store.load(value)
    }
  }

  private func storedData(of runID: ULID, at sequence: Int) throws(StoreError) -> CarriedJSON? {
    guard let found = try store.events(of: runID, after: sequence - 1, limit: 1, maxBytes: 1 << 20).first, found.sequence == sequence else {
      return nil
    }
    return CarriedJSON(trusted: found.event)["data"]
  }

  /// After anything that may have settled the run or made it superfluous here.
  func afterChange(_ run: LiveRun) {
    lookAfter(run)
    release(run)
    givePlaces()
  }

  func lookAfter(_ run: LiveRun) {
    countDriven(run)
    if run.isOver, run.waitsForPlace {
      run.waitsForPlace = false
      placeQueue.removeAll { $0 == run.runID }
    }
    if run.committed > 0 { turnEnded(run) }
    if !run.state.hasBegun, run.committed > 0 { lookAfterQueued(run) }
    if run.isOver || run.state.hasBegun, let timer = run.quietTimer {
      timers.cancel(timer)
      run.quietTimer = nil
    }
    answerWaiters(run)
    if run.state.status.hasEnded { touched.remove(run.runID) }
    armDeadline(run)
    armExpiry(run)
    armChildTimers(run)
  }
}

extension RunStore {
  /// A value as it was before it became a blob.
  func load(_ value: StoredValue) throws(StoreError) -> CarriedJSON {
    guard case .blob(let reference) = value else { return value.wire }
    guard let (type, bytes) = try blob(reference.id) else {
      throw StoreError(.unavailable, "blob \(reference.id) is not in the store")
    }
    let stored = try blobBytes(reference.id, offset: 0, length: bytes)
    return NewBlob(id: reference.id, type: type, value: stored).json
  }
}

extension NewBlob {
  /// The value as it was before.
  var json: CarriedJSON { type == .string ? CarriedJSON(quoting: value) : CarriedJSON(trusted: value) }
}
