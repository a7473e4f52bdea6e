import AgentRuntime
import JSON
import TestSupport

extension Scenario {
  static let serverTools = [
    Scenario(
      name: "server tools in parallel", params: startParams(tools: [serverTool("a"), serverTool("b")]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")), tools: { _, life in life == 1 ? nil : .text("again") },
      steps: { stage in
        stage.first.tools.run(of: "b")?.complete(.text("b ran"))
        stage.world.settle()
        stage.first.tools.run(of: "a")?.complete(.text("a ran"))
      }),
    Scenario(
      name: "a server tool that runs alone",
      params: startParams(tools: [serverTool("a"), serverTool("b", "\"parallel\":false"), serverTool("c", idempotent)]),
      model: turns(.call(("a", "{}"), ("b", "{}"), ("c", "{}"), ("a", "{}")), .say("ok"))),
    Scenario(
      name: "a server tool that fails", params: startParams(tools: [serverTool("a")]),
      model: turns(.call(("a", "{}")), .say("ok")),
      tools: { _, _ in
        var result = ToolResult.failure("it broke")
        result.stderr = [.inline(CarriedJSON(string: "oh"))]
        result.stdout = []
        result.exitCode = 3
        return result
      }),
    Scenario(
      name: "server and client calls in one message",
      params: startParams(tools: [serverTool("s", idempotent), clientTool("c"), serverTool("t")]),
      model: turns(.call(("c", "{}"), ("s", "{}"), ("nobody", "{}"), ("t", "{}")), .say("ok")),
      tools: { call, life in life == 1 && call.tool.name == "s" ? nil : .text("\(call.tool.name) ran") },
      steps: { $0.first.tools.run(of: "s")?.complete(.text("s ran")) }),
    Scenario(
      name: "a client's result while a server tool runs", params: startParams(tools: [serverTool("s"), clientTool("c")]),
      model: turns(.call(("c", "{}"), ("s", "{}")), .say("ok")), tools: { _, life in life == 1 ? nil : .text("again") },
      steps: { stage in
        guard case .modelCompleted(let message)? = try? Story(stage).events.last(where: { $0.type == "model.completed" }) else { return }
        _ = stage.first.submit(stage.run, [(message.calls[0].callID.text, .text("early"))], wait: false)
        stage.first.tools.run(of: "s")?.complete(.text("s ran"))
      }),
  ]

  static let servers = [
    Scenario(
      name: "tools of an MCP server, one of which may be called twice", params: startParams(agent: servers(#""idempotent":["b"]"#)),
      model: turns(.call(("s__a", "{}"), ("s__b", "{}")), .say("ok")), offer: { _, _ in offering("a", "b") },
      servers: { call, life in life == 1 ? nil : .text("\(call.route.tool) again") },
      steps: { stage in
        stage.first.servers.run(of: "b")?.complete(.text("b ran"))
        stage.world.settle()
        stage.first.servers.run(of: "a")?.complete(.text("a ran"))
      }),
    Scenario(
      name: "an MCP server that starts at the second attempt, and a tool that it has later",
      params: startParams(agent: servers(), tools: [clientTool("c")]),
      model: turns(.call(("s__a", "{}")), .call(("s__a", "{}")), .call(("s__b", "{}")), .say("ok")),
      offer: { process, _ in
        switch process.model.shown.count {
        case 0: MCPOffer(failures: [MCPOffer.Failure(server: "s", message: "It did not start.")])
        case 1: offering("a")
        default: offering("a", "b")
        }
      }),
  ]

  private static func servers(_ more: String = "") -> String { #""mcpServers":{"s":{"command":"x"\#(more.isEmpty ? "" : "," + more)}}"# }

  private static func offering(_ tools: String...) -> MCPOffer {
    MCPOffer(
      tools: tools.map { name in
        MCPOffer.Entry(
          name: "s__\(name)", route: MCPRoute(server: "s", tool: name), listed: json(#"{"inputSchema":{"type":"object"}}"#),
          definition: MCPServer(command: "x", idempotent: ["b"]))
      })
  }

  static let control = [
    Scenario(
      name: "a note while the model is at work makes one more turn", model: turns(.held, .say("and bye")),
      steps: { stage in
        _ = stage.first.note(stage.run, "by the way")
        stage.finishModel(.say("hello"))
      }),
    Scenario(
      name: "a note while the run waits", params: startParams(tools: [clientTool("a")]), delivery: .pause,
      model: turns(.call(("a", "{}")), .say("ok")),
      steps: { stage in
        _ = stage.first.note(stage.run, "by the way")
        stage.submit("a")
      }),
    Scenario(
      name: "a pause while the run waits", params: startParams(tools: [clientTool("a")]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { invocation, life in life > 1 ? .text("a done") : nil },
      steps: { stage in
        _ = stage.first.pause(stage.run)
        stage.answer("a")
        _ = stage.first.resume(stage.run)
      }),
    Scenario(
      name: "a pause while the model is at work", params: startParams(tools: [clientTool("a")]),
      model: { request, life in
        switch request.turn {
        case 0: life == 1 ? .held : .call(("a", "{}"))
        default: .say("ok")
        }
      },
      steps: { stage in
        _ = stage.first.pause(stage.run)
        stage.finishModel(.call([("a", "{}")]))
        _ = stage.first.resume(stage.run)
      }),
    Scenario(
      name: "a pause while server tools run", params: startParams(tools: [serverTool("a", "\"parallel\":false"), serverTool("b")]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")),
      tools: { call, life in call.tool.name == "a" && life == 1 ? nil : .text("ran") },
      steps: { stage in
        _ = stage.first.pause(stage.run)
        stage.first.tools.run(of: "a")?.complete(.text("a ran"))
        stage.world.settle()
        _ = stage.first.resume(stage.run)
      }),
    Scenario(
      name: "a cancel while the model is at work", model: turns(.held),
      steps: { stage in
        stage.first.model.calls.first?.send(.text("hel"))
        _ = stage.first.cancel(stage.run, reason: "enough")
      }, ends: [.cancelled, .success]),
    Scenario(
      name: "a cancel while calls are out", params: startParams(tools: [clientTool("a"), clientTool("b")]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")),
      client: { invocation, life in
        life > 1 || invocation.name == "a" ? .text("done") : nil
      },
      steps: { _ = $0.first.cancel($0.run) }, ends: [.cancelled, .success]),
    Scenario(
      name: "a cancel while a server tool runs", params: startParams(tools: [serverTool("a"), clientTool("b")]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")), tools: { _, life in life == 1 ? nil : .text("ran") },
      steps: { _ = $0.first.cancel($0.run) }, ends: [.cancelled, .success]),
    Scenario(
      name: "a cancel while the run is paused", params: startParams(tools: [clientTool("a")]), delivery: .pause,
      model: turns(.call(("a", "{}")), .say("ok")),
      steps: { stage in
        _ = stage.first.pause(stage.run)
        _ = stage.first.cancel(stage.run)
      }, ends: [.cancelled, .success]),
    Scenario(
      name: "results that come too late", params: startParams(tools: [clientTool("a")]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { _, life in life == 1 ? nil : .text("a done") },
      steps: { stage in
        guard let call = stage.pending().first?.callID.text else { return }
        stage.submit("a")
        stage.answer("a")
        _ = stage.first.submit(stage.run, [(call, .text("other")), ("nobody", .text("x"))])
      }),
  ]

  static let limits = [
    Scenario(
      name: "as many turns as may be", params: startParams(tools: [clientTool("a")], limits: #"{"maxIterations":2}"#),
      model: { _, _ in .call(("a", "{}")) }, ends: [.maxIterations]),
    Scenario(
      name: "as many turns as may be, then a pause",
      params: startParams(tools: [clientTool("a")], limits: #"{"maxIterations":1,"onLimit":"pause"}"#),
      model: turns(.call(("a", "{}")), .say("ok")),
      steps: { stage in
        _ = stage.first.resume(stage.run)
        _ = stage.first.resume(stage.run, limits: json(#"{"maxIterations":2}"#))
      }, raisedLimits: #"{"maxIterations":9}"#),
    Scenario(
      name: "as many calls as may be", params: startParams(tools: [clientTool("a")], limits: #"{"maxToolCalls":2}"#),
      model: turns(.call(("a", "{}")), .call(("a", "{}"), ("nobody", "{}")), .say("ok")), ends: [.error]),
    Scenario(
      name: "as many calls as may be, then a pause",
      params: startParams(tools: [clientTool("a")], limits: #"{"maxToolCalls":1,"onLimit":"pause"}"#),
      model: turns(.call(("a", "{}"), ("a", "{}")), .say("ok")),
      steps: { stage in _ = stage.first.resume(stage.run, limits: json(#"{"maxToolCalls":2}"#)) }, raisedLimits: #"{"maxToolCalls":9}"#),
    Scenario(
      name: "as many tokens as may be", params: startParams(tools: [serverTool("a")], limits: #"{"maxTotalTokens":15}"#),
      model: turns(.call(("a", "{}")), .say("ok")), ends: [.error]),
    Scenario(
      name: "as many tokens as may be, then a pause",
      params: startParams(tools: [serverTool("a")], limits: #"{"maxTotalTokens":15,"onLimit":"pause"}"#),
      model: turns(.call(("a", "{}")), .say("ok")),
      steps: { stage in _ = stage.first.resume(stage.run, limits: json(#"{"maxTotalTokens":16}"#)) },
      raisedLimits: #"{"maxTotalTokens":90}"#),
    Scenario(
      name: "a deadline while the model is at work", params: startParams(limits: #"{"deadlineMs":200}"#),
      model: turns(.held), steps: { $0.advance(200) }, ends: [.error, .success]),
    Scenario(
      name: "a deadline while server tools run, then a pause",
      params: startParams(
        tools: [serverTool("a"), serverTool("b", idempotent)], limits: #"{"deadlineMs":200,"onLimit":"pause"}"#),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")),
      tools: { call, life in life == 1 && call.attempt == 1 ? nil : .text("\(call.tool.name) ran") },
      steps: { stage in
        stage.advance(200)
        _ = stage.first.resume(stage.run, limits: json(#"{"deadlineMs":100000}"#))
      }, raisedLimits: #"{"deadlineMs":100000}"#),
  ]

  static let hangUps = [
    hangUp("a call that parks when the client hangs up", #""onDisconnect":"park""#),
    hangUp("a call that is given up when the client hangs up", #""onDisconnect":"fallbackMessage""#),
    hangUp("a call that is sent again after the client hung up", #""onDisconnect":"retryWithBackoff",\#(idempotent)"#),
    hangUp("a call that ends the run when the client hangs up", #""onDisconnect":"failFast""#, ends: [.error, .success]),
    Scenario(
      name: "a client that hangs up while the model is at work", model: turns(.held), steps: { $0.first.act { $0.end(.hangUp) } }),
    Scenario(
      name: "a client that hangs up while a server tool runs", params: startParams(tools: [serverTool("a"), clientTool("b")]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")), tools: { _, life in life == 1 ? nil : .text("ran") },
      steps: { $0.first.act { $0.end(.hangUp) } }),
    Scenario(
      name: "a signal while a call is out", params: startParams(tools: [clientTool("a", #""onDisconnect":"failFast""#)]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { _, life in life == 1 ? nil : .text("done") },
      steps: { $0.first.act { $0.end(.signal) } }),
    Scenario(
      name: "no more input, and work that goes on without the client",
      params: startParams(
        tools: [clientTool("a", #""onDisconnect":"fallbackMessage""#)]),
      model: turns(.call(("a", "{}")), .say("ok")), client: { _, life in life == 1 ? nil : .text("done") },
      steps: { $0.first.act { $0.drain() } }),
  ]

  private static func hangUp(_ name: String, _ strategy: String, ends: Set<RunStatus> = [.success]) -> Scenario {
    Scenario(
      name: name, params: startParams(tools: [clientTool("a", strategy), clientTool("b")]),
      model: turns(.call(("a", "{}"), ("b", "{}")), .say("ok")),
      client: { invocation, life in life == 1 ? nil : .text("\(invocation.name) done") },
      steps: { $0.first.act { $0.end(.hangUp) } }, ends: ends)
  }
}
