import JSON

/// `sampling/createMessage` of MCP servers: the run's model answers, when the client has approved of it. What it takes counts as the run's own.
extension RunEngine {
  func sample(_ question: MCPQuestion, of callID: ULID, _ run: LiveRun, _ id: QuestionID) {
    do throws(RuntimeError) { _ = try SamplingRequest(reading: question.params) } catch {
      return settle(id, .error(code: MCPAnswer.invalidParams, message: "\(error.pointer ?? "") \(error.message)"))
    }
    if let most = run.state.limits.maxTotalTokens, run.state.usage.totalTokens >= most {
      return settle(id, .error(code: MCPAnswer.internalError, message: "the run's limit of \(most) tokens (maxTotalTokens) is reached"))
    }
    if let answer = run.samplingDecisions[question.server] { return decided(answer, question, run.runID, id) }
    guard parent?.abilities.approvals == true else {
      return settle(id, .error(code: MCPAnswer.rejected, message: "nobody can be asked whether the model may be used for this"))
    }
    let params = Self.params { writer in
      writer.member("runId", run.runID.text)
      writer.member("callId", callID.text)
      writer.member("name", "sampling/createMessage")
      writer.member("target", Tool.Target.server.rawValue)
      writer.member("arguments", question.params)
      writer.member("description", "The MCP server '\(question.server)' asks for an answer of the run's model.")
      Self.writeMeta(of: question, callID, run, to: &writer)
    }
    let runID = run.runID
    ask(
      ParentRequest(.approval, runID: runID, params: params, afterSequence: run.state.sequence, carrying: ApprovalAnswer.carriedPaths), id
    ) {
      engine, reply in engine.approved(reply, question, runID, id)
    }
  }

  private func approved(_ reply: ParentReply, _ question: MCPQuestion, _ runID: ULID, _ id: QuestionID) {
    let answer: ApprovalAnswer
    do throws(RuntimeError) {
      guard case .result(let json) = reply else { throw .invalidParams("is no answer", at: "") }
      answer = try ApprovalAnswer(reading: json)
    } catch {
      host.log("run \(runID): the client gave no usable answer to a question of the MCP server '\(question.server)', which is taken for no")
      return settle(id, .error(code: MCPAnswer.rejected, message: "nobody has approved of this"))
    }
    if answer.scope == .session {
      var standing = answer
      standing.arguments = nil
      live[runID]?.samplingDecisions[question.server] = standing
    }
    decided(answer, question, runID, id)
  }

  private func decided(_ answer: ApprovalAnswer, _ question: MCPQuestion, _ runID: ULID, _ id: QuestionID) {
    guard answer.decision == .approve else {
      let words = "the user does not allow it" + (answer.reason.map { ": \($0)" } ?? "")
      return settle(id, .error(code: MCPAnswer.rejected, message: words))
    }
    guard let run = live[runID] else {
      return settle(id, .error(code: MCPAnswer.internalError, message: "the run is not at work any more"))
    }
    do throws(RuntimeError) {
      callModel(for: try SamplingRequest(reading: answer.arguments ?? question.params), run, id)
    } catch { settle(id, .error(code: MCPAnswer.invalidParams, message: "\(error.pointer ?? "") \(error.message)")) }
  }

  private func callModel(for request: SamplingRequest, _ run: LiveRun, _ id: QuestionID) {
    let runID = run.runID
    var agent = run.state.agent.withoutProviderTools
    agent.maxOutputTokens = min(request.maxTokens, agent.maxOutputTokens ?? .max)
    agent.temperature = request.temperature ?? agent.temperature
    let provider: any ModelProvider
    do throws(RuntimeError) { provider = try models.provider(for: agent, hasTools: false, parent: parent?.abilities) } catch {
      return settle(id, .error(code: MCPAnswer.internalError, message: "the model cannot be asked: \(error.message)"))
    }
    let name = agent.model
    var turn = ModelRequest(
      runID: runID, messageID: makeID(), sequence: run.state.sequence, turn: run.state.modelTurns, agent: agent,
      system: [request.systemPrompt].compactMap { $0 }, transcript: request.messages, tools: [], parent: parent,
      load: { [store] (value) throws(StoreError) in try store.load(value) }, schedule: scheduler)
    turn.isAside = true
    serverQuestions[id]?.modelCall = provider.start(turn) { [host] signal in
      switch signal {
      case .finished(let turn):
        host.post { engine in
          guard engine.serverQuestions[id] != nil else { return }
          // What it cost is in the log before the server can go on.
          engine.count(turn.usage, runID) { engine in engine.settle(id, .result(Self.message(turn, of: name))) }
        }
      case .failed(let fault):
        host.post { $0.settle(id, .error(code: MCPAnswer.internalError, message: "the model did not answer: \(fault.message)")) }
      case .text, .reasoning, .retried: break
      }
    }
  }

  private func count(_ usage: Usage, _ runID: ULID, then: @escaping (RunEngine) -> Void) {
    guard let run = live[runID], !isEnding else { return then(self) }
    input(run) { (machine) throws(RuntimeError) in
      machine.sampled(usage)
    } answered: { [unowned self] _, _ in
      then(self)
    }
  }

  private static func message(_ turn: ModelTurn, of model: String) -> CarriedJSON {
    params { writer in
      writer.member("role", "assistant")
      writer.key("content")
      writer.beginObject()
      writer.member("type", "text")
      writer.member("text", turn.text)
      writer.endObject()
      writer.member("model", model)
      writer.member("stopReason", turn.stopReason == "max_tokens" ? "maxTokens" : "endTurn")
    }
  }
}

/// What a server wants of a model.
private struct SamplingRequest {
  var messages: [TranscriptEntry] = []
  var systemPrompt: String?
  var maxTokens: Int
  var temperature: Double?

  /// Wishes for a certain model are passed over: it is the run's. So is the context of other servers, which none gets.
  ///
  /// - Throws: `invalidParams` with the pointer of what is wrong, or is not done here.
  init(reading params: CarriedJSON) throws(RuntimeError) {
    for name: StaticString in ["tools", "toolChoice"] where params.hasMember(name) {
      throw .invalidParams("is not offered by this client", at: "/\(name)")
    }
    guard let tokens = params["maxTokens"]?.intValue, tokens > 0 else { throw .invalidParams("must be at least 1", at: "/maxTokens") }
    maxTokens = tokens
    temperature = params["temperature"]?.doubleValue
    systemPrompt = params["systemPrompt"]?.stringValue
    guard let list = params["messages"], list.kind == .array, !list.elements.isEmpty else {
      throw .invalidParams("must be a list of messages", at: "/messages")
    }
    for (index, message) in list.elements.enumerated() {
      let place = "/messages/\(index)"
      guard let content = message["content"] else { throw .invalidParams("is required", at: place + "/content") }
      var blocks: [ContentBlock] = []
      for block in content.kind == .array ? content.elements : [content] {
        blocks.append(try Self.block(block, at: place + "/content"))
      }
      switch message["role"]?.stringValue {
      case "user": messages.append(.user(blocks))
      case "assistant": messages.append(.said(blocks))
      default: throw .invalidParams("must be user or assistant", at: place + "/role")
      }
    }
  }

  private static func block(_ json: CarriedJSON, at pointer: String) throws(RuntimeError) -> ContentBlock {
    guard ["text", "image", "audio"].contains(json["type"]?.stringValue ?? "") else {
      throw .invalidParams("must be text, image or audio", at: pointer + "/type")
    }
    // Before the runtime reads it, which would take an object there for the name of a stored value.
    for name in ["text", "data", "mimeType"] {
      if let member = json[name], member.kind != .string { throw .invalidParams("must be a string", at: "\(pointer)/\(name)") }
    }
    return try ContentBlock(reading: json, at: pointer)
  }
}
