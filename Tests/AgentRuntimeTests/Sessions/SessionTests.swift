import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Turns of one conversation: what each is shown, and when it begins.
@Suite struct SessionTests {
  let world = VirtualWorld()

  /// Answers each turn with what it was shown last, but those that a test holds.
  func launch(holding held: Set<String> = []) -> VirtualProcess {
    world.launch(
      model: ScriptedModel { request in
        guard case .user(let blocks)? = request.transcript.last, let text = try? ModelText.text(of: blocks, load: request.load) else {
          return .say("after a tool")
        }
        if text.hasPrefix("call") { return .call(("a", "{}")) }
        return held.contains(text) ? .held : .say("re: \(text)")
      })
  }

  func session(_ process: VirtualProcess) throws -> Session { try process.engine.createSession(agentID: nil, metadata: nil) }

  func strategy(_ word: String) -> CarriedJSON { startParams(agent: "\"messageConcurrency\":\(word)") }

  func texts(_ process: VirtualProcess, _ session: ULID, branch: ULID? = nil) throws -> [String] {
    try process.engine.messages(of: session, branchID: branch, from: RunEngine.MessageCursor(), limit: 1000).messages.map { message in
      switch message.entry {
      case .user(let blocks): "user \(try ModelText.text(of: blocks) { (value) throws(StoreError) in try process.engine.load(value) })"
      case .said(let blocks): "said \(try ModelText.text(of: blocks) { (value) throws(StoreError) in try process.engine.load(value) })"
      case .assistant(let message): "assistant \(try process.engine.load(message.text).stringValue ?? "")"
      case .tool(_, let name, _, _): "tool \(name)"
      }
    }
  }

  @Test func `a turn is shown what was said before it, in this process and in another`() throws {
    let first = launch()
    let second = launch()
    let id = try session(first).sessionID
    #expect(first.start("one", startParams(), session: id).outcome?.status == .success)
    #expect(first.start("two", startParams(), session: id).outcome?.sessionID == id)
    #expect(second.start("three", startParams(), session: id).outcome?.status == .success)
    #expect(first.start("four", startParams(), session: id).outcome?.status == .success)
    #expect(first.model.shown[1] == ["user: one", "assistant: re: one", "user: two"])
    #expect(
      second.model.shown[0] == ["user: one", "assistant: re: one", "user: two", "assistant: re: two", "user: three"])
    #expect(first.model.shown[2].suffix(3) == ["user: three", "assistant: re: three", "user: four"])
    #expect(try texts(second, id).count == 8)
  }

  @Test func `a run that another process has ended is told as it is, also by one that has it in memory`() throws {
    let first = launch(holding: ["slow"])
    let second = launch()
    let id = try session(first).sessionID
    let run = try #require(first.start("slow", startParams(), wait: false, session: id).runID)
    second.act { engine in engine.wait(run, timeoutMilliseconds: 60_000, waiting: { _ in }, reply: { _ in }) }
    try first.model.call(0).finish(.say("done"))
    first.turn()
    #expect(try texts(second, id) == ["user slow", "assistant done"])
    _ = second.start("next", startParams(), session: id)
    #expect(second.model.shown.last == ["user: slow", "assistant: done", "user: next"])
  }

  @Test func `what another process adds before a cancel is in the log stays in the conversation, whoever looks meanwhile`() throws {
    let first = launch(holding: ["slow"])
    let second = launch()
    let id = try session(first).sessionID
    let run = try #require(first.start("slow", startParams(), wait: false, session: id).runID)
    var isToCome = true
    first.store.beforeSubmit = { _ in
      if isToCome {
        isToCome = false
        _ = second.note(run, "from outside")
      }
    }
    first.act { engine in
      engine.cancel(run, reason: nil, waiting: { _ in }, reply: { _ in })
      engine.wait(run, timeoutMilliseconds: 2000, waiting: { _ in }, reply: { _ in })
    }
    #expect(first.look(run)?.status == .cancelled)
    _ = first.start("next", startParams(), session: id)
    _ = second.start("other", startParams(), session: id)
    let shown = try #require(first.model.shown.last)
    #expect(shown.contains { $0.hasSuffix("from outside") })
    #expect(second.model.shown.last?.starts(with: shown) == true)
  }

  @Test func `calls and their results stay in the conversation`() throws {
    let process = launch()
    process.parent.answer = { _ in .text("done") }
    let id = try session(process).sessionID
    _ = process.start("call it", startParams(tools: [clientTool("a")]), session: id)
    _ = process.start("next", startParams(), session: id)
    #expect(process.model.shown.last == ["user: call it", "assistant:  a{}", "a: done", "assistant: after a tool", "user: next"])
  }

  @Test func `a message that comes while a turn is at work waits its turn`() throws {
    let process = launch(holding: ["one"])
    let id = try session(process).sessionID
    let first = process.start("one", startParams(), session: id)
    let second = process.start("two", startParams(), session: id)
    let third = process.start("three", startParams(), wait: false, session: id)
    #expect(third.outcome?.status == .queued)
    #expect(process.look(try #require(second.runID))?.status == .queued)
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect([first, second].map { $0.outcome?.status } == [.success, .success])
    #expect(process.look(try #require(third.runID))?.status == .success)
    #expect(
      process.model.shown.last == ["user: one", "assistant: first", "user: two", "assistant: re: two", "user: three"])
  }

  @Test func `two processes that add a turn at once both get their place`() throws {
    let first = launch(holding: ["one"])
    let second = launch()
    let id = try session(first).sessionID
    first.store.beforeSubmit = { _ in
      first.store.beforeSubmit = nil
      _ = second.start("quicker", startParams(), session: id)
    }
    let late = first.start("late", startParams(), session: id)
    world.advance(milliseconds: 200)
    #expect(late.outcome?.status == .success)
    #expect(try texts(first, id) == ["user quicker", "assistant re: quicker", "user late", "assistant re: late"])
  }

  @Test func `behind a turn that settled without ending, a queued one says what blocks it`() throws {
    let process = launch()
    let id = try session(process).sessionID
    let waiting = process.start("call", startParams(tools: [clientTool("a")]), delivery: .pause, session: id)
    #expect(waiting.outcome?.status == .waitingClientTool)
    let second = process.start("two", startParams(), session: id)
    let third = process.start("three", startParams(), session: id)
    for answer in [second, third] {
      #expect(answer.outcome?.status == .queued)
      #expect(answer.outcome?.blockedBy == waiting.runID)
    }
    let call = try #require(waiting.outcome?.pendingCalls.first?.callID.text)
    _ = process.submit(try #require(waiting.runID), [(call, .text("done"))])
    world.settle()
    #expect(process.look(try #require(third.runID))?.status == .success)
  }

  @Test func `a queued turn that is cancelled leaves nothing, and the next one begins`() throws {
    let process = launch(holding: ["one"])
    let id = try session(process).sessionID
    _ = process.start("one", startParams(), session: id)
    let second = process.start("two", startParams(), session: id)
    let third = process.start("three", startParams(), session: id)
    #expect(process.cancel(try #require(second.runID)).outcome?.status == .cancelled)
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect(third.outcome?.status == .success)
    #expect(process.model.shown.last == ["user: one", "assistant: first", "user: three"])
  }

  @Test func `a queued turn whose process died is begun by whoever ends the one before it`() throws {
    let first = launch(holding: ["one"])
    let second = launch()
    let id = try session(first).sessionID
    _ = first.start("one", startParams(), session: id)
    let queued = second.start("two", startParams(), session: id)
    second.kill()
    try first.model.call(0).finish(.say("first"))
    world.settle()
    #expect(first.look(try #require(queued.runID))?.status == .success)
  }

  @Test func `a queued turn of a living process is begun there`() throws {
    let first = launch(holding: ["one"])
    let second = launch()
    let id = try session(first).sessionID
    _ = first.start("one", startParams(), session: id)
    let queued = second.start("two", startParams(), session: id)
    try first.model.call(0).finish(.say("first"))
    world.advance(milliseconds: 100)
    #expect(queued.outcome?.status == .success)
    #expect(second.model.shown == [["user: one", "assistant: first", "user: two"]])
  }

  @Test func `a queued turn can be paused, and goes on waiting when it is resumed`() throws {
    let process = launch(holding: ["one"])
    let id = try session(process).sessionID
    _ = process.start("one", startParams(), session: id)
    let second = try #require(process.start("two", startParams(), wait: false, session: id).runID)
    #expect(process.pause(second).outcome?.status == .paused)
    #expect(process.resume(second, wait: false).outcome?.status == .queued)
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect(process.look(second)?.status == .success)
  }

  @Test func `a turn that was cut short keeps its partial text`() throws {
    let process = launch(holding: ["one"])
    let id = try session(process).sessionID
    let first = process.start("one", startParams(), session: id)
    try process.model.call(0).send(.text("as far as"))
    _ = process.cancel(try #require(first.runID))
    _ = process.start("two", startParams(), session: id)
    #expect(process.model.shown.last == ["user: one", "said: as far as", "user: two"])
  }

  // MARK: Branches

  @Test func `a fork shares what was said up to a message, and each branch goes its own way`() throws {
    let process = launch()
    let session = try session(process)
    let id = session.sessionID
    for text in ["one", "two", "three"] { _ = process.start(text, startParams(), session: id) }
    let messages = try process.engine.messages(of: id, branchID: nil, from: RunEngine.MessageCursor(), limit: 100).messages
    for (index, message) in messages.enumerated() {
      let fork = try process.engine.forkSession(id, at: message.id)
      #expect(try texts(process, id, branch: fork.branchID).count == index + 1)
    }
    let fork = try process.engine.forkSession(id, at: messages[3].id)
    _ = process.start("elsewhere", startParams(), session: id, branch: fork.branchID)
    _ = process.start("four", startParams(), session: id)
    #expect(process.model.shown[3].suffix(3) == ["user: two", "assistant: re: two", "user: elsewhere"])
    #expect(process.model.shown[4].suffix(3) == ["user: three", "assistant: re: three", "user: four"])
    let again = try process.engine.messages(of: id, branchID: fork.branchID, from: RunEngine.MessageCursor(), limit: 100).messages
    let second = try launch().engine.forkSession(id, at: try #require(again.last).id)
    #expect(try texts(process, id, branch: second.branchID) == (try texts(process, id, branch: fork.branchID)))
    #expect(throws: RuntimeError.self) { try process.engine.forkSession(id, at: ULID(high: 1, low: 1)) }
  }

  @Test func `a fork at a message with calls brings their results along`() throws {
    let process = launch()
    process.parent.answer = { _ in .text("done") }
    let id = try session(process).sessionID
    _ = process.start("call", startParams(tools: [clientTool("a")]), session: id)
    let messages = try process.engine.messages(of: id, branchID: nil, from: RunEngine.MessageCursor(), limit: 100).messages
    let fork = try process.engine.forkSession(id, at: messages[1].id)
    #expect(try texts(process, id, branch: fork.branchID) == ["user call", "assistant ", "tool a"])
  }

  @Test func `clearing puts what was said out of sight, and only that`() throws {
    let process = launch()
    let id = try session(process).sessionID
    _ = process.start("one", startParams(), session: id)
    try process.engine.clearSession(id)
    #expect(try texts(process, id) == [])
    _ = process.start("two", startParams(), session: id)
    #expect(process.model.shown.last == ["user: two"])
    #expect(try texts(process, id) == ["user two", "assistant re: two"])
  }

  @Test func `a turn that goes on after the session was cleared leaves nothing in what the next one's model is sent`() throws {
    let process = launch(holding: ["two"])
    let id = try session(process).sessionID
    let run = try #require(
      process.start("call", startParams(tools: [clientTool("a")]), delivery: .pause, wait: false, session: id).runID)
    let call = try #require(process.look(run)?.pendingCalls.first)
    try process.engine.clearSession(id)
    #expect(process.submit(run, [(call.callID.text, .text("done"))], delivery: .pause).outcome?.status == .success)
    // The model of these tests keeps what it was shown, as a provider does, and ends the tests where that is of others.
    let input = json(#"[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]"#)
    _ = process.start(input, startParams(), session: id)
    #expect(process.model.shown.last == ["user: a", "said: b", "user: c"])
    #expect(try texts(process, id) == ["user a", "said b", "user c", "assistant re: c"])
  }

  @Test func `messages come page by page`() throws {
    let process = launch()
    let id = try session(process).sessionID
    for text in ["one", "two", "three"] { _ = process.start(text, startParams(), session: id) }
    var cursor: RunEngine.MessageCursor? = RunEngine.MessageCursor()
    var ids: [ULID] = []
    while let at = cursor {
      let page = try process.engine.messages(of: id, branchID: nil, from: at, limit: 4)
      ids += page.messages.map(\.id)
      cursor = page.next
    }
    #expect(ids.count == 6)
    #expect(Set(ids).count == 6)
  }

  @Test func `deleting takes the runs with it, but not while one is not ended`() throws {
    let process = launch(holding: ["two"])
    let id = try session(process).sessionID
    let first = try #require(process.start("one", startParams(), session: id).runID)
    let second = try #require(process.start("two", startParams(), session: id).runID)
    #expect(throws: RuntimeError.self) { try process.engine.deleteSession(id) }
    _ = process.cancel(second)
    #expect(Set(try process.engine.deleteSession(id)) == [first, second])
    #expect(world.disk.runIDs == [])
    #expect(process.start("three", startParams(), session: id).error?.kind == .sessionNotFound)
  }

  // MARK: What a session keeps

  @Test func `toolkits, state and context of a turn are there in the next, its plain tools are not`() throws {
    let process = launch()
    let id = try session(process).sessionID
    let kit = #"{"name":"k","description":"","startCollapsed":false,"tools":[\#(clientTool("inside"))]}"#
    let more = #""toolkits":[\#(kit)],"augmentation":{"updateState":{"n":1.0},"addContext":[{"key":"f","description":"","value":"x"}]}"#
    _ = process.start("one", startParams(tools: [clientTool("plain")], more: more), session: id)
    let second = process.start("two", startParams(), session: id)
    let call = try process.model.call(1)
    #expect(call.request.tools.map(\.name) == ["inside"])
    #expect(call.request.system == ["Shared state:\n{\"n\":1.0}\n\nContext:\n- f: \"x\""])
    let details = try process.engine.details(of: try #require(second.runID))
    #expect(details.state?.bytes.string == #"{"n":1.0}"#)
    _ = process.start("three", startParams(more: #""resetClientState":true"#), session: id)
    #expect(try process.model.call(2).request.tools.isEmpty)
    #expect(try process.model.call(2).request.system.isEmpty)
  }

  @Test func `what is registered for a session meanwhile reaches the run before its next model turn`() throws {
    let process = launch()
    let id = try session(process).sessionID
    let run = process.start("call", startParams(tools: [clientTool("a")]), session: id)
    let other = launch()
    try other.engine.changeSession(
      id, .register(tools: try RegistrationChange.readTools(json("[\(clientTool("late"))]"), toolkit: nil), toolkits: []))
    try process.parent.request(0).answer(.text("done"))
    world.settle()
    #expect(run.outcome?.status == .success)
    #expect(try process.model.call(1).request.tools.map(\.name) == ["late", "a"])
    _ = process.start("next", startParams(), session: id)
    #expect(try process.model.call(2).request.tools.map(\.name) == ["late"])
    try process.engine.changeSession(id, .unregisterTools(["late"]))
    _ = process.start("last", startParams(), session: id)
    #expect(try process.model.call(3).request.tools.map(\.name) == [])
    #expect(throws: RuntimeError.self) { try process.engine.changeSession(id, .unregisterTools(["late"])) }
  }

  @Test func `a change of a session costs what it changes, however many came since its last turn`() throws {
    let process = launch()
    let other = launch()
    let id = try session(process).sessionID
    func patch(_ process: VirtualProcess, _ number: Int) throws {
      try process.engine.changeSession(id, .augment(augmentation(#""patchState":{"n\#(number % 7)":\#(number)}"#)))
    }
    func shown(_ process: VirtualProcess) throws -> String? {
      let branch = try #require(try process.engine.branches(of: id).first)
      return try process.engine.currentToolbox(of: branch).state?.bytes.string
    }
    try patch(process, 0)
    let before = process.store.documentsRead
    for number in 1...300 {
      // Another process changes it too, and begins anew each time.
      if number % 100 == 0 { try patch(other, 1000 + number) }
      try patch(process, number)
    }
    // With each change the session's branches are looked at, and what came since the one before.
    #expect(process.store.documentsRead - before < 300 * 4)
    let expected = #"{"n0":294,"n1":295,"n2":296,"n3":297,"n4":298,"n5":1300,"n6":300}"#
    #expect(try shown(process) == expected)
    #expect(try shown(other) == expected)
    _ = process.start("next", startParams(agent: #""instructions":"x""#), session: id)
    #expect(process.model.calls.last?.request.system.last == "Shared state:\n\(expected)")
    try patch(process, 7)
    #expect(try shown(process) == expected.replacing(text: "294", with: "7"))
    #expect(try shown(other) == expected.replacing(text: "294", with: "7"))
  }

  @Test func `what a session has is made anew when its turns have changed it, or its agent`() throws {
    let process = launch()
    let kit = toolkit("kit", clients("t"))
    let agent = try process.engine.createAgent(agentJSON(), isStrict: false)
    let id = try process.engine.createSession(agentID: agent.agentID, metadata: nil).sessionID
    let branch = try #require(try process.engine.branches(of: id).first)
    func offered() throws -> [String] { try process.engine.offeredToolbox(in: try process.engine.branches(of: id)[0]).offeredNames }
    try process.engine.changeSession(id, .register(tools: [], toolkits: [kit]))
    try process.engine.changeSession(id, .augment(augmentation(#""expandToolkits":["kit"]"#)))
    #expect(try offered() == ["t"])
    #expect(process.engine.sessionToolboxes[branch.branchID]?.changes == 2)
    _ = process.start("reset", json(#"{"agentId":"\#(agent.agentID)","resetClientState":true}"#), session: id)
    #expect(try offered() == [])
    try process.engine.changeAgentTools(agent.agentID, .register(tools: clients("own"), toolkits: []))
    #expect(try offered() == ["own"])
    try process.engine.changeSession(id, .augment(augmentation(#""hideTools":["own"]"#)))
    #expect(try offered() == [])
    try process.engine.changeAgentTools(agent.agentID, .unregisterTools(["own"]))
    #expect(try offered() == [])
  }
}
