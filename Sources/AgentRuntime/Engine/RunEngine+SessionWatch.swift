import JSON

/// What a client that observes a session is told: its new runs, in whatever process they begin, and that it was cleared.
struct SessionWatch {
  /// Runs made before this are not news, but for those that were stored late.
  var since: Timestamp
  /// The newer ones that were told of, or were there from the beginning.
  var told: Set<ULID>
  /// Turns that were cleared, over all branches.
  var cleared: Int
  var began: (ULID) -> Void
  var wasCleared: () -> Void
}

extension RunEngine {
  /// - Parameters:
  ///   - began: called for each run that begins from now on, before its events are published.
  ///   - cleared: called when the session's messages were put out of sight.
  /// - Returns: the runs of the session that have not ended.
  package func watchSession(
    _ sessionID: ULID, began: @escaping (ULID) -> Void, cleared: @escaping () -> Void
  ) throws(RuntimeError) -> [RunSummary] {
    _ = try session(sessionID)
    var query = RunQuery()
    query.sessionID = sessionID
    query.limit = 1000
    query.statuses = [.queued, .running, .waitingClientTool, .waitingApproval, .waitingHumanInput, .paused]
    let active = query
    let since = host.wallClock()
    sessionWatches[sessionID] = SessionWatch(
      since: since, told: Set(try recentRuns(of: sessionID, since: since)), cleared: try clearedTurns(of: sessionID), began: began,
      wasCleared: cleared)
    startTicking()
    return try read { () throws(StoreError) in try store.runs(matching: active) }
  }

  package func unwatchSession(_ sessionID: ULID) { sessionWatches[sessionID] = nil }

  private func clearedTurns(of sessionID: ULID) throws(RuntimeError) -> Int {
    try branches(of: sessionID).reduce(0) { $0 + ($1.isCleared ? $1.clearedTurns + 1 : 0) }
  }

  /// A run that began here; its events are not published yet.
  func noteSessionRun(_ run: LiveRun) {
    guard let sessionID = run.state.turn?.sessionID, sessionWatches[sessionID]?.told.insert(run.runID).inserted == true else { return }
    sessionWatches[sessionID]?.began(run.runID)
  }

  /// Before somebody here has to do with a run: one that another process has just begun in a watched session is told of from its beginning.
  package func lookAtSession(of runID: ULID) {
    guard !sessionWatches.isEmpty, let sessionID = try? sessionOfRun(runID), let watch = sessionWatches[sessionID] else { return }
    if !watch.told.contains(runID) { lookAtSessions() }
  }

  /// Another process has written.
  func lookAtSessions() {
    for (sessionID, watch) in sessionWatches {
      do throws(RuntimeError) {
        let now = host.wallClock()
        for runID in try recentRuns(of: sessionID, since: watch.since) where sessionWatches[sessionID]?.told.insert(runID).inserted == true
        {
          watch.began(runID)
        }
        let cleared = try clearedTurns(of: sessionID)
        if cleared != watch.cleared { watch.wasCleared() }
        let least = now.milliseconds - 2 * Self.lateMilliseconds
        let told = (sessionWatches[sessionID]?.told ?? []).filter { $0.milliseconds > least }
        sessionWatches[sessionID]?.told = told
        sessionWatches[sessionID]?.cleared = cleared
        sessionWatches[sessionID]?.since = now
      } catch { host.log("session \(sessionID) could not be looked at: \(error.message)") }
    }
  }

  /// How much older than its commit a run's id may be, by a slow disk or another clock.
  private static var lateMilliseconds: Int { 60_000 }

  /// Oldest first.
  private func recentRuns(of sessionID: ULID, since: Timestamp) throws(RuntimeError) -> [ULID] {
    var found: [ULID] = []
    var query = RunQuery()
    query.sessionID = sessionID
    while true {
      let page = query
      let rows = try read { () throws(StoreError) in try store.runs(matching: page) }
      for row in rows {
        if row.runID.milliseconds < since.milliseconds - Self.lateMilliseconds { return found.reversed() }
        found.append(row.runID)
      }
      guard rows.count == query.limit else { return found.reversed() }
      query.before = rows.last?.runID
    }
  }
}
