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

  @Test("what must hold of every run holds of one to which anything happens", arguments: 0..<300)
  func walk(seed: UInt64) throws {
    let stage = Stage(Self.scenario)
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
    stage.join(last)
    stage.finish(in: last)
    let outcome = try #require(last.look(stage.run))
    #expect(Self.scenario.ends.contains(outcome.status), "\(outcome.status) after \(path)")
    try Story(stage).check(hasEnded: true)
    #expect(last.engine.live.isEmpty && last.engine.driven.isEmpty, "\(path)")
  }

  enum Step: String, CaseIterable {
    case advanceLittle, advanceMuch, answer, answerWithError, progress, finishModel, finishTool, submitAll, submitOne, submitOther,
      cancelSeldom, pause
    case resume, note, wait, kill, storeFails, storeLosesAnswer, hangUpSeldom, raceNote, raceSubmit

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

    private func submit(_ process: VirtualProcess, _ run: ULID, _ calls: [PendingCall], partial: Bool = false) {
      _ = process.submit(run, calls.map { ($0.callID.text, .text("\($0.name) submitted")) }, partial: partial, wait: false)
    }
  }
}

/// Chance that repeats itself.
struct Chance: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state ^ state >> 29) &* 0xBF58_476D_1CE4_E5B9
  }

  mutating func below(_ bound: Int) -> Int { Int((next() >> 33) % UInt64(bound)) }
}
