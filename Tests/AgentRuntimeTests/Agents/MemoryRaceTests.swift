import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Memory that several edit at once, and processes that die while they do.
@Suite struct MemoryRaceTests {
  private static let turns: [ScriptedModel.Answer] = [
    .call(MemoryStage.insert("1")), .call(MemoryStage.insert("2"), ("a", "{}"), MemoryStage.insert("3")),
    .call(("s", "{}"), ("memory_replace", #"{"label":"m","old":"3","new":"three"}"#)), .say("ok"),
  ]

  private func stage() throws -> MemoryStage { try MemoryStage(tools: [clientTool("a"), serverTool("s")], turns: Self.turns) }

  private func launch(_ stage: MemoryStage) -> VirtualProcess {
    let process = stage.world.launch(model: ScriptedModel(Self.turns), tools: { _ in .text("ran") })
    process.parent.answer = { _ in .text("done") }
    return process
  }

  private func finish(_ run: ULID, in process: VirtualProcess) {
    for _ in 0..<30 {
      process.act { _ in }
      guard let outcome = process.look(run), !outcome.status.hasEnded else { return }
      _ = process.resume(run, wait: false)
    }
  }

  /// Every line once and in its order, in the block and in each step of its history.
  private func check(_ stage: MemoryStage, also others: [String] = [], _ place: String) {
    let lines = (stage.block()?.value ?? "").split(separator: "\n").map(String.init)
    #expect(lines.filter { !others.contains($0) } == ["0", "1", "2", "three"], "\(place): \(lines)")
    #expect(Set(lines.filter { others.contains($0) }) == Set(others), "\(place): an edit from outside was lost: \(lines)")
    #expect(lines.count == 4 + others.count, "\(place): \(lines)")
    let history = stage.history()
    #expect(history.last == stage.block()?.value, "\(place)")
    #expect(history.count == 5 + others.count, "\(place): \(history)")
  }

  @Test func `a run that dies at any commit has made each edit once`() throws {
    let whole = try stage()
    let process = launch(whole)
    #expect(process.start("hi", whole.params).outcome?.status == .success)
    check(whole, "undisturbed")
    let commits = process.store.commitCount
    #expect(commits > 5)
    for commit in 1...commits {
      for isDurable in [true, false] {
        let stage = try stage()
        let first = launch(stage)
        if isDurable {
          first.store.afterSubmit = { [unowned first] _ in if first.store.commitCount == commit { first.kill() } }
        } else {
          first.store.beforeSubmit = { [unowned first] _ in if first.store.commitCount == commit - 1 { first.kill() } }
        }
        _ = first.start("hi", stage.params)
        stage.world.settle()
        first.kill()
        guard let run = stage.world.disk.runIDs.first else {
          #expect(commit == 1 && !isDurable)
          continue
        }
        let second = launch(stage)
        finish(run, in: second)
        #expect(second.look(run)?.status == .success, "commit \(commit)")
        check(stage, "commit \(commit), durable \(isDurable)")
        #expect(second.engine.live.isEmpty, "commit \(commit)")
      }
    }
  }

  @Test func `a run whose processes die again and again has made each edit once`() throws {
    let stage = try stage()
    var run: ULID?
    for life in 0..<40 {
      let process = launch(stage)
      let length = 1 + life % 2
      process.store.afterSubmit = { [unowned process] _ in if process.store.commitCount == length { process.kill() } }
      if let run { finish(run, in: process) } else { _ = process.start("hi", stage.params) }
      process.kill()
      run = stage.world.disk.runIDs.first
      if run.flatMap({ stage.world.disk.summary(of: $0) })?.status.hasEnded == true { break }
    }
    #expect(run.flatMap { stage.world.disk.summary(of: $0) }?.status == .success)
    check(stage, "many deaths")
  }

  enum Intrusion: String, CaseIterable {
    case set, update, edit
  }

  @Test("an edit that another process makes just before an append is not lost", arguments: Intrusion.allCases)
  func intrusion(_ intrusion: Intrusion) throws {
    let whole = try stage()
    let process = launch(whole)
    _ = process.start("hi", whole.params)
    let commits = process.store.commitCount
    for commit in 1...commits {
      let stage = try stage()
      let first = launch(stage)
      let editor = stage.world.launch(model: ScriptedModel([.call(MemoryStage.insert("x")), .say("ok")]))
      var isDone = false
      first.store.beforeSubmit = { [unowned first] _ in
        guard first.store.commitCount == commit - 1, !isDone else { return }
        isDone = true
        let engine = editor.engine
        do throws(RuntimeError) {
          switch intrusion {
          case .set:
            let value = stage.block()?.value ?? ""
            _ = try engine.setMemory(of: stage.agentID, label: "m", to: value + "\nx", ifVersion: stage.block()?.version)
          case .update:
            let memory = agentJSON(#""memory":[{"label":"m","value":"0","description":"changed"}]"#)
            _ = try engine.updateAgent(stage.agentID, to: memory, ifVersion: nil, isStrict: false)
          case .edit: _ = editor.start("hi", stage.params)
          }
        } catch { Issue.record("\(error)") }
      }
      let answer = first.start("hi", stage.params)
      stage.world.settle()
      #expect(answer.outcome?.status == .success, "commit \(commit)")
      let place = "\(intrusion) before commit \(commit)"
      if intrusion == .update {
        #expect(stage.block()?.value == "0\n1\n2\nthree" && stage.block()?.description == "changed", "\(place)")
      } else {
        check(stage, also: ["x"], place)
      }
    }
  }

  @Test func `an agent that is deleted before an append is an error for the model, not the end of the run`() throws {
    let whole = try stage()
    let process = launch(whole)
    _ = process.start("hi", whole.params)
    for commit in 2...process.store.commitCount {
      let stage = try stage()
      let first = launch(stage)
      let other = stage.launch()
      first.store.beforeSubmit = { [unowned first] _ in
        guard first.store.commitCount == commit - 1, stage.block() != nil else { return }
        do throws(RuntimeError) { try other.engine.deleteAgent(stage.agentID) } catch { Issue.record("\(error)") }
      }
      #expect(first.start("hi", stage.params).outcome?.status == .success, "commit \(commit)")
      #expect(
        stage.block() == nil && stage.world.disk.document(StoredBlock.historyKind, StoredBlock.historyID(stage.agentID, "m", 1)) == nil)
    }
  }

  @Test func `runs of one process that edit in one turn of the engine lose nothing`() throws {
    let stage = try MemoryStage(turns: [.held, .say("ok")])
    let process = stage.launch()
    let runs = 20
    for _ in 0..<runs { _ = process.start("hi", stage.params, wait: false) }
    let calls = process.model.calls
    for (number, call) in calls.enumerated() { call.finish(.call([MemoryStage.insert("run \(number)")])) }
    stage.world.settle()
    let lines = (stage.block()?.value ?? "").split(separator: "\n").map(String.init)
    #expect(lines.first == "0" && Set(lines.dropFirst()) == Set((0..<runs).map { "run \($0)" }) && lines.count == runs + 1)
    #expect(stage.history().count == runs + 1)
    #expect(stage.world.disk.runIDs.allSatisfy { stage.world.disk.summary(of: $0)?.status == .success })
  }
}
