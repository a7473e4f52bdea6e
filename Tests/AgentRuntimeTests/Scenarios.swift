import AgentRuntime
import JSON
import TestSupport

/// Every scenario that is played whole, cut off and disturbed.
let allScenarios =
  Scenario.answers + Scenario.clientCalls + Scenario.timeouts + Scenario.serverTools + Scenario.servers + Scenario.control + Scenario.limits
  + Scenario.hangUps
  + Scenario.approvals
  + Scenario.questions

extension Scenario {
  static let answers = [
    Scenario(name: "a plain answer", model: turns(.say("hello"))),
    Scenario(
      name: "an answer that was cut by the model's output limit",
      model: { _, _ in .turn(.say("hel", stopReason: "max_tokens")) }),
    Scenario(
      name: "what the model refuses", model: { _, _ in .turn(.say("no", stopReason: "refusal")) }),
    Scenario(
      name: "messages with roles, metadata and a trace",
      params: startParams(agent: "\"name\":\"ann\"", more: "\"metadata\":{\"user\":\"u1\"}"),
      input: json(
        #"[{"role":"user","content":"one"},{"role":"assistant","content":"two"},{"role":"user","content":[{"type":"text","text":"three"}]}]"#
      ),
      model: turns(.say("four"))),
    Scenario(
      name: "a provider that tries again",
      model: turns(.held, .say("never")),
      steps: { stage in
        let call = stage.first.model.calls[0]
        call.send(.text("lost"))
        call.send(.retried(attempt: 1, reason: "overloaded", retryAfterMilliseconds: 500))
        stage.world.settle()
        call.send(.text("hello"))
        call.finish(.say("hello"))
      }),
    Scenario(
      name: "a model that is unavailable pauses the run",
      model: { _, life in life == 1 ? .fault(RunFault(.modelUnavailable, "503", retryable: true)) : .say("back") }),
    Scenario(
      name: "a model that is unavailable ends the run if so asked",
      params: startParams(limits: #"{"onModelUnavailable":"error"}"#),
      model: { _, _ in .fault(RunFault(.modelUnavailable, "503", retryable: true)) }, ends: [.error]),
    Scenario(
      name: "what the provider rejects ends the run", model: { _, _ in .fault(RunFault(.modelRejected, "400")) }, ends: [.error]),
    Scenario(
      name: "an answer that fits its schema at the second try",
      params: startParams(outputSchema: #"{"required":["a"]}"#),
      model: turns(.say("{}"), .say(#"{"a":1}"#))),
    Scenario(
      name: "an answer that never fits its schema",
      params: startParams(outputSchema: #"{"required":["a"]}"#),
      model: turns(.say("{}"), .say("no JSON"), .say("[]")), ends: [.error]),
    Scenario(
      name: "values that are stored once",
      params: startParams(tools: [clientTool("a")]),
      input: CarriedJSON(string: String(repeating: "input ", count: 20_000)),
      model: { request, _ in
        request.turn == 0
          ? .turn(
            .call([("a", "{\"x\":\"\(String(repeating: "argument ", count: 9000))\"}")], text: String(repeating: "text ", count: 20_000)))
          : .say(String(repeating: "answer ", count: 20_000))
      }, client: { _, _ in .text(String(repeating: "result\n", count: 10_000)) }),
    Scenario(
      name: "a member that is called as a blob is",
      params: startParams(tools: [clientTool("a")]),
      model: turns(.call(("a", #"{"$blob":"01ARZ3NDEKTSV4RRFFQ69G5FAV","type":"string","bytes":1,"preview":""}"#)), .say("ok")),
      client: { _, _ in
        .result(.structured(#"{"$blob":"01ARZ3NDEKTSV4RRFFQ69G5FAV","type":"json","bytes":2,"preview":""}"#), bytes: 1)
      }),
  ]

  static let clientCalls = [
    Scenario(
      name: "a client call by invoke", params: startParams(tools: [clientTool("a")]),
      model: turns(.call(("a", #"{"x":1}"#)), .say("ok"))),
    Scenario(
      name: "a client call by submit", params: startParams(tools: [clientTool("a")]), delivery: .pause,
      model: turns(.call(("a", "{}")), .say("ok")), steps: { $0.submit("a") }),
    Scenario(
      name: "three client calls, two at a time and one alone",
      params: startParams(
        agent: #""clientTools":{"maxParallelInvocations":2}"#,
        tools: [clientTool("a"), clientTool("b"), clientTool("c", "\"parallel\":false")]),
      model: turns(.call(("a", "{}"), ("b", "{}"), ("a", #"{"second":true}"#), ("c", "{}"), ("b", "{}")), .say("ok"))),
    Scenario(
      name: "results that come one by one", params: startParams(tools: [clientTool("a"), clientTool("b"), clientTool("c")]),
      delivery: .pause,
      model: turns(.call(("a", "{}"), ("b", "{}"), ("c", "{}")), .say("ok")),
      steps: { stage in
        stage.submit("b", partial: true)
        stage.submit("a", partial: true)
        stage.submit("c", partial: true)
      }),
    Scenario(
      name: "a result that is deferred", params: startParams(tools: [clientTool("a")]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { _, _ in .result(.later, bytes: 1) }, steps: { $0.submit("a") }),
    Scenario(
      name: "errors and answers that are no results", params: startParams(tools: [clientTool("a"), clientTool("b")]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")),
      client: { invocation, _ in invocation.name == "a" ? .error("it broke", bytes: 8) : .result(.failure("no"), bytes: 2) }),
    Scenario(
      name: "structured content, judged by the tool's schema",
      params: startParams(tools: [
        clientTool("a", #""outputSchema":{"required":["x"]}"#), clientTool("b", #""outputSchema":{"required":["x"]}"#),
      ]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")),
      client: { invocation, _ in .result(.structured(invocation.name == "a" ? #"{"x":0.10}"# : "{}"), bytes: 8) }),
    Scenario(
      name: "calls that are refused",
      params: startParams(
        tools: [clientTool("a", #""maxCallsPerRun":1"#), clientTool("b").replacing(#"{"type":"object"}"#, with: #"{"required":["x"]}"#)]),
      model: { request, _ in
        if request.turn > 0 { return .say("ok") }
        var turn = ModelTurn.call([
          ("a", "{}"), ("a", "{}"), ("b", "{}"), ("b", "nonsense"), ("nobody", "{}"), ("b", #"{"x":1,"x":2}"#), ("b", "[]"),
          ("b", #"{"x":"#),
        ])
        turn.calls[7].isCutOff = true
        return .turn(turn)
      }),
    Scenario(
      name: "other tools from a submit on", params: startParams(agentTools: [clientTool("z")], tools: [clientTool("a")]), delivery: .pause,
      model: turns(.call(("a", "{}")), .call(("b", "{}"), ("a", "{}")), .say("ok")),
      steps: { stage in
        guard let call = stage.pending().first?.callID.text else { return }
        _ = stage.first.submit(stage.run, [(call, .text("a done"))], wait: false, tools: json("[\(clientTool("b"))]"), delivery: .pause)
        stage.submit("b")
      }),
  ]

  static let timeouts = [
    Scenario(
      name: "a timeout after which the model gets the fallback",
      params: startParams(
        agent: #""clientTools":{"invokeTimeoutMs":100,"fallbackTemplate":"{0} is away, {0}!"}"#, tools: [clientTool("a")]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { _, _ in nil }, steps: { $0.advance(100) }),
    Scenario(
      name: "a timeout that ends the run",
      params: startParams(
        tools: [clientTool("a", #""timeoutMs":50,"onTimeout":"failFast""#), clientTool("b")]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")), client: { _, life in life == 1 ? nil : .text("late") },
      steps: { $0.advance(50) }, ends: [.error, .success]),
    Scenario(
      name: "a timeout that parks the call", params: startParams(tools: [clientTool("a", #""timeoutMs":50,"onTimeout":"park""#)]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { invocation, _ in invocation.attempt == 1 ? nil : .text("at last") },
      steps: { stage in
        stage.advance(50)
        _ = stage.first.resume(stage.run)
      }),
    Scenario(
      name: "parked calls that are sent again one at a time",
      params: startParams(
        agent: #""clientTools":{"maxParallelInvocations":1}"#,
        tools: [clientTool("a", #""timeoutMs":50,"onTimeout":"park""#), clientTool("b", #""timeoutMs":50,"onTimeout":"park""#)]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")),
      client: { invocation, _ in invocation.attempt == 1 ? nil : .text("\(invocation.name) at last") },
      steps: { stage in
        stage.advance(100)
        _ = stage.first.resume(stage.run)
      }),
    Scenario(
      name: "a timeout after which the call is sent again",
      params: startParams(
        tools: [clientTool("a", #""timeoutMs":50,"onTimeout":"retryWithBackoff",\#(idempotent)"#)]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { invocation, _ in invocation.attempt < 3 ? nil : .text("at last") },
      steps: { $0.advance(2000) }),
    Scenario(
      name: "a call that is sent again until it is given up",
      params: startParams(
        agent: #""clientTools":{"maxRetries":1,"onTimeout":"retryWithBackoff","invokeTimeoutMs":50}"#, tools: [clientTool("a", idempotent)]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { _, _ in nil }, steps: { $0.advance(1000) }),
    Scenario(
      name: "a call that may not be sent again",
      params: startParams(
        agent: #""clientTools":{"onTimeout":"retryWithBackoff","invokeTimeoutMs":50}"#, tools: [clientTool("a")]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { _, _ in nil }, steps: { $0.advance(50) }),
  ]
}

extension String {
  func replacing(_ part: String, with other: String) -> String {
    guard let range = firstRange(of: part) else { return self }
    return String(self[..<range.lowerBound]) + other + String(self[range.upperBound...])
  }
}
