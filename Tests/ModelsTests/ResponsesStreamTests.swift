import JSON
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// The Responses API's streams.
@Suite struct ResponsesStreamTests {
  private func event(_ type: String, _ members: String) -> String { "event: \(type)\ndata: {\"type\":\"\(type)\",\(members)}\n\n" }

  private let usage = #""usage":{"input_tokens":10,"output_tokens":4,"input_tokens_details":{"cached_tokens":6}}"#

  @Test func `items, reasoning with its seal, calls`() {
    let body =
      event("response.created", #""response":{"status":"in_progress","output":[]}"#)
      + event(
        "response.output_item.added", #""output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"half"}"#)
      + event("response.reasoning_summary_part.added", #""output_index":0,"summary_index":0"#)
      + event("response.reasoning_summary_text.delta", #""output_index":0,"delta":"Hm""#)
      + event("response.reasoning_summary_part.added", #""output_index":0,"summary_index":1"#)
      + event("response.reasoning_summary_text.delta", #""output_index":0,"delta":"so""#)
      + event(
        "response.output_item.done",
        #""output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"whole","status":null}"#
      )
      + event("response.output_item.added", #""output_index":1,"item":{"id":"msg_1","type":"message","content":[]}"#)
      + event("response.output_text.delta", #""output_index":1,"delta":"Grü""#)
      + event("response.output_text.delta", #""output_index":1,"delta":"ße""#)
      + event(
        "response.output_item.done",
        #""output_index":1,"item":{"id":"msg_1","type":"message","phase":"commentary","content":[{"type":"output_text","text":"Grüße"}]}"#)
      + event(
        "response.output_item.added",
        #""output_index":2,"item":{"id":"fc_1","type":"function_call","call_id":"c1","name":"a","arguments":""}"#)
      + event("response.function_call_arguments.delta", #""output_index":2,"delta":"{\"x\":""#)
      + event(
        "response.output_item.done",
        #""output_index":2,"item":{"id":"fc_1","type":"function_call","call_id":"c1","name":"a","arguments":"{\"x\":1}","status":"completed"}"#
      )
      + event("response.glow", #""delta":"NO""#) + event("response.completed", #""response":{"status":"completed","output":[],\#(usage)}"#)
    TurnStream.expect(
      ResponsesTurnReader(model: "m"), body,
      [
        "reasoning Hm\n\nso", "text Grüße",
        #"finished tool_use "Grüße" [a{"x":1}] 10/4 cache 6/0 {"provider":"openai-responses","model":"m","parts":["#
          + #"{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"whole"},"#
          + #"{"type":"text","bytes":7,"item":"msg_1","phase":"commentary"},{"type":"call","id":"c1","item":"fc_1"}]}"#,
      ])
  }

  @Test func `an answer that only its end tells`() {
    TurnStream.expect(
      ResponsesTurnReader(model: "m"),
      event(
        "response.completed",
        #""response":{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]},{"type":"function_call","call_id":"c","name":"a","arguments":"{}"}],\#(usage)}"#
      )
        + "data: [DONE]\n\n",
      [
        #"finished tool_use "Hi" [a{}] 10/4 cache 6/0 {"provider":"openai-responses","model":"m","parts":[{"type":"text","bytes":2},{"type":"call","id":"c"}]}"#
      ])
  }

  @Test func `a call that is said to be incomplete is cut, whatever is said of the response`() {
    TurnStream.expect(
      ResponsesTurnReader(model: "m"),
      event(
        "response.completed",
        #""response":{"status":"completed","output":[{"type":"function_call","call_id":"c","name":"a","arguments":"{}","status":"incomplete"},{"type":"function_call","call_id":"d","name":"b","arguments":"{}","status":"completed"}],\#(usage)}"#
      ),
      [
        #"finished tool_use "" [a{} cut b{}] 10/4 cache 6/0 {"provider":"openai-responses","model":"m","parts":[{"type":"call","id":"c"},{"type":"call","id":"d"}]}"#
      ])
  }

  @Test func `how it ends`() {
    let text = event("response.output_text.delta", #""output_index":0,"delta":"Hi""#)
    let call =
      event("response.output_item.added", #""output_index":1,"item":{"type":"function_call","call_id":"c","name":"a"}"#)
      + event("response.function_call_arguments.delta", #""output_index":1,"delta":"{\"x""#)
    func incomplete(_ reason: String) -> String {
      event("response.incomplete", #""response":{"status":"incomplete","incomplete_details":{"reason":"\#(reason)"},\#(usage)}"#)
    }
    TurnStream.expect(
      ResponsesTurnReader(model: "m"), text + call + incomplete("max_output_tokens"),
      [
        "text Hi",
        #"finished max_tokens "Hi" [a{"x cut] 10/4 cache 6/0 {"provider":"openai-responses","model":"m","parts":[{"type":"text","bytes":2},{"type":"call","id":"c"}]}"#,
      ])
    TurnStream.expect(
      ResponsesTurnReader(model: "m"), text + call + incomplete("content_filter"), ["text Hi", #"finished refusal "Hi" [] 10/4 cache 6/0"#])
    TurnStream.expect(
      ResponsesTurnReader(model: "m"),
      event("response.refusal.delta", #""output_index":0,"delta":"No.""#) + event("response.completed", #""response":{}"#),
      ["text No.", #"finished refusal "No." [] 0/0"#])
    TurnStream.expect(ResponsesTurnReader(model: "m"), text, ["text Hi", "passing: the stream ended before the answer did"])
    TurnStream.expect(ResponsesTurnReader(model: "m"), event("response.completed", #""response":{}"#), ["passing: an empty answer"])
    for (error, wanted) in [
      (event("response.failed", #""response":{"error":{"code":"server_error","message":"oops"}}"#), "passing: server_error: oops"),
      (event("response.failed", #""response":{"error":{"code":"invalid_prompt","message":"bad"}}"#), "refused: invalid_prompt: bad"),
      (event("error", #""code":"rate_limit_exceeded","message":"slow","param":null"#), "passing: rate_limit_exceeded: slow"),
      (
        event("error", #""error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"m"}"#),
        "contextOverflow: context_length_exceeded: m"
      ),
    ] { TurnStream.expect(ResponsesTurnReader(model: "m"), text + error, ["text Hi", wanted]) }
  }
}
