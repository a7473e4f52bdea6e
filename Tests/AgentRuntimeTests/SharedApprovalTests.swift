import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What people are asked about one run by several processes, and over the turns of a session.
@Suite struct SharedApprovalTests {
  private let world = VirtualWorld()

  /// A process whose client can be asked.
  private func launch(_ turns: ScriptedModel.Answer..., asked: Bool = true) -> VirtualProcess {
    let process = world.launch(model: ScriptedModel(turns), tools: { .text("\($0.tool.name) ran") })
    if asked { process.parent.abilities = .people }
    process.parent.name = "client \(world.processes.count)"
    return process
  }

  private func asked(_ process: VirtualProcess) -> [String] {
    process.parent.questions.map { question in
      let state = question.isOpen ? "open" : question.isAnswered ? "answered" : "withdrawn"
      return "\(question.callID.map { process.transcript.name(of: $0) } ?? "") \(state)"
    }
  }

  private func log(_ run: ULID, _ type: String) -> [CarriedJSON] {
    world.disk.records(of: run).filter { $0.type == type }.compactMap { $0.event.flatMap { CarriedJSON(trusted: $0)["data"] } }
  }

  private func id(_ process: VirtualProcess, _ run: ULID, _ name: String) throws -> String {
    try #require(process.look(run)?.pendingCalls.first { $0.name == name }?.callID.text)
  }

  @Test func `a decision in another process takes back what the client is asked, and the call goes to the client that is there`() throws {
    let first = launch(.call(("g", "{}")), .say("ok"))
    let second = launch(asked: false)
    let started = first.start("hi", startParams(tools: [clientTool("g", gatedCalls)]))
    let run = try #require(started.runID)
    _ = second.approve(run, [(try id(second, run, "g"), ApprovalAnswer(.approve))], wait: false, delivery: nil)
    world.advance(milliseconds: 100)
    #expect(asked(first) == ["g withdrawn"])
    #expect(second.parent.invocations.isEmpty)
    try first.parent.request(0).answer(.text("done"))
    world.settle()
    #expect(started.outcome?.status == .success)
    #expect(log(run, "approval.decided").map { "\($0["by"]?.stringValue ?? "") \($0["client"]?.stringValue ?? "")" } == ["submit client 2"])
  }

  @Test func `a client that takes calls gets those that it approves`() throws {
    let first = launch(.call(("g", "{}")), .say("ok"))
    let second = launch(.call(), .say("ok"))
    let run = try #require(first.start("hi", startParams(tools: [clientTool("g", gatedCalls)])).runID)
    let submitted = second.approve(run, [(try id(second, run, "g"), ApprovalAnswer(.approve))])
    world.advance(milliseconds: 100)
    #expect(first.parent.invocations.isEmpty)
    try second.parent.request(0).answer(.text("done"))
    world.advance(milliseconds: 100)
    #expect(submitted.outcome?.status == .success)
  }

  @Test func `a client that takes no calls does not take them from the one that does, unless it asks for that`() throws {
    for insists in [false, true] {
      let first = launch(.call(("g", "{}")), .say("ok"))
      let second = launch()
      let started = first.start("hi", startParams(tools: [clientTool("g", gatedCalls)]))
      let run = try #require(started.runID)
      let decision = [(try id(second, run, "g"), ApprovalAnswer(.approve))]
      _ = second.submit(run, approvals: decision, wait: false, delivery: .pause, insists: insists)
      world.advance(milliseconds: 100)
      #expect(first.parent.invocations.count == (insists ? 0 : 1))
      #expect(started.outcome?.status == (insists ? .waitingClientTool : nil))
    }
  }

  @Test func `a decision that a driver elsewhere has to carry out reaches it`() throws {
    let first = launch(.call(("s", "{}"), ("g", "{}"), ("h", "{}")), .say("ok"))
    first.tools.answer = { $0.tool.name == "s" ? nil : .text("\($0.tool.name) ran") }
    let second = launch(asked: false)
    let tools = [serverTool("s"), serverTool("g", gatedCalls), serverTool("h", gatedCalls)]
    let started = first.start("hi", startParams(tools: tools))
    let run = try #require(started.runID)
    let calls = try second.engine.glance(run).awaitedCalls.map(\.callID.text)
    _ = second.approve(run, [(calls[0], .init(.approve)), (calls[1], .init(.deny))], wait: false)
    #expect(first.tools.runs.map(\.call.tool.name) == ["s"])
    world.advance(milliseconds: 100)
    #expect(first.tools.runs.map(\.call.tool.name) == ["s", "g"])
    #expect(asked(first) == ["g withdrawn", "h withdrawn"])
    #expect(second.tools.runs.isEmpty)
    first.tools.run(of: "s")?.complete(.text("s ran"))
    world.settle()
    #expect(started.outcome?.status == .success)
  }

  @Test func `who resumes a run is asked, and who was asked before is not any more`() throws {
    let first = launch(.call(("g", "{}"), ("ask_user", #"{"question":"why?"}"#)))
    let second = launch(.call(), .say("ok"))
    let run = try #require(
      first.start("hi", startParams(agent: #""askUser":true"#, tools: [serverTool("g", gatedCalls)]), delivery: .pause).runID)
    // The same client is not asked twice.
    _ = first.resume(run, delivery: .pause, wait: false)
    #expect(asked(first) == ["g open", "ask_user open"])
    let resumed = second.resume(run, delivery: .pause)
    world.advance(milliseconds: 100)
    #expect(asked(first) == ["g withdrawn", "ask_user withdrawn"])
    #expect(asked(second) == ["g open", "ask_user open"])
    second.parent.question(of: "g")?.answer(approved)
    second.parent.question(of: "ask_user")?.answer(accepted)
    world.settle()
    #expect(resumed.outcome?.status == .success)
  }

  @Test func `who cannot be asked takes nothing from who is`() throws {
    let first = launch(.call(("g", "{}")), .say("ok"))
    let run = try #require(first.start("hi", startParams(tools: [serverTool("g", gatedCalls)])).runID)
    _ = launch(asked: false).resume(run, delivery: .pause, wait: false)
    world.advance(milliseconds: 100)
    #expect(asked(first) == ["g open"])
    first.parent.question(of: "g")?.answer(approved)
    world.settle()
    #expect(first.look(run)?.status == .success)
  }

  @Test func `an observer does not take a run over when an approval does not come in time`() throws {
    let first = launch(.call(("g", "{}")), .say("ok"))
    let second = launch(.call(), .say("not me"))
    let run = try #require(first.start("hi", startParams(agent: #""approvalTimeoutMs":100"#, tools: [clientTool("g", gatedCalls)])).runID)
    let waiting = second.wait(run)
    world.advance(milliseconds: 300)
    #expect(waiting.outcome?.status == .success)
    #expect(first.model.calls.count == 2)
    #expect(second.model.calls.isEmpty)
  }

  @Test func `who waits for a run leaves a late approval to the process whose client is asked`() throws {
    let first = launch(.call(("g", "{}")), .say("ok"))
    let second = launch(.call(), .say("not me"))
    let run = try #require(first.start("hi", startParams(agent: #""approvalTimeoutMs":100"#, tools: [clientTool("g", gatedCalls)])).runID)
    world.clock.advance(to: 150)
    let waiting = second.wait(run)
    #expect(log(run, "approval.decided").isEmpty)
    world.advance(milliseconds: 100)
    #expect(waiting.outcome?.status == .success)
    #expect(second.model.calls.isEmpty)
  }

  @Test func `who waits for a run denies a late approval that is out at a frozen process`() throws {
    let first = launch(.call(("g", "{}")), .say("ok"))
    let second = launch(.call(), .say("not me"))
    let run = try #require(first.start("hi", startParams(agent: #""approvalTimeoutMs":100"#, tools: [serverTool("g", gatedCalls)])).runID)
    let waiting = second.wait(run)
    first.freeze()
    world.advance(milliseconds: 1000)
    #expect(log(run, "approval.decided").isEmpty)
    world.advance(milliseconds: 200)
    #expect(log(run, "approval.decided").map { $0["by"]?.stringValue } == ["expiry"])
    // Nobody drives it now: it goes on where its client is.
    #expect(waiting.outcome?.status == .running && waiting.outcome?.driver == RunOutcome.Driver.none)
    first.thaw()
    world.advance(milliseconds: 100)
    #expect(first.look(run)?.status == .success)
    #expect(second.model.calls.isEmpty)
  }

  @Test func `an answer that comes when the time is over is too late, though nobody has said so yet`() throws {
    let process = launch(.call(("g", "{}")), .say("ok"))
    let started = process.start("hi", startParams(agent: #""approvalTimeoutMs":100"#, tools: [serverTool("g", gatedCalls)]))
    world.clock.advance(to: 100)
    process.parent.question(of: "g")?.answer(approved)
    world.settle()
    #expect(started.outcome?.status == .success)
    #expect(log(try #require(started.runID), "approval.decided").map { $0["by"]?.stringValue } == ["expiry"])
    #expect(process.tools.runs.isEmpty)
  }

  @Test func `time in which nobody drove a run does not count, whatever is decided in it`() throws {
    let first = launch(.call(("s", "{}"), ("g", "{}")))
    first.tools.answer = { _ in nil }
    let second = launch(.call(), .say("ok"), asked: false)
    let tools = [serverTool("s"), serverTool("g", gatedCalls)]
    let run = try #require(first.start("hi", startParams(tools: tools, limits: #"{"deadlineMs":1000}"#)).runID)
    first.kill()
    world.advance(milliseconds: 5000)
    let calls = try second.engine.glance(run).awaitedCalls.map(\.callID.text)
    #expect(second.approve(run, [(calls[0], ApprovalAnswer(.deny))]).outcome?.status == .success)
  }

  @Test func `who touches a run too late denies the call, and the client that was asked goes on`() throws {
    let first = launch(.call(("g", "{}")), .say("ok"))
    let second = launch(.call(), .say("not me"))
    let run = try #require(first.start("hi", startParams(agent: #""approvalTimeoutMs":100"#, tools: [clientTool("g", gatedCalls)])).runID)
    let call = try id(second, run, "g")
    world.clock.advance(to: 150)
    let late = second.approve(run, [(call, ApprovalAnswer(.approve))], wait: false)
    #expect(late.error?.kind == .runAlreadyClaimed)
    world.advance(milliseconds: 100)
    #expect(first.look(run)?.status == .success)
    #expect(second.model.calls.isEmpty)
    #expect(log(run, "approval.decided").map { $0["by"]?.stringValue } == ["expiry"])
  }

  @Test func `a client that is asked and whose process dies loses nothing`() throws {
    let first = launch(.call(("g", "{}")))
    let second = launch(.call(), .say("ok"))
    let run = try #require(first.start("hi", startParams(tools: [serverTool("g", gatedCalls)])).runID)
    let waiting = second.wait(run)
    #expect(!waiting.isThere)
    first.kill()
    world.advance(milliseconds: 100)
    #expect(waiting.outcome?.pendingCalls.map { "\($0.name) \($0.needs) \($0.state)" } == ["g approval parked"])
    second.parent.answerQuestion = { _ in approved }
    #expect(second.resume(run).outcome?.status == .success)
  }

  @Test func `what the store could not keep is not done, and is asked again`() throws {
    let process = launch(.call(("g", "{}")), .say("ok"))
    let run = try #require(process.start("hi", startParams(tools: [serverTool("g", gatedCalls)])).runID)
    process.store.faults = [.refused(StoreError(.unavailable, "gone"))]
    process.parent.question(of: "g")?.answer(approved)
    world.settle()
    #expect(process.tools.runs.isEmpty)
    #expect(process.look(run)?.pendingCalls.map(\.state) == [.parked])
    let resumed = process.resume(run)
    #expect(asked(process) == ["g answered", "g open"])
    process.parent.question(of: "g")?.answer(approved)
    world.settle()
    #expect(resumed.outcome?.status == .success)
  }

  @Test func `what is asked is taken back when the store fails under the run`() throws {
    let process = launch(.call(("g", "{}")), .say("ok"))
    let run = try #require(process.start("hi", startParams(tools: [serverTool("g", gatedCalls)])).runID)
    process.store.faults = [.refused(StoreError(.unavailable, "gone"))]
    _ = process.note(run, "lost")
    #expect(asked(process) == ["g withdrawn"])
  }

  @Test func `an answer to what was taken back changes nothing`() throws {
    let process = launch(.call(("g", "{}")), .say("ok"))
    let started = process.start("hi", startParams(tools: [serverTool("g", gatedCalls)]))
    let run = try #require(started.runID)
    let live = try #require(process.engine.live[run])
    let call = try #require(live.state.awaitedCalls.first?.callID)
    _ = process.approve(run, [(call.text, ApprovalAnswer(.deny))], wait: false)
    let before = world.disk.records(of: run)
    // It was on its way when the other one came.
    process.engine.input(live) { (machine) throws(RuntimeError) in machine.parentAnswered(call, approved) }
    process.turn()
    #expect(world.disk.records(of: run) == before)
    #expect(started.outcome?.status == .success)
  }

  // MARK: Sessions

  private func session(_ process: VirtualProcess) throws -> ULID {
    try process.engine.createSession(agentID: nil, metadata: nil).sessionID
  }

  private static let forSession = ParentReply.result(json(#"{"decision":"approve","scope":"session"}"#))

  /// Every first turn of a run calls `g`.
  private func caller() -> VirtualProcess {
    let process = world.launch(
      model: ScriptedModel { $0.turn == 0 ? .call(("g", "{}")) : .say("ok") }, tools: { .text("\($0.tool.name) ran") })
    process.parent.abilities = .people
    process.parent.answerQuestion = { _ in Self.forSession }
    return process
  }

  @Test func `a decision for the session holds in its later turns, in another process too`() throws {
    let first = caller()
    let second = caller()
    let session = try session(first)
    let params = startParams(tools: [serverTool("g", gatedCalls)])
    let one = try #require(first.start("1", params, session: session).runID)
    let two = try #require(second.start("2", params, session: session).runID)
    let three = try #require(first.start("3", params, session: session).runID)
    #expect(first.parent.questions.count == 1)
    #expect(second.parent.questions.isEmpty)
    #expect(log(one, "approval.decided").map { $0["by"]?.stringValue } == ["client"])
    for run in [two, three] {
      #expect(log(run, "approval.requested").isEmpty)
      let decided = log(run, "approval.decided")
      #expect(decided.map { $0["by"]?.stringValue } == ["scope"])
      #expect(decided.first?["decidedCallId"] == log(one, "approval.decided").first?["callId"])
      #expect(first.look(run)?.status == .success)
    }
    // Elsewhere it holds nothing.
    _ = first.start("4", params, session: try self.session(first))
    _ = first.start("5", params)
    #expect(first.parent.questions.count == 3)
  }

  @Test("a decision for the session ends with the definition that it was made on", arguments: [true, false])
  func definition(isSame: Bool) throws {
    let process = caller()
    let session = try session(process)
    _ = process.start("1", startParams(tools: [serverTool("g", gatedCalls)]), session: session)
    let other = serverTool("g", isSame ? gatedCalls : "\(gatedCalls),\"title\":\"other\"")
    _ = process.start("2", startParams(tools: [other]), session: session)
    #expect(process.parent.questions.count == (isSame ? 1 : 2))
    _ = process.start("3", startParams(tools: [clientTool("g", gatedCalls)]), session: session)
    #expect(process.parent.questions.count == (isSame ? 2 : 3))
  }

  @Test func `a turn that waited knows what the turn before it decided`() throws {
    let process = caller()
    process.parent.answerQuestion = nil
    let session = try session(process)
    let params = startParams(tools: [serverTool("g", gatedCalls)])
    _ = process.start("1", params, session: session)
    let second = process.start("2", params, session: session)
    process.parent.questions.first?.answer(Self.forSession)
    world.settle()
    #expect(process.parent.questions.count == 1)
    #expect(second.outcome?.status == .success)
  }
}
