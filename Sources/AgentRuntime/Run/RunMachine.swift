package import JSON

/// What the machine asks its engine to do once its records are in the log.
package enum RunEffect: Sendable, Equatable {
  case callModel(messageID: ULID)
  case abortModel
  case runServerTool(callID: ULID, attempt: Int)
  case stopServerTools
  case invoke(callID: ULID, attempt: Int)
  case cancelInvocations(callID: ULID, reason: String)
  /// The call has its result: answers to its requests are late from here on.
  case closeInvocations(callID: ULID)
  /// Send the call again after a while.
  case retryInvocation(callID: ULID, afterMilliseconds: Int)
  /// Ask the parent for the approval of the call, or put its question.
  case ask(callID: ULID)
  /// What the parent is asked about the call, if it is, need not be answered any more.
  case withdraw(callID: ULID, reason: String)
  /// For people, on stderr.
  case log(String)
  /// The run could go on, but as many as may be are driven: continue it when there is room.
  case waitForPlace
  /// Have the model say what messages come to that are to go.
  case summarize(messageID: ULID, Compaction)
  /// There are calls to carry out that had to wait until these records are in the log.
  case continueCalls
  /// Have the agent's MCP servers say what they offer; the model turn begins when they have.
  case askServers
}

extension RunEffect {
  var asksParent: Bool {
    switch self {
    case .invoke, .ask: true
    default: false
    }
  }
}

/// A toolbox, and how many changes of registrations are in it.
package typealias ChangedToolbox = (toolbox: Toolbox, changes: TakenChanges)

/// What the machine needs of the world, as values and pure look-ups.
package struct MachineContext {
  package var now: Timestamp
  package var own: OwnerID
  package var isAlive: (OwnerID) -> Bool
  /// When it is worth while to ask again for a run that this process drives.
  package var leaseRetryMilliseconds: (OwnerID?) -> Int = { _ in 1000 }
  package var makeID: @Sendable () -> ULID
  /// This process' parent answers `tool.invoke`, and the run's calls go to it.
  package var invokesHere: Bool
  /// Approvals and answers of the run are asked of this process' parent, as far as it can be.
  package var asksHere = false
  package var abilities = ParentAbilities()
  /// The name that the parent gave itself.
  package var parentName: String?
  /// Reads a value that stands in the log as a blob.
  package var load: (StoredValue) throws(StoreError) -> CarriedJSON
  /// What is wrong with a value by a schema; empty when it fits.
  package var failures: (_ schema: CarriedJSON, _ value: CarriedJSON) -> [String]
  /// The `data` of a stored event.
  package var storedData: (_ sequence: Int) throws(StoreError) -> CarriedJSON?
  /// Whether this bridge can go on with the run: its model and its tools.
  package var checkDrivable: (RunState) throws(RuntimeError) -> Void
  /// Whether one more run may be driven here.
  package var hasPlace: Bool
  /// A queued run may begin: nothing before it in its branch is at work.
  package var mayBegin = false
  /// The run's model call waits to be tried again.
  package var modelWaits: () -> Bool = { false }
  /// What could be left out of what the model is shown.
  package var compactionPlan: (RunState) -> Compaction? = { _ in nil }
  /// - Throws: `tool.invalidSchema` or `unsupportedCapability` for a tool that this bridge cannot have.
  package var checkTools: ([(tools: [Tool], place: String)]) throws(RuntimeError) -> Void = { _ in }
  /// The toolbox with what was registered since; nil when nothing was.
  package var changedToolbox: (RunState) -> ChangedToolbox? = { _ in nil }
  /// From 0 to 1.
  package var jitter: Double
  package var document: (_ kind: String, _ id: String) throws(StoreError) -> Document? = { _, _ in nil }
  /// Whether a document may be changed now: another run of the tree may have a change of it on the way.
  package var claimDocument: (_ kind: String, _ id: String) -> Bool = { _, _ in true }
  /// Of a sub-agent's run: how it stands with the runs above it.
  package var tree: TreePlace?
  /// The run of a sub-agent whose call is pending.
  package var child: (ULID) -> RunState? = { _ in nil }
  /// How many runs of sub-agents may still be begun in its tree.
  package var roomBelow = SubAgent.mostRuns - 1
  /// Why a sub-agent cannot be begun here; nil when it can.
  package var subAgentProblem: (Tool) -> String? = { _ in nil }
}

/// Decides what happens next in a run: pure, but for the values it takes from `context`.
///
/// Every decision is an event appended through `append`, which folds it into the state at once, so that a run that was recovered from its log
/// decides as the one that wrote it. Nothing is acted on before the engine has made the records durable: that is what effects are for.
package struct RunMachine {
  package private(set) var state: RunState
  package var context: MachineContext
  package private(set) var records: [LogRecord] = []
  package private(set) var effects: [RunEffect] = []
  /// Changes beside the log that belong to `records`.
  package internal(set) var documents: [DocumentWrite] = []
  private var spiller: BlobSpiller
  var beside: BesideTheLog
  /// What that was when the output was last taken, and when it last was in the log.
  private var takenBeside: BesideTheLog
  private var durableBeside: BesideTheLog

  package init(state: RunState, context: MachineContext) {
    self.state = state
    self.context = context
    spiller = BlobSpiller(makeID: context.makeID)
    beside = BesideTheLog(context)
    (takenBeside, durableBeside) = (beside, beside)
  }

  /// A new run, whose first record is made here.
  package init(
    runID: ULID, input: CarriedJSON, params: CarriedJSON, meta: CarriedJSON?, delivery: Delivery, warnings: [String],
    toolbox: Toolbox? = nil, changes: TakenChanges = TakenChanges(), turn: TurnPlace? = nil, isQueued: Bool = false,
    decisions: [StandingDecision] = [], storedAgent: AgentUse? = nil, parent: ParentLink? = nil, context: MachineContext
  )
    throws(RuntimeError)
  {
    var spiller = BlobSpiller(makeID: context.makeID)
    let start = RunBeginning(
      input: RunInput(input, storing: &spiller), params: params, meta: meta, delivery: delivery, claim: Claim(owner: context.own, epoch: 1),
      warnings: warnings, toolbox: toolbox?.json, changes: changes, turn: turn, isQueued: isQueued,
      storedAgent: storedAgent, parent: parent)
    state = try RunState(runID: runID, start: start, at: context.now)
    self.context = context
    self.spiller = spiller
    beside = BesideTheLog(context)
    (takenBeside, durableBeside) = (beside, beside)
    record(.started(start))
    if !decisions.isEmpty { append(.decisionsTaken(decisions)) }
    let toolkits = state.toolbox.toolkitNames
    if !toolkits.isEmpty { append(.toolkitsRegistered(toolkits)) }
    if state.params.augmentation != nil { append(.augmentationApplied(callID: nil, nil, shared(by: state.toolbox))) }
    advance(cause: .resume)
  }

  // MARK: Output

  package var blobs: [NewBlob] { spiller.blobs }
  package var hasOutput: Bool { !records.isEmpty || !effects.isEmpty }

  /// Hands over what was decided since the last time.
  package mutating func takeOutput() -> (records: [LogRecord], blobs: [NewBlob], effects: [RunEffect], documents: [DocumentWrite]) {
    let output = (records, spiller.blobs, effects, documents)
    records = []
    effects = []
    documents = []
    spiller = BlobSpiller(makeID: context.makeID)
    takenBeside = besideNow
    return output
  }

  /// What was handed over last is in the log.
  package mutating func outputIsDurable() { durableBeside = takenBeside }

  private var besideNow: BesideTheLog {
    var now = beside
    (now.invokesHere, now.asksHere) = (context.invokesHere, context.asksHere)
    return now
  }

  /// What a parent takes from here on, whatever becomes of what is decided.
  mutating func setParent(invokesHere: Bool, asksHere: Bool) {
    (context.invokesHere, context.asksHere) = (invokesHere, asksHere)
    (durableBeside.invokesHere, durableBeside.asksHere) = (invokesHere, asksHere)
  }

  /// Takes records that another process wrote, when nothing is decided that is not in the log.
  package mutating func take(_ foreign: [LogRecord]) throws(RuntimeError) {
    for record in foreign {
      let (event, time) = try RunEvent.decode(record)
      try state.apply(event, at: time ?? state.updatedAt)
      heed(event)
    }
    durableBeside = besideNow
  }

  /// What another process claimed, or took from this parent, is not sent here any more.
  private mutating func heed(_ event: RunEvent) {
    switch event {
    case .resumed(_, let claim) where claim.owner != context.own:
      if state.callTaker != context.own { context.invokesHere = false }
      context.asksHere = false
    case .reconfigured(_, .pause, _): context.invokesHere = false
    default: break
    }
  }

  /// A machine for the same run when it is `state` that its log says, of which `foreign` were not known here. What was decided and is not in the log
  /// is undone, here too.
  func anew(_ state: RunState, after foreign: [LogRecord]) throws(RuntimeError) -> RunMachine {
    var context = context
    (context.invokesHere, context.asksHere) = (durableBeside.invokesHere, durableBeside.asksHere)
    var machine = RunMachine(state: state, context: context)
    machine.beside = durableBeside
    for record in foreign { machine.heed(try RunEvent.decode(record).event) }
    machine.durableBeside = machine.besideNow
    return machine
  }

  package func outcome() -> RunOutcome { state.outcome(own: context.own, isAlive: context.isAlive, child: context.child) }

  // MARK: For the topics in the other files

  mutating func append(_ event: RunEvent) {
    // The runtime's own records carry no time: the state must be what their fold will be.
    let time = event.isOnTheWire ? context.now : state.updatedAt
    do throws(RuntimeError) { try state.apply(event, at: time) } catch {
      preconditionFailure("an event the machine made does not fold: \(error.message)")
    }
    record(event)
  }

  private mutating func record(_ event: RunEvent) {
    let outcome = event.showsOutcome ? outcome() : nil
    records.append(event.record(state: state, at: context.now, outcome: outcome))
  }

  mutating func perform(_ effect: RunEffect) { effects.append(effect) }

  mutating func store(_ value: StoredValue) -> StoredValue { spiller.store(value) }

  /// A value that stands in the log, or that is on its way there.
  func load(_ value: StoredValue) throws(StoreError) -> CarriedJSON {
    if case .blob(let reference) = value, let new = spiller.blobs.first(where: { $0.id == reference.id }) {
      return new.json
    }
    return try context.load(value)
  }

  mutating func shared(by toolbox: Toolbox) -> SharedContext { SharedContext(toolbox, storing: &spiller) }

  /// The `data` of an event that is in the log, or on its way there: what came in together is judged before the first of it is stored.
  func data(at sequence: Int) throws(StoreError) -> CarriedJSON? {
    if let event = records.first(where: { $0.sequence == sequence })?.event { return CarriedJSON(trusted: event)["data"] }
    return try context.storedData(sequence)
  }

  /// The result of a finished call.
  func result(at sequence: Int) throws(StoreError) -> (name: String, result: ToolResult)? {
    try data(at: sequence).map { ($0["name"]?.stringValue ?? "", ToolResult(logged: $0)) }
  }

  mutating func complete(_ callID: ULID, _ result: ToolResult) {
    if let child = state.call(callID)?.child.flatMap(context.child) {
      append(.childEnded(callID: callID, usage: child.usage(with: context.child)))
    }
    append(.toolCompleted(callID: callID, result: result.stored(by: &spiller)))
  }

  /// A claim on the run by this process.
  var nextClaim: Claim { Claim(owner: context.own, epoch: state.epoch + 1) }

  var isDrivenElsewhere: Bool {
    // A tree has one driver, the root's.
    guard let owner = context.tree.map(\.rootOwner) ?? state.owner else { return false }
    return owner != context.own && context.isAlive(owner)
  }

  // MARK: What is next

  /// Takes the run as far as it can go now. `cause` is what a continuation is put down to.
  mutating func advance(cause: ResumeCause) {
    guard !state.status.hasEnded, !isDrivenElsewhere else { return }
    if let request = state.cancelRequest { return cancel(reason: request.reason, partialText: nil) }
    if state.status == .paused { return }
    if !state.hasBegun, state.mergedInto != nil || !context.mayBegin { return }
    if state.modelAtWork != nil, state.owner == context.own { return }
    if let reached = toolCallLimit(hasCalled: state.batch.pendingCount > 0) { return stopAtLimit(reached, maxIterations: false) }
    guard settleMemoryCalls(cause: cause) else { return }
    askParent()
    if !state.hasWork { return waitForParent() }
    if state.owner != context.own, !context.hasPlace { return perform(.waitForPlace) }
    drive(cause: cause)
    // Interrupted server calls were all the work there was: others of the batch still wait for their clients.
    if !state.hasWork { return waitForParent() }
    if state.batch.tally.forServer > 0 { return dispatchServerCalls() }
    if state.pauseRequested { return append(.paused(status: .paused, fault: nil)) }
    startModelTurn()
  }

  /// Makes this process the driver, if it is not yet.
  mutating func drive(cause: ResumeCause) {
    if state.status == .running, state.owner == context.own { return }
    append(.resumed(cause: cause, claim: nextClaim))
    settleInterruptedServerCalls()
  }

  private mutating func dispatchServerCalls() {
    if state.pauseRequested {
      let isAtWork = state.pendingServerCalls.contains { $0.isAtWork && ($0.sender == context.own || $0.child != nil) }
      if !isAtWork { append(.paused(status: .paused, fault: nil)) }
      return
    }
    var isRefused = false
    for call in state.serverCallsToBegin(by: context.own) {
      if let tool = call.tool, tool.agent != nil {
        guard beginChild(of: call, tool) else {
          isRefused = true
          continue
        }
      } else {
        append(.toolStarted(callID: call.callID, attempt: call.attempt + 1, sender: context.own))
        perform(.runServerTool(callID: call.callID, attempt: call.attempt + 1))
      }
    }
    // Those that could not be begun have their results.
    if isRefused { advance(cause: .resume) }
  }

  // MARK: Ends

  /// Ends the run; open calls get an error result that says why, so that the transcript is complete.
  mutating func finish(_ end: RunEnd, openCallsSay why: String) {
    finish(end) { _ in why }
  }

  /// - Parameter words: What the model is told of a call that is still open.
  mutating func finish(_ end: RunEnd, words: (Call) -> String) {
    for call in state.batch.pending {
      let why = words(call)
      takeBack(call, because: why)
      complete(call.callID, .failure(why))
    }
    perform(.stopServerTools)
    if state.modelAtWork != nil { perform(.abortModel) }
    append(.ended(end))
  }

  /// Whatever the parent was asked about the call need not be answered any more.
  mutating func takeBack(_ call: Call, because why: String) {
    perform(.cancelInvocations(callID: call.callID, reason: why))
    perform(.closeInvocations(callID: call.callID))
    perform(.withdraw(callID: call.callID, reason: why))
  }

  mutating func fail(_ fault: RunFault) {
    var end = RunEnd(.error)
    end.fault = fault
    finish(end, openCallsSay: "The run ended with an error before this call was answered: \(fault.message)")
  }
}
