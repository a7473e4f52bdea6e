import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC

/// The methods that begin a run, change it, or wait for it.
extension BridgeService {
  func start(_ params: RunStart.Params, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try params.sessionId.map { text throws(RuntimeError) in try self.sessionID(text) }
    if params.branchId != nil, sessionID == nil { throw .invalidParams("needs sessionId", at: "/branchId") }
    if params.agent == nil, params.agentId == nil, sessionID == nil { throw .invalidParams("is required", at: "/agent") }
    if params.agent != nil, params.agentId != nil { throw .invalidParams("cannot be given together with agent", at: "/agentId") }
    if let meta = params._meta, meta.kind != .object { throw .invalidParams("must be an object", at: "/_meta") }
    try RunAdmission.checkInput(params.input)
    let json = RunStart.lasting(ticket.request.params ?? .emptyObject)
    var request = StartRequest(
      input: params.input, params: json, delivery: try delivery(params.delivery), canInvoke: answersInvocations, wait: params.wait ?? true)
    request.meta = params._meta
    request.agentID = params.agentId
    request.isStrict = settings.isStrict
    let isInline = params.agent != nil
    if isInline {
      let admission = try RunAdmission(params: json)
      if settings.isStrict, let first = admission.unknownMembers.first { throw .invalidParams("is not known (--strict)", at: first) }
      request.warnings = admission.warnings
    }
    request.idempotencyKey = params.idempotencyKey
    request.sessionID = sessionID
    request.branchID = try params.branchId.map { text throws(RuntimeError) in try branchID(text) }
    request.concurrency = try MessageConcurrency(reading: json["agent"]?["messageConcurrency"], at: "/agent/messageConcurrency")
    let wantsEvents = params.events ?? true
    let begin = request
    host.post { [self] engine in
      if ticket.request.isCancelled {
        _ = ticket.request.fail(ErrorMapping.cancelled())
        return
      }
      var begin = begin
      do throws(RuntimeError) {
        // A stored agent is judged when it is read.
        if isInline { try engine.checkSchemas(ofParams: begin.params) }
        begin.input = try RunInputBlobs.resolve(begin.input, outbox, engine)
        if let augmentation = begin.params["augmentation"], AugmentationBlobs.areNamed(in: augmentation) {
          begin.params = try begin.params.mapMembers { (name, value) throws(RuntimeError) in
            name == "augmentation" ? try AugmentationBlobs.resolve(value, outbox, engine, at: "/augmentation") : value
          }
        }
      } catch { return ticket.fail(error) }
      engine.start(begin) { [self] runID, isNew in
        if isNew { ticket.begunRun = runID }
        if begin.wait, wantsEvents { accept(ticket, runID, engine) }
        if wantsEvents { subscribe(runID, after: isNew ? 0 : nil, engine) }
      } waiting: {
        ticket.wait = $0
      } reply: { [self] in
        answer(ticket, $0, engine, precedesEvents: !begin.wait && ticket.begunRun != nil)
      }
    }
  }

  /// The delivery that is asked for, or the one that fits the client.
  func delivery(_ asked: DeliveryMode?) throws(RuntimeError) -> Delivery {
    if asked == .invoke, !connection.capabilities.tools {
      throw RuntimeError(.unsupportedCapability, "delivery invoke needs the client capability tools", pointer: "/delivery")
    }
    return (asked ?? (connection.capabilities.tools ? .invoke : .pause)) == .invoke ? .invoke : .pause
  }

  /// The waiting client learns its run at once.
  private func accept(_ ticket: Ticket, _ runID: ULID, _ engine: RunEngine) {
    guard connection.capabilities.wants(eventType: "run.accepted") else { return }
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("runId", runID.text)
    writer.member("type", "run.accepted")
    writer.member("time", host.wallClock().text)
    writer.key("data")
    writer.beginObject()
    writer.member("requestId", ticket.request.id.json)
    writer.endObject()
    writer.member("_meta", ifPresent: engine.trace(of: runID))
    writer.endObject()
    peer.notify(WireNotification.runEvent, CarriedJSON(trusted: writer.finish()))
  }

  /// The client sees the run from `sequence` on; nil: from what is there now on.
  func subscribe(_ runID: ULID, after sequence: Int?, _ engine: RunEngine) {
    defer { subscribeBelow(runID, engine) }
    if sequence == nil, !outbox.isSubscribed(runID) { engine.lookAtSession(of: runID) }
    guard !outbox.isSubscribed(runID) else { return }
    // A run that was begun in this turn has published nothing yet, whatever the store holds.
    guard let last = sequence ?? (try? engine.standing(of: runID))?.lastSequence else { return }
    outbox.subscribe(runID, after: last, last: last, on: engine)
    outbox.trim(engine)
  }

  /// Who sees a run sees those of its sub-agents, from now on.
  func subscribeBelow(_ runID: ULID, _ engine: RunEngine) { subscribeBelow(runID, known: standingsBelow(runID, engine), engine) }

  /// Where the runs of a run's sub-agents stand: to be asked for before the client is promised what comes.
  func standingsBelow(_ runID: ULID, _ engine: RunEngine) -> [ULID: Int] {
    let standings = engine.unendedRuns(below: runID).map { child in (child, (try? engine.standing(of: child))?.lastSequence ?? 0) }
    return Dictionary(standings, uniquingKeysWith: { first, _ in first })
  }

  /// The same, from where they stood; those that are new since then from their beginning.
  func subscribeBelow(_ runID: ULID, known: [ULID: Int], _ engine: RunEngine) {
    for child in engine.unendedRuns(below: runID) where !outbox.isSubscribed(child) {
      if let sequence = known[child] {
        let last = (try? engine.standing(of: child))?.lastSequence ?? sequence
        outbox.subscribe(child, after: sequence, last: last, on: engine)
      } else {
        subscribeFromBeginning(child, engine)
      }
    }
  }

  /// The client sees all of a run, and of those below it that it has begun before it was noticed: what is published later names the others.
  func subscribeFromBeginning(_ runID: ULID, _ engine: RunEngine) {
    guard !outbox.isSubscribed(runID), let standing = try? engine.standing(of: runID) else { return }
    // One that begins here has named nobody yet.
    let isBeginning = engine.isBeginning(runID)
    outbox.subscribe(runID, after: 0, last: standing.lastSequence, on: engine)
    if !isBeginning { for child in engine.subAgents(of: runID) { subscribeFromBeginning(child, engine) } }
  }

  func wait(_ params: RunWait.Params, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    if let timeout = params.timeoutMs, timeout < 0 { throw .invalidParams("must not be negative", at: "/timeoutMs") }
    post(ticket) { service, engine in
      engine.wait(runID, timeoutMilliseconds: params.timeoutMs, waiting: { ticket.wait = $0 }) { service.answer(ticket, $0, engine) }
    }
  }

  func cancelRun(_ params: RunCancel.Params, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    post(ticket) { service, engine in
      engine.cancel(runID, reason: params.reason, waiting: { ticket.wait = $0 }) { service.answer(ticket, $0, engine) }
    }
  }

  func pause(_ params: RunIDParams, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    post(ticket) { service, engine in
      engine.pause(runID, waiting: { ticket.wait = $0 }) { service.answer(ticket, $0, engine) }
    }
  }

  func addNote(_ params: RunAddNote.Params, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    guard params.text.kind == .string else { throw .invalidParams("must be a string", at: "/text") }
    post(ticket) { service, engine in
      engine.addNote(runID, params.text) { result in
        if case .failure(let error) = result { ticket.fail(error) } else { ticket.request.succeed(.emptyObject) }
      }
    }
  }

  func resume(_ params: RunResume.Params, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    var resumption = RunMachine.Resumption()
    resumption.delivery = try delivery(params.delivery)
    resumption.canInvoke = answersInvocations
    var warnings: [String] = []
    if let limits = params.limits {
      let admission = try RunAdmission(limits: limits, at: "/limits")
      if settings.isStrict, let first = admission.unknownMembers.first { throw .invalidParams("is not known (--strict)", at: first) }
      resumption.limits = limits
      warnings = admission.warnings
    }
    resumption.reissue = Set((params.reissue ?? []).compactMap(ULID.init))
    if let after = params.afterSeq, after < 0 { throw .invalidParams("must not be negative", at: "/afterSeq") }
    let (wanted, noted) = (resumption, warnings)
    post(ticket) { service, engine in
      if let after = params.afterSeq, let standing = try? engine.standing(of: runID) {
        service.outbox.subscribe(runID, after: after, last: standing.lastSequence, on: engine)
        service.subscribeBelow(runID, engine)
      } else {
        service.subscribe(runID, after: nil, engine)
      }
      engine.resume(runID, wanted, wait: params.wait ?? true, waiting: { ticket.wait = $0 }) {
        service.answer(ticket, $0.noting(noted), engine)
      }
    }
  }

  // MARK: Shared

  /// - Throws: `run.notFound` for what cannot be a run's id.
  func runID(_ text: String) throws(RuntimeError) -> ULID {
    guard let runID = ULID(text) else { throw RuntimeError(.runNotFound, "there is no such run") }
    return runID
  }

  /// Carries a request out on the engine's thread, unless it was cancelled before its turn came.
  func post(_ ticket: Ticket, _ body: @escaping @Sendable (BridgeService, RunEngine) -> Void) {
    host.post { [self] engine in
      if !ticket.request.isCancelled { body(self, engine) }
    }
  }

  /// The outcome, after the run's events up to its `lastSeq`; before them all for a start that does not wait.
  func answer(_ ticket: Ticket, _ result: Result<RunAnswer, RuntimeError>, _ engine: RunEngine, precedesEvents: Bool = false) {
    switch result {
    case .failure(let error): fail(ticket, error, engine)
    case .success(let answer):
      // Cancelled in the meantime: what began the run is answered so, when the run has come to its end.
      if ticket.request.isCancelled, ticket.begunRun != nil { return }
      let (whole, naming) = OutcomeJSON.make(answer, engine)
      let json: CarriedJSON
      do throws(RuntimeError) { json = try outbox.fitted(whole, besides: ticket.idBytes, engine, naming) } catch {
        return ticket.fail(error)
      }
      if precedesEvents {
        _ = ticket.request.succeed(json)
        return
      }
      outbox.after(answer.outcome.lastSequence, of: answer.outcome.runID) { ticket.request.succeed(json) }
    }
  }
}

extension RunStart {
  private static let passing: Set<String> = ["input", "wait", "delivery", "events", "_meta"]

  /// What of the params makes the run what it is, in the order in which it was given; a member that is null is absent.
  static func lasting(_ params: CarriedJSON) -> CarriedJSON {
    var writer = JSONWriter(capacity: params.bytes.count)
    writer.beginObject()
    params.forEachMember { name, value in
      guard !passing.contains(name.text), !value.isNull else { return }
      writer.key(name)
      writer.value(value)
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}

enum OutcomeJSON {
  /// A RunOutcome with all values whole, and the verdicts of a submit.
  static func make(_ answer: RunAnswer, _ engine: RunEngine) -> (json: CarriedJSON, naming: BlobNaming) {
    var writer = JSONWriter(capacity: 512)
    writer.beginObject()
    let naming = write(answer.outcome, to: &writer, engine)
    if let verdicts = answer.verdicts { writer.member("verdicts", verdicts.json) }
    if !answer.warnings.isEmpty {
      writer.key("warnings")
      writer.beginArray()
      for warning in answer.warnings { writer.string(warning) }
      writer.endArray()
    }
    writer.endObject()
    return (CarriedJSON(trusted: writer.finish()), naming)
  }

  /// A blob that cannot be read now stays a reference: the outcome is worth more than the whole answer. The result says which do.
  static func write(_ outcome: RunOutcome, to writer: inout JSONWriter, _ engine: RunEngine) -> BlobNaming {
    var unread: Set<ULID> = []
    outcome.writeMembers(to: &writer) { value in
      do throws(StoreError) { return try engine.load(value) } catch {
        if case .blob(let reference) = value { unread.insert(reference.id) }
        return value.wire
      }
    }
    return .carried(besides: unread)
  }
}
