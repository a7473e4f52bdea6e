import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Trees of runs: their limits, their times, and how many runs they may have.
@Suite struct SubAgentTests {
  private let world = VirtualWorld()
  private static let task = #"{"input":"do it"}"#

  /// Turns by the model that is asked: `x` is the first run's.
  static func models(_ turns: [String: [ScriptedModel.Answer]]) -> ScriptedModel {
    ScriptedModel { request in
      let list = turns[String(request.agent.model.dropFirst("scripted:".utf8.count))] ?? []
      return request.turn < list.count ? list[request.turn] : .fault(RunFault(.scriptExhausted, "the list has \(list.count) turns"))
    }
  }

  private static func calls(_ name: String, _ count: Int) -> ScriptedModel.Answer {
    .turn(.call((0..<count).map { _ in (name, task) }))
  }

  // MARK: How many

  @Test func `a call that would begin one run too many is a tool error`() throws {
    var limits = RunEngine.Limits()
    limits.maxTreeRuns = 4
    let model = Self.models(["x": [Self.calls("a", 5), .say("ok")], "a": [Self.calls("b", 2), .say("a says")], "b": [.say("b says")]])
    let process = world.launch(model: model, limits: limits)
    let started = process.start("hi", startParams(tools: [subAgent("a", tools: [subAgent("b")])]))
    #expect(started.outcome?.status == .success)
    let refused = "failed: The sub-agent 'X' could not be started: there are as many runs as a tree of sub-agents can have at once."
    let root = try #require(process.model.shown.last { $0.first == "user: hi" })
    let said = Array(repeating: "a: a says", count: 3)
    #expect(root.suffix(5) == said + Array(repeating: "a " + refused.replacing(text: "X", with: "a"), count: 2))
    let subAgents = process.model.shown.filter { $0.first == "user: do it" && $0.count > 1 }
    #expect(subAgents.count == 3)
    #expect(subAgents[0].last == "b " + refused.replacing(text: "X", with: "b"))
  }

  @Test func `runs that have ended make room for others`() throws {
    var limits = RunEngine.Limits()
    limits.maxTreeRuns = 3
    let model = Self.models(["x": [Self.calls("a", 2), Self.calls("a", 2), .say("ok")], "a": [.say("a says")]])
    let process = world.launch(model: model, limits: limits)
    let started = process.start("hi", startParams(tools: [subAgent("a")]))
    #expect(started.outcome?.status == .success)
    #expect(process.model.shown.last?.filter { $0 == "a: a says" }.count == 4)
  }

  @Test func `a decision in a tree asks for the time as often as it has runs to tell`() throws {
    // Each run that is made ready for a decision asks once: a tree of three times as many runs asks some three times as often.
    func asked(_ width: Int) throws -> Int {
      let world = VirtualWorld()
      let model = Self.models([
        "x": [Self.calls("a", width), .say("ok")], "a": [Self.calls("b", 3), .say("a says")], "b": [.say("b says")],
      ])
      let process = world.launch(model: model)
      let before = world.clock.readings
      let params = startParams(tools: [subAgent("a", tools: [subAgent("b")])], limits: #"{"maxTotalTokens":1000000}"#)
      #expect(process.start("hi", params).outcome?.status == .success)
      return world.clock.readings - before
    }
    let (few, many) = (try asked(10), try asked(30))
    #expect(many < few * 4, "\(few) readings for 41 runs, \(many) for 121")
  }

  // MARK: Limits

  @Test func `limits that a resume gives count at once for all below`() throws {
    for (limit, more) in [(#""maxToolCalls":2"#, #"{"maxToolCalls":50}"#), (#""maxTotalTokens":35"#, #"{"maxTotalTokens":5000}"#)] {
      let model = Self.models([
        "x": [Self.calls("a", 1), .say("ok")], "a": [Self.calls("b", 2), .say("a says")], "b": [.say("b says")],
      ])
      let process = world.launch(model: model)
      let params = startParams(tools: [subAgent("a", tools: [subAgent("b")])], limits: "{\(limit),\"onLimit\":\"pause\"}")
      let started = process.start("hi", params)
      #expect(started.outcome?.status == .paused)
      #expect(started.outcome?.fault?.kind == .runLimitExceeded)
      let run = try #require(started.runID)
      #expect(process.resume(run, limits: json(more)).outcome?.status == .success)
    }
  }

  @Test func `calls that are all refused count`() throws {
    let refused = [ScriptedModel.Answer](repeating: .call(("nobody", "{}")), count: 9)
    let process = world.launch(model: Self.models(["x": refused]))
    let outcome = process.start("hi", startParams(limits: #"{"maxToolCalls":3}"#)).outcome
    #expect(outcome?.fault?.kind == .runLimitExceeded)
    #expect(outcome?.usage.toolCalls == 4)

    let below = world.launch(model: Self.models(["x": [Self.calls("a", 1), .say("ok")], "a": refused]))
    let tree = below.start("hi", startParams(tools: [subAgent("a")], limits: #"{"maxToolCalls":3}"#)).outcome
    let child = try #require(world.disk.runIDs.first { world.disk.summary(of: $0)?.parentRunID == tree?.runID })
    #expect(below.look(child)?.fault?.kind == .runLimitExceeded)
    #expect(tree?.usage.toolCalls == 4)
  }

  @Test func `limits that a resume gives to a run in the middle count at once below it, and not above`() throws {
    let model = Self.models([
      "x": [Self.calls("a", 1), .say("ok")], "a": [Self.calls("b", 2), .say("a says")], "b": [.call(("s", "{}")), .say("b says")],
    ])
    let process = world.launch(model: model, tools: { _ in .text("s ran") })
    let a = subAgent("a", tools: [subAgent("b", tools: [serverTool("s")])], agent: #""limits":{"maxToolCalls":2,"onLimit":"pause"}"#)
    let started = process.start("hi", startParams(tools: [a]))
    #expect(started.outcome?.status == .paused)
    let root = try #require(started.runID)
    let middle = try #require(world.disk.runIDs.first { world.disk.summary(of: $0)?.parentRunID == root })
    _ = process.resume(middle, limits: json(#"{"maxToolCalls":50}"#))
    #expect(process.look(root)?.status == .success)
  }

  @Test func `the tokens of a tree count before a sub-agent's first turn too`() throws {
    let model = Self.models(["x": [Self.calls("a", 2), .say("never")], "a": [.say("a says")]])
    let process = world.launch(model: model)
    let started = process.start("hi", startParams(tools: [subAgent("a")], limits: #"{"maxTotalTokens":15}"#))
    #expect(started.outcome?.fault?.kind == .runLimitExceeded)
    #expect(process.model.calls.count == 1)
  }

  @Test func `what a sub-agent has used is counted once when it ends`() throws {
    let model = Self.models([
      "x": [Self.calls("a", 1), .say("ok")], "a": [.call(("b", Self.task), ("c", Self.task)), .say("a says")],
      "b": [.call(("s", "{}")), .say("b says")], "c": [.call(("t", "{}")), .say("c says")],
    ])
    let process = world.launch(model: model, tools: { _ in .text("s ran") })
    let a = subAgent("a", tools: [subAgent("b", tools: [serverTool("s")]), subAgent("c", tools: [clientTool("t")])])
    let started = process.start("hi", startParams(tools: [a], limits: #"{"maxToolCalls":5}"#), delivery: .pause)
    #expect(started.outcome?.status == .waitingClientTool)
    #expect(started.outcome?.usage.toolCalls == 5)
    let run = try #require(started.runID)
    let call = try #require(started.outcome?.pendingCalls.first?.callID.text)
    #expect(process.submit(run, [(call, .text("done"))], delivery: .pause).outcome?.status == .success)
  }

  // MARK: Times

  private static let waits = ["x": [calls("a", 1), .say("ok"), .say("noted")], "a": [.call(("t", "{}")), .say("a says")]]
  private static let tooLate = "a failed: The sub-agent 'a' did not answer within 300 ms and was cancelled."

  @Test func `the time of a sub-agent that waits for a submit runs, though its tree is not in memory`() throws {
    let process = world.launch(model: Self.models(Self.waits))
    let a = subAgent("a", tools: [clientTool("t")], #""timeoutMs":300"#)
    let started = process.start("hi", startParams(tools: [a]), delivery: .pause)
    #expect(started.outcome?.status == .waitingClientTool)
    #expect(process.engine.live.isEmpty)
    world.advance(milliseconds: 299)
    let run = try #require(started.runID)
    #expect(process.look(run)?.status == .waitingClientTool)
    world.advance(milliseconds: 1)
    #expect(process.look(run)?.status == .success)
    #expect(process.model.shown.last?.last == Self.tooLate)
    #expect(process.engine.live.isEmpty)
    #expect(process.engine.sleepingTimers.isEmpty)
  }

  @Test(arguments: ["wait", "resume", "submit to the run", "submit to the sub-agent", "note"])
  func `where nobody lived when it was due, whoever touches the run next applies the time of a sub-agent`(_ touch: String) throws {
    let first = world.launch(model: Self.models(Self.waits))
    let a = subAgent("a", tools: [clientTool("t")], #""timeoutMs":300"#)
    let started = first.start("hi", startParams(tools: [a]), delivery: .pause)
    let run = try #require(started.runID)
    let call = try #require(started.outcome?.pendingCalls.first)
    first.kill()
    world.advance(milliseconds: 86_400_000)
    let second = world.launch(model: Self.models(Self.waits))
    #expect(second.look(run)?.status == .waitingClientTool)
    switch touch {
    case "wait": #expect(second.wait(run).outcome?.status == .success)
    case "resume": #expect(second.resume(run, delivery: .pause).outcome?.status == .success)
    case "note": _ = second.note(run, "are you there?")
    default:
      let named = touch == "submit to the run" ? run : call.runID
      #expect(second.submit(named, [(call.callID.text, .text("late"))], delivery: .pause).outcome == nil)
    }
    #expect(second.look(run)?.status == .success)
    #expect(second.look(call.runID)?.status == .cancelled)
    #expect(second.model.shown.contains { $0.contains(Self.tooLate) })
  }

  @Test func `an approval of a sub-agent that comes too late is denied by who waits for the run above`() throws {
    let model = ["x": [Self.calls("a", 1), .say("ok")], "a": [.call(("t", "{}")), .say("a says")]]
    let process = world.launch(model: Self.models(model))
    let a = subAgent("a", tools: [clientTool("t", gatedCalls)], agent: #""approvalTimeoutMs":300"#)
    let started = process.start("hi", startParams(tools: [a]), delivery: .pause)
    #expect(started.outcome?.status == .waitingApproval)
    let run = try #require(started.runID)
    world.advance(milliseconds: 1000)
    #expect(process.look(run)?.status == .waitingApproval)
    #expect(process.wait(run).outcome?.status == .success)
    #expect(process.model.shown.contains { $0.last?.contains("nobody approved it in time") == true })
  }
}
