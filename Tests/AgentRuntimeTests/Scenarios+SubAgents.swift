import AgentRuntime
import JSON
import TestSupport

/// Every scenario that is cut off and disturbed: also those that are not told line by line.
let disturbedScenarios = allScenarios + Scenario.subAgents

/// A tool that is an agent, with a model of its own.
func subAgent(_ name: String, tools: [String] = [], agent: String = "", _ more: String = "") -> String {
  let agent = "{\"model\":\"scripted:\(name)\",\"tools\":[\(tools.joined(separator: ","))]\(agent.isEmpty ? "" : "," + agent)}"
  return "{\"name\":\"\(name)\",\"description\":\"\",\"agent\":\(agent)\(more.isEmpty ? "" : "," + more)}"
}

extension Scenario {
  private static let task = #"{"input":"do it"}"#

  /// Turns by the model that is asked: `x` is the first run's.
  private static func models(
    _ turns: [String: [ScriptedModel.Answer]]
  ) -> @Sendable (ModelRequest, Int) -> ScriptedModel.Answer {
    { request, life in
      let list = turns[String(request.agent.model.dropFirst("scripted:".utf8.count))] ?? []
      guard request.turn < list.count else { return .fault(RunFault(.scriptExhausted, "the list has \(list.count) turns")) }
      if case .held = list[request.turn], life > 1 { return .say("taken up") }
      return list[request.turn]
    }
  }

  static let subAgents = [
    Scenario(
      name: "a sub-agent answers", params: startParams(tools: [subAgent("a")]),
      model: models(["x": [.call(("a", task)), .say("ok")], "a": [.say("from a")]])),
    Scenario(
      name: "a client call of a sub-agent by invoke", params: startParams(tools: [subAgent("a", tools: [clientTool("t")])]),
      model: models(["x": [.call(("a", task)), .say("ok")], "a": [.call(("t", "{}")), .say("from a")]])),
    Scenario(
      name: "client calls of two sub-agents and of the run itself by submit",
      params: startParams(tools: [subAgent("a", tools: [clientTool("t")]), subAgent("b", tools: [clientTool("u")]), clientTool("v")]),
      delivery: .pause,
      model: models([
        "x": [.call(("a", task), ("b", task), ("v", "{}")), .say("ok")], "a": [.call(("t", "{}")), .say("from a")],
        "b": [.call(("u", "{}")), .say("from b")],
      ]),
      steps: { stage in
        stage.submit("u", "v", partial: true)
        stage.world.settle()
        stage.submit("t")
      }),
    Scenario(
      name: "a sub-agent of a sub-agent runs a server tool",
      params: startParams(tools: [subAgent("a", tools: [subAgent("b", tools: [serverTool("s")])])]),
      model: models([
        "x": [.call(("a", task)), .say("ok")], "a": [.call(("b", task)), .say("from a")], "b": [.call(("s", "{}")), .say("from b")],
      ])),
    Scenario(
      name: "an approval of a sub-agent", params: startParams(tools: [subAgent("a", tools: [serverTool("s", gatedCalls)], gatedCalls)]),
      model: models(["x": [.call(("a", task)), .say("ok")], "a": [.call(("s", "{}")), .say("from a")]]), abilities: .people),
    Scenario(
      name: "a sub-agent that must be alone",
      params: startParams(tools: [subAgent("a", tools: [clientTool("t")], #""parallel":false"#), serverTool("s"), clientTool("u")]),
      model: models(["x": [.call(("a", task), ("s", "{}"), ("u", "{}")), .say("ok")], "a": [.call(("t", "{}")), .say("from a")]])),
    Scenario(
      name: "sub-agents that fail",
      params: startParams(tools: [subAgent("a"), subAgent("b", agent: #""limits":{"maxIterations":1}"#, "")]),
      model: models([
        "x": [.call(("a", task), ("b", task)), .say("ok")], "a": [.fault(RunFault(.modelRejected, "400"))],
        "b": [.call(("nobody", "{}")), .say("never")],
      ])),
    Scenario(
      name: "a sub-agent whose model is unavailable pauses the run", params: startParams(tools: [subAgent("a"), serverTool("s")]),
      model: { request, life in
        if request.agent.model == "scripted:a" {
          return life == 1 ? .fault(RunFault(.modelUnavailable, "503", retryable: true)) : .say("back")
        }
        return request.turn == 0 ? .call(("a", task), ("s", "{}")) : .say("ok")
      }),
    Scenario(
      name: "a sub-agent that takes too long", params: startParams(tools: [subAgent("a", #""timeoutMs":1000"#)]),
      model: models(["x": [.call(("a", task)), .say("ok")], "a": [.held]]), steps: { $0.advance(1001) }),
    Scenario(
      name: "tool calls of sub-agents count",
      params: startParams(tools: [subAgent("a", tools: [serverTool("s")])], limits: #"{"maxToolCalls":2}"#),
      model: models([
        "x": [.call(("a", task)), .say("ok")], "a": [.call(("s", "{}")), .call(("s", "{}")), .say("never")],
      ])),
    Scenario(
      name: "a run with a sub-agent is cancelled", params: startParams(tools: [subAgent("a", tools: [clientTool("t")])]),
      model: models(["x": [.call(("a", task)), .say("ok")], "a": [.call(("t", "{}")), .say("from a")]]),
      client: { _, life in
        life == 1 ? nil : .text("t done")
      }, steps: { stage in _ = stage.first.cancel(stage.run, reason: "enough") }, ends: [.cancelled, .success]),
    Scenario(
      name: "a run with a sub-agent is paused and resumed", params: startParams(tools: [subAgent("a", tools: [clientTool("t")])]),
      delivery: .pause,
      model: models(["x": [.call(("a", task)), .say("ok")], "a": [.call(("t", "{}")), .say("from a")]]),
      steps: { stage in
        _ = stage.first.pause(stage.run)
        stage.submit("t")
        _ = stage.first.resume(stage.run, delivery: .pause, wait: false)
      }),
    Scenario(
      name: "a parent that hangs up while a sub-agent's call is out",
      params: startParams(tools: [subAgent("a", tools: [clientTool("t")])]),
      model: models(["x": [.call(("a", task)), .say("ok")], "a": [.call(("t", "{}")), .say("from a")]]),
      client: { _, life in
        life == 1 ? nil : .text("t done")
      }, steps: { stage in stage.first.act { $0.end(.hangUp) } }),
  ]
}
