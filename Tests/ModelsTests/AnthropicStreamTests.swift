import JSON
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// The Messages API's streams.
@Suite struct AnthropicStreamTests {
  private let claudeStart = """
    event: message_start
    data: {"type":"message_start","message":{"id":"msg_1","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":1}}}

    event: ping
    data: {"type":"ping"}


    """

  private func claudeEnd(_ reason: String) -> String {
    """
    event: message_delta
    data: {"type":"message_delta","delta":{"stop_reason":"\(reason)","stop_sequence":null},"usage":{"output_tokens":20}}

    event: message_stop
    data: {"type":"message_stop"}


    """
  }

  private func block(_ index: Int, _ start: String, _ deltas: String...) -> String {
    "data: {\"type\":\"content_block_start\",\"index\":\(index),\"content_block\":\(start)}\n\n"
      + deltas.map { "data: {\"type\":\"content_block_delta\",\"index\":\(index),\"delta\":\($0)}\n\n" }.joined()
      + "data: {\"type\":\"content_block_stop\",\"index\":\(index)}\n\n"
  }

  @Test(arguments: [true, false])
  func `halves of characters are joined over deltas, and one that stays alone is shown at the end of its block`(isStopped: Bool) {
    func thought(_ text: String) -> String { #"{"type":"thinking_delta","thinking":"\#(text)"}"# }
    func said(_ text: String) -> String { #"{"type":"text_delta","text":"\#(text)"}"# }
    let body =
      block(0, #"{"type":"thinking","thinking":""}"#, thought(#"a\ud83d"#), thought(#"\ude00\ud83d"#))
      + block(1, #"{"type":"text","text":"b\ud83d"}"#, said(#"\ude00\ud83d"#)) + block(2, #"{"type":"text","text":"c\ud83d"}"#)
    let whole = claudeStart + body + claudeEnd("max_tokens")
    let lines =
      isStopped ? whole : whole.split(separator: "\n\n").filter { !$0.contains("content_block_stop") }.map { $0 + "\n\n" }.joined()
    for step in [1, 1 << 20] {
      #expect(
        TurnStream.read(AnthropicTurnReader(model: "m"), lines, by: step).prefix(2) == ["reasoning a😀\u{FFFD}", "text b😀\u{FFFD}c\u{FFFD}"])
    }
  }

  @Test func `what the service's own tools did goes back, call and result`() {
    let search = #"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}"#
    let result =
      #"{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","encrypted_content":"e"}]}"#
    let body =
      claudeStart
      + block(
        0, search, #"{"type":"input_json_delta","partial_json":"{\"query\""}"#, #"{"type":"input_json_delta","partial_json":": \"x\"}"}"#)
      + block(1, result) + block(2, #"{"type":"text","text":"Found."}"#)
      + block(3, #"{"type":"server_tool_use","id":"srvtoolu_2","name":"web_search","input":{}}"#)
    TurnStream.expect(
      AnthropicTurnReader(model: "m"), body + claudeEnd("end_turn"),
      [
        "text Found.",
        #"finished end_turn "Found." [] 18/20 cache 5/3 {"provider":"anthropic","model":"m","parts":["#
          + #"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query": "x"}},\#(result),{"type":"text","bytes":6}]}"#,
      ])
    TurnStream.expect(
      AnthropicTurnReader(model: "m"), body + claudeEnd("pause_turn"),
      [
        "text Found.",
        "unusable: it is only the first part of one (stop reason pause_turn), since a tool of the service takes longer",
      ])
  }

  @Test func `thinking, text and parallel calls`() {
    let body =
      claudeStart
      + block(
        0, #"{"type":"thinking","thinking":"","signature":""}"#, #"{"type":"thinking_delta","thinking":"Hm"}"#,
        #"{"type":"thinking_delta","thinking":"…"}"#, #"{"type":"signature_delta","signature":"s/+="}"#)
      + block(1, #"{"type":"redacted_thinking","data":"r"}"#)
      + block(
        2, #"{"type":"text","text":""}"#, #"{"type":"text_delta","text":"Ü \"q\""}"#, #"{"type":"text_delta","text":"\ud83d"}"#,
        #"{"type":"text_delta","text":"\ude00!"}"#)
      + block(3, #"{"type":"glow","x":1}"#, #"{"type":"glow_delta","text":"NO"}"#)
      + block(
        4, #"{"type":"tool_use","id":"toolu_1","name":"a","input":{}}"#, #"{"type":"input_json_delta","partial_json":""}"#,
        #"{"type":"input_json_delta","partial_json":"{\"x\": \""}"#, #"{"type":"input_json_delta","partial_json":"ü\"}"}"#)
      + block(5, #"{"type":"tool_use","id":"toolu_2","name":"b","input":{}}"#, #"{"type":"input_json_delta","partial_json":""}"#)
      + "event: glow\ndata: {\"type\":\"glow\",\"delta\":{\"text\":\"NO\"}}\n\n" + claudeEnd("tool_use")
    TurnStream.expect(
      AnthropicTurnReader(model: "m"), body,
      [
        "reasoning Hm…", "text Ü \"q\"😀!",
        #"finished tool_use "Ü \"q\"\ud83d\ude00!" [a{"x": "ü"} b] 18/20 cache 5/3 {"provider":"anthropic","model":"m","parts":["#
          + #"{"type":"thinking","thinking":"Hm…","signature":"s/+="},{"type":"redacted_thinking","data":"r"},{"type":"text","bytes":11},"#
          + #"{"type":"call","id":"toolu_1"},{"type":"call","id":"toolu_2"}]}"#,
      ])
  }

  @Test(arguments: [
    ("end_turn", "end_turn"), ("stop_sequence", "end_turn"), ("max_tokens", "max_tokens"), ("model_context_window_exceeded", "max_tokens"),
    ("refusal", "refusal"), ("something_new", "end_turn"),
  ])
  func `reasons to stop`(said: String, wanted: String) {
    TurnStream.expect(
      AnthropicTurnReader(model: "m"), claudeStart + block(0, #"{"type":"text","text":"Hi"}"#) + claudeEnd(said),
      ["text Hi", "finished \(wanted) \"Hi\" [] 18/20 cache 5/3"])
  }

  @Test func `the last call of a cut answer is cut, a refusal has none`() {
    let calls =
      claudeStart + block(0, #"{"type":"tool_use","id":"t1","name":"a","input":{"whole":1}}"#)
      + block(1, #"{"type":"tool_use","id":"t1","name":"b","input":{}}"#, #"{"type":"input_json_delta","partial_json":"{\"x"}"#)
    TurnStream.expect(
      AnthropicTurnReader(model: "m"), calls + claudeEnd("max_tokens"),
      [
        #"finished max_tokens "" [a{"whole":1} b{"x cut] 18/20 cache 5/3 {"provider":"anthropic","model":"m","parts":[{"type":"call","id":"t1"},{"type":"call"}]}"#
      ])
    TurnStream.expect(AnthropicTurnReader(model: "m"), calls + claudeEnd("refusal"), [#"finished refusal "" [] 18/20 cache 5/3"#])
  }

  @Test func `faults inside the stream`() {
    let half = claudeStart + "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
    for (tail, end) in [
      (
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},\"request_id\":\"req_1\"}\n\n",
        "passing: overloaded_error: Overloaded (request id req_1)"
      ),
      (
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"bad\"}}\n\n",
        "refused: invalid_request_error: bad"
      ),
      (
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 2 > 1\"}}\n\n",
        "contextOverflow: invalid_request_error: prompt is too long: 2 > 1"
      ),
      ("data: {\"type\":\n\n", "passing: an event that is not JSON"), ("data: []\n\n", "passing: an event that is no JSON object"),
      ("", "passing: the stream ended before the answer did"), (claudeEnd("end_turn"), "passing: an empty answer"),
    ] {
      TurnStream.expect(AnthropicTurnReader(model: "m"), half + tail, [end])
    }
    TurnStream.expect(AnthropicTurnReader(model: "m"), "", ["passing: the stream ended before the answer did"])
  }
}
