import AgentRuntime
import JSON
import TestSupport

extension Scenario {
  static let approvals = [
    Scenario(
      name: "a client call that the client approves", params: startParams(tools: [clientTool("g", gatedCalls)]),
      model: turns(.call(("g", #"{"x":1}"#)), .say("ok")), abilities: .people),
    Scenario(
      name: "a server call that the client approves", params: startParams(tools: [serverTool("g", gatedCalls)]),
      model: turns(.call(("g", #"{"x":1}"#)), .say("ok")), abilities: .people),
    Scenario(
      name: "a server call that may run twice, approved", params: startParams(tools: [serverTool("g", "\(gatedCalls),\(idempotent)")]),
      model: turns(.call(("g", "{}")), .say("ok")), tools: { call, life in life == 1 && call.attempt == 1 ? nil : .text("again") },
      abilities: .people,
      steps: { $0.first.tools.run(of: "g")?.complete(.text("g ran")) }),
    Scenario(
      name: "calls that the client denies",
      params: startParams(tools: [clientTool("g", gatedCalls), serverTool("h", gatedCalls)]),
      model: turns(.call(("g", "{}"), ("h", "{}")), .say("ok")), abilities: .people,
      person: { request, _ in
        .result(json(request.params["name"]?.stringValue == "g" ? #"{"decision":"deny","reason":"not today"}"# : #"{"decision":"deny"}"#))
      }),
    Scenario(
      name: "other calls do not wait for an approval",
      params: startParams(tools: [clientTool("g", gatedCalls), serverTool("h", gatedCalls), clientTool("c"), serverTool("s")]),
      model: turns(.call(("g", "{}"), ("h", "{}"), ("c", "{}"), ("s", "{}")), .say("ok")),
      tools: { call, life in life == 1 ? nil : .text("\(call.tool.name) ran") },
      client: { invocation, life in life == 1 && invocation.name == "g" ? nil : .text("\(invocation.name) done") }, abilities: .people,
      person: { _, life in life == 1 ? nil : approved },
      steps: { stage in
        stage.first.tools.run(of: "s")?.complete(.text("s ran"))
        stage.world.settle()
        stage.reply("g", approved)
        stage.reply("h", approved)
        stage.answer("g")
        stage.first.tools.run(of: "h")?.complete(.text("h ran"))
      }),
    Scenario(
      name: "an approval by submit", params: startParams(tools: [clientTool("g", gatedCalls)]), delivery: .pause,
      model: turns(.call(("g", "{}")), .say("ok")),
      steps: { stage in
        stage.decide("g", ApprovalAnswer(.approve))
        stage.submit("g")
      }),
    Scenario(
      name: "an approval by submit, then an invoke", params: startParams(tools: [clientTool("g", gatedCalls)]),
      model: turns(.call(("g", "{}")), .say("ok")), steps: { $0.decide("g", ApprovalAnswer(.approve)) }),
    Scenario(
      name: "a decision by submit takes back what the client is asked",
      params: startParams(tools: [serverTool("g", gatedCalls), serverTool("h", gatedCalls)]),
      model: turns(.call(("g", "{}"), ("h", "{}")), .say("ok")), abilities: .people, person: { _, life in life == 1 ? nil : approved },
      steps: { stage in
        stage.decide("g", ApprovalAnswer(.deny, reason: "no"), "h", ApprovalAnswer(.approve))
        stage.reply("g", approved)
      }),
    Scenario(
      name: "other arguments than the model's",
      params: startParams(tools: [clientTool("g", gatedCalls), serverTool("h", gatedCalls), clientTool("i", gatedCalls)]),
      model: turns(.call(("g", #"{"x":1}"#), ("h", #"{"x":1}"#), ("i", #"{"x":1}"#)), .say("ok")), abilities: .people,
      person: { request, _ in
        .result(json(#"{"decision":"approve","arguments":{"x":\#(request.params["name"]?.stringValue == "i" ? 1 : 2)}}"#))
      }),
    Scenario(
      name: "an approval for the session",
      params: startParams(tools: [clientTool("g", gatedCalls), serverTool("h", gatedCalls)]),
      model: turns(.call(("g", "{}"), ("g", #"{"second":true}"#), ("h", "{}")), .call(("g", "{}"), ("h", "{}")), .say("ok")),
      abilities: .people, person: { _, life in life == 1 ? nil : approved },
      steps: { stage in
        stage.first.parent.questions.first?.answer(.result(json(#"{"decision":"approve","scope":"session"}"#)))
        stage.world.settle()
        stage.reply("h", .result(json(#"{"decision":"deny","scope":"session","reason":"never"}"#)))
      }),
    Scenario(
      name: "an approval that comes too late",
      params: startParams(agent: #""approvalTimeoutMs":100"#, tools: [clientTool("g", gatedCalls), clientTool("c")]),
      model: turns(.call(("g", "{}"), ("c", "{}")), .say("ok")), abilities: .people, person: { _, _ in nil },
      steps: { stage in
        stage.advance(100)
        stage.reply("g", approved)
      }),
    Scenario(
      name: "answers that are no decisions",
      params: startParams(tools: [
        clientTool("g", gatedCalls), clientTool("h", gatedCalls), clientTool("i", gatedCalls),
        clientTool("j", gatedCalls).replacing(#"{"type":"object"}"#, with: #"{"required":["x"]}"#), clientTool("k", gatedCalls),
      ]),
      model: turns(.call(("g", "{}"), ("h", "{}"), ("i", "{}"), ("j", #"{"x":1}"#), ("k", "{}")), .say("ok")), abilities: .people,
      person: { request, life in
        if life > 1 { return approved }
        return switch request.params["name"]?.stringValue {
        case "g": .error(code: -32601, message: "no such method")
        case "h": .broken("no JSON")
        case "i": .result(json(#"{"decision":"maybe"}"#))
        case "j": .result(json(#"{"decision":"approve","arguments":{}}"#))
        default: .result(json(#"{"decision":"approve","arguments":{"x":1,"x":2}}"#))
        }
      },
      steps: { stage in
        stage.first.parent.answerQuestion = { _ in approved }
        _ = stage.first.resume(stage.run)
      }),
    Scenario(
      name: "a result that stands for an approval", params: startParams(tools: [clientTool("g", gatedCalls)]),
      model: turns(.call(("g", "{}")), .say("ok")), abilities: .people, person: { _, life in life == 1 ? nil : approved },
      steps: { $0.submit("g") }),
    Scenario(
      name: "a call that is refused never asks",
      params: startParams(tools: [clientTool("g", gatedCalls).replacing(#"{"type":"object"}"#, with: #"{"required":["x"]}"#)]),
      model: turns(.call(("g", "{}")), .say("ok")), abilities: .people),
    Scenario(
      name: "a pause before an approval is asked for", params: startParams(tools: [serverTool("g", gatedCalls)]),
      model: { request, life in request.turn > 0 ? .say("ok") : life == 1 ? .held : .call(("g", "{}")) }, abilities: .people,
      steps: { stage in
        _ = stage.first.pause(stage.run)
        stage.finishModel(.call([("g", "{}")]))
        _ = stage.first.resume(stage.run)
      }),
    Scenario(
      name: "a pause while an approval is out", params: startParams(tools: [serverTool("g", gatedCalls)]),
      model: turns(.call(("g", "{}")), .say("ok")), abilities: .people, person: { _, life in life == 1 ? nil : approved },
      steps: { stage in
        _ = stage.first.pause(stage.run)
        stage.reply("g", approved)
        _ = stage.first.resume(stage.run)
      }),
    Scenario(
      name: "a cancel while an approval and a question are out",
      params: startParams(agent: #""askUser":true"#, tools: [serverTool("g", gatedCalls)]),
      model: turns(.call(("g", "{}"), ("ask_user", #"{"question":"why?"}"#)), .say("ok")), abilities: .people,
      person: { request, life in life == 1 ? nil : request.method == .approval ? approved : accepted },
      steps: { _ = $0.first.cancel($0.run) }, ends: [.cancelled, .success]),
    Scenario(
      name: "a client that hangs up while it is asked",
      params: startParams(agent: #""askUser":true"#, tools: [clientTool("g", gatedCalls), clientTool("c")]),
      model: turns(.call(("g", "{}"), ("ask_user", #"{"question":"why?"}"#), ("c", "{}")), .say("ok")),
      client: { invocation, life in life == 1 ? nil : .text("\(invocation.name) done") }, abilities: .people,
      person: { request, life in life == 1 ? nil : request.method == .approval ? approved : accepted },
      steps: { $0.first.act { $0.end(.hangUp) } }),
    Scenario(
      name: "a signal while the client is asked", params: startParams(tools: [serverTool("g", gatedCalls)]),
      model: turns(.call(("g", "{}")), .say("ok")), abilities: .people, person: { _, life in life == 1 ? nil : approved },
      steps: { $0.first.act { $0.end(.signal) } }),
    Scenario(
      name: "no more input while the client is asked", params: startParams(tools: [serverTool("g", gatedCalls), serverTool("s")]),
      model: turns(.call(("g", "{}"), ("s", "{}")), .say("ok")), tools: { _, life in life == 1 ? nil : .text("ran") }, abilities: .people,
      person: { _, life in life == 1 ? nil : approved },
      steps: { stage in
        stage.first.act { $0.drain() }
        stage.first.tools.run(of: "s")?.complete(.text("s ran"))
      }),
  ]
}
