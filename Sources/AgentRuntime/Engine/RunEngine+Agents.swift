package import JSON

/// Agents that have ids: those of the store, and those of `--agents`. All on the engine's thread.
extension RunEngine {
  package struct Created: Sendable {
    package var agentID: String
    package var version: Int
    package var warnings: [String]
  }

  /// - Throws: what `run.start` would say of the agent, a missing key aside.
  package func createAgent(_ given: CarriedJSON, isStrict: Bool) throws(RuntimeError) -> Created {
    let json = try EnvironmentValues.restored(in: given, from: nil, at: "/agent")
    let checked = try check(agent: json, at: "/agent", isStrict: isStrict)
    try refuseTools(of: checked.agent, at: "/agent")
    let agentID = makeID().text
    let now = host.wallClock()
    return try untilWritten { () throws(RuntimeError) -> Written<Created> in
      let document = DocumentWrite(kind: StoredAgent.kind, id: agentID, expectedVersion: 0, json: json, updatedAt: now)
      let memory = try declarationWrites(of: checked.agent.memory ?? [], agentID: agentID)
      return Written(Created(agentID: agentID, version: 1, warnings: checked.warnings), [document] + memory)
    }
  }

  /// - Parameter version: The one that the client has seen; nil when it does not matter.
  /// - Throws: `agent.notFound`, `agent.conflict`; `invalidParams` for a file.
  package func updateAgent(
    _ agentID: String, to given: CarriedJSON, ifVersion version: Int?, isStrict: Bool
  ) throws(RuntimeError) -> Created {
    try untilWritten { () throws(RuntimeError) -> Written<Created> in
      let old = try changeableAgent(agentID)
      if let version, version != old.version {
        throw RuntimeError(.agentConflict, "the agent has version \(old.version)", pointer: "/ifVersion")
      }
      let json = try EnvironmentValues.restored(in: given, from: old.json, at: "/agent")
      let checked = try check(agent: json, at: "/agent", isStrict: isStrict)
      try refuseTools(of: checked.agent, at: "/agent")
      let document = DocumentWrite(
        kind: StoredAgent.kind, id: agentID, expectedVersion: old.version, json: json, updatedAt: host.wallClock())
      let memory = try declarationWrites(of: checked.agent.memory ?? [], agentID: agentID)
      return Written(Created(agentID: agentID, version: old.version + 1, warnings: checked.warnings), [document] + memory)
    }
  }

  /// Deletes an agent with its memory. Its runs go on with what their logs have of it.
  /// - Throws: `agent.notFound`; `invalidParams` for a file.
  package func deleteAgent(_ agentID: String) throws(RuntimeError) {
    try untilWritten { () throws(RuntimeError) -> Written<Void> in
      let old = try changeableAgent(agentID)
      var writes = [
        DocumentWrite(kind: StoredAgent.kind, id: agentID, expectedVersion: old.version, json: nil, updatedAt: host.wallClock())
      ]
      for kind in [StoredBlock.kind, StoredBlock.historyKind] { writes += try removals(of: kind, prefix: agentID + "/") }
      return Written((), writes)
    }
  }

  /// - Throws: `agent.notFound`; `invalidParams` for a file that is no agent.
  package func agent(_ agentID: String) throws(RuntimeError) -> StoredAgent {
    if let file = try agentFiles?.file(of: agentID) {
      let agent = try StoredAgent(file)
      _ = try check(file: agent, isStrict: false)
      // Looked for at the start too; it may have come since.
      if ULID(agentID) != nil, try read({ () throws(StoreError) in try store.document(StoredAgent.kind, agentID) }) != nil {
        throw .invalidParams("is the id of a file of --agents (\(agentID).json) and of a stored agent", at: "/agentId")
      }
      return agent
    }
    guard ULID(agentID) != nil, let document = try read({ () throws(StoreError) in try store.document(StoredAgent.kind, agentID) }) else {
      throw RuntimeError(.agentNotFound, "there is no such agent")
    }
    return StoredAgent(document)
  }

  /// A page of agents: files by name, then those of the store, newest first. A file that is no agent is left out, and logged.
  package func agents(limit: Int, cursor: String?) throws(RuntimeError) -> (agents: [StoredAgent], nextCursor: String?) {
    func report(_ error: RuntimeError) { host.log("an agent cannot be listed: \(error.message)") }
    let files = try agentFiles?.agentIDs(refused: report) ?? []
    var page: [StoredAgent] = []
    let fileMark = StoredAgent.fileMark
    let afterFile = cursor.flatMap { $0.hasPrefix(fileMark) ? String($0.dropFirst(fileMark.utf8.count)) : nil }
    if let cursor, afterFile == nil, ULID(cursor) == nil { throw .invalidParams("is not a cursor of agent.list", at: "/cursor") }
    if cursor == nil || afterFile != nil {
      for agentID in files where afterFile.map({ $0.utf8.lexicographicallyPrecedes(agentID.utf8) }) ?? true {
        if page.count == limit { return (page, fileMark + (page.last?.agentID ?? "")) }
        do throws(RuntimeError) {
          page.append(try agent(agentID))
        } catch { report(error) }
      }
    }
    let hidden = Set(files)
    var query = DocumentQuery(kind: StoredAgent.kind, after: afterFile == nil ? cursor : nil, isDescending: true, limit: limit + 1)
    while true {
      let wanted = query
      let documents = try read { () throws(StoreError) in try store.documents(matching: wanted) }
      for document in documents where !hidden.contains(document.id) {
        if page.count == limit { return (page, page.last?.cursor) }
        page.append(StoredAgent(document))
      }
      guard documents.count == query.limit, let last = documents.last else { return (page, nil) }
      query.after = last.id
    }
  }

  // MARK: Use

  /// An agent that is about to be used: the memory of a file is in the store then.
  func agentInUse(_ agentID: String) throws(RuntimeError) -> StoredAgent {
    let agent = try agent(agentID)
    guard agent.file != nil else { return agent }
    let blocks = try check(file: agent, isStrict: false).agent.memory ?? []
    try untilWritten { () throws(RuntimeError) -> Written<Void> in
      Written((), try declarationWrites(of: blocks, agentID: agentID))
    }
    return agent
  }

  /// The request with the agent that it names, and what is to be told of it.
  /// - Throws: `agent.notFound`; what is wrong with the params, or with the agent for this bridge.
  func admit(_ request: StartRequest) throws(RuntimeError) -> StartRequest {
    guard let agentID = try agentID(for: request) else { return request }
    let agent = try agentInUse(agentID)
    let admission = try RunAdmission(params: request.params, agent: agent.json)
    if request.isStrict, let first = admission.unknownMembers.first {
      let isOfAgent = admission.unknownMembersOfAgent.contains(first)
      throw isOfAgent
        ? .invalidParams("the agent has the unknown member \(first) (--strict)", at: "/agentId")
        : .invalidParams("is not known (--strict)", at: first)
    }
    do throws(RuntimeError) { try checkSchemas(ofParams: request.params, agent: agent.json) } catch { throw error.ofStoredAgent }
    var admitted = request
    admitted.storedAgent = agent.use
    admitted.warnings += admission.warnings
    let concurrency = try RunParams(reading: request.params, agent: agent.json).agent.messageConcurrency
    admitted.concurrency = try MessageConcurrency(reading: concurrency, at: "/agentId")
    return admitted
  }

  /// The agent that the request names, or else its session; nil when it brings one.
  private func agentID(for request: StartRequest) throws(RuntimeError) -> String? {
    if let agentID = request.agentID { return agentID }
    if request.params.hasMember("agent") { return nil }
    guard let session = request.sessionID, let agentID = try self.session(session).agentID else {
      throw .invalidParams("is required", at: "/agent")
    }
    return agentID
  }

  /// Judges every file of `--agents`, at the start of the process.
  /// - Throws: what is wrong, with file and place; also an id that the store has too.
  package func checkAgentFiles(isStrict: Bool) throws(RuntimeError) {
    for agentID in try agentFiles?.agentIDs(refused: { (error) throws(RuntimeError) in throw error }) ?? [] {
      guard let file = try agentFiles?.file(of: agentID) else { continue }
      for warning in try check(file: StoredAgent(file), isStrict: isStrict).warnings { host.log("\(file.name): \(warning)") }
      if try read({ () throws(StoreError) in try store.document(StoredAgent.kind, agentID) }) != nil {
        throw .invalidParams("\(file.name): the store has an agent of this id too", at: "/agentId")
      }
    }
  }

  // MARK: Judging

  private func check(
    agent json: CarriedJSON, at pointer: String, isStrict: Bool
  ) throws(RuntimeError) -> (agent: Agent, warnings: [String]) {
    let admission = try RunAdmission(agent: json, at: pointer)
    if isStrict, let first = admission.unknownMembers.first { throw .invalidParams("is not known (--strict)", at: first) }
    let agent = try RunParams.read(Agent.self, json, at: pointer, carrying: Agent.carriedPaths)
    for (tools, place) in SubAgent.toolLists(of: agent, at: pointer) { try RunAdmission.checkSchemas(of: tools, at: place, with: schemas) }
    try checkModels(of: agent, at: pointer)
    return (agent, admission.warnings)
  }

  /// - Throws: what is wrong, naming the file and the place in it.
  private func check(file agent: StoredAgent, isStrict: Bool) throws(RuntimeError) -> (agent: Agent, warnings: [String]) {
    do throws(RuntimeError) { return try check(agent: agent.json, at: "", isStrict: isStrict) } catch {
      if [.storeUnavailable, .storeFull, .storeNewer].contains(error.kind) { throw error }
      let place = error.pointer.map { $0.isEmpty ? "" : $0 + ": " } ?? ""
      throw RuntimeError(error.kind, "\(agent.file ?? agent.agentID): \(place)\(error.message)", pointer: "/agentId")
    }
  }

  func changeableAgent(_ agentID: String) throws(RuntimeError) -> StoredAgent {
    let agent = try agent(agentID)
    guard let file = agent.file else { return agent }
    throw .invalidParams("is an agent of --agents: change \(file)", at: "/agentId")
  }

  // MARK: Writing

  struct Written<Value> {
    var value: Value
    var changes: [DocumentWrite]

    init(_ value: Value, _ changes: [DocumentWrite]) {
      self.value = value
      self.changes = changes
    }
  }

  /// Decides on what the store has, and writes; anew, when somebody else wrote in between. Each further round is another's success, so this ends.
  @discardableResult
  func untilWritten<Value>(_ decide: () throws(RuntimeError) -> Written<Value>) throws(RuntimeError) -> Value {
    for _ in 0..<1000 {
      let decided = try decide()
      if decided.changes.isEmpty { return decided.value }
      if try read({ () throws(StoreError) in try store.write(decided.changes) }) { return decided.value }
    }
    throw RuntimeError(.overloaded, "others change this faster than it can be written", retryAfterMilliseconds: 100)
  }

  /// Everything of a kind whose id begins so, to be removed.
  private func removals(of kind: String, prefix: String) throws(RuntimeError) -> [DocumentWrite] {
    let now = host.wallClock()
    var writes: [DocumentWrite] = []
    // Small pages: a history holds whole texts.
    var query = DocumentQuery(kind: kind, prefix: prefix, limit: 100)
    while true {
      let wanted = query
      let page = try read { () throws(StoreError) in try store.documents(matching: wanted) }
      writes += page.map { DocumentWrite(kind: kind, id: $0.id, expectedVersion: $0.version, json: nil, updatedAt: now) }
      guard page.count == query.limit, let last = page.last else { return writes }
      query.after = last.id
    }
  }
}
