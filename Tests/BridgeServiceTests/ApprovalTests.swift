import AgentRuntime
import JSON
import TestSupport
import Testing

@testable import BridgeService

/// Approvals and questions on the wire.
@Suite struct ApprovalTests {
  private static let schema = #"{"type":"object"}"#

  private static func tool(_ name: String, _ more: String = "") -> String {
    "{\"name\":\"\(name)\",\"description\":\"does \(name)\",\"inputSchema\":\(schema)\(more)}"
  }

  /// A bridge whose model calls these tools in its first turn.
  private static func bench(_ calls: (String, String)...) throws -> Bench {
    try Bench { request in request.turn == 0 ? .turn(.call(calls)) : .say("ok") }
  }

  private static func start(
    _ bench: Bench, _ agent: String = "", tools: [String] = [tool("g", #","requiresApproval":true"#)], more: String = ""
  )
    throws
  {
    try bench.send(
      #"{"id":"start","method":"run.start","params":{"input":"hi","agent":{"model":"x:y","tools":[\#(tools.joined(separator: ","))]\#(agent)}\#(more)}}"#
    )
  }

  private func words(_ lines: [CarriedJSON]) -> [String] { lines.map(\.words) }

  @Test func `an approval is asked for after its event, and the answer is carried out`() throws {
    let bench = try Self.bench(("g", #"{"x":1}"#))
    try bench.initialize(#"{"tools":{},"approvals":{}}"#)
    try Self.start(bench, #","approvalTimeoutMs":1000"#, more: #","_meta":{"traceparent":"t","progressToken":"p"}"#)
    let asked = try bench.receive { $0["method"]?.stringValue == "approval.request" }
    #expect(
      words(asked).suffix(4) == ["3 model.completed", "4 approval.requested", "5 run.paused", "approval.request"])
    let request = try #require(asked.last)
    let run = request.runID
    let call = request["params"]?["callId"]?.stringValue ?? ""
    #expect(
      request["params"]?.bytes.string == """
        {"runId":"\(run)","callId":"\(call)","name":"g","target":"client","arguments":{"x":1},"description":"does g",\
        "expiresAt":"2026-11-20T10:00:01.000Z","_meta":{"traceparent":"t"}}
        """)
    try bench.send(#"{"id":"b-1","result":{"decision":"approve","reason":"fine","arguments":{"x":0.10}}}"#)
    let invoked = try bench.receive { $0["method"]?.stringValue == "tool.invoke" }
    #expect(words(invoked) == ["6 approval.decided", "7 tool.started", "8 run.paused", "tool.invoke"])
    #expect(
      invoked[0]["params"]?["data"]?.bytes.string
        == #"{"callId":"\#(call)","name":"g","decision":"approve","by":"client","client":"t","reason":"fine","arguments":{"x":0.10},"scope":"once"}"#
    )
    #expect(invoked.last?["params"]?["arguments"]?.bytes.string == #"{"x":0.10}"#)
    try bench.send(#"{"id":"b-2","result":{"content":"done"}}"#)
    let ended = try bench.receive { $0["id"]?.stringValue == "start" }
    #expect(ended.last?["result"]?["status"]?.stringValue == "success")
  }

  @Test func `a question is asked as MCP has it, and a submit may answer it`() throws {
    let bench = try Self.bench(("ask_user", #"{"question":"which?","options":["a","b"]}"#))
    try bench.initialize(#"{"elicitation":{}}"#)
    try Self.start(bench, #","askUser":true"#)
    let asked = try bench.receive { $0["method"]?.stringValue == "elicitation/create" }
    #expect(words(asked).suffix(3) == ["4 input.requested", "5 run.paused", "elicitation/create"])
    let params = try #require(asked.last?["params"])
    let run = try #require(params["_meta"]?["runId"]?.stringValue)
    let call = try #require(params["_meta"]?["callId"]?.stringValue)
    #expect(
      params.bytes.string == """
        {"message":"which?","requestedSchema":{"type":"object","properties":{"answer":{"type":"string","enum":["a","b"]}},\
        "required":["answer"]},"_meta":{"runId":"\(run)","callId":"\(call)"}}
        """)
    try bench.send(
      #"{"id":1,"method":"run.submitInput","params":{"runId":"\#(run)","inputs":[{"callId":"\#(call)","action":"accept","content":{"answer":"b"}}]}}"#
    )
    let lines = try bench.receive { $0["id"]?.bytes.string == "1" }
    let cancelled = try #require(lines.first { $0["method"]?.stringValue == "notifications/cancelled" })
    #expect(cancelled["params"]?.bytes.string == #"{"requestId":"b-1","reason":"answered elsewhere"}"#)
    #expect(lines.last?["result"]?["verdicts"]?.bytes.string == "{\"\(call)\":\"accepted\"}")
    #expect(lines.last?["result"]?["status"]?.stringValue == "success")
    #expect(bench.model.shown.last?.last == #"ask_user: {"answer":"b"}"#)
    // Late, it changes nothing.
    try bench.send(#"{"id":"b-1","result":{"action":"decline"}}"#)
    try bench.send(#"{"id":2,"method":"ping"}"#)
    #expect(words(try bench.receive { $0["id"]?.bytes.string == "2" }).last == "result 2")
  }

  @Test(
    "a client that cannot be asked has its run wait",
    arguments: ["{}", #"{"approvals":false,"elicitation":null}"#, #"{"elicitation":{"url":{}}}"#])
  func incapable(capabilities: String) throws {
    let bench = try Self.bench(("g", "{}"), ("ask_user", #"{"question":"which?"}"#))
    try bench.initialize(capabilities)
    try Self.start(bench, #","askUser":true"#)
    let lines = try bench.receive { $0["id"]?.stringValue == "start" }
    #expect(!lines.contains { $0["method"] != nil && $0["method"]?.stringValue != "run.event" })
    let outcome = try #require(lines.last?["result"])
    #expect(outcome["status"]?.stringValue == "waiting_approval")
    #expect(
      outcome["pendingToolCalls"]?.elements.map { "\($0["needs"]?.stringValue ?? "") \($0["state"]?.stringValue ?? "")" } == [
        "approval parked", "input parked",
      ])
  }

  @Test(
    "an answer that cannot be used leaves the run waiting",
    arguments: [
      #""error":{"code":-32601,"message":"no such method"}"#, #""result":{"decision":"yes"}"#, #""result":true"#,
      #""result":{"decision":"approve","arguments":{"a":1,"a":2}}"#, #""result":{"decision":"approve","decision":"deny"}"#,
      #""result":{"decision":"approve","scope":"forever"}"#,
    ])
  func unusable(answer: String) throws {
    let bench = try Self.bench(("g", "{}"))
    try bench.initialize(#"{"tools":{},"approvals":{}}"#)
    try Self.start(bench)
    _ = try bench.receive { $0["method"]?.stringValue == "approval.request" }
    try bench.send(#"{"id":"b-1",\#(answer)}"#)
    let lines = try bench.receive { $0["id"]?.stringValue == "start" }
    #expect(lines.last?["result"]?["status"]?.stringValue == "waiting_approval")
    #expect(words(lines) == [#"result "start""#])
    #expect(bench.host.messages.contains { $0.hasPrefix("run ") && $0.hasSuffix("it waits for a submit") })
  }

  @Test func `a cancel takes back what is asked`() throws {
    let bench = try Self.bench(("g", "{}"), ("ask_user", #"{"question":"which?"}"#))
    try bench.initialize(#"{"approvals":{},"elicitation":{"form":{}}}"#)
    try Self.start(bench, #","askUser":true"#)
    let asked = try bench.receive { $0["method"]?.stringValue == "elicitation/create" }
    #expect(asked.contains { $0["method"]?.stringValue == "approval.request" })
    try bench.send(#"{"method":"notifications/cancelled","params":{"requestId":"start"}}"#)
    let lines = try bench.receive { $0["id"]?.stringValue == "start" }
    #expect(lines.last?["error"]?["data"]?["kind"]?.stringValue == "cancelled")
    let cancelled = lines.filter { $0["method"]?.stringValue == "notifications/cancelled" }.compactMap {
      $0["params"]?["requestId"]?.stringValue
    }
    #expect(cancelled == ["b-1", "b-2"])
  }

  @Test(
    "a submit that is not right is told where",
    arguments: [
      ("run.submitToolResults", "{}", "/results"), ("run.submitApprovals", "{}", "/approvals"), ("run.submitInput", "{}", "/inputs"),
      ("run.submitApprovals", #"{"approvals":{}}"#, "/approvals"), ("run.submitApprovals", #"{"approvals":[1]}"#, "/approvals/0"),
      ("run.submitApprovals", #"{"approvals":[{"decision":"deny"}]}"#, "/approvals/0/callId"),
      ("run.submitApprovals", #"{"approvals":[{"callId":"a"}]}"#, "/approvals/0/decision"),
      ("run.submitApprovals", #"{"approvals":[{"callId":"a","decision":"no"}]}"#, "/approvals/0/decision"),
      ("run.submitApprovals", #"{"approvals":[{"callId":"a","decision":"deny","reason":1}]}"#, "/approvals/0/reason"),
      ("run.submitApprovals", #"{"approvals":[{"callId":"a","decision":"deny","scope":"ever"}]}"#, "/approvals/0/scope"),
      ("run.submitToolResults", #"{"approvals":[{"callId":"a","decision":2}]}"#, "/approvals/0/decision"),
      ("run.submitInput", #"{"inputs":[{"callId":"a"}]}"#, "/inputs/0/action"),
      ("run.submitInput", #"{"inputs":[{"callId":"a","action":"no"}]}"#, "/inputs/0/action"),
      ("run.submitInput", #"{"inputs":[{"callId":3,"action":"accept"}]}"#, "/inputs/0/callId"),
    ])
  func wrong(method: String, params: String, pointer: String) throws {
    let bench = try Self.bench()
    let members = params.dropFirst().dropLast()
    try bench.send(
      #"{"id":1,"method":"\#(method)","params":{"runId":"01ARZ3NDEKTSV4RRFFQ69G5FAV"\#(members.isEmpty ? "" : "," + members)}}"#)
    let error = try #require(try bench.receive()["error"])
    #expect(error["code"]?.intValue == -32602)
    #expect(error["data"]?["pointer"]?.stringValue == pointer)
  }

  @Test func `arguments that do not fit the client's line travel as a blob, both ways`() throws {
    let long = String(repeating: "x", count: 10_000)
    let bench = try Self.bench(("g", "{\"text\":\"\(long)\"}"))
    try bench.initialize(#"{"tools":{},"approvals":{},"maxMessageBytes":4096}"#)
    try Self.start(bench)
    let asked = try bench.receive { $0["method"]?.stringValue == "approval.request" }
    let blob = try #require(asked.last?["params"]?["arguments"]?["$blob"]?.stringValue)
    try bench.send(#"{"id":"b-1","result":{"decision":"approve","arguments":{"$blob":"\#(blob)"}}}"#)
    let invoked = try bench.receive { $0["method"]?.stringValue == "tool.invoke" }
    #expect(invoked.last?["params"]?["arguments"]?["bytes"]?.intValue == long.utf8.count + 11)
  }
}
