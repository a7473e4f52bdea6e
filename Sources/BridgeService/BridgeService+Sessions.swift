import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC

/// The methods about sessions.
extension BridgeService {
  func createSession(_ params: SessionCreate.Params, _ ticket: Ticket) throws(RuntimeError) {
    if let metadata = params.metadata { try RunAdmission.checkMetadata(metadata) }
    read(ticket) { (engine) throws(RuntimeError) in
      if let agentID = params.agentId { try engine.checkAgent(agentID) }
      let session = try engine.createSession(agentID: params.agentId, metadata: params.metadata)
      var writer = JSONWriter()
      writer.beginObject()
      writer.member("sessionId", session.sessionID.text)
      writer.member("branchId", session.mainBranch.text)
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  func getSession(_ params: SessionGet.Params, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try sessionID(params.sessionId)
    let branchID = try params.branchId.map { text throws(RuntimeError) in try self.branchID(text) }
    read(ticket) { (engine) throws(RuntimeError) in
      let session = try engine.findSession(sessionID)
      let branches = try engine.branches(of: sessionID)
      guard let branch = branches.first(where: { $0.branchID == branchID ?? session.mainBranch }) else { throw Self.noBranch }
      let toolbox = try engine.offeredToolbox(in: branch)
      var writer = JSONWriter(capacity: 1024)
      writer.beginObject()
      Self.writeMembers(of: session, to: &writer)
      writer.key("branches")
      writer.beginArray()
      for branch in branches {
        writer.beginObject()
        writer.member("branchId", branch.branchID.text)
        writer.member("turns", branch.turns)
        writer.member("forkedFrom", ifPresent: branch.base?.branchID.text)
        writer.endObject()
      }
      writer.endArray()
      writer.member("state", toolbox.state ?? .null)
      writer.member("context", toolbox.contextJSON)
      ToolboxJSON.writeListing(of: toolbox, to: &writer)
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  func listSessions(_ params: SessionList.Params, _ ticket: Ticket) throws(RuntimeError) {
    let limit = try limit(params.limit, default: 50, most: 1000)
    var before: ULID?
    if let cursor = params.cursor {
      guard let id = ULID(cursor) else { throw .invalidParams("is not a cursor of session.list", at: "/cursor") }
      before = id
    }
    let start = before
    let outbox = outbox
    readFitted(ticket) { (engine) throws(RuntimeError) in
      let page = try engine.sessions(before: start, limit: limit)
      return try outbox.page("sessions", page.sessions, next: page.more?.text, for: ticket, engine) { session, writer in
        writer.beginObject()
        Self.writeMembers(of: session, to: &writer)
        writer.endObject()
        return .none
      } cursor: {
        $0.sessionID.text
      }
    }
  }

  private static func writeMembers(of session: Session, to writer: inout JSONWriter) {
    writer.member("sessionId", session.sessionID.text)
    writer.member("branchId", session.mainBranch.text)
    writer.member("agentId", ifPresent: session.agentID)
    writer.member("metadata", ifPresent: session.metadata)
    writer.member("createdAt", session.createdAt.text)
  }

  func deleteSession(_ params: SessionIDParams, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try sessionID(params.sessionId)
    let outbox = outbox
    read(ticket) { (engine) throws(RuntimeError) in
      for runID in try engine.deleteSession(sessionID) { outbox.unsubscribe(runID, on: engine) }
      engine.unwatchSession(sessionID)
      return .emptyObject
    }
  }

  func clearSession(_ params: SessionIDParams, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try sessionID(params.sessionId)
    read(ticket) { (engine) throws(RuntimeError) in
      try engine.clearSession(sessionID)
      return .emptyObject
    }
  }

  func messages(_ params: SessionMessages.Params, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try sessionID(params.sessionId)
    let branchID = try params.branchId.map { text throws(RuntimeError) in try self.branchID(text) }
    let limit = try limit(params.limit, default: 100, most: 1000)
    var start = RunEngine.MessageCursor()
    if let text = params.cursor {
      guard let cursor = RunEngine.MessageCursor(text) else { throw .invalidParams("is not a cursor of session.messages", at: "/cursor") }
      start = cursor
    }
    let cursor = start
    let outbox = outbox
    readFitted(ticket) { (engine) throws(RuntimeError) in
      let page = try engine.messages(of: sessionID, branchID: branchID, from: cursor, limit: limit)
      return try outbox.page("messages", page.messages, next: page.next?.text, for: ticket, engine) { message, writer in
        message.write(to: &writer)
        return .logged
      } cursor: {
        $0.next.text
      }
    }
  }

  func fork(_ params: SessionFork.Params, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try sessionID(params.sessionId)
    guard let messageID = ULID(params.atMessageId) else { throw .invalidParams("the session has no such message", at: "/atMessageId") }
    read(ticket) { (engine) throws(RuntimeError) in
      let branch = try engine.forkSession(sessionID, at: messageID)
      var writer = JSONWriter()
      writer.beginObject()
      writer.member("branchId", branch.branchID.text)
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  // MARK: Observing

  func subscribeSession(_ params: SessionSubscribe.Params, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try sessionID(params.sessionId)
    var after: [ULID: Int] = [:]
    for (text, sequence) in params.after ?? [:] {
      let pointer = "/after/" + JSONPointer.escape(text)
      guard let runID = ULID(text) else { throw RuntimeError(.runNotFound, "there is no such run", pointer: pointer) }
      guard sequence >= 0 else { throw .invalidParams("must not be negative", at: pointer) }
      after[runID] = sequence
    }
    let replayed = after
    post(ticket) { service, engine in
      do throws(RuntimeError) { try service.subscribe(to: sessionID, replaying: replayed, ticket, engine) } catch { ticket.fail(error) }
    }
  }

  private func subscribe(
    to sessionID: ULID, replaying after: [ULID: Int], _ ticket: Ticket, _ engine: RunEngine
  ) throws(RuntimeError) {
    var replays: [(runID: ULID, after: Int, last: Int)] = []
    for (runID, sequence) in after.sorted(by: { $0.key < $1.key }) {
      guard try engine.sessionOfRun(runID) == sessionID else {
        throw RuntimeError(.runNotFound, "the session has no such run", pointer: "/after/" + runID.text)
      }
      replays.append((runID, sequence, try engine.standing(of: runID).lastSequence))
    }
    let active = try engine.watchSession(sessionID) { [weak self, weak engine] runID in
      guard let self, let engine, !outbox.isSubscribed(runID) else { return }
      // A run that begins here has published nothing yet; one of another process is replayed from its first event.
      if engine.isBeginning(runID) { outbox.subscribe(runID, after: 0, last: 0, on: engine) } else { subscribeFromBeginning(runID, engine) }
    } cleared: { [weak self] in
      self?.tellCleared(sessionID)
    }
    var below: [ULID: [ULID: Int]] = [:]
    for runID in active.map(\.runID) + replays.map(\.runID) { below[runID] = standingsBelow(runID, engine) }
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("runs")
    writer.beginArray()
    for row in active {
      writer.beginObject()
      writer.member("runId", row.runID.text)
      writer.member("status", row.status.rawValue)
      writer.member("lastSeq", row.lastSequence)
      writer.endObject()
    }
    writer.endArray()
    writer.endObject()
    ticket.request.succeed(try outbox.fitted(CarriedJSON(trusted: writer.finish()), besides: ticket.idBytes, engine))
    for row in active where after[row.runID] == nil && !outbox.isSubscribed(row.runID) {
      outbox.subscribe(row.runID, after: row.lastSequence, last: row.lastSequence, on: engine)
      subscribeBelow(row.runID, known: below[row.runID] ?? [:], engine)
    }
    for replay in replays {
      outbox.subscribe(replay.runID, after: replay.after, last: replay.last, on: engine)
      subscribeBelow(replay.runID, known: below[replay.runID] ?? [:], engine)
    }
  }

  private func tellCleared(_ sessionID: ULID) {
    guard connection.capabilities.wants(eventType: "session.cleared") else { return }
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("sessionId", sessionID.text)
    writer.member("type", "session.cleared")
    writer.member("time", host.wallClock().text)
    writer.endObject()
    peer.notify(WireNotification.sessionEvent, CarriedJSON(trusted: writer.finish()))
  }

  func unsubscribeSession(_ params: SessionIDParams, _ ticket: Ticket) throws(RuntimeError) {
    let sessionID = try sessionID(params.sessionId)
    read(ticket) { (engine) throws(RuntimeError) in
      _ = try engine.findSession(sessionID)
      engine.unwatchSession(sessionID)
      return .emptyObject
    }
  }

  // MARK: Ids

  /// - Throws: `session.notFound` for what cannot be a session's id.
  func sessionID(_ text: String) throws(RuntimeError) -> ULID {
    guard let id = ULID(text) else { throw RuntimeError(.sessionNotFound, "there is no such session") }
    return id
  }

  func branchID(_ text: String) throws(RuntimeError) -> ULID {
    guard let id = ULID(text) else { throw Self.noBranch }
    return id
  }

  private static var noBranch: RuntimeError { RuntimeError(.sessionNotFound, "the session has no such branch", pointer: "/branchId") }
}
