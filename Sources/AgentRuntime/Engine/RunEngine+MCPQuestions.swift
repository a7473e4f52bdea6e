import JSON
import Synchronization

/// Takes what MCP servers ask while they work on a call to the engine: questions to the user, and to the run's model.
///
/// Neither is durable, as the process that asks is not: who asks again after a crash is a new call of the tool.
package final class ServerQuestions: MCPRespondent {
  private let host: any EngineHost
  private let abilities = Mutex(ParentAbilities())

  init(host: any EngineHost) { self.host = host }

  /// What the client can be asked now; a server is told when it is started.
  func note(_ now: ParentAbilities) { abilities.withLock { $0 = now } }

  /// A model is only asked for a server when somebody can be asked for leave.
  package var answersSampling: Bool { abilities.withLock { $0.approvals } }
  package var answersElicitation: Bool { abilities.withLock { $0.elicitation } }

  package func answer(_ question: MCPQuestion, reply: @escaping @Sendable (MCPAnswer) -> Void) -> any RunningTool {
    let handle = Handle(host)
    host.post { $0.take(question, handle, reply) }
    return handle
  }

  final class Handle: RunningTool {
    private let host: any EngineHost
    init(_ host: any EngineHost) { self.host = host }
    func stop() { host.post { [self] engine in engine.withdraw(ObjectIdentifier(self)) } }
  }
}

/// A question of a server that is not answered yet.
struct ServerQuestion {
  let handle: ServerQuestions.Handle
  let method: MCPQuestion.Method
  let runID: ULID
  let reply: @Sendable (MCPAnswer) -> Void
  var exchange: (any ParentExchange)?
  var modelCall: (any ModelCall)?

  func cancel() {
    exchange?.cancel(reason: "the MCP server does not need the answer any more")
    modelCall?.cancel()
  }
}

extension RunEngine {
  typealias QuestionID = ObjectIdentifier

  fileprivate func take(_ question: MCPQuestion, _ handle: ServerQuestions.Handle, _ reply: @escaping @Sendable (MCPAnswer) -> Void) {
    let origin = question.origins.first { live[$0.runID]?.runningTools[$0.callID] != nil }
    guard !isEnding, let origin, let run = live[origin.runID] else {
      return reply(.error(code: MCPAnswer.internalError, message: "the call is over"))
    }
    let id = ObjectIdentifier(handle)
    serverQuestions[id] = ServerQuestion(handle: handle, method: question.method, runID: run.runID, reply: reply)
    switch question.method {
    case .elicitation: elicit(question, of: origin.callID, run, id)
    case .createMessage: sample(question, of: origin.callID, run, id)
    }
  }

  /// Ends the questions of a run, whose server need not hear any more.
  func endServerQuestions(of run: LiveRun) {
    for (id, question) in serverQuestions where question.runID == run.runID { refuse(id, question, "the run is not at work any more") }
  }

  /// Nobody is there any more who could be asked.
  func endServerQuestions() {
    for (id, question) in serverQuestions {
      question.modelCall?.clientIsGone()
      guard question.exchange != nil else { continue }
      switch question.method {
      case .elicitation: settle(id, .result(MCPAnswer.cancelled))
      case .createMessage: refuse(id, question, "the client is gone")
      }
    }
  }

  private func refuse(_ id: QuestionID, _ question: ServerQuestion, _ why: String) {
    serverQuestions[id] = nil
    question.cancel()
    question.reply(.error(code: MCPAnswer.internalError, message: why))
  }

  fileprivate func withdraw(_ id: QuestionID) { serverQuestions.removeValue(forKey: id)?.cancel() }

  func settle(_ id: QuestionID, _ answer: MCPAnswer) { serverQuestions.removeValue(forKey: id)?.reply(answer) }

  // MARK: The user

  /// By MCP's own words: what the user says goes back as it is, and who cannot be asked has cancelled.
  private func elicit(_ question: MCPQuestion, of callID: ULID, _ run: LiveRun, _ id: QuestionID) {
    guard let message = question.params["message"], message.kind == .string, let form = question.params["requestedSchema"],
      form.kind == .object
    else { return settle(id, .error(code: MCPAnswer.invalidParams, message: "a question has a message and a requestedSchema")) }
    guard parent?.abilities.elicitation == true else { return settle(id, .result(MCPAnswer.cancelled)) }
    let params = Self.params { writer in
      writer.member("message", message)
      writer.member("requestedSchema", form)
      Self.writeMeta(of: question, callID, run, to: &writer)
    }
    ask(
      ParentRequest(.elicitation, runID: run.runID, params: params, afterSequence: run.state.sequence, carrying: InputAnswer.carriedPaths),
      id
    ) {
      engine, reply in
      engine.settle(id, .result(MCPAnswer.elicited(reply) { content in engine.fits(content, form) }))
    }
  }

  /// Whether an answer is what was asked for; a form that cannot be read here is the server's to judge by.
  private func fits(_ content: CarriedJSON?, _ form: CarriedJSON) -> Bool {
    guard let content, content.kind == .object else { return false }
    return !isUsable(form) || schemas.failures(form, content).isEmpty
  }

  /// Has the client asked, unless the question is withdrawn before it answers.
  func ask(_ request: ParentRequest, _ id: QuestionID, then: @escaping @Sendable (RunEngine, ParentReply) -> Void) {
    let answered: @Sendable (ParentReply) -> Void = { [host] reply in
      host.post { engine in
        guard engine.serverQuestions[id]?.exchange != nil else { return }
        engine.serverQuestions[id]?.exchange = nil
        then(engine, reply)
      }
    }
    serverQuestions[id]?.exchange = parent?.ask(request, progress: { _ in }, reply: answered)
  }

  static func params(_ members: (inout JSONWriter) -> Void) -> CarriedJSON {
    var writer = JSONWriter(capacity: 512)
    writer.beginObject()
    members(&writer)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// Which server asks, and for which call: people have to be told.
  static func writeMeta(of question: MCPQuestion, _ callID: ULID, _ run: LiveRun, to writer: inout JSONWriter) {
    writer.key("_meta")
    writer.beginObject()
    writer.member("runId", run.runID.text)
    writer.member("callId", callID.text)
    writer.member("mcpServer", question.server)
    write(run.state.meta, besides: ["runId", "callId", "mcpServer", "progressToken"], to: &writer)
    writer.endObject()
  }
}

extension MCPAnswer {
  static let invalidParams = -32602
  static let internalError = -32603
  /// Of MCP: the user rejected the request. https://modelcontextprotocol.io/specification/2025-11-25/client/sampling#error-handling
  static let rejected = -1

  static let cancelled = CarriedJSON(trusted: Bytes(#"{"action":"cancel"}"#))

  /// What the client said to a question, for the server; an answer that cannot be used is none.
  static func elicited(_ reply: ParentReply, fits: (CarriedJSON?) -> Bool) -> CarriedJSON {
    guard case .result(let json) = reply else { return cancelled }
    let answer: InputAnswer
    do throws(RuntimeError) { answer = try InputAnswer(reading: json) } catch { return cancelled }
    if answer.action == .accept, !fits(answer.content) { return cancelled }
    return RunEngine.params { writer in
      writer.member("action", answer.action.rawValue)
      writer.member("content", ifPresent: answer.content)
    }
  }
}
