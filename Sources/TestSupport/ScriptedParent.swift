package import AgentRuntime
package import JSON

/// A client that writes down what it is told, in order, and answers invocations when the test says so.
package final class ScriptedParent: Parent, @unchecked Sendable {
  // Unchecked, because: a test drives all of its processes on one thread, or waits for the engine's before it looks.

  /// A `tool.invoke` that came.
  package struct Invocation {
    package let request: ToolInvocation
    package let sent: @Sendable () -> Void
    package let progress: @Sendable (CarriedJSON) -> Void
    private let reply: @Sendable (InvocationReply) -> Void
    package var isCancelled: Bool { state.value.isCancelled }
    package var isClosed: Bool { state.value.isClosed }
    package var isAnswered: Bool { state.value.isAnswered }
    fileprivate let state = Box((isCancelled: false, isClosed: false, isAnswered: false))

    fileprivate init(
      request: ToolInvocation, sent: @escaping @Sendable () -> Void, progress: @escaping @Sendable (CarriedJSON) -> Void,
      reply: @escaping @Sendable (InvocationReply) -> Void
    ) {
      self.request = request
      self.sent = sent
      self.progress = progress
      self.reply = reply
    }

    /// The parent's answer; the first one, since a request has one response.
    package func answer(_ answer: InvocationReply) {
      if isAnswered { return }
      state.value.isAnswered = true
      reply(answer)
    }
  }

  /// A question that came.
  package final class Question: ParentExchange, @unchecked Sendable {
    // Unchecked for the same reason as the parent.
    package let request: ParentRequest
    package let progress: @Sendable (CarriedJSON) -> Void
    package private(set) var cancelReason: String?
    package private(set) var isAnswered = false
    private let note: (String) -> Void
    private let reply: @Sendable (ParentReply) -> Void

    fileprivate init(
      _ request: ParentRequest, note: @escaping (String) -> Void, progress: @escaping @Sendable (CarriedJSON) -> Void,
      reply: @escaping @Sendable (ParentReply) -> Void
    ) {
      self.request = request
      self.note = note
      self.progress = progress
      self.reply = reply
    }

    package func cancel(reason: String) {
      if isAnswered || cancelReason != nil { return }
      cancelReason = reason
      note(reason)
    }

    /// Its answer is still wanted.
    package var isOpen: Bool { !isAnswered && cancelReason == nil }
    package var callID: ULID? { (request.params["callId"] ?? request.params["_meta"]?["callId"])?.stringValue.flatMap(ULID.init) }

    package func answer(_ answer: ParentReply) {
      if isAnswered || cancelReason != nil { return }
      isAnswered = true
      reply(answer)
    }
  }

  package let transcript: Transcript
  package var abilities = ParentAbilities()
  package var name: String?
  /// What it answers to a question at once; nil leaves the answer to the test.
  package var answerQuestion: ((ParentRequest) -> ParentReply?)?
  /// Called with every question before it is taken down.
  package var onAsk: ((ParentRequest) -> Void)?
  package private(set) var questions: [Question] = []
  package var answersInvocations = true
  /// The requests stay in line: `sent` is left to the test.
  package var holdsRequests = false
  /// What it answers at once; nil leaves the answer to the test.
  package var answer: ((ToolInvocation) -> InvocationReply?)?
  /// Called with every invocation before it is taken down.
  package var onInvoke: ((ToolInvocation) -> Void)?
  /// The process that it belonged to is dead: nothing comes any more.
  package var isDeaf = false
  package private(set) var invocations: [Invocation] = []
  package private(set) var events: [ULID: [PublishedEvent]] = [:]
  package private(set) var foreignChunks: [LiveChunk] = []
  package private(set) var deltas: [StreamedDelta] = []
  /// The types of the events, and `text` for streamed text of other processes, as they came.
  package private(set) var order: [String] = []

  package init(transcript: Transcript) { self.transcript = transcript }

  // MARK: What the engine says

  package func publish(_ run: ULID, _ events: [PublishedEvent]) {
    if isDeaf { return }
    self.events[run, default: []] += events
    order += events.map(\.type)
    for event in events { transcript.note(event: event.bytes) }
  }

  package func stream(_ run: ULID, _ delta: StreamedDelta) {
    if isDeaf { return }
    deltas.append(delta)
    switch delta {
    case .text(_, let text): transcript.note("text '\(Transcript.short(CarriedJSON(string: text)))'")
    case .reasoning(_, let text): transcript.note("reasoning '\(text)'")
    case .toolProgress(let callID, let members): transcript.note("progress \(transcript.name(of: callID)) \(members.bytes.string)")
    }
  }

  package func streamForeign(_ chunk: LiveChunk) {
    if isDeaf { return }
    foreignChunks.append(chunk)
    order.append("text")
    transcript.note("foreign \(chunk.event.string)")
  }

  package func invoke(
    _ invocation: ToolInvocation, sent: @escaping @Sendable () -> Void, progress: @escaping @Sendable (CarriedJSON) -> Void,
    reply: @escaping @Sendable (InvocationReply) -> Void
  ) {
    if isDeaf { return }
    onInvoke?(invocation)
    let request = Invocation(request: invocation, sent: sent, progress: progress, reply: reply)
    invocations.append(request)
    transcript.note(
      "invoke \(transcript.name(of: invocation.callID, tool: invocation.name))#\(invocation.attempt) \(Transcript.short(invocation.arguments))"
    )
    if !holdsRequests { sent() }
    if let answer = answer?(invocation) { request.answer(answer) }
  }

  package func ask(
    _ request: ParentRequest, progress: @escaping @Sendable (CarriedJSON) -> Void, reply: @escaping @Sendable (ParentReply) -> Void
  ) -> any ParentExchange {
    var name = "\(request.method)"
    let question = Question(
      request, note: { [unowned self] in if !isDeaf { transcript.note("withdraw \(name): \($0)") } }, progress: progress, reply: reply)
    if isDeaf { return question }
    onAsk?(request)
    questions.append(question)
    if let callID = question.callID {
      let asked = request.params["arguments"] ?? request.params["message"] ?? request.params
      name = transcript.name(of: callID, tool: request.params["name"]?.stringValue ?? "ask_user")
      transcript.note("ask \(request.method) \(name) \(Transcript.short(asked))")
    } else {
      transcript.note("ask \(request.method) \(request.params.bytes.string)")
    }
    if let answer = answerQuestion?(request) { question.answer(answer) }
    return question
  }

  package func cancelInvocation(_ callID: ULID, reason: String) {
    if isDeaf { return }
    let out = openInvocations.filter { $0.request.callID == callID }
    for request in out { request.state.value.isCancelled = true }
    if !out.isEmpty { transcript.note("cancel \(transcript.name(of: callID)): \(reason)") }
  }

  package func closeInvocations(of callID: ULID) {
    for request in invocations where request.request.callID == callID { request.state.value.isClosed = true }
  }

  // MARK: What the test says

  /// The request at `index`.
  package func request(_ index: Int) throws -> Invocation {
    guard index < invocations.count else { throw Missing(description: "only \(invocations.count) requests were sent") }
    return invocations[index]
  }

  /// The last invocation of the tool.
  package func invocation(of tool: String) -> Invocation? { invocations.last { $0.request.name == tool } }

  /// The last question about a call of the tool.
  package func question(of tool: String) -> Question? {
    questions.last { question in question.callID.map { transcript.name(of: $0) == tool } ?? false }
  }

  /// Questions whose answer is still wanted.
  package var openQuestions: [Question] { questions.filter(\.isOpen) }

  /// Those whose answer is still wanted.
  package var openInvocations: [Invocation] { invocations.filter { !$0.isCancelled && !$0.isClosed && !$0.isAnswered } }
}

/// Something that a test waits for did not come.
package struct Missing: Error, CustomStringConvertible {
  package let description: String
  package init(description: String) { self.description = description }
}

extension ParentReply {
  /// The result, as JSON.
  package static func json(_ text: String) throws(JSONError) -> ParentReply { .result(try CarriedJSON(validating: Bytes(text))) }
}

extension InvocationReply {
  /// A result that is a text.
  package static func text(_ text: String) -> InvocationReply { .result(.text(text), bytes: text.utf8.count) }
}

extension ToolResult {
  package static func text(_ text: String) -> ToolResult {
    var result = ToolResult()
    result.content = [.text(text)]
    result.isPlainText = true
    return result
  }

  /// As a parent sends it.
  package init(json text: String) throws(RuntimeError) {
    do throws(JSONError) { try self.init(validated: CarriedJSON(validating: Bytes(text))) } catch { throw RuntimeError(error) }
  }

  private init(validated value: CarriedJSON) throws(JSONError) {
    do throws(RuntimeError) { try self.init(reading: value) } catch {
      throw JSONError(.invalidValue, error.message, pointer: error.pointer)
    }
  }
}
