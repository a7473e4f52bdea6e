import JSON
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// The streams of Chat Completions, OpenAI's and others'.
@Suite struct ChatStreamTests {
  private func chunks(_ deltas: String..., finish: String? = "stop", usage: Bool = true, done: Bool = true) -> String {
    var all = deltas.map { "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":\($0),\"finish_reason\":null}],\"usage\":null}\n\n" }
    if let finish { all.append("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"\(finish)\"}]}\n\n") }
    if usage {
      all.append(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":6}}}\n\n"
      )
    }
    if done { all.append("data: [DONE]\n\n") }
    return all.joined()
  }

  @Test func `text, reasoning, and a list of parts`() {
    TurnStream.expect(
      ChatTurnReader(model: "m"),
      chunks(
        #"{"role":"assistant","content":"","refusal":null}"#, #"{"reasoning_content":"H"}"#, #"{"reasoning_content":"m"}"#,
        #"{"content":"Grü"}"#,
        #"{"content":[{"type":"text","text":"ße"},{"type":"thinking","thinking":[{"type":"text","text":"!"}]}]}"#),
      ["reasoning Hm", "text Grüße", "reasoning !", #"finished end_turn "Grüße" [] 10/4 cache 6/0"#])
  }

  private let twoCalls = #"finished tool_use "" [a{"x":1} a{"x":2}] 10/4 cache 6/0"#

  @Test func `reasoning that led to calls is kept for the server, also when it is empty`() {
    let call = #"{"tool_calls":[{"index":0,"id":"c1","function":{"name":"a","arguments":"{}"}}]}"#
    func notes(_ members: String) -> String {
      #"finished tool_use "" [a{}] 10/4 cache 6/0 {"provider":"openai","model":"m","parts":[{"type":"reasoning","members":{\#(members)}},{"type":"call","id":"c1"}]}"#
    }
    TurnStream.expect(
      ChatTurnReader(model: "m"),
      chunks(#"{"reasoning_content":"H","reasoning":"H"}"#, #"{"reasoning_content":"m"}"#, #"{"reasoning_content":null}"#, call),
      ["reasoning Hm", notes(#""reasoning_content":"Hm""#)])
    TurnStream.expect(ChatTurnReader(model: "m"), chunks(#"{"reasoning_content":""}"#, call), [notes(#""reasoning_content":"""#)])
    TurnStream.expect(
      ChatTurnReader(model: "m"),
      chunks(
        #"{"reasoning":"Hm","reasoning_details":[{"type":"reasoning.text","text":"H","index":0,"signature":null}]}"#,
        #"{"reasoning_details":[{"type":"reasoning.text","text":"m","index":0,"signature":"s"},{"type":"reasoning.encrypted","data":"e","index":1}]}"#,
        call),
      [
        "reasoning Hm",
        notes(
          #""reasoning_details":[{"type":"reasoning.text","index":0,"text":"Hm","signature":"s"},{"type":"reasoning.encrypted","index":1,"data":"e"}]"#
        ),
      ])
  }

  @Test(arguments: [
    #"{"a":"}\"{]","b":[{},[1]]} "#, " \n{}\t", "{}", "{} x", "{}{}", "[{}]", "", "x{}", #"{"a":"\\"}"#, #"{"a":"}"#, "{a}",
  ])
  func `the end of an object is known while it comes, byte by byte`(text: String) {
    var end = ObjectEnd()
    var (reached, whole): ([Bool], [Bool]) = ([], [])
    for count in 1...max(1, text.utf8.count) {
      end.take(String(text.utf8.dropFirst(count - 1).prefix(1)) ?? "")
      reached.append(end.isReached)
      whole.append(Bytes(String(text.utf8.prefix(count)) ?? "").isJSONObject)
    }
    // It is no validator.
    #expect(reached == whole || text == "{a}" && reached == [false, false, true])
  }

  @Test(.timeLimit(.minutes(1))) func `a name that is repeated with each fragment costs no look at all that came before`() {
    var calls = ChatCalls()
    func add(_ arguments: String) {
      calls.add(CarriedJSON(trusted: Bytes(#"{"index":0,"function":{"name":"a","arguments":"\#(arguments)"}}"#)))
    }
    add(#"{\"x\":\""#)
    for _ in 0..<200_000 { add("sixteen bytes...") }
    add(#"\"}"#)
    #expect(calls.all.map(\.bytes.count) == [8 + 200_000 * 16])
    #expect(calls.all.map(\.isWhole) == [true])
  }

  @Test func `signed thinking is put together block by block, as LiteLLM streams it`() {
    let call = #"{"tool_calls":[{"index":0,"id":"c1","function":{"name":"a","arguments":"{}"}}]}"#
    TurnStream.expect(
      ChatTurnReader(model: "m"),
      chunks(
        #"{"reasoning_content":"H","thinking_blocks":[{"type":"thinking","thinking":"H","index":0}]}"#,
        #"{"reasoning_content":"m","thinking_blocks":[{"type":"thinking","thinking":"m","signature":null,"index":0}]}"#,
        #"{"reasoning_content":"","thinking_blocks":[{"type":"thinking","thinking":"","signature":"s==","index":0}]}"#,
        #"{"thinking_blocks":[{"type":"redacted_thinking","data":"e","index":1}]}"#,
        #"{"reasoning_content":"!","thinking_blocks":[{"type":"thinking","thinking":"!","signature":"t"}]}"#,
        #"{"reasoning_content":"?","thinking_blocks":[{"type":"thinking","thinking":"?"}]}"#, #"{"thinking_blocks":null}"#, call),
      [
        "reasoning Hm!?",
        #"finished tool_use "" [a{}] 10/4 cache 6/0 {"provider":"openai","model":"m","parts":[{"type":"reasoning","members":{"reasoning_content":"Hm!?","thinking_blocks":["#
          + #"{"type":"thinking","thinking":"Hm","signature":"s=="},{"type":"redacted_thinking","data":"e"},{"type":"thinking","thinking":"!","signature":"t"}"#
          + #"]}},{"type":"call","id":"c1"}]}"#,
      ])
  }

  @Test func `calls in fragments, as OpenAI sends them`() {
    let body = chunks(
      #"{"content":null,"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"a","arguments":""}}]}"#,
      #"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}"#, #"{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#,
      #"{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"a","arguments":""}},{"index":1,"function":{"arguments":"{\"x\":2}"}}]}"#,
      finish: "tool_calls")
    TurnStream.expect(
      ChatTurnReader(model: "m"), body,
      [twoCalls + #" {"provider":"openai","model":"m","parts":[{"type":"call","id":"c1"},{"type":"call","id":"c2"}]}"#])
  }

  @Test(arguments: [
    // No ids and no index, whole.
    [#"{"function":{"name":"a","arguments":"{\"x\":1}"}}"#, #"{"function":{"name":"a","arguments":"{\"x\":2}"}}"#],
    // Index 0 and one id for all.
    [
      #"{"index":0,"id":"c","function":{"name":"a","arguments":"{\"x\":1}"}}"#,
      #"{"index":0,"id":"c","function":{"name":"a","arguments":"{\"x\":2}"}}"#,
    ],
    // Arguments as objects, null id.
    [
      #"{"index":0,"id":null,"function":{"name":"a","arguments":{"x":1}}}"#,
      #"{"index":0,"id":"","function":{"name":"a","arguments":{"x":2}}}"#,
    ],
    // The name in every fragment, index 0 for both.
    [
      #"{"index":0,"function":{"name":"a","arguments":""}}"#, #"{"index":0,"function":{"name":"a","arguments":"{\"x\":"}}"#,
      #"{"index":0,"function":{"name":"a","arguments":"1}"}}"#, #"{"index":0,"function":{"name":"a","arguments":"{\"x\":2}"}}"#,
    ],
    // The name first, and a second call of the same tool at the index, under the id, of the first.
    [
      #"{"index":0,"id":"c","function":{"name":"a","arguments":""}}"#, #"{"index":0,"function":{"arguments":"{\"x\":1}"}}"#,
      #"{"index":0,"id":"c","function":{"name":"a","arguments":""}}"#, #"{"index":0,"function":{"arguments":"{\"x\""}}"#,
      #"{"index":0,"function":{"arguments":":2}"}}"#,
    ],
    // No index, in turns: the id says which it is.
    [
      #"{"id":"c1","function":{"name":"a","arguments":"{\"x\""}}"#, #"{"id":"c2","function":{"name":"a","arguments":"{\"x\""}}"#,
      #"{"id":"c1","function":{"name":"a","arguments":":1}"}}"#, #"{"id":"c2","function":{"arguments":":2}"}}"#,
    ],
    // Another id in each fragment.
    [
      #"{"index":0,"id":"r1","function":{"name":"a","arguments":"{\"x\""}}"#, #"{"index":0,"id":"r2","function":{"arguments":":1}"}}"#,
      #"{"index":1,"id":"r3","function":{"name":"a","arguments":"{\"x\":2}"}}"#,
    ],
  ])
  func `calls as other servers send them`(fragments: [String]) {
    let body =
      fragments.map { "data: {\"choices\":[{\"delta\":{\"tool_calls\":[\($0)]},\"finish_reason\":\"\"}]}\n\n" }.joined()
      + chunks(finish: "stop")
    for step in [1, 1 << 20] {
      #expect(
        TurnStream.read(ChatTurnReader(model: "m"), body, by: step).last?.hasPrefix(twoCalls) == true,
        "\(TurnStream.read(ChatTurnReader(model: "m"), body, by: step))")
    }
  }

  @Test func `calls are in the order of their places, however they come`() {
    let (one, two) = (
      #"{"index":0,"id":"c1","function":{"name":"a","arguments":"{\"x\":1}"}}"#,
      #"{"index":1,"id":"c2","function":{"name":"a","arguments":"{\"x\":2}"}}"#
    )
    let notes = #" {"provider":"openai","model":"m","parts":[{"type":"call","id":"c1"},{"type":"call","id":"c2"}]}"#
    func deltas(_ calls: String...) -> String { chunks(#"{"tool_calls":[\#(calls.joined(separator: ","))]}"#, finish: "tool_calls") }
    TurnStream.expect(ChatTurnReader(model: "m"), deltas(one, two), [twoCalls + notes])
    TurnStream.expect(ChatTurnReader(model: "m"), deltas(two, one), [twoCalls + notes])
    // Of these the places say nothing.
    let unplaced = #"{"id":"c1","function":{"name":"b","arguments":"{}"}}"#
    TurnStream.expect(
      ChatTurnReader(model: "m"), deltas(two, unplaced),
      [
        #"finished tool_use "" [a{"x":2} b{}] 10/4 cache 6/0 {"provider":"openai","model":"m","parts":[{"type":"call","id":"c2"},{"type":"call","id":"c1"}]}"#
      ])
    let repeated = #"{"index":0,"id":"c0","function":{"name":"b","arguments":"{}"}}"#
    TurnStream.expect(
      ChatTurnReader(model: "m"), deltas(one, two, repeated),
      [
        #"finished tool_use "" [a{"x":1} a{"x":2} b{}] 10/4 cache 6/0 {"provider":"openai","model":"m","parts":[{"type":"call","id":"c1"},{"type":"call","id":"c2"},{"type":"call","id":"c0"}]}"#
      ])
  }

  @Test func `of calls that come out of order the one that came last is cut off`() {
    TurnStream.expect(
      ChatTurnReader(model: "m"),
      chunks(
        #"{"tool_calls":[{"index":1,"id":"c2","function":{"name":"a","arguments":"{}"}}]}"#,
        #"{"tool_calls":[{"index":0,"id":"c1","function":{"name":"a","arguments":"{\"x"}}]}"#, finish: "length"),
      [
        #"finished max_tokens "" [a{"x cut a{}] 10/4 cache 6/0 {"provider":"openai","model":"m","parts":[{"type":"call","id":"c1"},{"type":"call","id":"c2"}]}"#
      ])
  }

  @Test func `halves of characters are joined over deltas, and one that stays alone is shown at the end`() {
    TurnStream.expect(
      ChatTurnReader(model: "m"),
      chunks(
        #"{"reasoning_content":"a\ud83d"}"#, #"{"reasoning_content":"\ude00\ud83d"}"#, #"{"content":"b\ud83d"}"#,
        #"{"content":"\ude00\ud83d"}"#, finish: "length"),
      ["reasoning a😀\u{FFFD}", "text b😀\u{FFFD}", #"finished max_tokens "b\ud83d\ude00\ud83d" [] 10/4 cache 6/0"#])
    func thinking(_ text: String) -> String { #"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"\#(text)"}]}]}"# }
    TurnStream.expect(
      ChatTurnReader(model: "m"),
      chunks(
        thinking(#"a\ud83d"#), thinking(#"\ude00"#), #"{"content":[{"type":"thinking","thinking":"b\ud83d"}]}"#, thinking(#"\ude00"#),
        #"{"content":"c"}"#),
      ["reasoning a😀b😀", "text c", #"finished end_turn "c" [] 10/4 cache 6/0"#])
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(#"{"refusal":"No\ud83d"}"#),
      ["text No\u{FFFD}", #"finished refusal "No\ud83d" [] 10/4 cache 6/0"#])
  }

  @Test(
    arguments: [
      #"{"index":0,"id":"c1","type":"function","function":{"name":"a","arguments":""}}"#,
      #"{"index":0,"id":"c1","function":{"name":"a"}}"#, #"{"index":0,"function":{"name":"a","arguments":null}}"#,
      #"{"index":0,"function":{"name":"a","arguments":" \n"}}"#, #"{"id":"c1","function":{"name":"a","arguments":""}}"#,
      #"{"function":{"name":"a"}}"#, #"{"index":0,"id":"c1","function":{"name":"","arguments":""}}"#, #"{"index":0,"id":"c1"}"#,
    ], ["", #"{"index":0,"id":"c1","function":{"name":"a","arguments":""}}"#])
  func `a call that is named once more at its end is one call`(last: String, again: String) {
    let first = #"{"index":0,"id":"c1","function":{"name":"a","arguments":"{\"x\":1}"}}"#
    let body = chunks(#"{"tool_calls":[\#([first, last, again].filter { !$0.isEmpty }.joined(separator: ","))]}"#, finish: "tool_calls")
    let end = TurnStream.read(ChatTurnReader(model: "m"), body, by: 1 << 20).last ?? ""
    #expect(end.hasPrefix(#"finished tool_use "" [a{"x":1}"#) && end.split(separator: #""type":"call""#).count == 2, "\(end)")
  }

  @Test func `arguments that are nothing, and the old function_call`() {
    TurnStream.expect(
      ChatTurnReader(model: "m"),
      chunks(
        #"{"function_call":{"name":"a","arguments":""}}"#, #"{"function_call":{"arguments":" null"}}"#, finish: "function_call",
        usage: false),
      [#"finished tool_use "" [a] 0/0 {"provider":"openai","model":"m","parts":[{"type":"call"}]}"#])
  }

  @Test func `how it ends`() {
    let text = #"{"content":"Hi"}"#
    let call = #"{"tool_calls":[{"index":0,"id":"c","function":{"name":"a","arguments":"{\"x"}}]}"#
    TurnStream.expect(ChatTurnReader(model: "m"), chunks(text, usage: false, done: false), ["text Hi", #"finished end_turn "Hi" [] 0/0"#])
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(text, finish: "length"), ["text Hi", #"finished max_tokens "Hi" [] 10/4 cache 6/0"#])
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(text, call, finish: "content_filter"), ["text Hi", #"finished refusal "Hi" [] 10/4 cache 6/0"#])
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(#"{"refusal":"No"}"#, #"{"refusal":"."}"#),
      ["text No.", #"finished refusal "No." [] 10/4 cache 6/0"#])
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(call, finish: "length"),
      [#"finished max_tokens "" [a{"x cut] 10/4 cache 6/0 {"provider":"openai","model":"m","parts":[{"type":"call","id":"c"}]}"#])
    let early = "passing: the stream ended before the answer did"
    TurnStream.expect(ChatTurnReader(model: "m"), chunks(text, finish: nil), ["text Hi", early])
    TurnStream.expect(ChatTurnReader(model: "m"), chunks(text, finish: nil, done: false), ["text Hi", early])
    TurnStream.expect(ChatTurnReader(model: "m"), chunks(#"{"content":""}"#), ["passing: an empty answer"])
    TurnStream.expect(ChatTurnReader(model: "m"), chunks(#"{"reasoning":"only"}"#), ["reasoning only", "passing: an empty answer"])
  }

  private static let wholeCall = #"{"tool_calls":[{"index":0,"id":"c","function":{"name":"a","arguments":"{\"x\":1}"}}]}"#
  private static let callNotes = #" {"provider":"openai","model":"m","parts":[{"type":"call","id":"c"}]}"#

  @Test(arguments: [
    "error", "insufficient_system_resource", "abort", "network_error", "ERROR", "malformed_function_call",
    "function_call_filter: MALFORMED_FUNCTION_CALL",
  ])
  func `an answer that the server broke off is tried again, whatever was whole in it`(word: String) {
    for delta in [#"{"content":"Hi"}"#, Self.wholeCall] {
      let shown = delta == Self.wholeCall ? [] : ["text Hi"]
      TurnStream.expect(
        ChatTurnReader(model: "m"), chunks(delta, finish: word), shown + ["passing: it broke the answer off (finish reason \(word))"])
    }
  }

  @Test func `an error beside the word that tells of it counts`() {
    TurnStream.expect(
      ChatTurnReader(model: "m"),
      #"data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"error","error":{"code":400,"message":"no"}}]}"# + "\n\n",
      ["text Hi", "refused: no"])
    TurnStream.expect(
      ChatTurnReader(model: "m"), #"data: {"choices":[{"delta":{},"finish_reason":"error","error":null}]}"# + "\n\n",
      ["passing: it broke the answer off (finish reason error)"])
  }

  @Test(arguments: ["model_length", "model_context_window_exceeded", "repetition_truncation", "MAX_TOKENS"])
  func `a call that is whole but came last before a limit is cut off`(word: String) {
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(Self.wholeCall, finish: word),
      [#"finished max_tokens "" [a{"x":1} cut] 10/4 cache 6/0"# + Self.callNotes])
  }

  @Test(arguments: ["sensitive", "content_filter: SAFETY", "PROHIBITED_CONTENT"])
  func `a filter is a refusal, and no call before it counts`(word: String) {
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(#"{"content":"Hi"}"#, Self.wholeCall, finish: word),
      ["text Hi", #"finished refusal "Hi" [] 10/4 cache 6/0"#])
  }

  @Test(arguments: ["stop", "tool_calls", "function_call", "eos", "end_turn", "COMPLETE", "a word of its own"])
  func `any other word is an end`(word: String) {
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(Self.wholeCall, finish: word),
      [#"finished tool_use "" [a{"x":1}] 10/4 cache 6/0"# + Self.callNotes])
  }

  @Test(arguments: [
    (#"{"error":{"message":"busy","type":"server_error","code":null}}"#, "passing: server_error: busy"),
    (#"{"error":{"message":"no credit","code":402}}"#, "refused: no credit"),
    (#"{"error":{"message":"slow","code":"429"}}"#, "passing: slow"),
    (#"{"error":"words"}"#, "passing: words"),
    (#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#, "contextOverflow: context_length_exceeded: too long"),
    (#"{"error":{"message":"pay","code":"insufficient_quota"}}"#, "unavailable: insufficient_quota: pay"),
    (#"{"error":{}}"#, "passing: an error without a message"),
    (#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#, "refused: BadRequestError: m"),
  ])
  func `an error inside the stream`(error: String, wanted: String) {
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(#"{"content":"Hi"}"#, finish: nil, usage: false, done: false) + "data: \(error)\n\n",
      ["text Hi", wanted])
  }

  @Test(arguments: [
    ("error: {\"code\":500,\"message\":\"no slot\",\"type\":\"server_error\"}\n\n", "passing: server_error: no slot"),
    (
      "error: {\"code\":400,\"message\":\"the request exceeds the available context size\"}\n\n",
      "contextOverflow: the request exceeds the available context size"
    ),
    ("event: error\ndata: [{\"error\":{\"code\":400,\"message\":\"m\"}}]\n\n", "refused: m"),
    ("data: [{\"error\":{\"code\":503,\"message\":\"m\",\"status\":\"UNAVAILABLE\"}}]\n\n", "passing: UNAVAILABLE: m"),
    ("event: error\ndata: [\"m\"]\n\n", "passing: m"), ("event: error\ndata: plain words\n\n", "passing: plain words"),
    ("data: [1]\n\n", "passing: an event that is no JSON object"), ("data: words\n\n", "passing: an event that is not JSON"),
  ])
  func `an error inside the stream, in other shapes`(event: String, wanted: String) {
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(#"{"content":"Hi"}"#, finish: nil, usage: false, done: false) + event, ["text Hi", wanted])
    TurnStream.expect(ResponsesTurnReader(model: "m"), event, [wanted])
    TurnStream.expect(AnthropicTurnReader(model: "m"), event, [wanted])
  }

  @Test(arguments: [
    "event: ping\ndata:\n\n", "event: ping\ndata: \n\n", "data:\n\n", "data:  \n\n", "event: keepalive\ndata: hello\n\n",
    "event: keepalive\ndata: 1\n\n", "event: keepalive\ndata: [DONE\n\n",
  ])
  func `an event without JSON that says nothing of the answer is passed over`(event: String) {
    let text = #"{"content":"Hi"}"#
    TurnStream.expect(
      ChatTurnReader(model: "m"), event + chunks(text, finish: nil, usage: false, done: false) + event + chunks("{}"),
      ["text Hi", #"finished end_turn "Hi" [] 10/4 cache 6/0"#])
    let early = "passing: the stream ended before the answer did"
    TurnStream.expect(ResponsesTurnReader(model: "m"), event, [early])
    TurnStream.expect(AnthropicTurnReader(model: "m"), event, [early])
  }

  @Test func `an event that may say something of the answer is JSON`() {
    let broken = "passing: an event that is not JSON"
    TurnStream.expect(ChatTurnReader(model: "m"), "event: chunk\ndata: {\"choices\n\n", [broken])
    TurnStream.expect(ResponsesTurnReader(model: "m"), "event: response.output_text.delta\ndata: words\n\n", [broken])
    TurnStream.expect(AnthropicTurnReader(model: "m"), "event: message_delta\ndata: words\n\n", [broken])
    TurnStream.expect(
      AnthropicTurnReader(model: "m"), "event: content_block_stop\ndata: 1\n\n", ["passing: an event that is no JSON object"])
  }

  @Test(arguments: ["[DONE] ", " [DONE]", "[DONE]\t", "[DONE]\ndata:"])
  func `blanks beside the word that ends a stream do not matter`(word: String) {
    TurnStream.expect(
      ChatTurnReader(model: "m"), chunks(#"{"content":"Hi"}"#, done: false) + "data: \(word)\n\n",
      ["text Hi", #"finished end_turn "Hi" [] 10/4 cache 6/0"#])
    TurnStream.expect(
      ResponsesTurnReader(model: "m"), "data: \(word)\n\n", ["passing: the stream ended before the answer did"])
  }

  @Test(
    arguments: ["application/json", "text/html", "text/plain", "text/event-stream"],
    ["", "\r\n", ": OPENROUTER PROCESSING\n\n", "\u{FEFF}", "\u{FEFF}\n"])
  func `a stream is one whatever it is called`(type: String, before: String) throws {
    let text = Bytes(before + chunks(#"{"content":"Hi"}"#))
    for size in [1, text.count] {
      var response = ResponseReader(ChatTurnReader(model: "m"), now: { 0 })
      var signals: [ModelSignal] = []
      var turn = try response.take(.head(200, "content-type: \(type)"), &signals)
      for start in stride(from: 0, to: text.count, by: size) where turn == nil {
        turn = try response.take(.body(text[start..<start + size]), &signals)
      }
      #expect(signals.map(\.words) + [turn?.words ?? "nothing"] == ["text Hi", #"end_turn "Hi" [] 10/4 cache 6/0"#])
    }
  }

  @Test func `an answer that is no stream`() throws {
    func whole(_ json: String) throws -> [String] { Self.whole(json, .head(200, "content-type: application/json")) }
    #expect(
      try whole(
        #"{"choices":[{"message":{"content":"Hi","tool_calls":[{"id":"c","function":{"name":"a","arguments":{}}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#
      )
        == ["text Hi", #"tool_use "Hi" [a{}] 1/2"#])
    #expect(
      try whole(#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"error"}]}"#)
        == ["passing: it broke the answer off (finish reason error)"])
    #expect(try whole(#"{"ok":true}"#) == ["passing: it answered with JSON that is no completion"])
    #expect(try whole(#"[{"error":{"code":400,"message":"m"}}]"#) == ["refused: m"])
    #expect(try whole("<html>") == ["passing: it answered with a page of HTML"])
    #expect(try whole("") == ["passing: it answered with nothing"])
    #expect(try whole("{") == ["passing: it answered with something that is not JSON"])
    #expect(try whole("dat") == ["passing: it answered with something that is not JSON"])
    #expect(try whole(" \n") == ["passing: it answered with nothing"])
  }

  /// What comes of a body, piece by piece.
  private static func whole(_ body: String, _ head: HTTPEvent, by step: Int = .max) -> [String] {
    var response = ResponseReader(ChatTurnReader(model: "m"), now: { 0 })
    var signals: [ModelSignal] = []
    do throws(ProviderFault) {
      _ = try response.take(head, &signals)
      let bytes = Bytes(body)
      for start in stride(from: 0, to: bytes.count, by: min(step, max(bytes.count, 1))) {
        _ = try response.take(.body(bytes[start..<min(bytes.count, start + min(step, bytes.count))]), &signals)
      }
      let turn = try response.take(.finished, &signals)
      return signals.map(\.words) + [turn?.words ?? "nothing"]
    } catch { return ["\(error.kind): \(error.reason)"] }
  }

  @Test(
    arguments: [
      HTTPEvent.head(200), .head(200, "content-type: text/event-stream"), .head(200, "content-type: text/plain"),
      .head(200, "content-type: application/json"),
    ], ["", "\u{FEFF}", " \r\n", "\u{FEFF}\n\n"])
  func `JSON is JSON whatever it is called`(head: HTTPEvent, before: String) {
    for step in [1, 2, .max] {
      #expect(
        Self.whole(before + #"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"# + "\n", head, by: step)
          == ["text Hi", #"end_turn "Hi" [] 0/0"#])
      #expect(
        Self.whole(before + #"{"error":{"message":"no","code":"model_not_found"}}"#, head, by: step) == ["refused: model_not_found: no"])
      #expect(Self.whole(before + #"[{"error":{"code":400,"message":"m"}}]"#, head, by: step) == ["refused: m"])
      #expect(Self.whole(before + "<html>", head, by: step) == ["passing: it answered with a page of HTML"])
    }
  }

  @Test func `a byte order mark before an error's body does not hide what it says`() {
    #expect(Self.whole("\u{FEFF}{\"error\":{\"message\":\"no\",\"code\":\"c\"}}", .head(400)) == ["refused: status 400: c: no"])
  }
}
