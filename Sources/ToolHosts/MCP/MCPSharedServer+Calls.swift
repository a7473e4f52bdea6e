import AgentRuntime
import JSON
import JSONRPC
import POSIXSupport

/// Calling a server's tools.
extension MCPSharedServer {
  func add(_ call: MCPOpenCall, at now: Int) {
    // One that may hang is not given more: what has not been sent can go to the next process.
    if isReady, suspectUntil == nil { send(call, at: now) } else { waiting.append(call) }
  }

  /// A call took too long. That may be the call's own nature, or the server hangs; a server that hangs would never be replaced, because it does not end.
  private func suspect(at now: Int) {
    guard suspectUntil == nil, isReady else { return }
    suspectUntil = now + context.limits.probeMilliseconds
    let isStateless = dialect.isStateless
    ask(isStateless ? "server/discover" : "ping", isStateless ? dialect.discover() : .emptyObject, carrying: .everything) { server, _ in
      server.suspectUntil = nil
      let calls = server.waiting
      server.waiting = []
      for call in calls { server.send(call, at: Clock.monotonicMilliseconds()) }
    }
  }

  func send(_ call: MCPOpenCall, at now: Int, inputs: CarriedJSON? = nil, state: CarriedJSON? = nil) {
    guard let connection, let peer = connection.peer else { return call.fail("is not there") }
    let generation = generation
    let key = key
    let number = call.id
    let mailbox = loop.mailbox
    open[call.id] = call
    call.sentAt = now
    if call.firstSentAt == nil { call.firstSentAt = now }
    let dialect = dialect
    call.requestID = peer.request(
      "tools/call",
      { id in
        // Before it is sent: progress may be faster than this thread.
        connection.handler.follow(id, call.sink)
        return dialect.callTool(call.call, progressToken: id, inputs: inputs, state: state)
      }, carrying: MCPToolResult.carriedPaths,
      reply: { reply in
        if reply == .closed { return }
        mailbox.post { loop in
          guard let server = loop.server(key), server.generation == generation else { return }
          server.answered(number, reply)
        }
      })
  }

  private func answered(_ number: Int, _ reply: PeerReply) {
    guard let call = open[number] else { return }
    letGo(call)
    succeeded()
    switch MCPToolResult.read(reply, server: call.call.route.server) {
    case .result(let result): finish(call, result)
    case .inputRequired(let requests, let state): collect(requests, state, for: call)
    }
  }

  /// Its request is not out any more.
  private func letGo(_ call: MCPOpenCall) {
    guard let id = call.requestID else { return }
    connection?.handler.unfollow(id)
    call.requestID = nil
  }

  func finish(_ call: MCPOpenCall, _ result: ToolResult) {
    open[call.id] = nil
    idleSince = Clock.monotonicMilliseconds()
    call.finish(result)
    endQuestions()
  }

  /// Ends a call from this side; `why` goes on after the server's name.
  private func abandon(_ call: MCPOpenCall, reason: String, _ why: String) {
    if let id = call.requestID, let peer = connection?.peer {
      if peer.isOut(id) { peer.notify("notifications/cancelled", MCPDialect.cancelled(id, reason: reason)) }
      peer.forget(id)
    }
    letGo(call)
    finish(call, .failure("The MCP server '\(call.call.route.server)' \(why)."))
  }

  func stop(_ id: Int) {
    if let place = waiting.firstIndex(where: { $0.id == id }) {
      waiting.remove(at: place).fail("was not asked: the call was stopped before")
    } else if let call = open[id] {
      abandon(call, reason: "cancelled", "was told to stop this call; whether it took effect is unknown")
    }
  }

  /// All calls of a session that gives up its hold.
  func stopCalls(of session: Int) {
    for call in waiting + Array(open.values) where call.session == session { stop(call.id) }
  }

  func advanceCalls(at now: Int) -> Int {
    var next = Int.max
    // While it waits for an answer it cannot go on with what it asks for. Others keep their time: who is to answer is not their run's.
    let asking = questions.values.reduce(into: Set<Int>()) { $0.formUnion($1.calls) }
    for call in open.values where !asking.contains(call.id) {
      guard let deadline = call.deadline(context.limits) else { continue }
      if now >= deadline.at {
        abandon(call, reason: "timed out", "\(deadline.why); whether the call took effect is unknown")
        suspect(at: now)
      } else {
        next = min(next, deadline.at)
      }
    }
    return next
  }

  /// What is kept from a server that may hang has its time as well: another call may stay open for long, and the server is not replaced meanwhile.
  ///
  /// Not while a server starts, which has a time of its own.
  func advanceWaiting(at now: Int) -> Int {
    if waiting.isEmpty { return .max }
    let limits = context.limits
    let late = waiting.filter { $0.waitingDeadline(limits) <= now }
    waiting.removeAll { $0.waitingDeadline(limits) <= now }
    for call in late { call.failUnsent(limits) }
    return waiting.map { $0.waitingDeadline(limits) }.min() ?? .max
  }

  // MARK: Questions with the answer to a call (MCP 2026-07-28)

  /// The server needs to know more: asks for it, and calls again with the answers.
  private func collect(_ requests: CarriedJSON?, _ state: CarriedJSON?, for call: MCPOpenCall) {
    call.rounds += 1
    guard call.rounds <= context.limits.rounds else {
      return finish(call, failure(call, "asked for more input \(context.limits.rounds) times and gave no result"))
    }
    guard requests != nil || state != nil else { return finish(call, failure(call, "asked for more input without saying which")) }
    var asked: [(key: String, request: CarriedJSON)] = []
    requests?.forEachMember { asked.append(($0.text, $1)) }
    guard asked.count <= context.limits.questions else {
      return finish(call, failure(call, "asked \(asked.count) questions at once"))
    }
    call.inputs = MCPOpenCall.Inputs(state: state, answers: asked.map { ($0.key, nil) }, awaited: [:])
    for (place, (_, request)) in asked.enumerated() {
      guard open[call.id] != nil else { return }
      askFor(call, place, request)
    }
    goOn(call)
  }

  private func askFor(_ call: MCPOpenCall, _ place: Int, _ request: CarriedJSON) {
    let method = request["method"]?.stringValue ?? ""
    if method == "roots/list" {
      call.inputs?.answers[place].answer = MCPHandler.noRoots
      return
    }
    let params = request["params"] ?? .emptyObject
    guard let question = question(method, params, origins: [call.origin]), let respondent = context.respondent() else {
      return finish(
        call, failure(call, "asked for \(method.isEmpty ? "something" : String(method.prefix(100))), which this bridge does not answer"))
    }
    let generation = generation
    let key = key
    let number = call.id
    let round = call.rounds
    let mailbox = loop.mailbox
    call.inputs?.awaited[place] = respondent.answer(question) { answer in
      mailbox.post { loop in
        guard let server = loop.server(key), server.generation == generation else { return }
        server.answeredInput(number, round, place, answer)
      }
    }
  }

  private func answeredInput(_ number: Int, _ round: Int, _ place: Int, _ answer: MCPAnswer) {
    guard let call = open[number], call.rounds == round, call.inputs?.awaited.removeValue(forKey: place) != nil else { return }
    switch answer {
    case .result(let result):
      call.inputs?.answers[place].answer = result
      goOn(call)
    case .error(_, let message): finish(call, failure(call, "asked for input that it did not get: \(message)"))
    }
  }

  /// Calls again once all answers are there.
  private func goOn(_ call: MCPOpenCall) {
    guard open[call.id] != nil, let inputs = call.inputs, inputs.answers.allSatisfy({ $0.answer != nil }) else { return }
    call.inputs = nil
    var answers: CarriedJSON?
    if !inputs.answers.isEmpty {
      var writer = JSONWriter()
      writer.beginObject()
      for (key, answer) in inputs.answers {
        writer.key(escaping: key)
        writer.value(answer ?? .null)
      }
      writer.endObject()
      answers = CarriedJSON(trusted: writer.finish())
    }
    send(call, at: Clock.monotonicMilliseconds(), inputs: answers, state: inputs.state)
  }

  private func failure(_ call: MCPOpenCall, _ words: String) -> ToolResult {
    .failure("The MCP server '\(call.call.route.server)' \(words); whether the call took effect is unknown.")
  }
}
