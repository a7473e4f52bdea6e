package import JSON

/// Bringing runs into memory and letting them go.
extension RunEngine {
  /// The run, from memory or from its log.
  /// - Throws: `run.notFound`, `store.newer`, or what keeps the store from answering.
  func run(_ runID: ULID) throws(RuntimeError) -> LiveRun {
    if let run = live[runID] {
      try refresh(run)
      // What it just learned may have made it superfluous, but now it is wanted.
      live[runID] = run
      return run
    }
    guard let (state, position, _) = try load(runID) else { throw RuntimeError(.runNotFound, "there is no such run") }
    let run = LiveRun(machine: RunMachine(state: state, context: context(for: runID, invokesHere: false)), committed: position)
    run.loadedAt = position
    live[runID] = run
    startTicking()
    return run
  }

  /// A run that is only looked at: not kept.
  func glance(_ runID: ULID) throws(RuntimeError) -> RunState {
    if let run = live[runID] {
      try refresh(run)
      return run.state
    }
    guard let (state, _, _) = try load(runID) else { throw RuntimeError(.runNotFound, "there is no such run") }
    return state
  }

  /// Folds a run's log. Records after `keepingAfter` are handed over too.
  ///
  /// - Parameter disowning: What this process wrote up to this position it wrote before it had the run in memory: since then the store has
  ///   failed under it, and it is not at work on the run, whatever the log says.
  func load(
    _ runID: ULID, keepingAfter: Int = .max, disowning lastDisowned: Int = .max
  ) throws(RuntimeError) -> (state: RunState, position: Int, records: [LogRecord])? {
    var state: RunState?
    var position = 0
    var kept: [LogRecord] = []
    while true {
      let after = position
      let records = try read { () throws(StoreError) in try store.records(of: runID, after: after, maxBytes: 1 << 20) }
      if records.isEmpty { break }
      for record in records {
        let (event, time) = try RunEvent.decode(record)
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
      run.committed = last.position
      publish(run.runID, records)
      hasChanged = true
    }
    guard hasChanged else { return }
    reconcile(run)
    afterChange(run)
  }

  func context(for runID: ULID, invokesHere: Bool) -> MachineContext {
    MachineContext(
      now: host.wallClock(), own: store.owner, isAlive: { [unowned self] in isAlive($0) },
      makeID: { [host] in ULID(milliseconds: host.wallClock().milliseconds, random: host.random()) }, invokesHere: invokesHere,
      load: { [unowned self] (value) throws(StoreError) in try load(value) },
      failures: { [unowned self] in schemas.failures($0, $1) },
      storedResult: { [unowned self] (sequence) throws(StoreError) in try storedResult(of: runID, at: sequence) },
      storedData: { [unowned self] (sequence) throws(StoreError) in try storedData(of: runID, at: sequence) },
      checkDrivable: { [unowned self] (state) throws(RuntimeError) in try checkDrivable(state) },
      hasPlace: driven.count < limits.maxConcurrentRuns,
      compactionPlan: { [unowned self] in compactionPlan(of: $0) },
      checkTools: { [unowned self] (tools) throws(RuntimeError) in try checkTools(tools) },
      changedToolbox: { [unowned self] in changedToolbox($0) }, jitter: Double(host.random().0 >> 40) / Double(1 << 24),
      document: { [unowned self] (kind, id) throws(StoreError) in try store.document(kind, id) })
  }

  /// Whether a claim or an open call of `owner` counts. This process' own no longer do when it is ending.
  func isAlive(_ owner: OwnerID) -> Bool {
    owner == store.owner ? !isEnding : store.isAlive(owner)
  }

  /// - Throws: what keeps this bridge from going on with the run.
  func checkDrivable(_ state: RunState) throws(RuntimeError) {
    _ = try models.provider(for: state.agent, hasTools: state.mayHaveTools, parent: parent?.abilities)
    for tool in state.toolbox.allTools where tool.command != nil { try serverTools.check(tool) }
    try checkServers(of: state.agent, at: "/agent")
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

  private func storedResult(of runID: ULID, at sequence: Int) throws(StoreError) -> (name: String, result: ToolResult)? {
    guard let data = try storedData(of: runID, at: sequence) else { return nil }
    return (data["name"]?.stringValue ?? "", ToolResult(logged: data))
  }

  private func storedData(of runID: ULID, at sequence: Int) throws(StoreError) -> CarriedJSON? {
    guard let found = try store.events(of: runID, after: sequence - 1, limit: 1, maxBytes: 1 << 20).first, found.sequence == sequence else {
      return nil
    }
    return CarriedJSON(trusted: found.event)["data"]
  }

  /// After anything that may have settled the run or made it superfluous here.
  func afterChange(_ run: LiveRun) {
    countDriven(run)
    if run.state.status.hasEnded || run.state.hasBegun, let timer = run.quietTimer {
      timers.cancel(timer)
      run.quietTimer = nil
    }
    if run.committed > 0 { turnEnded(run) }
    if !run.state.hasBegun, run.committed > 0 { lookAfterQueued(run) }
    answerWaiters(run)
    if run.state.status.hasEnded { touched.remove(run.runID) }
    armDeadline(run)
    armExpiry(run)
    if !run.isNeeded(by: store.owner), live[run.runID] === run {
      live[run.runID] = nil
      stopWork(run)
    }
    givePlaces()
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
