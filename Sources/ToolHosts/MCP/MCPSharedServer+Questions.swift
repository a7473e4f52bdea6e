import AgentRuntime
import JSON
import JSONRPC
import POSIXSupport

/// What a server asks while it works on calls.
extension MCPSharedServer {
  func asked(_ method: MCPQuestion.Method, _ request: IncomingRequest) {
    // The wire does not say for which call; of one run's the latest is the likeliest.
    let origins = open.values.sorted { $0.id > $1.id }
    let name = method == .createMessage ? "sampling/createMessage" : "elicitation/create"
    guard !origins.isEmpty else { return refuse(request, RPCError(code: -32600, message: "no call is open")) }
    guard origins.allSatisfy({ $0.origin.runID == origins[0].origin.runID }) else {
      // Another run's user, model and budget are not for guessing.
      loop.keepApart(key)
      loop.note(self.name, "asked while calls of several runs were open, and does not say for which; later runs have a process each")
      return refuse(
        request, RPCError(code: -32603, message: "calls of several runs are open, and the request does not say for which it is"))
    }
    guard
      let question = question(name, request.params ?? .emptyObject, origins: origins.map(\.origin), server: origins[0].call.route.server),
      let respondent = context.respondent()
    else { return refuse(request, RPCError(code: -32602, message: "this mode is not supported")) }
    let number = nextQuestion
    nextQuestion += 1
    let generation = generation
    let key = key
    let mailbox = loop.mailbox
    questions[number] = Question(request: request, calls: Set(open.keys))
    questions[number]?.running = respondent.answer(question) { answer in
      mailbox.post { loop in
        guard let server = loop.server(key), server.generation == generation else { return }
        server.answeredQuestion(number, answer)
      }
    }
    request.onCancel { _ in
      mailbox.post { loop in
        guard let server = loop.server(key), server.generation == generation else { return }
        server.withdraw(number)
      }
    }
  }

  /// Nil for what is not answered: another method, one that was not declared, and questions that need a browser.
  func question(_ method: String, _ params: CarriedJSON, origins: [MCPQuestion.Origin], server: String? = nil) -> MCPQuestion? {
    let server = server ?? name
    switch method {
    case "sampling/createMessage" where dialect.client.answersSampling:
      return MCPQuestion(server: server, method: .createMessage, origins: origins, params: params)
    case "elicitation/create" where dialect.client.answersElicitation && (params["mode"]?.stringValue ?? "form") == "form":
      return MCPQuestion(server: server, method: .elicitation, origins: origins, params: params)
    default: return nil
    }
  }

  private func refuse(_ request: IncomingRequest, _ error: RPCError) {
    connection?.handler.questionEnded()
    request.fail(error)
  }

  private func answeredQuestion(_ number: Int, _ answer: MCPAnswer) {
    guard let question = end(number) else { return }
    switch answer {
    case .result(let result): question.request.succeed(result)
    case .error(let code, let message): question.request.fail(RPCError(code: code, message: message))
    }
  }

  /// The server does not want the answer any more.
  private func withdraw(_ number: Int) {
    guard let question = end(number) else { return }
    question.running?.stop()
    question.request.fail(RPCError(code: -32800, message: "cancelled"))
  }

  private func end(_ number: Int) -> Question? {
    guard let question = questions.removeValue(forKey: number) else { return nil }
    connection?.handler.questionEnded()
    let now = Clock.monotonicMilliseconds()
    for call in question.calls { open[call]?.answeredAt = now }
    // It may have waited for the answer before it reads what it is sent.
    if suspectUntil != nil { suspectUntil = now + context.limits.probeMilliseconds }
    return question
  }

  /// Ends those that can only be for calls that are over.
  func endQuestions() {
    for number in questions.keys.sorted() {
      guard let calls = questions[number]?.calls, !calls.contains(where: { open[$0] != nil }) else { continue }
      guard let question = end(number) else { continue }
      question.running?.stop()
      question.request.fail(RPCError(code: -32603, message: "the call is over"))
    }
  }
}
