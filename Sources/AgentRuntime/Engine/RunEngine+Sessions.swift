package import JSON

/// What a client asks of sessions. All on the engine's thread.
extension RunEngine {
  func session(_ sessionID: ULID) throws(RuntimeError) -> Session {
    guard let document = try read({ () throws(StoreError) in try store.document(Session.kind, sessionID.text) }) else {
      throw RuntimeError(.sessionNotFound, "there is no such session")
    }
    return try Session(document)
  }

  func branch(_ branchID: ULID, of sessionID: ULID) throws(RuntimeError) -> Branch {
    let id = Branch.documentID(sessionID, branchID)
    guard let document = try read({ () throws(StoreError) in try store.document(Branch.kind, id) }) else {
      throw RuntimeError(.sessionNotFound, "the session has no such branch", pointer: "/branchId")
    }
    return try Branch(document)
  }

  /// Oldest first.
  package func branches(of sessionID: ULID) throws(RuntimeError) -> [Branch] {
    var branches: [Branch] = []
    var query = DocumentQuery(kind: Branch.kind, prefix: sessionID.text + "/", limit: 500)
    while true {
      let page = query
      let documents = try read { () throws(StoreError) in try store.documents(matching: page) }
      for document in documents { branches.append(try Branch(document)) }
      guard documents.count == query.limit else { return branches }
      query.after = documents.last?.id
    }
  }

  package func createSession(agentID: String?, metadata: CarriedJSON?) throws(RuntimeError) -> Session {
    try refuseWhenEnding()
    let now = host.wallClock()
    let session = Session(sessionID: makeID(), mainBranch: makeID(), agentID: agentID, metadata: metadata, createdAt: now)
    let branch = Branch(sessionID: session.sessionID, branchID: session.mainBranch)
    guard try read({ () throws(StoreError) in try store.write([session.creation, branch.write(at: now)]) }) else {
      throw RuntimeError(.internalError, "a new session's id was taken")
    }
    return session
  }

  package func findSession(_ sessionID: ULID) throws(RuntimeError) -> Session { try session(sessionID) }

  /// Newest first.
  package func sessions(before: ULID?, limit: Int) throws(RuntimeError) -> (sessions: [Session], more: ULID?) {
    let query = DocumentQuery(kind: Session.kind, after: before?.text, isDescending: true, limit: limit + 1)
    let documents = try read { () throws(StoreError) in try store.documents(matching: query) }
    var sessions: [Session] = []
    for document in documents.prefix(limit) { sessions.append(try Session(document)) }
    return (sessions, documents.count > limit ? sessions.last?.sessionID : nil)
  }

  /// Puts what was said so far out of sight, in all branches. The runs and their logs stay.
  package func clearSession(_ sessionID: ULID) throws(RuntimeError) {
    try refuseWhenEnding()
    _ = try session(sessionID)
    while true {
      let now = host.wallClock()
      let writes = try branches(of: sessionID).map { (branch) throws(RuntimeError) in
        var cleared = branch
        cleared.isCleared = true
        // What waits has not been said yet.
        cleared.clearedTurns = try firstWaiting(in: branch)
        return cleared.write(at: now)
      }
      // A turn was added meanwhile, or another branch: look again.
      if try read({ () throws(StoreError) in try store.write(writes) }) { break }
    }
    lookAtSessions()
  }

  /// A branch that shares what was said up to a message. A message with tool calls brings their results along.
  package func forkSession(_ sessionID: ULID, at messageID: ULID) throws(RuntimeError) -> Branch {
    try refuseWhenEnding()
    _ = try session(sessionID)
    guard let place = try findMessage(messageID, in: sessionID) else {
      throw .invalidParams("the session has no such message", at: "/atMessageId")
    }
    if let runID = try turnRun(place.branchID, place.turns - 1), let open = try openTurn(before: runID) {
      var error = RuntimeError.invalidParams("a turn before this message has not ended", at: "/atMessageId")
      error.details = [("runId", CarriedJSON(string: open.text))]
      throw error
    }
    var fork = Branch(sessionID: sessionID, branchID: makeID())
    fork.base = place
    guard try read({ () throws(StoreError) in try store.write([fork.write(at: host.wallClock())]) }) else {
      throw RuntimeError(.internalError, "a new branch's id was taken")
    }
    return fork
  }

  /// Removes the session with its branches and runs, of which none may be at work or waiting.
  /// - Returns: the runs that are gone.
  package func deleteSession(_ sessionID: ULID) throws(RuntimeError) -> [ULID] {
    let now = host.wallClock()
    var branches: [Branch] = []
    var runs: [ULID] = []
    while true {
      let session = try session(sessionID)
      branches = try self.branches(of: sessionID)
      runs = []
      for branch in branches { runs += try turnRuns(of: branch.branchID, from: 0, to: branch.turns) }
      for runID in runs { try requireEnded(runID) }
      // The session goes first: what a crash leaves of it belongs to nothing that can be named. Its branches go with it, so that no turn is added.
      let sessionRemoval = DocumentWrite(kind: Session.kind, id: session.sessionID.text, expectedVersion: 1, json: nil, updatedAt: now)
      let removals = [sessionRemoval] + branches.map { $0.removal(at: now) }
      // A turn was added meanwhile, or another branch: look again.
      if try read({ () throws(StoreError) in try store.write(removals) }) { break }
    }
    for branch in branches {
      queues[branch.branchID] = nil
      try remove(TurnDocument.kind, prefix: branch.branchID.text + "/", at: now)
      try remove(Chapter.kind, prefix: branch.branchID.text + "/", at: now)
    }
    histories.removeAll { $0.branch.sessionID == sessionID }
    try remove(SessionChange.kind, prefix: sessionID.text + "/", at: now)
    for runID in runs {
      deleteRuns(below: runID)
      live[runID] = nil
      unwatch(runID)
      try read { () throws(StoreError) in try store.delete(run: runID) }
    }
    return runs
  }

  private func requireEnded(_ runID: ULID) throws(RuntimeError) {
    guard let row = try read({ () throws(StoreError) in try store.summary(of: runID) }), !row.status.hasEnded else { return }
    var error = RuntimeError(.invalidRequest, "a run of the session has not ended: cancel it first")
    error.details = [("runId", CarriedJSON(string: runID.text))]
    throw error
  }

  package func sessionOfRun(_ runID: ULID) throws(RuntimeError) -> ULID? {
    try read { () throws(StoreError) in try store.summary(of: runID) }?.sessionID
  }

  /// Whether the run's first events are on their way to be published.
  package func isBeginning(_ runID: ULID) -> Bool { live[runID]?.loadedAt == 0 && watched[runID] == nil && live[runID]?.isDirty == false }

  private func remove(_ kind: String, prefix: String, at now: Timestamp) throws(RuntimeError) {
    let query = DocumentQuery(kind: kind, prefix: prefix, limit: 500)
    while true {
      let found = try read { () throws(StoreError) in try store.documents(matching: query) }
      if found.isEmpty { return }
      let writes = found.map { DocumentWrite(kind: kind, id: $0.id, expectedVersion: $0.version, json: nil, updatedAt: now) }
      _ = try read { () throws(StoreError) in try store.write(writes) }
    }
  }
}
