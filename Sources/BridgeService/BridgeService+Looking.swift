import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC

/// The methods that look at runs, and those that follow them.
extension BridgeService {
  func get(_ params: RunIDParams, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    let outbox = outbox
    readFitted(ticket) { (engine) throws(RuntimeError) in
      let details = try engine.details(of: runID)
      var writer = JSONWriter(capacity: 1024)
      writer.beginObject()
      let naming = OutcomeJSON.write(details.outcome, to: &writer, engine)
      details.writeMembers(to: &writer)
      writer.endObject()
      return try outbox.fitted(CarriedJSON(trusted: writer.finish()), besides: ticket.idBytes, engine, naming)
    }
  }

  func list(_ params: RunList.Params, _ ticket: Ticket) throws(RuntimeError) {
    var query = RunQuery()
    for (index, word) in params.status.enumerated() {
      guard let status = RunStatus(rawValue: word) else {
        throw .invalidParams("is not a run status", at: params.status.count == 1 ? "/status" : "/status/\(index)")
      }
      query.statuses.append(status)
    }
    query.sessionID = params.sessionId.flatMap(ULID.init)
    query.metadata = params.metadata ?? [:]
    query.limit = try limit(params.limit, default: 50, most: 1000)
    if let cursor = params.cursor {
      guard let before = ULID(cursor) else { throw .invalidParams("is not a cursor of run.list", at: "/cursor") }
      query.before = before
    }
    // What is no id is no session's: there are no runs of it.
    if params.sessionId != nil, query.sessionID == nil { return read(ticket) { _ in CarriedJSON(trusted: Bytes(#"{"runs":[]}"#)) } }
    let driver = params.driver.flatMap { RunOutcome.Driver(rawValue: $0.rawValue) }
    let wanted = query
    let outbox = outbox
    readFitted(ticket) { (engine) throws(RuntimeError) in
      let page = try engine.runs(matching: wanted, driver: driver)
      return try outbox.page("runs", page.runs, next: page.more?.text, for: ticket, engine) { details, writer in
        writer.beginObject()
        let naming = OutcomeJSON.write(details.outcome, to: &writer, engine)
        writer.member("createdAt", details.createdAt.text)
        writer.member("updatedAt", details.updatedAt.text)
        writer.endObject()
        return naming
      } cursor: {
        $0.outcome.runID.text
      }
    }
  }

  func events(_ params: RunEvents.Params, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    let limit = try limit(params.limit, default: 1000, most: 10000)
    let after = try position(params.afterSeq, "/afterSeq") ?? 0
    let outbox = outbox
    readFitted(ticket) { (engine) throws(RuntimeError) in
      let last = try engine.standing(of: runID).lastSequence
      let events = try engine.events(of: runID, after: after, limit: limit, maxBytes: 8 << 20)
      var newest = after
      var writer = JSONWriter(capacity: 4096)
      writer.beginObject()
      writer.key("events")
      writer.beginArray()
      for event in events {
        let around = ticket.idBytes + Outbox.aroundItems
        let json = try outbox.fitted(CarriedJSON(trusted: event.event), besides: around, engine, lastResort: .data, .logged)
        // A page ends where the client could not read it; one event is always there.
        if newest > after, outbox.fitting()?.fits(writer.count + json.bytes.count, besides: around) == false { break }
        writer.value(json)
        newest = event.sequence
      }
      writer.endArray()
      if newest < last, !events.isEmpty { writer.member("nextSeq", newest) }
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  func subscribe(_ params: RunSubscribe.Params, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    let after = try position(params.afterSeq, "/afterSeq")
    post(ticket) { service, engine in
      do throws(RuntimeError) {
        let known = service.standingsBelow(runID, engine)
        let standing = try engine.standing(of: runID)
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("status", standing.status.rawValue)
        writer.member("lastSeq", standing.lastSequence)
        writer.endObject()
        ticket.request.succeed(CarriedJSON(trusted: writer.finish()))
        service.outbox.subscribe(runID, after: after ?? standing.lastSequence, last: standing.lastSequence, on: engine)
        service.subscribeBelow(runID, known: known, engine)
      } catch { ticket.fail(error) }
    }
  }

  func unsubscribe(_ params: RunIDParams, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    post(ticket) { service, engine in
      do throws(RuntimeError) {
        _ = try engine.standing(of: runID)
        for child in engine.unendedRuns(below: runID) { service.outbox.unsubscribe(child, on: engine) }
        service.outbox.unsubscribe(runID, on: engine)
        ticket.request.succeed(.emptyObject)
      } catch { ticket.fail(error) }
    }
  }

  func delete(_ params: RunIDParams, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(params.runId)
    let outbox = outbox
    read(ticket) { (engine) throws(RuntimeError) in
      try engine.delete(runID)
      outbox.unsubscribe(runID, on: engine)
      return .emptyObject
    }
  }

  // MARK: Blobs

  func readBlob(_ params: BlobRead.Params, _ ticket: Ticket) throws(RuntimeError) {
    guard let id = ULID(params.id) else { throw RuntimeError(.blobNotFound, "there is no such blob") }
    let offset = try position(params.offset, "/offset") ?? 0
    let length = try limit(params.length, "/length", default: 1 << 20, most: 64 << 20)
    let outbox = outbox
    read(ticket) { (engine) throws(RuntimeError) in
      // No text is shorter as it is written.
      var shorter = min(length, outbox.fitting()?.room(besides: ticket.idBytes + 256) ?? length)
      var piece = try engine.readBlob(id, offset: offset, length: shorter)
      while outbox.fitting()?.fits(piece.escaped.count, besides: ticket.idBytes + 256) == false, shorter > 64 {
        shorter /= 2
        piece = try engine.readBlob(id, offset: offset, length: shorter)
      }
      var writer = JSONWriter(capacity: piece.escaped.count + 128)
      writer.beginObject()
      writer.member("id", id.text)
      writer.member("type", piece.type.rawValue)
      writer.member("offset", piece.offset)
      writer.member("bytes", piece.bytes)
      writer.member("data", CarriedJSON(quoting: piece.escaped))
      writer.member("eof", piece.isLast)
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  func writeBlob(_ params: BlobWrite.Params, _ ticket: Ticket) throws(RuntimeError) {
    guard params.data.kind == .string else { throw .invalidParams("must be a string", at: "/data") }
    let outbox = outbox
    var known: ULID?
    if let text = params.id {
      guard let id = ULID(text) else { throw RuntimeError(.blobNotFound, "there is no such blob") }
      known = id
    }
    let id = known
    read(ticket) { (engine) throws(RuntimeError) in
      if let id, !outbox.knowsBlob(id) { throw RuntimeError(.blobNotFound, "this connection builds no such blob") }
      let written = try engine.writeBlob(
        id, type: params.type.map { $0 == .json ? .json : .string }, data: params.data, isLast: params.last ?? false)
      outbox.noteBlob(written.id)
      var writer = JSONWriter()
      writer.beginObject()
      writer.member("id", written.id.text)
      writer.member("bytes", written.bytes)
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  // MARK: Shared

  /// Answers with what `body` finds, on the engine's thread.
  func read(_ ticket: Ticket, _ body: @escaping @Sendable (RunEngine) throws(RuntimeError) -> CarriedJSON) {
    let outbox = outbox
    readFitted(ticket) { (engine) throws(RuntimeError) in try outbox.fitted(try body(engine), besides: ticket.idBytes, engine) }
  }

  /// As `read`, with a `body` that has fitted what it gives: once more would take the names of blobs in it for somebody else's.
  func readFitted(_ ticket: Ticket, _ body: @escaping @Sendable (RunEngine) throws(RuntimeError) -> CarriedJSON) {
    post(ticket) { service, engine in
      do throws(RuntimeError) { ticket.request.succeed(try body(engine)) } catch { service.fail(ticket, error, engine) }
    }
  }

  /// Refuses a request; what is too long in the error's data for the client travels as a blob.
  func fail(_ ticket: Ticket, _ error: RuntimeError, _ engine: RunEngine) {
    var mapped = ErrorMapping.rpcError(error)
    if let fitting = outbox.fitting(), !fitting.isReady(mapped.json, besides: ticket.idBytes, .none) {
      mapped = ErrorMapping.withShortText(mapped, 512)
      let around = mapped.json.bytes.count - (mapped.data?.bytes.count ?? 0) + ticket.idBytes
      mapped.data = mapped.data.map { data in (try? outbox.fitted(data, besides: around, engine, lastResort: .none)) ?? data }
    }
    ticket.request.fail(mapped)
  }

  func limit(_ value: Int?, _ pointer: String = "/limit", default usual: Int, most: Int) throws(RuntimeError) -> Int {
    guard let value else { return usual }
    guard value >= 1 else { throw .invalidParams("must be at least 1", at: pointer) }
    return min(value, most)
  }

  private func position(_ value: Int?, _ pointer: String) throws(RuntimeError) -> Int? {
    if let value, value < 0 { throw .invalidParams("must not be negative", at: pointer) }
    return value
  }
}
