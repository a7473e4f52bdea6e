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

  @Test func `what the service's own tools did goes back after the reasoning that led to it`() {
    let reasoning = #"{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"e"}"#
    let search = #"{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"x"}}"#
    TurnStream.expect(
      ResponsesTurnReader(model: "m"),
      done(#""output_index":0,"#, reasoning) + done(#""output_index":1,"#, search)
        + end(reasoning, search, item("message", #""content":[{"type":"output_text","text":"Hi"}]"#)),
      [
        #"finished end_turn "Hi" [] 10/4 cache 6/0 {"provider":"openai-responses","model":"m","parts":["#
          + #"\#(reasoning),\#(search),{"type":"text","bytes":2}]}"#
      ])
  }

  @Test func `halves of characters are joined over deltas, and one that stays alone is shown at the end`() {
    func reasoning(_ delta: String) -> String {
      event("response.reasoning_summary_text.delta", #""item_id":"r","output_index":0,"delta":"\#(delta)""#)
    }
    func text(_ delta: String) -> String { event("response.output_text.delta", #""item_id":"m","output_index":1,"delta":"\#(delta)""#) }
    TurnStream.expect(
      ResponsesTurnReader(model: "m"),
      reasoning(#"a\ud83d"#) + reasoning(#"\ude00\ud83d"#) + event("response.reasoning_summary_part.added", #""summary_index":1"#)
        + reasoning(#"b\ud83d"#)
        + event("response.output_item.done", #""output_index":0,"item":{"id":"r","type":"reasoning","summary":[]}"#)
        + text(#"a\ud83d"#) + text(#"\ude00\ud83d"#)
        + event("response.completed", #""response":{"status":"completed","output":[],\#(usage)}"#),
      [
        "reasoning a😀\u{FFFD}\n\nb\u{FFFD}", "text a😀\u{FFFD}",
        #"finished end_turn "a\ud83d\ude00\ud83d" [] 10/4 cache 6/0"#,
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

  // MARK: Servers that name items loosely

  private func item(_ type: String, _ members: String) -> String { #"{"type":"\#(type)",\#(members)}"# }
  private func added(_ place: String, _ item: String) -> String { event("response.output_item.added", place + #""item":\#(item)"#) }
  private func done(_ place: String, _ item: String) -> String { event("response.output_item.done", place + #""item":\#(item)"#) }
  private func text(_ place: String, _ delta: String) -> String { event("response.output_text.delta", place + #""delta":"\#(delta)""#) }
  private func arguments(_ place: String, _ delta: String) -> String {
    event("response.function_call_arguments.delta", place + #""delta":"\#(delta)""#)
  }
  private func call(_ id: String, _ name: String, _ arguments: String = "") -> String {
    item("function_call", #"\#(id)"name":"\#(name)","arguments":"\#(arguments)""#)
  }
  private func end(_ output: String...) -> String {
    event("response.completed", #""response":{"status":"completed","output":[\#(output.joined(separator: ","))],\#(usage)}"#)
  }
  private func expectCalls(_ body: String, _ text: String, _ calls: String, _ location: SourceLocation = #_sourceLocation) {
    for step in [1, 1 << 20] {
      let last = TurnStream.read(ResponsesTurnReader(model: "m"), body, by: step).last ?? ""
      #expect(last.hasPrefix(#"finished tool_use "\#(text)" [\#(calls)] 10/4"#), "\(last)", sourceLocation: location)
    }
  }

  @Test func `without places, items are told apart by their ids`() {
    let a = #""call_id":"fc_a","#
    let b = #""call_id":"fc_b","#
    let begun =
      added("", call(a, "a")) + arguments(#""item_id":"fc_a","#, #"{\"x\":1}"#) + added("", call(b, "b"))
      + arguments(#""item_id":"fc_b","#, #"{\"x\""#) + arguments(#""item_id":"fc_","#, ":2}")
    let (wholeA, wholeB) = (call(a, "a", #"{\"x\":1}"#), call(b, "b", #"{\"x\":2}"#))
    let wanted = #"a{"x":1} b{"x":2}"#
    for ended in ["", done("", wholeA), done("", wholeB), done("", wholeA) + done("", wholeB), done("", wholeB) + done("", wholeA)] {
      expectCalls(begun + ended + end(), "", wanted)
      expectCalls(begun + ended + end(wholeA, wholeB), "", wanted)
      expectCalls(begun + ended + end(wholeB), "", wanted)
    }
    // Two calls of one function, and texts between them.
    let message = item("message", #""content":[{"type":"output_text","text":"Hi"}]"#)
    let begin = added("", item("message", #""content":[]"#)) + text("", "Hi")
    expectCalls(
      begin + done("", message) + done("", call(a, "a", "{}")) + begin + done("", message) + done("", call(b, "a", "{}"))
        + end(message, call(a, "a", "{}"), message, call(b, "a", "{}")), "HiHi", "a{} a{}")
  }

  @Test func `with place 0 for all, too`() {
    let place = #""output_index":0,"#
    let names = [#""id":"fc_1","call_id":"c1","#, #""id":"fc_2","call_id":"c2","#]
    let ids = [#""item_id":"fc_1","#, #""item_id":"fc_2","#]
    let wholes = names.map { call($0, "a", "{}") }
    let inTurn = (0...1).map { added(place, call(names[$0], "a")) + arguments(place + ids[$0], "{}") + done(place, wholes[$0]) }
    let atOnce =
      names.map { added(place, call($0, "a")) }.joined() + ids.map { arguments(place + $0, "{}") }.joined()
      + wholes.map { done(place, $0) }.joined()
    for body in [inTurn.joined(), atOnce] {
      expectCalls(body + end(), "", "a{} a{}")
      expectCalls(body + end(wholes[0], wholes[1]), "", "a{} a{}")
    }
    // Without any ids, what has ended is not gone on with.
    let nameless = [("a", "{}"), ("b", "{}")].map { added(place, call("", $0)) + arguments(place, $1) + done(place, call("", $0, $1)) }
    expectCalls(nameless.joined() + end(call("", "a", "{}"), call("", "b", "{}")), "", "a{} b{}")
  }

  @Test func `ids that change from event to event name one item, by its place and its turn`() {
    func place(_ index: Int) -> String { #""output_index":\#(index),"# }
    let body =
      added(place(0), item("message", #""id":"A","content":[]"#)) + text(place(0) + #""item_id":"B","#, "Hi")
      + done(place(0), item("message", #""id":"C","content":[{"type":"output_text","text":"Hi"}]"#))
      + added(place(1), call(#""id":"f1","call_id":"c1","#, "a")) + arguments(place(1) + #""item_id":"f1","#, "{}")
      + done(place(1), call(#""id":null,"call_id":"c2","#, "a", "{}")) + added(place(2), call(#""id":"f2","call_id":"c3","#, "a"))
      + done(place(2), call(#""id":"f2","call_id":"c4","#, "a", "{}"))
    expectCalls(
      body
        + end(
          item("message", #""id":"D","content":[{"type":"output_text","text":"Hi"}]"#), call(#""id":"f8","call_id":"c8","#, "a", "{}"),
          call(#""id":"f9","call_id":"c9","#, "a", "{}")), "Hi", "a{} a{}")
  }

  @Test func `one id for all calls is no reason to take them for one`() {
    let c = #""call_id":"c","#
    let body = (0...1).map { added(#""output_index":\#($0),"#, call(c, "a")) + done(#""output_index":\#($0),"#, call(c, "a", "{}")) }
    expectCalls(body.joined() + end(call(c, "a", "{}"), call(c, "a", "{}")), "", "a{} a{}")
  }

  @Test func `what only the end lists stands where it is listed, and ends what was only begun`() {
    let message = item("message", #""id":"m","content":[{"type":"output_text","text":"Hi"}]"#)
    expectCalls(
      added(#""output_index":1,"#, call(#""id":"f","call_id":"c","#, "a")) + arguments(#""output_index":1,"#, "{")
        + end(message, call(#""id":"f","call_id":"c","#, "a", #"{\"x\":1}"#), call(#""call_id":"d","#, "b", "{}")),
      "Hi", #"a{"x":1} b{}"#)
    // An item that says less than its deltas.
    TurnStream.expect(
      ResponsesTurnReader(model: "m"), text("", "Hi") + end(item("message", #""content":[]"#)),
      ["text Hi", #"finished end_turn "Hi" [] 10/4 cache 6/0"#])
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
