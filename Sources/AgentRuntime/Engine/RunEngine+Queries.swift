package import JSON

/// What a client may look at. All on the engine's thread.
extension RunEngine {
  /// A run for `run.get`.
  package struct Details: Sendable {
    package var outcome: RunOutcome
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    /// As it was given.
    package var agent: CarriedJSON?
    /// Of the stored agent that it was started with.
    package var agentVersion: Int?
    package var rejectedResults: Int
    /// The shared state, and the context items as a list; nil when the run's log was not read.
    package var state: CarriedJSON?
    package var context: CarriedJSON?
  }

  package func details(of runID: ULID) throws(RuntimeError) -> Details {
    var (state, outcome) = try look(at: runID)
    // Who goes on all the time does not keep anybody from an answer.
    for _ in 0..<4 where hasGoneOn(state) { (state, outcome) = try look(at: runID) }
    return Details(
      outcome: outcome, createdAt: state.createdAt, updatedAt: state.updatedAt, agent: state.params.agentJSON,
      agentVersion: state.storedAgent?.version, rejectedResults: state.rejectedResults, state: state.toolbox.state,
      context: state.toolbox.contextJSON)
  }

  private func look(at runID: ULID) throws(RuntimeError) -> (RunState, RunOutcome) {
    // One in memory may have been deleted by another process, of which its log says nothing.
    if let run = live[runID], run.committed > 0 { _ = try standing(of: runID) }
    let state = try glance(runID)
    return (state, outcome(of: state))
  }

  package func outcome(of state: RunState) -> RunOutcome {
    let tree = state.hasPendingChildren ? standingTree(of: state.runID) : nil
    let state = tree?[state.runID] ?? state
    var outcome = state.outcome(
      own: store.owner, isAlive: { isAlive($0) }, child: { runID in if let tree { tree[runID] } else { live[runID]?.state } })
    outcome.driver = driver(of: state)
    if !state.status.hasEnded, let next = state.mergedInto {
      do throws(RuntimeError) { outcome.mergedInto = try taker(of: next, after: state.turn) } catch {
        host.log("which turn run \(state.runID) is part of cannot be said: \(error.message)")
      }
    }
    if !state.hasBegun, let blocked = blockedBy(state), blocked.isSettled { outcome.blockedBy = blocked.runID }
    return outcome
  }

  /// A run and those that its pending calls wait for, as their logs had them at one moment: what is decided and not in the log yet is told of none of them,
  /// and what is appended to several at once of all or none. Nil when the run, or where the others stand, cannot be read.
  private func standingTree(of runID: ULID) -> [ULID: RunState]? {
    var states: [ULID: RunState] = [:]
    var positions: [ULID: Int] = [:]
    // Who appends all the time does not keep anybody from an answer.
    for _ in 0..<4 {
      states = durableTree(of: runID, at: positions)
      guard states[runID] != nil else { return nil }
      let runIDs = Array(states.keys)
      do throws(RuntimeError) { positions = try read { () throws(StoreError) in try store.positions(of: runIDs) } } catch { return nil }
      // Logs only grow: one that is now where it was when it was read has been there all the while.
      if states.allSatisfy({ positions[$0.key] == $0.value.position }) { break }
    }
    return states
  }

  private func durableTree(of runID: ULID, at positions: [ULID: Int]) -> [ULID: RunState] {
    var states: [ULID: RunState] = [:]
    var queue = [runID]
    while let runID = queue.popLast() {
      guard states[runID] == nil, let state = durable(runID, at: positions[runID]) else { continue }
      states[runID] = state
      queue += state.pendingChildren
    }
    return states
  }

  /// From memory, when all that it says is in the log, which ends at `position`.
  private func durable(_ runID: ULID, at position: Int?) -> RunState? {
    let run = live[runID]
    if let run, run.state.position == run.committed, position == nil || position == run.committed { return run.state }
    do throws(RuntimeError) { return try load(runID, disowning: run?.loadedAt ?? .max)?.state } catch {
      host.log("run \(runID) could not be looked at: \(error.message)")
      return nil
    }
  }

  /// The run of a sub-agent as it is now; nil when it has not begun, or cannot be read.
  func below(_ runID: ULID) -> RunState? {
    if let run = live[runID] { return run.state }
    do throws(RuntimeError) { return try glance(runID) } catch {
      if error.kind != .runNotFound { host.log("run \(runID) could not be looked at: \(error.message)") }
      return nil
    }
  }

  /// The runs of sub-agents that are at work for a run, and for those.
  package func unendedRuns(below runID: ULID) -> [ULID] {
    guard let state = below(runID), !state.status.hasEnded else { return [] }
    return state.pendingChildren.flatMap { [$0] + unendedRuns(below: $0) }
  }

  /// The runs that a run has begun for its calls, ended ones too.
  package func subAgents(of runID: ULID) -> [ULID] { below(runID)?.children ?? [] }

  package func runs(matching query: RunQuery, driver: RunOutcome.Driver?) throws(RuntimeError) -> (runs: [Details], more: ULID?) {
    var page: [Details] = []
    var query = query
    let wanted = query.limit
    query.limit = wanted + 1
    if let driver, driver != .none {
      // Only few are driven: what has ended is left out, and of the others most by their rows.
      let statuses = query.statuses.isEmpty ? RunStatus.allCases : query.statuses
      query.statuses = statuses.filter { !$0.hasEnded }
      if query.statuses.isEmpty { return ([], nil) }
      query.limit = max(query.limit, 1000)
    }
    while true {
      let rows = try read { () throws(StoreError) in try store.runs(matching: query) }
      for row in rows {
        if let driver, driver != .none, self.driver(of: row) != driver { continue }
        if page.count == wanted { return (page, page.last?.outcome.runID) }
        let details = try details(of: row)
        if driver == nil || details.outcome.driver == driver { page.append(details) }
      }
      guard rows.count == query.limit, let last = rows.last else { return (page, nil) }
      query.before = last.runID
    }
  }

  /// The newest run that is not a sub-agent's.
  package func newestRoot() throws(RuntimeError) -> ULID? {
    var query = RunQuery()
    while true {
      let page = query
      let rows = try read { () throws(StoreError) in try store.runs(matching: page) }
      if let root = rows.first(where: { $0.parentRunID == nil }) { return root.runID }
      guard rows.count == query.limit, let last = rows.last else { return nil }
      query.before = last.runID
    }
  }

  /// The outcome of an ended run as its last event has it, so that a list does not fold whole logs; nil when that event is not found.
  private func endedOutcome(of row: RunSummary) throws(RuntimeError) -> RunOutcome? {
    // Only refused results may follow it, of which a hundred are kept.
    for reach in [1, RunMachine.keptRejections + 1] {
      let events = try events(of: row.runID, after: max(0, row.lastSequence - reach), limit: reach, maxBytes: 1 << 22)
      for (_, event) in events.reversed() {
        let json = CarriedJSON(trusted: event)
        guard ["run.completed", "run.error", "run.cancelled"].contains(json["type"]?.stringValue), let data = json["data"] else { continue }
        return RunOutcome(logged: data, of: row)
      }
    }
    return nil
  }

  private func details(of row: RunSummary) throws(RuntimeError) -> Details {
    do throws(RuntimeError) {
      if row.status.hasEnded, let outcome = try endedOutcome(of: row) {
        return Details(outcome: outcome, createdAt: row.createdAt, updatedAt: row.updatedAt, agent: nil, rejectedResults: 0)
      }
      return try details(of: row.runID)
    } catch {
      guard error.kind == .storeNewer || error.kind == .runNotFound || error.isDamage else { throw error }
      // Its log has records that this version does not know, or is damaged: the row says what can be said.
      let outcome = RunOutcome(
        runID: row.runID, parentRunID: row.parentRunID, status: row.status, driver: driver(of: row), stopReason: nil, answer: nil,
        structuredAnswer: nil, pendingCalls: [],
        usage: Usage(), fault: nil, lastSequence: row.lastSequence, metadata: row.metadata, sessionID: row.sessionID,
        agentID: row.agentID)
      return Details(outcome: outcome, createdAt: row.createdAt, updatedAt: row.updatedAt, agent: nil, rejectedResults: 0)
    }
  }

  /// Status and last sequence.
  package func standing(of runID: ULID) throws(RuntimeError) -> (status: RunStatus, lastSequence: Int) {
    guard let row = try read({ () throws(StoreError) in try store.summary(of: runID) }) else {
      throw RuntimeError(.runNotFound, "there is no such run")
    }
    return (row.status, row.lastSequence)
  }

  package func events(of runID: ULID, after sequence: Int, limit: Int, maxBytes: Int) throws(RuntimeError) -> [(
    sequence: Int, event: Bytes
  )] {
    try read { () throws(StoreError) in try store.events(of: runID, after: sequence, limit: limit, maxBytes: maxBytes) }
  }

  /// The `_meta` of the run's events; nil for a run that was started without a trace context.
  package func trace(of runID: ULID) -> CarriedJSON? {
    if let run = live[runID] { return run.state.trace }
    // Its first event has it as all others: no need to fold the log.
    guard let first = try? events(of: runID, after: 0, limit: 1, maxBytes: 1).first else { return nil }
    return CarriedJSON(trusted: first.event)["_meta"]
  }

  // MARK: Watching

  /// From now on, events after `sequence` are published to the parent as they come.
  ///
  /// - Parameter shown: The event from which on the parent is shown the run, when that is an earlier one: the text streamed after a later event
  ///   belongs to it too.
  package func watch(_ runID: ULID, after sequence: Int, shown: Int? = nil) {
    let isNew = watched.updateValue(sequence, forKey: runID) == nil
    startTicking()
    guard isNew, live[runID]?.isDriven(by: store.owner) != true else { return }
    observe(runID, true, after: shown ?? sequence)
  }

  /// Also of a run that was deleted.
  package func unwatch(_ runID: ULID) {
    guard watched.removeValue(forKey: runID) != nil else { return }
    foreignText[runID] = nil
    observe(runID, false, after: .max)
  }

  func observe(_ runID: ULID, _ wanted: Bool, after sequence: Int) {
    do throws(StoreError) {
      try store.observe(runID, wanted, after: sequence)
      if wanted { observing.insert(runID) } else { observing.remove(runID) }
    } catch { host.log("streamed text of run \(runID) from other processes is not available: \(error.message)") }
  }
}
