import JSON
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// What the Messages API is sent.
@Suite struct AnthropicRequestTests {
  private let notes = """
    {"provider":"anthropic","model":"m","parts":[{"type":"thinking","thinking":"Hm.","signature":"s1"},{"type":"text","bytes":4},\
    {"type":"redacted_thinking","data":"r1"},{"type":"call","id":"toolu_1"},{"type":"text","bytes":3},{"type":"call","id":"toolu_2"}]}
    """

  @Test func `a request has the model, a limit, the cached system prompt, tools and messages`() throws {
    try expect(
      Sample.body(
        "anthropic:m", agent: "\"temperature\":0.5", [Sample.user("Hi \"you\" ü")], system: ["Be.", "", "Kind."],
        tools: [Sample.tool("a"), Sample.tool("b")]),
      is: """
        {"model":"m","max_tokens":8192,"stream":true,"temperature":0.5,
        "system":[{"type":"text","text":"Be.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"Kind."}],
        "tools":[{"name":"a","description":"does \\"a\\"","input_schema":{"type":"object","x":0.10}},
        {"name":"b","description":"does \\"b\\"","input_schema":{"type":"object","x":0.10},"cache_control":{"type":"ephemeral"}}],
        "messages":[{"role":"user","content":[{"type":"text","text":"Hi \\"you\\" ü","cache_control":{"type":"ephemeral"}}]}]}
        """)
  }

  @Test(arguments: ["\"\"", "\" \\n\\t\"", "[]", #"[{"type":"text","text":""},{"type":"text","text":" "}]"#])
  func `a message of the user that says nothing is one that says so`(content: String) throws {
    func blank() throws -> TranscriptEntry {
      .user(content.hasPrefix("[") ? try Sample.blocks(content) : [.text(.inline(try CarriedJSON(content)))])
    }
    let empty = #"{"type":"text","text":"(The user sent an empty message.)"}"#
    let marked = empty.dropLast() + #","cache_control":{"type":"ephemeral"}}"#
    try expect(Sample.body("anthropic:m", [blank()])["messages"], is: #"[{"role":"user","content":[\#(marked)]}]"#)
    try expect(
      Sample.body("anthropic:m", [Sample.user("a"), Sample.said("b"), blank()])["messages"],
      is: """
        [{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]},
        {"role":"assistant","content":[{"type":"text","text":"b"}]},{"role":"user","content":[\(marked)]}]
        """)
    try expect(
      Sample.body("anthropic:m", [Sample.user("a"), Sample.said("b"), blank(), Sample.said("c"), Sample.user("d")])["messages"],
      is: """
        [{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"text","text":"b"}]},
        {"role":"user","content":[\(marked)]},{"role":"assistant","content":[{"type":"text","text":"c"}]},
        {"role":"user","content":[{"type":"text","text":"d","cache_control":{"type":"ephemeral"}}]}]
        """)
    let picture = try Sample.blocks(#"[{"type":"text","text":" "},{"type":"image","data":"\#(Sample.png)","mimeType":"image/png"}]"#)
    let shown = try Sample.body("anthropic:m", [.user(picture)])["messages"]?.elements[0]["content"]
    #expect(shown?.elements.map { $0["type"]?.stringValue } == ["image"])
  }

  @Test func `the headers carry the key and the version`() throws {
    let http = ScriptedHTTP()
    let agent = try Sample.agent("anthropic:m")
    _ = try Sample.providers(http, ["ANTHROPIC_BASE_URL": "https://gateway.example/eu//"]).provider(
      for: agent, hasTools: false, parent: nil
    )
    .start(Sample.request(agent, [Sample.user("x")])) { _ in }
    let sent = try #require(http.sent.first).request
    #expect(sent.url == "https://gateway.example/eu/v1/messages")
    #expect(
      sent.headers.map { "\($0.name): \($0.value)" } == [
        "Content-Type: application/json", "Accept: text/event-stream, application/json", "Accept-Encoding: identity",
        "User-Agent: footbridge/9", "x-api-key: key-a",
        "anthropic-version: 2023-06-01",
      ])
  }

  @Test func `a conversation goes back as it was said: thinking with its signature, ids, results first`() throws {
    let transcript = [
      Sample.user("Go."), Sample.user("On."),
      try Sample.said("LookEnd", [(Sample.callA, "a", "{\"x\":1.50}"), (Sample.callB, "b", "\"oops\"")], notes: notes),
      try Sample.tool(
        Sample.callA, "a",
        """
        {"content":[{"type":"text","text":"rows"},{"type":"image","data":"\(Sample.png)","mimeType":"image/png"},{"type":"text","text":" \\n"},
        {"type":"binary","data":"\(Sample.pdf)","mimeType":"application/pdf","filename":"a.pdf"},
        {"type":"binary","data":"aGVsbG8=","mimeType":"text/csv"},{"type":"json","value":{"n":1.0}}],"stderr":["w1","w2"]}
        """),
      try Sample.tool(
        Sample.callB, "b",
        "{\"content\":[{\"type\":\"text\",\"text\":\"broke\"},{\"type\":\"image\",\"data\":\"\(Sample.png)\",\"mimeType\":\"image/png\"}],\"isError\":true}"
      ),
      Sample.user("Hurry."),
    ]
    try expect(
      Sample.body("anthropic:m", transcript, tools: [Sample.tool("a")])["messages"],
      is: """
        [{"role":"user","content":[{"type":"text","text":"Go."},{"type":"text","text":"On.","cache_control":{"type":"ephemeral"}}]},
        {"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"s1"},{"type":"text","text":"Look"},
        {"type":"redacted_thinking","data":"r1"},{"type":"tool_use","id":"toolu_1","name":"a","input":{"x":1.50}},{"type":"text","text":"End"},
        {"type":"tool_use","id":"toolu_2","name":"b","input":{"invalid_arguments":"oops"}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"rows"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"\(Sample.png)"}},
        {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"\(Sample.pdf)"},"title":"a.pdf"},
        {"type":"document","source":{"type":"text","media_type":"text/plain","data":"hello"}},{"type":"text","text":"{\\"n\\":1.0}"},
        {"type":"text","text":"stderr:\\nw1\\nw2"}]},
        {"type":"tool_result","tool_use_id":"toolu_2","is_error":true,"content":[{"type":"text","text":"broke"}]},
        {"type":"text","text":"Belongs to the result of call toolu_2:"},
        {"type":"image","source":{"type":"base64","media_type":"image/png","data":"\(Sample.png)"}},
        {"type":"text","text":"Hurry.","cache_control":{"type":"ephemeral"}}]}]
        """)
  }

  @Test func `another model's thinking stays away, its ids do not`() throws {
    let transcript = [
      Sample.user("Go."), try Sample.said("LookEnd", [(Sample.callA, "a", "{}"), (Sample.callB, "b", "{}")], notes: notes),
      try Sample.tool(Sample.callA, "a", "{}"), try Sample.tool(Sample.callB, "b", "{}"),
    ]
    try expect(
      Sample.body("anthropic:other", transcript, tools: [Sample.tool("a")])["messages"]?.elements[1]["content"],
      is: """
        [{"type":"text","text":"Look"},{"type":"tool_use","id":"toolu_1","name":"a","input":{}},{"type":"text","text":"End"},
        {"type":"tool_use","id":"toolu_2","name":"b","input":{}}]
        """)
  }

  @Test(arguments: [
    // What the service's own tool found is repaired.
    (
      #"{"type":"server_tool_use","id":"s1","name":"web_search","input":{"q":"a\ud83d"}},{"type":"thinking","thinking":"Hm\ud83d\ude00","signature":"s"}"#,
      #"{"type":"server_tool_use","id":"s1","name":"web_search","input":{"q":"a\ufffd"}},{"type":"thinking","thinking":"Hm\ud83d\ude00","signature":"s"},"#
    ),
    // Signed text would not be what was signed, and no other thinking holds without it.
    (
      #"{"type":"redacted_thinking","data":"r"},{"type":"server_tool_use","id":"s1","name":"web_search","input":{}},{"type":"thinking","thinking":"Hm\ud83d","signature":"s"}"#,
      #"{"type":"server_tool_use","id":"s1","name":"web_search","input":{}},"#
    ),
    // Services that only resemble Anthropic's do not sign.
    (#"{"type":"thinking","thinking":"Hm\ude00","signature":""}"#, #"{"type":"thinking","thinking":"Hm\ufffd","signature":""},"#),
  ])
  func `half a surrogate pair does not go back, and no signed thinking in which there is one`(parts: String, sent: String) throws {
    let notes = #"{"provider":"anthropic","model":"m","parts":[\#(parts),{"type":"call","id":"toolu_1"}]}"#
    let transcript = [
      Sample.user("Go."), try Sample.said("", [(Sample.callA, "a", "{}")], notes: notes), try Sample.tool(Sample.callA, "a", "{}"),
    ]
    try expect(
      Sample.body("anthropic:m", transcript, tools: [Sample.tool("a")])["messages"]?.elements[1]["content"],
      is: "[\(sent){\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"a\",\"input\":{}}]")
  }

  @Test func `what another provider said has the bridge's ids, and a made-up name is made fit`() throws {
    for notes in [nil, "{\"provider\":\"openai\",\"model\":\"m\",\"parts\":[{\"type\":\"call\",\"id\":\"call_9\"}]}"] {
      let transcript = [
        Sample.user("Go."), try Sample.said("", [(Sample.callA, "functions.look ü", "[1]")], notes: notes),
        try Sample.tool(Sample.callA, "look", "{\"content\":\"\"}"),
      ]
      try expect(
        Sample.body("anthropic:m", transcript)["messages"]?.elements[1]["content"],
        is: """
          [{"type":"tool_use","id":"\(Sample.callA.text)","name":"functions_look___","input":{"invalid_arguments":[1]}}]
          """)
    }
  }

  @Test func `calls without tools bring a tool that says so`() throws {
    let transcript = [
      Sample.user("Go."), try Sample.said("", [(Sample.callA, "a", "{}")]), try Sample.tool(Sample.callA, "a", "{\"content\":\"x\"}"),
    ]
    #expect(try Sample.body("anthropic:m", transcript)["tools"]?.elements.map { $0["name"]?.stringValue } == ["no_tools"])
    #expect(try Sample.body("anthropic:m", [Sample.user("Go.")])["tools"] == nil)
  }

  @Test func `an answer without content is left out`() throws {
    let transcript = [Sample.user("Go."), try Sample.said(" \n"), Sample.user("On.")]
    try expect(
      Sample.body("anthropic:m", transcript)["messages"],
      is: """
        [{"role":"user","content":[{"type":"text","text":"Go.","cache_control":{"type":"ephemeral"}},
        {"type":"text","text":"On.","cache_control":{"type":"ephemeral"}}]}]
        """)
  }

  @Test func `there are never more than four marks`() throws {
    var transcript: [TranscriptEntry] = [Sample.user("Go.")]
    for _ in 0..<30 {
      transcript += [try Sample.said("", [(Sample.callA, "a", "{}")]), try Sample.tool(Sample.callA, "a", "{\"content\":\"x\"}")]
    }
    let body = try Sample.body("anthropic:m", transcript, system: ["a", "b"], tools: [Sample.tool("a"), Sample.tool("b")])
    #expect(body.bytes.string.split(separator: "cache_control").count == 5)
  }

  @Test(
    arguments: [
      ("{\"effort\":\"low\"}", "claude-sonnet-4-5", "{\"type\":\"enabled\",\"budget_tokens\":2048}", nil, 10240),
      ("{\"effort\":\"high\"}", "claude-3-7-sonnet-20250219", "{\"type\":\"enabled\",\"budget_tokens\":24576}", nil, 32768),
      ("\"medium\"", "claude-opus-4-6", "{\"type\":\"adaptive\"}", "{\"effort\":\"medium\"}", 32768),
      ("{\"effort\":\"max\"}", "claude-sonnet-5-20270101", "{\"type\":\"adaptive\"}", "{\"effort\":\"max\"}", 32768),
      ("{\"budgetTokens\":5000}", "m", "{\"type\":\"enabled\",\"budget_tokens\":5000}", nil, 13192),
      ("{\"budgetTokens\":5000}", "claude-opus-4-6", "{\"type\":\"enabled\",\"budget_tokens\":5000}", nil, 13192),
      ("{\"budgetTokens\":2048}", "claude-opus-4-7", "{\"type\":\"adaptive\"}", "{\"effort\":\"low\"}", 32768),
      ("{\"budgetTokens\":5000}", "claude-sonnet-5", "{\"type\":\"adaptive\"}", "{\"effort\":\"medium\"}", 32768),
      ("{\"budgetTokens\":50000}", "claude-mythos-preview", "{\"type\":\"adaptive\"}", "{\"effort\":\"high\"}", 58192),
      (
        "{\"type\":\"adaptive\",\"effort\":\"low\",\"display\":\"omitted\"}", "m", "{\"type\":\"adaptive\",\"display\":\"omitted\"}",
        "{\"effort\":\"low\"}", 32768
      ),
      ("{\"effort\":\"none\"}", "m", nil, nil, 8192), ("{\"type\":\"disabled\"}", "m", nil, nil, 8192),
    ] as [(String, String, String?, String?, Int)])
  func `reasoning becomes thinking, without a temperature`(given: String, model: String, thinking: String?, config: String?, limit: Int)
    throws
  {
    let body = try Sample.body("anthropic:" + model, agent: "\"reasoning\":\(given),\"temperature\":0.5", [Sample.user("x")])
    #expect(body["thinking"]?.bytes.string == thinking)
    #expect(body["output_config"]?.bytes.string == config)
    #expect(body["max_tokens"]?.intValue == limit)
    #expect((body["temperature"] == nil) == (thinking != nil))
  }

  @Test func `an effort is a share of what the agent allows`() throws {
    let body = try Sample.body("anthropic:m", agent: "\"reasoning\":\"high\",\"maxOutputTokens\":3000", [Sample.user("x")])
    try expect(body["thinking"], is: "{\"type\":\"enabled\",\"budget_tokens\":1500}")
    #expect(body["max_tokens"]?.intValue == 3000)
    #expect(try Sample.body("anthropic:m", agent: "\"reasoning\":\"high\",\"maxOutputTokens\":1000", [Sample.user("x")])["thinking"] == nil)
  }

  @Test(
    arguments: [(100, nil), (2047, nil), (3000, 1500), (5000, 2500), (5001, 5000), (6000, 5000)] as [(Int, Int?)])
  func `a budget leaves room for an answer`(limit: Int, budget: Int?) throws {
    let body = try Sample.body(
      "anthropic:m", agent: "\"reasoning\":{\"budgetTokens\":5000},\"maxOutputTokens\":\(limit)", [Sample.user("x")])
    #expect(body["thinking"]?["budget_tokens"]?.intValue == budget && (body["thinking"] == nil) == (budget == nil))
    #expect(body["max_tokens"]?.intValue == limit)
  }

  @Test func `the provider's own tools follow those of the run`() throws {
    let own = #""providerOptions":{"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#
    let search = #"{"type":"web_search_20250305","name":"web_search"}"#
    func tools(_ model: String, _ tools: [Tool], _ transcript: [TranscriptEntry] = [Sample.user("x")]) throws -> CarriedJSON? {
      try Sample.body(model, agent: own, transcript, tools: tools)["tools"]
    }
    try expect(
      tools("anthropic:m", [Sample.tool("a")]),
      is: """
        [{"name":"a","description":"does \\"a\\"","input_schema":{"type":"object","x":0.10},"cache_control":{"type":"ephemeral"}},\(search)]
        """)
    for model in ["anthropic:m", "openai:m", "openai-responses:m"] {
      try expect(tools(model, []), is: "[\(search)]")
      #expect(
        try tools(model, [Sample.tool("a"), Sample.tool("b")])?.elements.map { $0["type"]?.stringValue }.last == "web_search_20250305")
      #expect(try tools(model, [Sample.tool("a"), Sample.tool("b")])?.elements.count == 3)
      for wrong in ["{}", "\"x\"", "[1]"] {
        let error = #expect(throws: RuntimeError.self) {
          try Sample.body(model, agent: "\"providerOptions\":{\"tools\":\(wrong)}", [Sample.user("x")])
        }
        #expect(error?.kind == .invalidParams)
      }
      #expect(try Sample.body(model, agent: "\"providerOptions\":{\"tools\":null}", [Sample.user("x")])["tools"] == nil)
    }
    let called = [
      Sample.user("Go."), try Sample.said("", [(Sample.callA, "a", "{}")]), try Sample.tool(Sample.callA, "a", "{\"content\":\"x\"}"),
    ]
    try expect(tools("anthropic:m", [], called), is: "[\(search)]")
  }

  @Test func `options take the place of the bridge's members, but for those that are its own`() throws {
    let body = try Sample.body(
      "anthropic:m",
      agent:
        "\"maxOutputTokens\":5,\"providerOptions\":{\"max_tokens\":6,\"top_k\":1,\"model\":\"x\",\"stream\":false,\"messages\":[],\"tools\":[]}",
      [Sample.user("x")])
    var names: [String] = []
    body.forEachMember { name, _ in names.append(name.text) }
    #expect(names == ["model", "stream", "max_tokens", "top_k", "messages"])
    #expect(body["max_tokens"]?.intValue == 6 && body["model"]?.stringValue == "m" && body["stream"]?.boolValue == true)
  }
}
