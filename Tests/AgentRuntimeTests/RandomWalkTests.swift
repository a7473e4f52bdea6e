import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Runs to which anything happens, in any order, from several processes that come and die: what must hold of every run holds of them too.
@Suite struct RandomWalkTests {
  private static let scenario = Scenario(
    name: "a walk",
    params: startParams(
      agent: #""clientTools":{"invokeTimeoutMs":400,"maxParallelInvocations":2}"#,
      tools: [
        clientTool("a", #""onTimeout":"retryWithBackoff",\#(idempotent)"#),
        clientTool("b", #""onTimeout":"park","onDisconnect":"fallbackMessage""#),
        clientTool("c", #""parallel":false"#), serverTool("s"), serverTool("t", "\"parallel\":false,\(idempotent)"),
      ], limits: #"{"maxIterations":6,"onLimit":"pause","deadlineMs":5000}"#),
    model: { request, _ in
      switch request.turn {
      case 0: .call(("a", "{}"), ("s", "{}"), ("b", "{}"), ("t", "{}"), ("c", "{}"))
      case 1: .call(("s", "{}"), ("nobody", "{}"))
      case 2: .call(("b", "{}"), ("a", "{}"))
      default: request.turn % 2 == 1 ? .held : .say("ok")
      }
    },
    tools: { call, _ in call.attempt == 1 && call.tool.name == "s" ? nil : .text("\(call.tool.name) ran") },
    client: { invocation, life in
      // Some are answered at once, some later or never.
      let hash = invocation.callID.low % 4
      return life > 50 || hash == 0 ? .text("\(invocation.name) done") : hash == 1 ? .result(.later, bytes: 1) : nil
    }, raisedLimits: #"{"maxIterations":100,"deadlineMs":10000000}"#, ends: [.success, .cancelled])

  private static let asking = Scenario(
    name: "a walk that asks",
    params: startParams(
      agent: #""askUser":true,"approvalTimeoutMs":700,"clientTools":{"invokeTimeoutMs":400,"maxParallelInvocations":2}"#,
      tools: [
        clientTool("a", gatedCalls), clientTool("b"), serverTool("s", "\(gatedCalls),\(idempotent)"), serverTool("t", gatedCalls),
        clientTool("c", #""parallel":false,\#(gatedCalls)"#),
      ], limits: #"{"maxIterations":6,"onLimit":"pause"}"#),
    model: { request, _ in
      switch request.turn {
      case 0: .call(("a", "{}"), ("s", "{}"), ("ask_user", #"{"question":"1"}"#), ("b", "{}"), ("a", #"{"second":true}"#))
      case 1: .call(("t", "{}"), ("c", "{}"), ("a", "{}"), ("ask_user", "{}"))
      case 2: .call(("ask_user", #"{"question":"2"}"#), ("t", "{}"))
      default: request.turn % 2 == 1 ? .held : .say("ok")
      }
    },
    tools: { call, _ in call.attempt == 1 && call.tool.name == "s" ? nil : .text("\(call.tool.name) ran") },
    client: { invocation, life in life > 50 || invocation.callID.low % 2 == 0 ? .text("\(invocation.name) done") : nil },
    abilities: .people, person: { _, _ in nil }, raisedLimits: #"{"maxIterations":100}"#, ends: [.success, .cancelled])

  private static let tree = Scenario(
    name: "a walk with sub-agents",
    params: startParams(
      agent: #""clientTools":{"invokeTimeoutMs":400}"#,
      tools: [
        subAgent("a", tools: [clientTool("t"), serverTool("s")], #""timeoutMs":2500"#),
        subAgent("b", tools: [subAgent("c", tools: [clientTool("u", gatedCalls)], agent: #""approvalTimeoutMs":700"#, idempotent)]),
        clientTool("v", #""onTimeout":"park""#),
      ], limits: #"{"maxToolCalls":9,"maxTotalTokens":200,"onLimit":"pause"}"#),
    model: { request, _ in
      let task = #"{"input":"do it"}"#
      switch (request.agent.model, request.turn) {
      case ("scripted:x", 0): return .call(("a", task), ("b", task), ("v", "{}"))
      case ("scripted:x", 1): return .call(("b", task), ("a", task))
      case ("scripted:a", 0): return .call(("t", "{}"), ("s", "{}"))
      case ("scripted:b", 0): return .call(("c", task), ("c", task))
      case ("scripted:c", 0): return .call(("u", "{}"))
      case ("scripted:a", 1), ("scripted:x", 2): return .held
      default: return .say("ok")
      }
    },
    tools: { call, _ in call.attempt == 1 && call.callID.low % 2 == 0 ? nil : .text("\(call.tool.name) ran") },
    client: { invocation, life in life > 50 || invocation.callID.low % 3 == 0 ? .text("\(invocation.name) done") : nil },
    abilities: .people, person: { _, _ in nil }, raisedLimits: #"{"maxToolCalls":1000,"maxTotalTokens":1000000}"#,
    ends: [.success, .cancelled])

  @Test("what must hold of every run holds of one to which anything happens", arguments: 0..<300)
  func walk(seed: UInt64) throws { try walk(Self.scenario, seed) }

  @Test("what must hold of every run holds of one that asks people", arguments: 1000..<1400)
  func askingWalk(seed: UInt64) throws { try walk(Self.asking, seed) }

  @Test("what must hold of every run holds of those of a tree", arguments: 2000..<2400)
  func walkOfATree(seed: UInt64) throws { try walk(Self.tree, seed) }

  private func walk(_ scenario: Scenario, _ seed: UInt64) throws {
    let stage = Stage(scenario)
    stage.play()
    var chance = Chance(seed)
    var living = [stage.first]
    var path: [String] = []
    for _ in 0..<40 {
      if living.isEmpty || (living.count < 3 && chance.below(8) == 0) { living.append(stage.another()) }
      let process = living[chance.below(living.count)]
      let step = Step.allCases[chance.below(Step.allCases.count)]
      path.append(step.rawValue)
      step.carryOut(stage, process, &chance)
      living.removeAll(where: \.isKilled)
    }
    for process in living {
      for run in process.tools.runs { run.complete(.text("at last")) }
      for call in process.model.calls { call.finish(.say("at last")) }
    }
    stage.world.advance(milliseconds: 1000)
    for process in living { process.kill() }
    // Whoever comes last does all that is asked of it.
    let last = stage.world.launch(
      model: ScriptedModel { _ in .say("ok") }, tools: { .text("\($0.tool.name) ran") })
    last.parent.answer = { .text("\($0.name) done") }
    last.parent.abilities = scenario.abilities
    last.parent.answerQuestion = { $0.method == .approval ? approved : accepted }
    stage.join(last)
    stage.finish(in: last)
    let outcome = try #require(last.look(stage.run))
    #expect(scenario.ends.contains(outcome.status), "\(outcome.status) after \(path)")
    try Story(stage).check(hasEnded: true)
    #expect(last.engine.live.isEmpty && last.engine.driven.isEmpty, "\(path)")
  }

  enum Step: String, CaseIterable {
    case advanceLittle, advanceMuch, answer, answerWithError, progress, finishModel, finishTool, submitAll, submitOne, submitOther,
      cancelSeldom, pause
    case resume, note, wait, kill, storeFails, storeLosesAnswer, hangUpSeldom, raceNote, raceSubmit
    case reply, replyBadly, decideOne, decideAll, tell, raceDecide, drainSeldom

    func carryOut(_ stage: Stage, _ process: VirtualProcess, _ chance: inout Chance) {
      let run = stage.run
      switch self {
      case .advanceLittle: stage.advance(chance.below(100))
      case .advanceMuch: stage.advance(chance.below(1000))
      case .answer: process.parent.invocations.randomElement(using: &chance)?.answer(.text("random \(chance.below(3))"))
      case .answerWithError: process.parent.invocations.randomElement(using: &chance)?.answer(.error("no", bytes: 2))
      case .progress: process.parent.openInvocations.randomElement(using: &chance)?.progress(json("{}"))
      case .finishModel: process.model.calls.last?.finish(chance.below(2) == 0 ? .say("done") : .call([("a", "{}")]))
      case .finishTool: process.tools.runs.last?.complete(.text("ran"))
      case .submitAll: submit(process, run, stage.pending(process))
      case .submitOne: submit(process, run, Array(stage.pending(process).prefix(1)), partial: true)
      case .submitOther: _ = process.submit(run, [(ULID(high: 1, low: 1).text, .text("x"))], partial: chance.below(2) == 0, wait: false)
      case .cancelSeldom: if chance.below(12) == 0 { _ = process.cancel(run) }
      case .pause: _ = process.pause(run)
      case .resume:
        let deferred = stage.pending(process).filter { $0.state == .deferred }.map(\.callID)
        _ = process.resume(
          run, delivery: chance.below(3) == 0 ? .pause : .invoke, limits: json(#"{"maxIterations":20,"deadlineMs":100000}"#),
          reissue: chance.below(2) == 0 ? Set(deferred) : [], wait: chance.below(2) == 0)
      case .note: _ = process.note(run, "note")
      case .wait: _ = process.wait(run, timeout: chance.below(2) == 0 ? chance.below(500) : nil)
      case .kill: process.kill()
      case .storeFails: process.store.faults = [.refused(StoreError(.full, "full"))]
      case .storeLosesAnswer: process.store.faults = [.answerLost(StoreError(.unavailable, "lost"))]
      case .hangUpSeldom:
        guard chance.below(6) == 0 else { return }
        process.act { $0.end(.hangUp) }
        process.kill()
      case .drainSeldom:
        guard chance.below(6) == 0 else { return }
        process.act { $0.drain() }
      case .reply: process.parent.questions.randomElement(using: &chance)?.answer(Self.word(&chance))
      case .replyBadly: process.parent.openQuestions.randomElement(using: &chance)?.answer(.error(code: 1, message: "no"))
      case .decideOne:
        let gated = stage.pending(process).filter { $0.needs == .approval }
        decide(process, run, Array(gated.prefix(1)), partial: true, &chance)
      case .decideAll: decide(process, run, stage.pending(process).filter { $0.needs == .approval }, &chance)
      case .tell:
        let calls = stage.pending(process).filter { $0.needs == .input }
        let words: [InputAnswer] = [.init(.accept, content: json(#"{"answer":"z"}"#)), .init(.decline), .init(.cancel), .init(.accept)]
        let word = words[chance.below(4)]
        _ = process.input(run, calls.map { ($0.callID.text, word) }, partial: chance.below(2) == 0, wait: false)
      case .raceDecide:
        guard let other = stage.processes.last, other !== process, !other.isKilled else { return }
        var luck = chance
        process.store.beforeSubmit = { [unowned process, unowned other] _ in
          process.store.beforeSubmit = nil
          decide(other, run, stage.pending(other).filter { $0.needs == .approval }, &luck)
        }
      case .raceNote, .raceSubmit:
        guard let other = stage.processes.last, other !== process, !other.isKilled else { return }
        let isNote = self == .raceNote
        process.store.beforeSubmit = { [unowned process, unowned other] _ in
          process.store.beforeSubmit = nil
          if isNote { _ = other.note(run, "race") } else { submit(other, run, Array(stage.pending(other).prefix(1)), partial: true) }
        }
      }
      stage.world.settle()
    }

    private static func word(_ chance: inout Chance) -> ParentReply {
      let words = [
        #"{"decision":"approve"}"#, #"{"decision":"deny","reason":"no"}"#, #"{"decision":"approve","arguments":{"x":1}}"#,
        #"{"decision":"approve","scope":"session"}"#, #"{"action":"accept","content":{"answer":"y"}}"#, #"{"action":"decline"}"#,
        #"{"action":"cancel"}"#, #"{"decision":"approve","arguments":[]}"#,
      ]
      return .result(json(words[chance.below(words.count)]))
    }

    private func decide(_ process: VirtualProcess, _ run: ULID, _ calls: [PendingCall], partial: Bool = false, _ chance: inout Chance) {
      let answers: [ApprovalAnswer] = [
        .init(.approve), .init(.deny, reason: "no"), .init(.approve, arguments: json(#"{"x":2}"#)), .init(.approve, scope: .session),
        .init(.approve, arguments: json("[]")),
      ]
      let answer = answers[chance.below(answers.count)]
      _ = process.approve(
        run, calls.map { ($0.callID.text, answer) }, partial: partial, wait: false, delivery: chance.below(3) == 0 ? .pause : .invoke)
    }

    private func submit(_ process: VirtualProcess, _ run: ULID, _ calls: [PendingCall], partial: Bool = false) {
      _ = process.submit(run, calls.map { ($0.callID.text, .text("\($0.name) submitted")) }, partial: partial, wait: false)
    }
  }
}
