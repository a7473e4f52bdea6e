import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What is left in a session when the run of a turn is deleted.
@Suite struct DeletedTurnTests {
  private let world = VirtualWorld()
  private let compacting = startParams(agent: #""compaction":"truncate""#, tools: [clientTool("a")])

  /// Answers each turn with what it was shown last; one that says so is asked once more, with fewer messages, or makes a call first.
  private func launch() -> VirtualProcess {
    let isFull = Box(true)
    let process = world.launch(
      model: ScriptedModel { request in
        if request.agent.name == "below" { return .say("from below") }
        guard case .user(let blocks)? = request.transcript.last, let text = try? ModelText.text(of: blocks, load: request.load) else {
          return .say("after a tool")
        }
        if text.hasPrefix("full"), isFull.value {
          isFull.value = false
          return .fault(RunFault(.modelContextOverflow, "too long"))
        }
        isFull.value = true
        return text.hasPrefix("call") ? .call(("a", "{}")) : .say("re: \(text)")
      })
    process.parent.answer = { _ in .text("done") }
    return process
  }

  private func say(_ texts: String..., to id: ULID, in process: VirtualProcess, branch: ULID? = nil) throws -> [ULID] {
    try texts.map { text in
      let answer = process.start(text, compacting, session: id, branch: branch)
      #expect(answer.outcome?.status == .success)
      return try #require(answer.runID)
    }
  }

  /// What the next turn is shown of those before it, in a process that knows them and in one that does not.
  private func shown(_ id: ULID, _ process: VirtualProcess) throws -> [String] {
    _ = try say("next", to: id, in: process)
    let known = Array(try #require(process.model.shown.last).dropLast())
    let fresh = launch()
    _ = try say("next", to: id, in: fresh)
    #expect(Array(try #require(fresh.model.shown.last).dropLast(3)) == known)
    return known
  }

  @Test("a compaction leaves out what it did when a turn of those is deleted", arguments: [0, 1, 2])
  func deletedBeforeCompaction(which: Int) throws {
    let process = launch()
    let id = try process.engine.createSession(agentID: nil, metadata: nil).sessionID
    let runs = try say("one", "two", "three", "call four", "full five", to: id, in: process)
    let before = Array(try #require(process.model.shown.last))
    #expect(before.first == "user: call four", "\(before)")
    try process.engine.delete(runs[which])
    #expect(try shown(id, process) == before + ["assistant: re: full five"])
  }

  @Test func `a later turn that is deleted is gone, and the older ones stay out of sight`() throws {
    let process = launch()
    let id = try process.engine.createSession(agentID: nil, metadata: nil).sessionID
    let runs = try say("one", "two", "three", "call four", "full five", "six", to: id, in: process)
    try process.engine.delete(runs[3])
    #expect(try shown(id, process) == ["user: full five", "assistant: re: full five", "user: six", "assistant: re: six"])
  }

  @Test func `what a deleted turn had left out stays out of sight`() throws {
    let process = launch()
    let id = try process.engine.createSession(agentID: nil, metadata: nil).sessionID
    let runs = try say("one", "two", "three", "call four", "full five", "six", to: id, in: process)
    let before = Array(try #require(process.model.shown.last).prefix { $0 != "user: full five" })
    try process.engine.delete(runs[4])
    #expect(try shown(id, process) == before + ["user: six", "assistant: re: six"])
  }

  @Test func `a compaction that is made after a turn was deleted counts it too`() throws {
    let process = launch()
    let id = try process.engine.createSession(agentID: nil, metadata: nil).sessionID
    let runs = try say("one", "two", "three", "call four", to: id, in: process)
    try process.engine.delete(runs[0])
    _ = try say("full five", to: id, in: process)
    let before = Array(try #require(process.model.shown.last))
    #expect(before.count < 7)
    try process.engine.delete(runs[1])
    #expect(try shown(id, process).suffix(before.count + 1) == before + ["assistant: re: full five"])
  }

  @Test func `a branch leaves out what it did when a turn that it shares is deleted`() throws {
    let process = launch()
    let id = try process.engine.createSession(agentID: nil, metadata: nil).sessionID
    let runs = try say("one", "two", "three", to: id, in: process)
    let branch = try process.engine.forkSession(id, at: runs[2]).branchID
    _ = try say("full five", "six", to: id, in: process, branch: branch)
    let before = Array(try #require(process.model.shown.last))
    try process.engine.delete(runs[0])
    for process in [process, launch()] {
      _ = try say("seven", to: id, in: process, branch: branch)
      #expect(process.model.shown.last?.prefix(before.count) == before[...])
    }
  }

  @Test func `another process does not show a turn that was deleted here`() throws {
    let (first, second) = (launch(), launch())
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    let runs = try say("secret", to: id, in: first)
    _ = try say("two", to: id, in: second)
    try first.engine.delete(runs[0])
    _ = try say("three", to: id, in: second)
    #expect(second.model.shown.last == ["user: two", "assistant: re: two", "user: three"])
  }

  @Test func `another process does not show a turn whose deleter died when it was gone`() throws {
    let (first, second) = (launch(), launch())
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    let runs = try say("secret", to: id, in: first)
    _ = try say("two", to: id, in: second)
    first.store.afterDelete = { [unowned first] in first.kill() }
    #expect(throws: RuntimeError.self) { try first.engine.delete(runs[0]) }
    _ = try say("three", to: id, in: second)
    #expect(second.model.shown.last == ["user: two", "assistant: re: two", "user: three"])
  }

  @Test func `state, context, toolkits and standing decisions outlive the turns that made them`() throws {
    let process = launch()
    process.parent.abilities = .people
    process.parent.answerQuestion = { _ in .result(json(#"{"decision":"approve","scope":"session"}"#)) }
    process.parent.answer = { _ in
      var result = ToolResult.text("done")
      result.augmentation = .inline(
        json(
          #"{"updateState":{"cart":[1.0]},"addContext":[{"key":"k","description":"","value":2}],"#
            + #""injectToolkits":[{"name":"kit","description":"","tools":[\#(clientTool("b"))]}],"expandToolkits":["kit"]}"#))
      return .result(result, bytes: 1)
    }
    let session = try process.engine.createSession(agentID: nil, metadata: nil)
    let id = session.sessionID
    let first = try #require(process.start("one", startParams(), session: id).runID)
    let params = startParams(tools: [clientTool("a", gatedCalls)])
    let last = try #require(process.start("call", params, session: id).runID)
    #expect(process.look(last)?.status == .success)
    func toolbox(_ process: VirtualProcess) throws -> Toolbox {
      try process.engine.currentToolbox(of: try process.engine.branch(session.mainBranch, of: id))
    }
    let before = try toolbox(process)
    #expect(before.state == json(#"{"cart":[1.0]}"#) && before.offeredNames == ["b"])
    for run in [last, first] {
      try process.engine.delete(run)
      #expect(try toolbox(process) == before)
      #expect(try toolbox(launch()) == before)
    }
    let next = try #require(process.start("call", params, session: id).runID)
    #expect(process.look(next)?.status == .success)
    #expect(process.parent.questions.count == 1)
    #expect(process.model.shown.last?.first == "user: call")
    #expect(try toolbox(process) == before)
  }

  private func messages(_ process: VirtualProcess, _ id: ULID) throws -> [SessionMessage] {
    try process.engine.messages(of: id, branchID: nil, from: RunEngine.MessageCursor(), limit: 100).messages
  }

  /// What the next turns of the branches begin with, in a process that knows them and in one that does not.
  private func states(_ branches: [Branch], _ process: VirtualProcess) throws -> [String?] {
    func states(_ process: VirtualProcess) throws -> [String?] {
      try branches.map { try process.engine.currentToolbox(of: $0).state?.bytes.string }
    }
    let known = try states(process)
    #expect(try states(launch()) == known)
    return known
  }

  @Test func `branches that leave a deleted turn begin with what there was at their messages`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .call(("a", "{}")), .say("done")]))
    let step = Box(0)
    process.parent.answer = { _ in
      step.value += 1
      var result = ToolResult.text("done")
      result.augmentation = .inline(json(#"{"patchState":{"step":\#(step.value)}}"#))
      return .result(result, bytes: 1)
    }
    let id = try process.engine.createSession(agentID: nil, metadata: nil).sessionID
    let params = startParams(tools: [clientTool("a")], more: #""augmentation":{"updateState":{"step":0}}"#)
    let run = try #require(process.start("go", params, session: id).runID)
    var branches = try messages(process, id).map { try process.engine.forkSession(id, at: $0.id) }
    branches += try process.engine.branches(of: id).filter { $0.base == nil }
    let before = try states(branches, process)
    #expect(before == [0, 1, 1, 2, 2, 2, 2].map { #"{"step":\#($0)}"# })
    try process.engine.delete(run)
    #expect(try states(branches, process) == before)
  }

  @Test(
    "a branch that leaves at a message that was never a turn begins with what the deleted one before it left",
    arguments: ["latest", "merge"])
  func leftBehindDeleted(word: String) throws {
    let process = world.launch(model: ScriptedModel { $0.transcript.count == 1 ? .held : .say("done") })
    let id = try process.engine.createSession(agentID: nil, metadata: nil).sessionID
    let params = startParams(agent: #""messageConcurrency":"\#(word)""#)
    let concurrency = try MessageConcurrency(reading: CarriedJSON(string: word), at: "")
    let first = process.start("one", startParams(more: #""augmentation":{"updateState":{"at":"one"}}"#), session: id)
    let later = ["two", "three", "four"].map { process.start($0, params, session: id, concurrency: concurrency) }
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect(later[2].outcome?.status == .success)
    try process.engine.delete(try #require(later[0].runID))
    try process.engine.delete(try #require(first.runID))
    let two = try #require(try messages(process, id).first { $0.runID == later[1].runID })
    #expect(try states([try process.engine.forkSession(id, at: two.id)], process) == [#"{"at":"one"}"#])
  }

  @Test("a branch keeps out of sight what the deleted turn that it leaves had left out there", arguments: [0, 1])
  func leavesCompacting(message: Int) throws {
    let process = launch()
    let id = try process.engine.createSession(agentID: nil, metadata: nil).sessionID
    let runs = try say("one", "two", "three", "call four", "full five", to: id, in: process)
    let own = try messages(process, id).filter { $0.runID == runs[4] }
    let (kept, deleted) = (try process.engine.forkSession(id, at: own[message].id), try process.engine.forkSession(id, at: own[message].id))
    _ = try say("six", to: id, in: process, branch: kept.branchID)
    let before = try #require(process.model.shown.last).filter { !$0.hasSuffix("full five") && !$0.hasSuffix(" six") }
    #expect((before.first == "user: call four") == (message == 1), "\(before)")
    try process.engine.delete(runs[4])
    for process in [process, launch()] {
      _ = try say("seven", to: id, in: process, branch: deleted.branchID)
      #expect(process.model.shown.last?.prefix(before.count) == before[...])
    }
  }

  @Test func `the runs of sub-agents go with the session`() throws {
    let process = launch()
    process.parent.answer = nil
    let id = try process.engine.createSession(agentID: nil, metadata: nil).sessionID
    let params = startParams(tools: [clientTool("a", #""agent":{"model":"scripted:x","name":"below"}"#)])
    #expect(process.start("call", params, session: id).outcome?.status == .success)
    #expect(world.disk.runIDs.count == 2)
    _ = try process.engine.deleteSession(id)
    #expect(world.disk.runIDs == [])
  }
}
