import JSON
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// What Chat Completions and the Responses API are sent.
@Suite struct OpenAIRequestTests {
  private let compatible = ["OPENAI_BASE_URL": "http://localhost:11434/v1/"]

  private func conversation(_ notes: String?) throws -> [TranscriptEntry] {
    [
      Sample.user("Go."), try Sample.said("Look", [(Sample.callA, "a", "{\"x\":\"ü\"}"), (Sample.callB, "b", "\"oops\"")], notes: notes),
      try Sample.tool(
        Sample.callA, "a",
        "{\"content\":[{\"type\":\"text\",\"text\":\"rows\"},{\"type\":\"image\",\"data\":\"\(Sample.png)\",\"mimeType\":\"image/png\"}]}"),
      try Sample.tool(Sample.callB, "b", "{\"content\":\"broke\",\"isError\":true}"), Sample.user("Hurry."),
    ]
  }

  @Test func `a chat has the instructions first, usage asked for, and the newer name of its limit at OpenAI`() throws {
    let more = "\"maxOutputTokens\":9,\"temperature\":1,\"reasoning\":{\"effort\":\"low\"}"
    let body = try Sample.body("openai:m", agent: more, [Sample.user("Hi")], system: ["Be.", "Kind."], tools: [Sample.tool("a")])
    try expect(
      body,
      is: """
        {"model":"m","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":9,"temperature":1,"reasoning_effort":"low",
        "tools":[{"type":"function","function":{"name":"a","description":"does \\"a\\"","parameters":{"type":"object","x":0.10}}}],
        "messages":[{"role":"system","content":"Be.\\n\\nKind."},{"role":"user","content":"Hi"}]}
        """)
    let other = try Sample.body("openai:m", agent: more, [Sample.user("Hi")], environment: compatible)
    #expect(other["max_tokens"]?.intValue == 9 && other["max_completion_tokens"] == nil)
    let chosen = try Sample.body(
      "openai:m", agent: "\"maxOutputTokens\":9,\"providerOptions\":{\"max_completion_tokens\":7}", [Sample.user("Hi")],
      environment: compatible)
    #expect(chosen["max_completion_tokens"]?.intValue == 7 && chosen["max_tokens"] == nil)
  }

  @Test(arguments: [
    ("https://api.openai.com/v1", true), ("https://API.OpenAI.com:443/v1", true), ("https://eu.api.openai.com/v1", true),
    ("https://me.openai.azure.com/openai/v1", true), ("https://me.openai.azure.us/openai/v1", true),
    ("https://api.openai.com.evil.example/v1", false), ("https://api.openai.com@evil.example/v1", false),
    ("https://myapi.openai.com/v1", false), ("https://evil.example/api.openai.com", false),
    ("https://openai.azure.com.evil.example", false), ("https://evil.example?.openai.azure.com", false),
  ])
  func `whose service it is, its host says`(base: String, isOpenAI: Bool) throws {
    let body = try Sample.body(
      "openai:m", agent: "\"maxOutputTokens\":9", [Sample.user("Hi")], environment: ["OPENAI_BASE_URL": base])
    #expect(body[isOpenAI ? "max_completion_tokens" : "max_tokens"]?.intValue == 9)
    #expect(body[isOpenAI ? "max_tokens" : "max_completion_tokens"] == nil)
  }

  @Test(arguments: [
    ("gpt-5", true), ("gpt-5.1-mini", true), ("openai/gpt-5", true), ("o1", true), ("o3-mini", true), ("openai/o4-mini:online", true),
    ("O3", true), ("gpt-4o", false), ("gpt-oss-120b", false), ("o1x", false), ("marco-o1", false), ("llama3.2", false), ("o2", false),
  ])
  func `models that refuse the older name of the limit are known behind any host`(model: String, isNewer: Bool) throws {
    let body = try Sample.body("openai:" + model, agent: "\"maxOutputTokens\":9", [Sample.user("Hi")], environment: compatible)
    #expect([body["max_completion_tokens"]?.intValue, body["max_tokens"]?.intValue] == (isNewer ? [9, nil] : [nil, 9]))
  }

  @Test(arguments: [
    (#"["web_search_call.action.sources"]"#, #"["reasoning.encrypted_content","web_search_call.action.sources"]"#),
    (#"["a","reasoning.encrypted_content"]"#, #"["reasoning.encrypted_content","a"]"#), ("[]", #"["reasoning.encrypted_content"]"#),
    ("null", "null"),
  ])
  func `what is to be included besides leaves the reasoning in`(given: String, sent: String) throws {
    let body = try Sample.body("openai-responses:m", agent: "\"providerOptions\":{\"include\":\(given)}", [Sample.user("Hi")])
    #expect(body["include"]?.bytes.string == sent)
    var names: [String] = []
    body.forEachMember { name, _ in names.append(name.text) }
    #expect(names.filter { $0 == "include" }.count == 1)
  }

  @Test func `files of results follow after all results of the batch`() throws {
    let notes =
      "{\"provider\":\"openai\",\"model\":\"m\",\"parts\":[{\"type\":\"text\",\"bytes\":4},{\"type\":\"call\",\"id\":\"c1\",\"extra_content\":{\"s\":1}},{\"type\":\"call\"}]}"
    try expect(
      Sample.body("openai:m", conversation(notes))["messages"],
      is: """
        [{"role":"user","content":"Go."},
        {"role":"assistant","content":"Look","tool_calls":[{"id":"c1","type":"function","function":{"name":"a","arguments":"{\\"x\\":\\"ü\\"}"},"extra_content":{"s":1}},
        {"id":"\(Sample.callB.text)","type":"function","function":{"name":"b","arguments":"{\\"invalid_arguments\\":\\"oops\\"}"}}]},
        {"role":"tool","tool_call_id":"c1","content":"rows\\n[1 file, shown below]"},
        {"role":"tool","tool_call_id":"\(Sample.callB.text)","content":"Error: broke"},
        {"role":"user","content":[{"type":"text","text":"From the result of call c1 (a):"},{"type":"image_url","image_url":{"url":"data:image/png;base64,\(Sample.png)"}}]},
        {"role":"user","content":"Hurry."}]
        """)
  }

  @Test func `reasoning goes back with the calls it led to, to the model that thought it`() throws {
    let notes =
      "{\"provider\":\"openai\",\"model\":\"m\",\"parts\":[{\"type\":\"reasoning\",\"members\":{\"reasoning_content\":\"Hm\"}},{\"type\":\"call\",\"id\":\"c1\"}]}"
    let transcript = [
      Sample.user("a"), try Sample.said("", [(Sample.callA, "x", "{}")], notes: notes), try Sample.tool(Sample.callA, "x", "{}"),
    ]
    #expect(try Sample.body("openai:m", transcript)["messages"]?.elements[1]["reasoning_content"]?.stringValue == "Hm")
    #expect(try Sample.body("openai:other", transcript)["messages"]?.elements[1]["reasoning_content"] == nil)
  }

  @Test func `content of every kind has its part in a chat`() throws {
    let blocks = try Sample.blocks(
      """
      [{"type":"text","text":"see"},{"type":"image","data":"\(Sample.png)","mimeType":"image/webp"},{"type":"audio","data":"AAAA","mimeType":"audio/wav"},
      {"type":"audio","data":"AAAA","mimeType":"audio/flac"},{"type":"binary","data":"\(Sample.pdf)","mimeType":"application/pdf"},
      {"type":"binary","data":"aGk=","mimeType":"text/plain"},{"type":"binary","url":"https://x/y.zip","mimeType":"application/zip"},
      {"type":"image","data":"no base64!","mimeType":"image/png"},{"type":"image","data":"AAAA","mimeType":"image/tiff"},
      {"type":"resource_link","uri":"file:///a","name":"a"},{"type":"resource","resource":{"uri":"file:///b","text":"inner"}},
      {"type":"resource","resource":{"uri":"file:///c.png","mimeType":"image/png","blob":"\(Sample.png)"}}]
      """)
    try expect(
      Sample.body("openai:m", [.user(blocks)])["messages"]?.elements[0]["content"],
      is: """
        [{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"data:image/webp;base64,\(Sample.png)"}},
        {"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},{"type":"text","text":"[audio audio/flac, 3 bytes]"},
        {"type":"file","file":{"filename":"file.pdf","file_data":"data:application/pdf;base64,\(Sample.pdf)"}},{"type":"text","text":"hi"},
        {"type":"text","text":"[application/zip at https://x/y.zip]"},{"type":"text","text":"[image image/png, 7 bytes]"},
        {"type":"text","text":"[image image/tiff, 3 bytes]"},{"type":"text","text":"[resource a: file:///a]"},
        {"type":"text","text":"[resource file:///b]\\ninner"},{"type":"image_url","image_url":{"url":"data:image/png;base64,\(Sample.png)"}}]
        """)
  }

  @Test func `signed thinking goes back as LiteLLM gave it, to the model that thought it`() throws {
    let blocks = #"[{"type":"thinking","thinking":"Hm","signature":"s"},{"type":"redacted_thinking","data":"e"}]"#
    let notes =
      #"{"provider":"openai","model":"m","parts":[{"type":"reasoning","members":{"reasoning_content":"Hm","thinking_blocks":\#(blocks)}},{"type":"call","id":"c1"}]}"#
    let transcript = [
      Sample.user("a"), try Sample.said("", [(Sample.callA, "x", "{}")], notes: notes), try Sample.tool(Sample.callA, "x", "{}"),
    ]
    try expect(
      Sample.body("openai:m", transcript)["messages"]?.elements[1],
      is:
        #"{"role":"assistant","content":null,"reasoning_content":"Hm","thinking_blocks":\#(blocks),"tool_calls":[{"id":"c1","type":"function","function":{"name":"x","arguments":"{}"}}]}"#
    )
    #expect(try Sample.body("openai:n", transcript)["messages"]?.elements[1]["thinking_blocks"] == nil)
  }

  @Test(arguments: [
    (#"{"reasoning_content":"a\ud83d"}"#, #","reasoning_content":"a\ufffd""#),
    (#"{"reasoning_content":"a\ud83d","thinking_blocks":[{"type":"thinking","thinking":"a\ud83d","signature":"s"}]}"#, ""),
    (#"{"reasoning_details":[{"type":"reasoning.text","text":"\ude00","signature":"s"}]}"#, ""),
  ])
  func `half a surrogate pair does not go back to a chat, and no signed thinking in which there is one`(members: String, sent: String)
    throws
  {
    let notes =
      #"{"provider":"openai","model":"m","parts":[{"type":"reasoning","members":\#(members)},{"type":"call","id":"c1","extra_content":{"k":"\ud83d"}}]}"#
    let transcript = [
      Sample.user("a"), try Sample.said("", [(Sample.callA, "x", "{}")], notes: notes), try Sample.tool(Sample.callA, "x", "{}"),
    ]
    try expect(
      Sample.body("openai:m", transcript)["messages"]?.elements[1],
      is:
        #"{"role":"assistant","content":null\#(sent),"tool_calls":[{"id":"c1","type":"function","function":{"name":"x","arguments":"{}"},"extra_content":{"k":"\ufffd"}}]}"#
    )
  }

  @Test func `half a surrogate pair does not go back in an item`() throws {
    let notes =
      #"{"provider":"openai-responses","model":"m","parts":[{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"\ud83dx"}],"encrypted_content":"e"},{"type":"call","id":"c1"}]}"#
    let transcript = [
      Sample.user("a"), try Sample.said("", [(Sample.callA, "x", "{}")], notes: notes), try Sample.tool(Sample.callA, "x", "{}"),
    ]
    try expect(
      Sample.body("openai-responses:m", transcript)["input"]?.elements[1],
      is: #"{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"\ufffdx"}],"encrypted_content":"e"}"#)
  }

  @Test func `an answer without text has null beside its calls, and one without anything is left out`() throws {
    let transcript = [
      Sample.user("a"), try Sample.said("", [(Sample.callA, "x", "{}")]), try Sample.tool(Sample.callA, "x", "{}"), try Sample.said(""),
      Sample.user("b"),
    ]
    try expect(
      Sample.body("openai:m", transcript)["messages"],
      is: """
        [{"role":"user","content":"a"},
        {"role":"assistant","content":null,"tool_calls":[{"id":"\(Sample.callA.text)","type":"function","function":{"name":"x","arguments":"{}"}}]},
        {"role":"tool","tool_call_id":"\(Sample.callA.text)","content":""},{"role":"user","content":"b"}]
        """)
  }

  @Test func `the Responses API stores nothing, and is told that no schema is strict`() throws {
    let body = try Sample.body(
      "openai-responses:m", agent: "\"maxOutputTokens\":99,\"reasoning\":{\"budgetTokens\":3000,\"summary\":\"auto\"}", [Sample.user("Hi")],
      system: ["Be."],
      tools: [Sample.tool("a")])
    try expect(
      body,
      is: """
        {"model":"m","stream":true,"store":false,"include":["reasoning.encrypted_content"],"instructions":"Be.","max_output_tokens":99,
        "reasoning":{"effort":"medium","summary":"auto"},
        "tools":[{"type":"function","name":"a","description":"does \\"a\\"","parameters":{"type":"object","x":0.10},"strict":false}],
        "input":[{"role":"user","content":"Hi"}]}
        """)
  }

  @Test func `an image says how closely it is looked at, in what the user says and in results`() throws {
    let image = #"{"type":"image","data":"\#(Sample.png)","mimeType":"image/png"}"#
    try expect(
      Sample.body("openai-responses:m", [.user(try Sample.blocks("[\(image)]"))])["input"],
      is: #"[{"role":"user","content":[{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,\#(Sample.png)"}]}]"#)
  }

  @Test func `reasoning items go back before what they led to, with the ids that pair them`() throws {
    let notes = """
      {"provider":"openai-responses","model":"m","parts":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"e"},
      {"type":"text","bytes":4,"item":"msg_1","phase":"commentary"},{"type":"call","id":"c1","item":"fc_1"},{"type":"call","id":"c2"},
      {"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"f"}]}
      """
    let transcript = try conversation(notes)
    try expect(
      Sample.body("openai-responses:m", transcript)["input"],
      is: """
        [{"role":"user","content":"Go."},{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"e"},
        {"type":"message","role":"assistant","status":"completed","id":"msg_1","content":[{"type":"output_text","annotations":[],"text":"Look"}],"phase":"commentary"},
        {"type":"function_call","call_id":"c1","id":"fc_1","name":"a","arguments":"{\\"x\\":\\"ü\\"}"},
        {"type":"function_call","call_id":"c2","name":"b","arguments":"{\\"invalid_arguments\\":\\"oops\\"}"},
        {"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"rows"},{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,\(Sample.png)"}]},
        {"type":"function_call_output","call_id":"c2","output":"Error: broke"},{"role":"user","content":"Hurry."}]
        """)
    try expect(
      CarriedJSON(
        "[\(Sample.body("openai-responses:other", transcript)["input"]!.elements[1...3].map(\.bytes.string).joined(separator: ","))]"),
      is: """
        [{"role":"assistant","content":"Look"},{"type":"function_call","call_id":"c1","name":"a","arguments":"{\\"x\\":\\"ü\\"}"},
        {"type":"function_call","call_id":"c2","name":"b","arguments":"{\\"invalid_arguments\\":\\"oops\\"}"}]
        """)
  }

  @Test func `content of every kind has its part in an item`() throws {
    let result = """
      {"content":[{"type":"binary","data":"\(Sample.pdf)","mimeType":"application/pdf","filename":"r.pdf"},{"type":"audio","data":"AAAA","mimeType":"audio/wav"}],"isError":true}
      """
    let transcript = [Sample.user("a"), try Sample.said("", [(Sample.callA, "x", "{}")]), try Sample.tool(Sample.callA, "x", result)]
    try expect(
      Sample.body("openai-responses:m", transcript)["input"]?.elements[2]["output"],
      is: """
        [{"type":"input_text","text":"Error:"},{"type":"input_file","filename":"r.pdf","file_data":"data:application/pdf;base64,\(Sample.pdf)"},
        {"type":"input_text","text":"[audio audio/wav, 3 bytes]"}]
        """)
  }
}
