package import JSON

/// A run as its log tells it: the fold of `RunEvent`s. Nothing here is set but by `apply`.
package struct RunState: Sendable {
  package let runID: ULID
  package let createdAt: Timestamp
  package internal(set) var updatedAt: Timestamp
  /// Position and sequence of the last record.
  package internal(set) var position = 0
  package internal(set) var sequence = 0

  @Boxed package internal(set) var agent: Agent
  /// What its model may call and is told besides the conversation.
  @Boxed package internal(set) var toolbox: Toolbox
  /// How many changes of registrations are in `toolbox`.
  package internal(set) var changes: TakenChanges
  @Boxed package internal(set) var limits: Limits
  package internal(set) var delivery: Delivery
  /// The process whose parent client calls go to when they do not go to the parent of the one that has them made.
  package internal(set) var callTaker: OwnerID?
  @Boxed package private(set) var params: RunParams
  @Boxed package private(set) var input: RunInput
  package let meta: CarriedJSON?
  /// The W3C trace members of `meta`, which every event carries.
  let trace: CarriedJSON?

  /// The stored agent that it was started with, as it then was.
  @Boxed package private(set) var storedAgent: AgentUse?
  /// The call that it answers, when it is a sub-agent's run.
  package let parent: ParentLink?
  /// The runs of its sub-agents so far.
  package internal(set) var children: [ULID] = []
  /// Why it last went on.
  package internal(set) var lastCause = ResumeCause.resume
  /// Tools of the runtime's own that its agent has.
  let builtInTools: [Tool]
  /// Its place in a session.
  @Boxed package private(set) var turn: TurnPlace?
  /// The process that made it.
  package let creator: OwnerID
  /// False for a run that waits for the turn before it, and has done so from its first day.
  package internal(set) var hasBegun: Bool
  /// The message that its input was passed on to, to be part of that one's turn, or of the one that it is passed on to itself; nil again when this was
  /// cancelled before that turn began.
  package internal(set) var mergedInto: ULID?
  /// The same, however it has ended: others were perhaps passed on to it.
  package internal(set) var passedOnTo: ULID?

  package internal(set) var status = RunStatus.running
  /// Who drives the run; nil while it waits, is paused or has ended.
  package internal(set) var owner: OwnerID?
  package internal(set) var epoch = 0
  /// Milliseconds for which somebody drove the run, up to `drivenUntil`.
  package internal(set) var drivenMilliseconds = 0
  /// When the driver last wrote something: what a dead one leaves until the next claim does not count as driven.
  package internal(set) var drivenUntil: Timestamp

  package internal(set) var transcript: [TranscriptEntry] = []
  /// What of the conversation is not shown to the model any more, one after the other.
  package internal(set) var compactions: [Compaction] = []
  /// Those made for the model turn that is at work.
  package internal(set) var compactionsOfTurn = 0
  package internal(set) var batch = Batch.empty
  /// The message that a model is at work on.
  package internal(set) var modelAtWork: ULID?
  package internal(set) var modelTurns = 0
  package internal(set) var usage = Usage()
  /// Notes that no model turn has seen yet.
  package internal(set) var unseenNotes: [StoredValue] = []
  /// How often the final answer was sent back because it did not match `outputSchema`.
  package internal(set) var answerCorrections = 0

  package internal(set) var pauseRequested = false
  package internal(set) var cancelRequest: CancelRequest?
  @Boxed package internal(set) var fault: RunFault? = nil
  @Boxed package internal(set) var end: RunEnd? = nil
  package internal(set) var rejectedResults = 0
  package internal(set) var warnedLimits: Set<String> = []
  /// Where the result of each finished call stands in the log.
  package internal(set) var resultSequences: [ULID: Int] = [:]
  /// Calls of each tool so far.
  package internal(set) var callCounts: [String: Int] = [:]
  @Boxed var lastFinished: Call? = nil
  /// Where the decision on each gated call stands in the log; 0 for one that was asked for and is not there.
  package internal(set) var decisionSequences: [ULID: Int] = [:]
  /// Where the answer to each question stands; 0 for one that is still open.
  package internal(set) var answerSequences: [ULID: Int] = [:]
  package internal(set) var standingDecisions: [StandingDecision] = []

  package struct CancelRequest: Sendable, Equatable { package var reason: String? }

  package func call(_ callID: ULID) -> Call? { batch[callID] }
  func completedCall(_ callID: ULID) -> Call? { lastFinished?.callID == callID ? lastFinished : batch[callID] }

  /// Client calls without a result, in call order.
  package var pendingClientCalls: [Call] { batch.filter { $0.need == .result } }
  /// Server calls that run or may be run.
  package var pendingServerCalls: [Call] { batch.tally.forServer == 0 ? [] : batch.filter { $0.isForServer } }
  /// Calls that wait for somebody outside: client calls, approvals, questions.
  package var awaitedCalls: [Call] { batch.filter { $0.need != nil } }

  /// Exactly what the next model turn is offered.
  package var tools: [Tool] { builtInTools.isEmpty ? toolbox.offered : toolbox.offered + builtInTools }

  /// Also of a run whose tools are not known yet.
  var mayHaveTools: Bool { agent.hasServers || !tools.isEmpty }

  /// What a call by this name is a call of: also a tool in a collapsed toolkit.
  package func tool(named name: String) -> Tool? {
    if let tool = builtInTools.first(where: { $0.name == name }) { return tool }
    return switch toolbox.offer(named: name) {
    case .plain(let tool), .hiddenChild(let tool, _): tool
    // One that is expanded, or stands in a collapsed toolkit, can be called too, though it is not offered.
    case .toolkit, .skill: tools.first { $0.name == name } ?? Tool(name: name, description: "", inputSchema: .emptyObject)
    case .unknown: nil
    }
  }

  package var maxIterations: Int { limits.maxIterations ?? Limits.defaultMaxIterations }

  /// Begins the fold: the first record of every log is `run.started`.
  /// - Throws: what is wrong with the stored agent or tools, when another version wrote them.
  package init(runID: ULID, start: RunBeginning, at time: Timestamp) throws(RuntimeError) {
    self.runID = runID
    createdAt = time
    updatedAt = time
    drivenUntil = time
    storedAgent = start.storedAgent
    parent = start.parent
    let params = try RunParams(reading: start.params, agent: start.storedAgent?.json)
    let agent = params.agent
    self.params = params
    self.agent = agent
    builtInTools = (agent.askUser == true ? [Question.tool] : []) + (agent.memory?.isEmpty == false ? MemoryTool.allCases.map(\.tool) : [])
    var toolbox: Toolbox
    if let snapshot = start.toolbox {
      toolbox = try Toolbox(reading: snapshot)
    } else {
      toolbox = Toolbox()
      try toolbox.register(params)
    }
    self.toolbox = toolbox
    changes = start.changes
    limits = (agent.limits ?? Limits()).overridden(by: params.limits)
    delivery = start.delivery
    input = start.input
    meta = start.meta
    trace = start.meta.flatMap(Self.traceMembers)
    turn = start.turn
    creator = start.claim.owner
    hasBegun = !start.isQueued
    status = start.isQueued ? .queued : .running
    owner = start.isQueued ? nil : start.claim.owner
    epoch = start.isQueued ? 0 : start.claim.epoch
    position = 1
    sequence = 1
  }

  /// A run that has all it waited for but does not go on yet (no place is free, the process died) is running, driven by nobody.
  package var shownStatus: RunStatus { status.isWaiting && hasWork ? .running : status }

  /// What later turns of its session see of the run.
  var sessionEntries: [TranscriptEntry] {
    guard !status.hasEnded, mergedInto != nil else { return transcript }
    return input.entries + unseenNotes.map { .user([.text($0)]) }
  }

  /// A turn of a session that has ended, and that none of the later ones is shown anything of.
  var leftNothing: Bool { status.hasEnded && !hasBegun && transcript.isEmpty }

  /// The row that lists and claims read.
  package var summary: RunSummary {
    var row = RunSummary(runID: runID, status: shownStatus, createdAt: createdAt)
    row.lastPosition = position
    row.lastSequence = sequence
    row.owner = owner
    row.epoch = epoch
    row.updatedAt = updatedAt
    row.parentRunID = parent?.runID
    row.sessionID = turn?.sessionID
    row.agentID = storedAgent?.agentID
    row.metadata = params.metadata
    row.idempotencyKey = params.idempotencyKey
    return row
  }

  /// Where the run stands, seen from process `own`. `child` finds the run of a sub-agent.
  package func outcome(own: OwnerID, isAlive: (OwnerID) -> Bool, child: (ULID) -> RunState? = { _ in nil }) -> RunOutcome {
    RunOutcome(
      runID: runID, parentRunID: parent?.runID, status: shownStatus, driver: driver(own: own, isAlive: isAlive),
      stopReason: end?.stopReason, answer: end?.answer,
      structuredAnswer: end?.structuredAnswer, pendingCalls: status.hasEnded ? [] : listedCalls(isAlive: isAlive, child: child),
      usage: usage(with: child),
      fault: end?.fault ?? (status == .paused ? fault : nil), lastSequence: sequence, metadata: params.metadata, sessionID: turn?.sessionID,
      mergedInto: end?.mergedInto ?? mergedInto, agentID: storedAgent?.agentID)
  }

  package func driver(own: OwnerID, isAlive: (OwnerID) -> Bool) -> RunOutcome.Driver {
    guard let owner, isAlive(owner) else { return .none }
    return owner == own ? .own : .other
  }

  /// What the run waits for or is going to, and can be given: also while server calls of the batch are at work.
  /// Those of sub-agents stand among them, where the call of the sub-agent stands.
  private func listedCalls(isAlive: (OwnerID) -> Bool, child: (ULID) -> RunState?) -> [PendingCall] {
    batch.calls.flatMap { call -> [PendingCall] in
      if call.isPending, let below = call.child.flatMap(child) { return below.listedCalls(isAlive: isAlive, child: child) }
      return call.need == nil ? [] : [listed(call, isAlive: isAlive)]
    }
  }

  private func listed(_ call: Call, isAlive: (OwnerID) -> Bool) -> PendingCall {
    PendingCall(
      runID: runID, callID: call.callID, name: call.name, target: call.target, arguments: call.arguments, needs: call.need ?? .result,
      attempt: call.attempt, state: call.isDeferred ? .deferred : isOpen(call, isAlive: isAlive) ? .open : .parked,
      expiresAt: call.expiresAt)
  }

  /// Counts what `process` has left in the log so far as left by a dead one: it is no longer at work on the run.
  mutating func disown(_ process: OwnerID) {
    if owner == process { owner = .departed }
    for call in awaitedCalls where call.sender == process && !call.isParked && !call.isDeferred {
      batch.update(call.callID) { $0.sender = .departed }
    }
  }

  /// Whether the log says that the process drives the run or has asked its parent something.
  func hasClaims(of process: OwnerID) -> Bool {
    owner == process || batch.contains { $0.need != nil && $0.sender == process && !$0.isParked && !$0.isDeferred }
  }

  /// Whether the log names another process, and one that was not known to be dead when it was read, as at work on the run.
  func isClaimed(besides own: OwnerID) -> Bool {
    func isOther(_ process: OwnerID?) -> Bool { process.map { $0 != own && $0 != .departed } ?? false }
    if status.hasEnded { return false }
    if status == .queued { return isOther(creator) }
    return isOther(owner) || isOther(callTaker) || batch.contains { $0.need != nil && isOther($0.sender) }
  }

  /// Whether the call, or what it needs, is asked of a parent that lives.
  package func isOpen(_ call: borrowing Call, isAlive: (OwnerID) -> Bool) -> Bool {
    guard call.need != nil, !call.isDeferred, !call.isParked, let sender = call.sender else { return false }
    return isAlive(sender)
  }

  /// `traceparent` and `tracestate`: https://www.w3.org/TR/trace-context/
  private static func traceMembers(of meta: CarriedJSON) -> CarriedJSON? {
    var writer = JSONWriter()
    var isEmpty = true
    writer.beginObject()
    meta.forEachMember { name, value in
      guard name == "traceparent" || name == "tracestate", value.kind == .string, value.bytes.count <= 1024 else { return }
      writer.key(name)
      writer.value(value)
      isEmpty = false
    }
    writer.endObject()
    return isEmpty ? nil : CarriedJSON(trusted: writer.finish())
  }
}
