package import JSON

/// A change of what a connection or a session has registered.
package enum RegistrationChange: Sendable, Equatable {
  case register(tools: [Tool], toolkits: [Toolkit])
  case unregisterToolkits([String])
  case unregisterTools([String])
  /// Of a session only.
  case augment(Augmentation)

  /// - Throws: as the operations of `Toolbox`; the toolbox is as before then.
  func apply(to toolbox: inout Toolbox, at level: RegistrationLevel) throws(RuntimeError) {
    switch self {
    case .register(let tools, let toolkits): try toolbox.register(tools: tools, toolkits: toolkits, at: level)
    case .unregisterToolkits(let names): try toolbox.unregister(toolkits: names, at: level)
    case .unregisterTools(let names): try toolbox.unregister(tools: names, at: level)
    case .augment(let augmentation): try toolbox.apply(augmentation, isInsideResult: false, pointer: "/augmentation")
    }
  }

  /// List by list, with the place of each in the params.
  var newTools: [(tools: [Tool], place: String)] {
    switch self {
    case .register(let tools, let toolkits): [(tools, "/tools")] + toolkits.enumerated().map { ($1.tools, "/toolkits/\($0)/tools") }
    case .augment(let augmentation): augmentation.newTools(at: "/augmentation")
    case .unregisterToolkits, .unregisterTools: []
    }
  }
}

extension RegistrationChange {
  /// - Throws: `invalidParams` with a pointer into the params.
  package static func readToolkits(_ json: CarriedJSON) throws(RuntimeError) -> [Toolkit] {
    try RunParams.read([Toolkit].self, json, at: "/toolkits", carrying: Toolkit.listPaths)
  }

  /// - Parameter toolkit: The toolkit that those belong to which name none.
  package static func readTools(_ json: CarriedJSON, toolkit: String?) throws(RuntimeError) -> [Tool] {
    try RunParams.read([Tool].self, json, at: "/tools", carrying: RunParams.toolPaths).map { tool in
      var tool = tool
      tool.toolkit = tool.toolkit ?? toolkit
      return tool
    }
  }
}

extension RunEngine {
  // MARK: The connection

  /// - Throws: what is wrong with the declaration, with a pointer into the params.
  package func changeConnection(_ change: RegistrationChange) throws(RuntimeError) {
    try refuseWhenEnding()
    try checkTools(change.newTools)
    try connection.make(change)
  }

  /// What the next run of this connection would be offered besides what it brings itself.
  package func offeredToolbox(sessionID: ULID?) throws(RuntimeError) -> Toolbox {
    guard let sessionID else { return connection.toolbox }
    return try offeredToolbox(in: try branch(try session(sessionID).mainBranch, of: sessionID))
  }

  /// The same for the next turn of a branch.
  package func offeredToolbox(in branch: Branch) throws(RuntimeError) -> Toolbox {
    var toolbox = try currentToolbox(of: branch)
    try toolbox.takeLevel(.connection, of: connection.toolbox)
    try registerAgent(of: branch.sessionID, in: &toolbox)
    return toolbox
  }

  /// What is registered with a session's agent. It may come after later levels: what overrides what comes to the same.
  private func registerAgent(of sessionID: ULID, in toolbox: inout Toolbox) throws(RuntimeError) {
    guard let agent = try agentNow(of: try session(sessionID)) else { return }
    try toolbox.register(tools: agent.tools ?? [], toolkits: agent.toolkits ?? [], at: .agent, pointer: "/agent")
  }

  /// The stored agent of a session as it is now; nil for one that has been deleted, with which no turn begins.
  private func agentNow(of session: Session) throws(RuntimeError) -> Agent? {
    guard let agentID = session.agentID else { return nil }
    do throws(RuntimeError) {
      return try RunParams.read(Agent.self, try agent(agentID).json, at: "/agent", carrying: Agent.carriedPaths)
    } catch {
      guard error.kind == .agentNotFound else { throw error }
      return nil
    }
  }

  /// What a branch has now: that of the turn at work, or what the next one begins with.
  package func currentToolbox(of branch: Branch) throws(RuntimeError) -> Toolbox { try sessionToolbox(of: branch).toolbox }

  /// - Throws: `tool.invalidSchema` that names tool and place; `unsupportedCapability` for a server tool that this bridge does not run; what is wrong
  ///   with the agent that a tool brings.
  func checkTools(_ lists: [(tools: [Tool], place: String)]) throws(RuntimeError) {
    for (tools, place) in lists {
      try RunAdmission.checkSchemas(of: tools, at: place, with: schemas)
      try refuse(tools, at: place)
      _ = try SubAgent.check(tools, at: place)
      try checkModels(ofAgentsIn: tools, at: place)
    }
  }

  // MARK: A session

  /// Changes what a session has registered, or its shared state and context; a run under way takes it at its next model turn.
  package func changeSession(_ sessionID: ULID, _ change: RegistrationChange) throws(RuntimeError) {
    try refuseWhenEnding()
    let session = try session(sessionID)
    try checkTools(change.newTools)
    while true {
      let main = try branch(session.mainBranch, of: sessionID)
      // Judged on what the session has now; what a run under way has made of it is judged again when it takes the change.
      var (toolbox, count) = try sessionToolbox(of: main)
      // It may refer to what its agent has.
      try registerAgent(of: sessionID, in: &toolbox)
      try change.apply(to: &toolbox, at: .session)
      if case .augment(let augmentation) = change { try toolbox.checkSize(after: augmentation, pointer: "/augmentation") }
      let document = SessionChange.write(change, sessionID: sessionID, number: count, at: host.wallClock())
      if try read({ () throws(StoreError) in try store.write([document]) }) { return }
    }
  }

  /// What the next turn of a branch begins with, before the agent's, the connection's and its own registrations.
  package func sessionToolbox(of branch: Branch) throws(RuntimeError) -> (toolbox: Toolbox, changes: Int) {
    try sessionToolbox(of: branch, after: try left(in: branch))
  }

  private func sessionToolbox(of branch: Branch, after last: LeftInSession?) throws(RuntimeError) -> (toolbox: Toolbox, changes: Int) {
    var base = Toolbox()
    var taken = 0
    if let last {
      base = last.toolbox
      taken = last.changes
    }
    // Of those that are known here only what came since is read; they are the same as long as they begin with the same.
    var known = sessionToolboxes[branch.branchID]
    if known?.taken != taken { known = nil }
    var news = try sessionChanges(of: branch.sessionID, after: known?.changes ?? taken)
    if known == nil, news.isEmpty { return (base.keptBySession, taken) }
    do throws(RuntimeError) { try registerAgent(of: branch.sessionID, in: &base) } catch {
      host.log("the agent of session \(branch.sessionID) cannot be used: \(error.message)")
    }
    if let made = known, made.base != base {
      known = nil
      news = try sessionChanges(of: branch.sessionID, after: taken)
    }
    var toolbox = known?.toolbox ?? base
    for change in news { apply(change, to: &toolbox) }
    let changes = (known?.changes ?? taken) + news.count
    sessionToolboxes[branch.branchID] = SessionToolboxes.Made(base: base, taken: taken, toolbox: toolbox, changes: changes)
    // What an augmentation of the session injected is the session's, as that of a run is afterwards.
    return (toolbox.keptBySession, changes)
  }

  /// What the next turn of the branch begins with.
  private func left(in branch: Branch) throws(RuntimeError) -> LeftInSession? {
    guard let last = try lastTurn(of: branch) else { return nil }
    if let left = last.left { return left }
    if let entries = last.entries { return try stored(last.runID, upTo: entries).map(LeftInSession.init) }
    return LeftInSession(try glance(last.runID))
  }

  /// The run whose end the next turn of the branch follows on, and what it has left when it was deleted.
  ///
  /// - Parameter entries: Another branch leaves this one after so many messages of its last turn: what came of that turn later is not the other's.
  /// - Returns: `entries` when it is that turn, and its run is there.
  func lastTurn(of branch: Branch, upTo entries: Int? = nil) throws(RuntimeError) -> (runID: ULID, left: LeftInSession?, entries: Int?)? {
    // Another branch leaves this one where all had ended.
    var earlier = EarlierTurns(in: branch, before: entries == nil ? try endOfBegun(in: branch) : branch.turns)
    while let turn = try earlier.nextDocument(self) {
      let entries = turn.number == branch.turns - 1 ? entries : nil
      if let row = try read({ () throws(StoreError) in try store.summary(of: turn.runID) }) {
        if row.epoch > 0 { return (turn.runID, nil, entries) }
      } else if let left = turn.remains?.left(after: entries) {
        return (turn.runID, left, nil)
      }
    }
    guard let base = branch.base, base.turns > 0 else { return nil }
    var parent = try self.branch(base.branchID, of: branch.sessionID)
    parent.turns = base.turns
    return try lastTurn(of: parent, upTo: base.entries)
  }

  func sessionChanges(of sessionID: ULID, after count: Int) throws(RuntimeError) -> [RegistrationChange] {
    try SessionChange.read(sessionID: sessionID, after: count) { (query) throws(RuntimeError) in
      try read { () throws(StoreError) in try store.documents(matching: query) }
    }
  }

  /// One that does not fit what the toolbox has become is passed over.
  private func apply(_ change: RegistrationChange, to toolbox: inout Toolbox) {
    do throws(RuntimeError) { try change.apply(to: &toolbox, at: .session) } catch {
      host.log("a change of a session's registrations does not apply any more: \(error.message)")
    }
  }

  // MARK: A run

  struct FirstToolbox {
    var toolbox: Toolbox
    var changes: TakenChanges
    /// What earlier turns decided for all calls of a tool.
    var decisions: [StandingDecision]
    /// It is what the params say, so the log need not.
    var isPlain: Bool
  }

  /// What a new run begins with.
  func firstToolbox(for params: RunParams, in branch: Branch?) throws(RuntimeError) -> FirstToolbox {
    let last = try branch.flatMap { branch throws(RuntimeError) in try left(in: branch) }
    var (toolbox, changes) = try branch.map { branch throws(RuntimeError) in try sessionToolbox(of: branch, after: last) } ?? (Toolbox(), 0)
    if params.resetsClientState { toolbox.resetClientState() }
    try toolbox.takeLevel(.connection, of: connection.toolbox)
    let isPlain = toolbox == Toolbox() && params.augmentation == nil && changes == 0
    try toolbox.register(params)
    if let augmentation = params.augmentation {
      try checkTools(augmentation.newTools(at: "/augmentation"))
      try toolbox.apply(augmentation, isInsideResult: false, pointer: "/augmentation")
      try toolbox.checkSize(after: augmentation, pointer: "/augmentation")
    }
    return FirstToolbox(
      toolbox: toolbox, changes: TakenChanges(session: changes, connection: connection.count),
      decisions: last?.decisions ?? [], isPlain: isPlain)
  }

  /// What the turns before a turn that waited decided for all calls of a tool.
  func decisionsNow(for run: LiveRun) throws(RuntimeError) -> [StandingDecision] {
    guard let turn = run.state.turn else { return [] }
    var branch = try branch(turn.branchID, of: turn.sessionID)
    branch.turns = turn.number
    return try left(in: branch)?.decisions ?? []
  }

  /// The toolbox of a turn that waited, as the turn before it has left it.
  func toolboxNow(for run: LiveRun) throws(RuntimeError) -> ChangedToolbox? {
    guard let turn = run.state.turn else { return nil }
    var branch = try branch(turn.branchID, of: turn.sessionID)
    branch.turns = turn.number
    var (toolbox, changes) = try sessionToolbox(of: branch)
    if run.state.params.resetsClientState { toolbox.resetClientState() }
    // Its connection may be gone: what that had registered is in its log.
    try toolbox.takeLevel(.connection, of: run.state.toolbox)
    try toolbox.register(run.state.params)
    if let augmentation = run.state.params.augmentation { try toolbox.apply(augmentation, isInsideResult: false, pointer: "/augmentation") }
    return toolbox == run.state.toolbox
      ? nil : (toolbox, TakenChanges(session: changes, connection: run.state.changes.connection))
  }

  /// What came since the run's last model turn: from the connection that began it here, and from its session.
  func changedToolbox(_ state: RunState) -> ChangedToolbox? {
    guard let run = live[state.runID] else { return nil }
    var toolbox = state.toolbox
    var changes = state.changes
    // A process has one connection. What its log says of the run counts, so that it may have been out of memory meanwhile.
    if state.creator == store.owner, state.parent == nil {
      connection.bring(&toolbox, from: max(changes.connection, run.idleConnectionChanges))
      changes.connection = connection.count
      if toolbox == state.toolbox { run.idleConnectionChanges = changes.connection }
    }
    if let turn = state.turn {
      do throws(RuntimeError) {
        for change in try sessionChanges(of: turn.sessionID, after: changes.session) {
          changes.session += 1
          apply(change, to: &toolbox)
        }
      } catch { host.log("the session of run \(state.runID) could not be asked for changes: \(error.message)") }
    }
    if let offer = currentOffer(to: run) { toolbox.take(offer) }
    return toolbox == state.toolbox && changes.session == state.changes.session ? nil : (toolbox, changes)
  }
}

/// A change of a session as it is kept: document `sessionChange`, numbered from 0.
enum SessionChange {
  static let kind = "sessionChange"

  private static func documentID(_ sessionID: ULID, _ number: Int) -> String {
    TurnDocument.documentID(sessionID, number)
  }

  static func write(_ change: RegistrationChange, sessionID: ULID, number: Int, at time: Timestamp) -> DocumentWrite {
    DocumentWrite(kind: kind, id: documentID(sessionID, number), expectedVersion: 0, json: change.json, updatedAt: time)
  }

  static func read(
    sessionID: ULID, after count: Int, _ find: (DocumentQuery) throws(RuntimeError) -> [Document]
  ) throws(RuntimeError) -> [RegistrationChange] {
    var query = DocumentQuery(kind: kind, prefix: sessionID.text + "/", limit: 500)
    query.after = count > 0 ? documentID(sessionID, count - 1) : nil
    var changes: [RegistrationChange] = []
    while true {
      let documents = try find(query)
      for document in documents { changes.append(try RegistrationChange(reading: document.json)) }
      guard documents.count == query.limit else { return changes }
      query.after = documents.last?.id
    }
  }
}

extension RegistrationChange {
  var json: CarriedJSON {
    do throws(JSONError) {
      var writer = JSONWriter()
      writer.beginObject()
      switch self {
      case .register(let tools, let toolkits):
        writer.member("tools", try JSONCoding.encode(tools))
        writer.member("toolkits", try JSONCoding.encode(toolkits))
      case .unregisterToolkits(let names): writer.member("unregisterToolkits", try JSONCoding.encode(names))
      case .unregisterTools(let names): writer.member("unregisterTools", try JSONCoding.encode(names))
      case .augment(let augmentation): writer.member("augmentation", augmentation.json)
      }
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    } catch { preconditionFailure("a registration holds nothing that JSON cannot say: \(error)") }
  }

  /// - Throws: `store.newer` for a change that this version does not know.
  init(reading json: CarriedJSON) throws(RuntimeError) {
    if let augmentation = json["augmentation"] {
      self = .augment(try Augmentation(reading: augmentation, at: ""))
    } else if let names = json["unregisterToolkits"] {
      self = .unregisterToolkits(names.elements.compactMap(\.stringValue))
    } else if let names = json["unregisterTools"] {
      self = .unregisterTools(names.elements.compactMap(\.stringValue))
    } else if let tools = json["tools"], let toolkits = json["toolkits"] {
      self = .register(
        tools: try RunParams.read([Tool].self, tools, at: "", carrying: RunParams.toolPaths),
        toolkits: try RunParams.read([Toolkit].self, toolkits, at: "", carrying: Toolkit.listPaths))
    } else {
      throw RuntimeError(.storeNewer, "the session has a change that this version does not know")
    }
  }
}
