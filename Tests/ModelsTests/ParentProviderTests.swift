import JSON
import Synchronization
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// A model that the client has.
@Suite struct ParentProviderTests {
  /// A client that the test answers for.
  private final class Client: Parent {
    final class Exchange: ParentExchange {
      private let reasons = Mutex<[String]>([])
      var cancels: [String] { reasons.withLock { $0 } }
      func cancel(reason: String) { reasons.withLock { $0.append(reason) } }
    }

    struct Asked: Sendable {
      var request: ParentRequest
      var exchange: Exchange
      var progress: @Sendable (CarriedJSON) -> Void
      var reply: @Sendable (ParentReply) -> Void
    }

    private let askedSoFar = Mutex<[Asked]>([])
    var asked: [Asked] { askedSoFar.withLock { $0 } }

    func ask(
      _ request: ParentRequest, progress: @escaping @Sendable (CarriedJSON) -> Void, reply: @escaping @Sendable (ParentReply) -> Void
    ) -> any ParentExchange {
      let exchange = Exchange()
      askedSoFar.withLock { $0.append(Asked(request: request, exchange: exchange, progress: progress, reply: reply)) }
      return exchange
    }

    var answersInvocations: Bool { false }
    var abilities: ParentAbilities { ParentAbilities() }
    func publish(_ run: ULID, _ events: [PublishedEvent]) {}
    func stream(_ run: ULID, _ delta: StreamedDelta) {}
    func streamForeign(_ chunk: LiveChunk) {}
    func invoke(
      _ invocation: ToolInvocation, sent: @escaping @Sendable () -> Void, progress: @escaping @Sendable (CarriedJSON) -> Void,
      reply: @escaping @Sendable (InvocationReply) -> Void
    ) {}
    func cancelInvocation(_ callID: ULID, reason: String) {}
    func closeInvocations(of callID: ULID) {}
  }

  private let client = Client()
  private let seen = SignalRecorder()
  private let waits = Box<[(Int, @Sendable () -> Void)]>([])

  private func start(_ transcript: [TranscriptEntry], agent more: String = "", tools: [Tool] = []) throws -> any ModelCall {
    let agent = try Sample.agent("parent:m", more)
    return ParentProvider(model: "m", policy: RetryPolicy(random: { 1 })).start(
      Sample.request(
        agent, transcript, system: ["Be.", "Kind."], tools: tools, parent: client, schedule: { [waits] in waits.value.append(($0, $1)) }),
      signal: seen.signal)
  }

  private func answer(_ json: String) throws { client.asked.last?.reply(.result(try CarriedJSON(json))) }

  @Test func `a call waits between its attempts, and at no other time`() throws {
    let call = try start([Sample.user("Go.")])
    #expect(!call.isWaiting)
    client.asked.last?.reply(.error(code: -32000, message: "asleep"))
    #expect(call.isWaiting)
    waits.value.first?.1()
    #expect(!call.isWaiting && client.asked.count == 2)
    client.asked.last?.reply(.error(code: -32000, message: "asleep"))
    call.cancel()
    #expect(!call.isWaiting)
  }

  @Test func `the client is asked as MCP has it`() throws {
    let notes =
      "{\"provider\":\"parent\",\"model\":\"m\",\"parts\":[{\"type\":\"text\",\"bytes\":4},{\"type\":\"call\",\"id\":\"u1\",\"_meta\":{\"k\":1}}]}"
    _ = try start(
      [
        Sample.user("Go."),
        try .user(
          Sample.blocks("[{\"type\":\"text\",\"text\":\"see\"},{\"type\":\"image\",\"data\":\"\(Sample.png)\",\"mimeType\":\"image/png\"}]")
        ),
        try Sample.said("Look", [(Sample.callA, "a", "{\"x\":1.50}")], notes: notes),
        try Sample.tool(
          Sample.callA, "a",
          "{\"content\":[{\"type\":\"text\",\"text\":\"rows\"},{\"type\":\"binary\",\"data\":\"\(Sample.pdf)\",\"mimeType\":\"application/pdf\",\"filename\":\"r.pdf\"}],\"isError\":true}"
        ),
        Sample.user("Hurry."),
      ], agent: "\"temperature\":0.5,\"maxOutputTokens\":77,\"providerOptions\":{\"tier\":\"x\"}", tools: [Sample.tool("a")])
    let request = try #require(client.asked.first).request
    #expect(request.method == .createMessage && request.runID == Sample.runID && request.progressToken == Sample.messageID.text)
    try expect(
      request.params,
      is: """
        {"messages":[{"role":"user","content":{"type":"text","text":"Go."}},
        {"role":"user","content":[{"type":"text","text":"see"},{"type":"image","data":"\(Sample.png)","mimeType":"image/png"}]},
        {"role":"assistant","content":[{"type":"text","text":"Look"},{"type":"tool_use","id":"u1","name":"a","input":{"x":1.50},"_meta":{"k":1}}]},
        {"role":"user","content":[{"type":"tool_result","toolUseId":"u1","isError":true,"content":[{"type":"text","text":"rows"},
        {"type":"resource","resource":{"uri":"attachment:r.pdf","blob":"\(Sample.pdf)","mimeType":"application/pdf"}}]}]},
        {"role":"user","content":{"type":"text","text":"Hurry."}}],
        "systemPrompt":"Be.\\n\\nKind.","modelPreferences":{"hints":[{"name":"m"}]},"maxTokens":77,"temperature":0.5,
        "tools":[{"name":"a","description":"does \\"a\\"","inputSchema":{"type":"object","x":0.10}}],"toolChoice":{"mode":"auto"},"metadata":{"tier":"x"},
        "_meta":{"progressToken":"\(Sample.messageID.text)","runId":"\(Sample.runID.text)","messageId":"\(Sample.messageID.text)"}}
        """)
  }

  @Test func `half a surrogate pair does not go to the client's model`() throws {
    let half = #"{"k":"\ud83d"}"#
    let notes = #"{"provider":"parent","model":"m","parts":[{"type":"call","id":"u\ud83d","_meta":\#(half)}]}"#
    _ = try start(
      [Sample.user("Go."), try Sample.said("", [(Sample.callA, "a", half)], notes: notes), try Sample.tool(Sample.callA, "a", "{}")],
      agent: #""providerOptions":\#(half)"#, tools: [Sample.tool("a", schema: half)])
    let params = try #require(client.asked.first).request.params
    let mended = #"{"k":"\ufffd"}"#
    try expect(
      params["messages"]?.elements[1]["content"],
      is: #"{"type":"tool_use","id":"u\ufffd","name":"a","input":\#(mended),"_meta":\#(mended)}"#)
    try expect(params["messages"]?.elements[2]["content"]?.elements[0]["toolUseId"], is: #""u\ufffd""#)
    try expect(params["tools"]?.elements[0]["inputSchema"], is: #"{"type":"object","k":"\ufffd"}"#)
    try expect(params["metadata"], is: mended)
  }

  @Test func `text of its progress is shown, then what progress has left out`() throws {
    _ = try start([Sample.user("x")])
    client.asked[0].progress(try CarriedJSON("{\"progress\":1,\"message\":\"One, \"}"))
    client.asked[0].progress(try CarriedJSON("{\"progress\":2}"))
    try answer(
      "{\"role\":\"assistant\",\"model\":\"big\",\"content\":{\"type\":\"text\",\"text\":\"One, two.\"},\"stopReason\":\"endTurn\"}")
    client.asked[0].progress(try CarriedJSON("{\"progress\":3,\"message\":\"late\"}"))
    try answer("{}")
    #expect(seen.lines == ["text One, ", "text two.", "finished end_turn \"One, two.\" [] 0/0"])
  }

  @Test(arguments: [
    (
      "{\"content\":[{\"type\":\"text\",\"text\":\"Hi\"},{\"type\":\"tool_use\",\"id\":\"u1\",\"name\":\"a\",\"input\":{\"x\": 1}}],\"stopReason\":\"toolUse\"}",
      "tool_use \"Hi\" [a{\"x\": 1}] 0/0"
    ),
    (
      "{\"content\":[{\"type\":\"tool_use\",\"id\":\"u1\",\"name\":\"a\",\"input\":{}}],\"stopReason\":\"maxTokens\"}",
      "max_tokens \"\" [a{} cut] 0/0"
    ),
    ("{\"content\":{\"type\":\"text\",\"text\":\"Hi\"},\"stopReason\":\"stopSequence\"}", "end_turn \"Hi\" [] 0/0"),
    ("{\"content\":{\"type\":\"text\",\"text\":\"No\"},\"stopReason\":\"refusal\"}", "refusal \"No\" [] 0/0"),
    ("{\"content\":{\"type\":\"text\",\"text\":\"Hi\"}}", "end_turn \"Hi\" [] 0/0"),
    ("{\"content\":[],\"stopReason\":\"maxTokens\"}", "max_tokens \"\" [] 0/0"),
  ])
  func `answers`(json: String, wanted: String) throws {
    _ = try start([Sample.user("x")])
    try answer(json)
    #expect(seen.lines.last == "finished " + wanted)
  }

  @Test func `what cannot be an answer is asked for again`() throws {
    _ = try start([Sample.user("x")])
    try answer("{\"role\":\"assistant\"}")
    waits.value.removeFirst().1()
    try answer("{\"content\":[]}")
    waits.value.removeFirst().1()
    client.asked.last?.reply(.broken("the answer is too long"))
    waits.value.removeFirst().1()
    client.asked.last?.reply(.error(code: -32000, message: "asleep\nnow"))
    waits.value.removeFirst().1()
    client.asked.last?.reply(.error(code: 32000, message: "asleep"))
    #expect(
      seen.lines == [
        "retried 1 in 250: an answer without content", "retried 2 in 500: an empty answer",
        "retried 3 in 1000: its answer cannot be read: the answer is too long",
        "retried 4 in 2000: error -32000: asleep now",
        "failed model.unavailable retryable: the client's model is unavailable after 4 retries: error 32000: asleep",
      ])
    #expect(client.asked.count == 5 && waits.value.isEmpty)
  }

  @Test(arguments: [-1, -32601, -32602, -32600, -32800]) func `a no of the client is not asked for again`(code: Int) throws {
    _ = try start([Sample.user("x")])
    client.asked[0].reply(.error(code: code, message: "User rejected sampling request"))
    #expect(
      seen.lines == ["failed model.unavailable retryable: the client's model is unavailable: error \(code): User rejected sampling request"]
    )
  }

  @Test func `a cancel takes the question back, and nothing follows`() throws {
    let call = try start([Sample.user("x")])
    client.asked[0].progress(try CarriedJSON("{\"message\":\"One\"}"))
    call.cancel()
    #expect(client.asked[0].exchange.cancels == ["the turn is no longer wanted"])
    client.asked[0].progress(try CarriedJSON("{\"message\":\"late\"}"))
    try answer("{\"content\":{\"type\":\"text\",\"text\":\"late\"}}")
    #expect(seen.lines == ["text One"])

    let other = try start([Sample.user("y")])
    client.asked[1].reply(.error(code: 5, message: "x"))
    other.cancel()
    waits.value.removeFirst().1()
    #expect(client.asked.count == 2 && client.asked[1].exchange.cancels.isEmpty)
  }

  @Test func `a turn fails when the client goes, also in the wait for another attempt, and one that is over does not`() throws {
    let failed = "failed model.unavailable retryable: the client, whose model this is, takes no more requests"
    let asked = try start([Sample.user("x")])
    asked.clientIsGone()
    try answer("{\"content\":{\"type\":\"text\",\"text\":\"late\"}}")
    #expect(seen.lines == [failed])

    let waiting = try start([Sample.user("y")])
    client.asked[1].reply(.error(code: 5, message: "x"))
    waiting.clientIsGone()
    waits.value.removeFirst().1()
    #expect(client.asked.count == 2)
    #expect(seen.lines == [failed, "retried 1 in 250: error 5: x", failed])

    let over = try start([Sample.user("z")])
    try answer("{\"content\":{\"type\":\"text\",\"text\":\"in time\"}}")
    let count = seen.lines.count
    over.clientIsGone()
    #expect(seen.lines.count == count)
  }

  @Test func `without a client there is nobody to ask`() throws {
    let agent = try Sample.agent("parent:m")
    _ = ParentProvider(model: "m").start(Sample.request(agent, []), signal: seen.signal)
    #expect(seen.lines == ["failed model.unavailable retryable: there is no client to ask for this turn"])
  }
}
