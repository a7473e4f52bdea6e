import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What a long session repeats in chapters, so that nobody has to fold the logs of all its turns.
@Suite struct ChapterTests {
  private let branch = ULID(high: 9, low: 9)

  private func turn(_ number: Int, _ entries: [TranscriptEntry], _ compactions: [Compaction] = []) -> PastTurn {
    var turn = PastTurn(runID: ULID(high: 1, low: UInt64(number)))
    turn.entries = entries
    turn.compactions = compactions
    return turn
  }

  private func read(_ turns: [PastTurn], first: Int = 5) -> Chapter? {
    let write = Chapter.creation(branch, first: first, turns, at: Timestamp(milliseconds: 1))
    return write.json.flatMap { Chapter(Document(kind: write.kind, id: write.id, version: 1, updatedAt: write.updatedAt, json: $0)) }
  }

  @Test func `every kind of message comes back as it was`() throws {
    let text = StoredValue.inline(CarriedJSON(string: "say \"hi\"\n\u{0}"))
    let blob = StoredValue.blob(BlobReference(id: ULID(high: 4, low: 4), type: .string, bytes: 70_000, preview: "aaa"))
    var message = ModelMessage(messageID: ULID(high: 2, low: 1), text: text, calls: [], usage: Usage(), stopReason: "")
    let plain = message
    message.calls = [
      .init(callID: ULID(high: 3, low: 1), name: "a", arguments: .inline(json(#"{"x":0.10,"x":18446744073709551616}"#))),
      .init(callID: ULID(high: 3, low: 2), name: "b", arguments: blob, refusal: "no"),
    ]
    var signed = plain
    signed.providerData = json(#"{"provider":"anthropic","parts":[]}"#)
    var result = ToolResult()
    result.content = [.text(blob), ContentBlock(type: "image", members: [.init(name: "data", value: text)])]
    result.isError = true
    result.structuredContent = .inline(json("[1.0]"))
    result.stderr = [text]
    result.exitCode = 3
    let turns = [
      turn(0, [.user([.text(text)]), .assistant(plain), .user([.text(blob)]), .user([]), .said([.text(text), .text(text)])]),
      turn(1, [.assistant(message), .tool(callID: ULID(high: 3, low: 1), name: "a", result: result, maxBytes: 17)]),
      turn(2, [.tool(callID: ULID(high: 3, low: 2), name: "b", result: .said("plain"), maxBytes: 1), .assistant(signed)]),
      turn(3, []), turn(4, [.user([.text(text)])], [Compaction(first: 0, count: 2, summary: text), Compaction(first: 1, count: 1)]),
    ]
    let chapter = try #require(read(turns))
    #expect((chapter.branchID, chapter.first, chapter.end) == (branch, 5, 10))
    #expect(chapter.turns.map(\.runID) == turns.map(\.runID))
    #expect(chapter.turns.map(\.past) == turns)
  }

  @Test func `long messages are not repeated`() throws {
    let long = TranscriptEntry.user([.text(String(repeating: "x", count: 20_000))])
    let short = TranscriptEntry.user([.text("x")])
    let chapter = try #require(read([turn(0, [long, short]), turn(1, [short, short])]))
    #expect(chapter.turns.map { $0.past?.entries.count } == [nil, 2])
  }

  @Test(
    "what is not understood is no chapter",
    arguments: [
      #"{}"#, #"{"turns":[]}"#, #"{"turns":[["x"]]}"#, #"{"turns":[[]]}"#, #"{"turns":["x"]}"#, #"{"turns":[["RUN",1]]}"#,
      #"{"turns":[["RUN",[1]]]}"#, #"{"turns":[["RUN",[["z","x"]]]]}"#, #"{"turns":[["RUN",[["u","x",1]]]]}"#,
      #"{"turns":[["RUN",[["a","x","y"]]]]}"#,
      #"{"turns":[["RUN",[["a","RUN"]]]]}"#, #"{"turns":[["RUN",[["a","RUN","y",[["RUN","n"]]]]]]}"#,
      #"{"turns":[["RUN",[["t","RUN","n",1]]]]}"#,
      #"{"turns":[["RUN",[["a","RUN","y",[],{},1]]]]}"#, #"{"turns":[["RUN",[],[1]]]}"#, #"{"turns":[["RUN",[],[],1]]}"#,
      #"{"turns":[["RUN"],1]}"#,
      #"{"turns":{"a":[]}}"#,
    ])
  func foreign(text: String) {
    let id = TurnDocument.documentID(branch, 0)
    let text = text.replacing("RUN", with: branch.text)
    #expect(Chapter(Document(kind: Chapter.kind, id: id, version: 1, updatedAt: Timestamp(milliseconds: 0), json: json(text))) == nil)
  }

  // MARK: In the engine

  private let world = VirtualWorld()

  private func launch() -> VirtualProcess {
    world.launch(
      model: ScriptedModel { request in
        guard case .user(let blocks)? = request.transcript.last, let text = try? ModelText.text(of: blocks, load: request.load) else {
          return .say("after a tool")
        }
        return .say("re: \(text)")
      })
  }

  private func chapters(_ process: VirtualProcess) throws -> [Document] {
    try process.store.documents(matching: DocumentQuery(kind: Chapter.kind))
  }

  private func said(_ turns: Range<Int>) -> [String] { turns.flatMap { said("\($0)") } }

  private func said(_ text: String) -> [String] { ["user: \(text)", "assistant: re: \(text)"] }

  @Test func `a process that has not seen a session is shown it whole, from chapters and logs`() throws {
    let first = launch()
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    for number in 0..<100 { _ = first.start("\(number)", startParams(), session: id) }
    #expect(try chapters(first).compactMap { Chapter($0) }.map { [$0.first, $0.end] } == [[0, 32], [32, 64], [64, 96]])
    let second = launch()
    _ = second.start("last", startParams(), session: id)
    #expect(second.model.shown == [said(0..<100) + ["user: last"]])
    #expect(try chapters(first).count == 3)
  }

  @Test func `chapters that are missing are made again, and a gap is filled as it was`() throws {
    let first = launch()
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    for number in 0..<100 { _ = first.start("\(number)", startParams(), session: id) }
    let before = try chapters(first)
    let removals = [0, 1].map {
      DocumentWrite(kind: Chapter.kind, id: before[$0].id, expectedVersion: 1, json: nil, updatedAt: before[$0].updatedAt)
    }
    #expect(try first.store.write(removals))
    let second = launch()
    _ = second.start("last", startParams(), session: id)
    #expect(second.model.shown == [said(0..<100) + ["user: last"]])
    #expect(try chapters(first).map(\.json) == before.map(\.json))
  }

  @Test func `processes that take turns make the same chapters`() throws {
    let processes = [launch(), launch(), launch()]
    let id = try processes[0].engine.createSession(agentID: nil, metadata: nil).sessionID
    for number in 0..<130 { _ = processes[number * 7 % 3].start("\(number)", startParams(), session: id) }
    #expect(
      try chapters(processes[0]).compactMap { Chapter($0) }.map { [$0.first, $0.end] } == [[0, 32], [32, 64], [64, 96], [96, 128]])
    let fresh = launch()
    _ = fresh.start("last", startParams(), session: id)
    #expect(fresh.model.shown == [said(0..<130) + ["user: last"]])
  }

  @Test func `a deleted run is gone from what a new process is shown`() throws {
    let first = launch()
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    var runs: [ULID] = []
    for number in 0..<40 { runs.append(try #require(first.start("\(number)", startParams(), session: id).runID)) }
    #expect(try chapters(first).count == 1)
    try first.engine.delete(runs[3])
    #expect(try chapters(first).isEmpty)
    let second = launch()
    _ = second.start("last", startParams(), session: id)
    #expect(second.model.shown == [said(0..<3) + said(4..<40) + ["user: last"]])
    #expect(try chapters(first).contains { $0.json.bytes.contains("re: 3\"") } == false)
  }

  @Test("a chapter is not made of what was deleted before it is written", arguments: ["the run", "the session", "the run, elsewhere"])
  func deletedBeforeWritten(what: String) throws {
    let first = world.launch(
      model: ScriptedModel { request in
        guard case .user(let blocks)? = request.transcript.last, let text = try? ModelText.text(of: blocks, load: request.load) else {
          return .held
        }
        return text == "31" ? .held : .say("re: \(text)")
      })
    let second = launch()
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    var runs: [ULID] = []
    for number in 0..<32 { runs.append(try #require(first.start("\(number)", startParams(), session: id).runID)) }
    try first.model.call(31).finish(.say("re: 31"))
    // The last turn ends, and there are enough for a chapter.
    first.step()
    #expect(try first.engine.store.summary(of: runs[31])?.status == .success)
    #expect(try chapters(first).isEmpty)
    switch what {
    case "the run": try first.engine.delete(runs[3])
    case "the session": _ = try first.engine.deleteSession(id)
    default: try second.engine.delete(runs[3])
    }
    first.turn()
    #expect(try chapters(first).isEmpty)
    if what == "the session" { return }
    for process in [first, launch()] { _ = process.start("last", startParams(), session: id) }
    #expect(first.model.shown.last == said(0..<3) + said(4..<32) + ["user: last"])
    #expect(world.processes.last?.model.shown.last == said(0..<3) + said(4..<32) + said("last") + ["user: last"])
    #expect(try chapters(first).contains { $0.json.bytes.contains("re: 3\"") } == false)
  }

  @Test func `a chapter that repeats what was deleted is not believed and made anew`() throws {
    let first = launch()
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    var runs: [ULID] = []
    for number in 0..<80 { runs.append(try #require(first.start("\(number)", startParams(), session: id).runID)) }
    let before = try chapters(first)
    try first.engine.delete(runs[3])
    // As if the process had died before it removed the chapter.
    #expect(
      try first.store.write([
        DocumentWrite(kind: Chapter.kind, id: before[0].id, expectedVersion: 0, json: before[0].json, updatedAt: before[0].updatedAt)
      ]))
    for process in [first, launch()] { _ = process.start("last", startParams(), session: id) }
    #expect(first.model.shown.last == said(0..<3) + said(4..<80) + ["user: last"])
    #expect(world.processes.last?.model.shown.last == said(0..<3) + said(4..<80) + said("last") + ["user: last"])
    #expect(try chapters(first).compactMap { Chapter($0) }.map { [$0.first, $0.end] }.prefix(2) == [[0, 32], [32, 64]])
    #expect(try chapters(first).contains { $0.json.bytes.contains("re: 3\"") } == false)
  }

  @Test func `a deleted run has only its own session read anew`() throws {
    let process = launch()
    let sessions = try (0..<2).map { _ in try process.engine.createSession(agentID: nil, metadata: nil).sessionID }
    var runs = try sessions.map { try #require(process.start("one", startParams(), session: $0).runID) }
    for id in sessions { _ = process.start("two", startParams(), session: id) }
    runs.append(try #require(process.start("of no session", startParams()).runID))
    func remembered() -> [ULID] { process.engine.histories.map(\.branch.sessionID) }
    #expect(remembered() == sessions)
    try process.engine.delete(runs[2])
    #expect(remembered() == sessions)
    try process.engine.delete(runs[0])
    #expect(remembered() == [sessions[1]])
    _ = try process.engine.deleteSession(sessions[1])
    #expect(remembered() == [])
  }

  @Test("a branch shares what was said before it leaves", arguments: [true, false])
  func fork(inTheSameProcess: Bool) throws {
    let first = launch()
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    var runs: [ULID] = []
    for number in 0..<100 { runs.append(try #require(first.start("\(number)", startParams(), session: id).runID)) }
    for turns in [100, 70, 64, 33, 1] {
      // A run's first message has the id of the run.
      let branch = try first.engine.forkSession(id, at: runs[turns - 1])
      let process = inTheSameProcess ? first : launch()
      _ = process.start("other", startParams(), session: id, branch: branch.branchID)
      #expect(process.model.shown.last == said(0..<turns - 1) + ["user: \(turns - 1)", "user: other"])
    }
    #expect(first.engine.histories.count == (inTheSameProcess ? 6 : 1))
  }

  /// The scripted model keeps what it is shown, and stops the tests when it is then shown anything else.
  @Test("what a provider keeps is not of messages that a turn elsewhere left out", arguments: [true, false])
  func compactedElsewhere(inABranch: Bool) throws {
    // A turn that says so is asked once more, with fewer messages.
    let overflow = Box(false)
    func launch() -> VirtualProcess {
      world.launch(
        model: ScriptedModel { request in
          guard case .user(let blocks)? = request.transcript.last, let text = try? ModelText.text(of: blocks, load: request.load) else {
            return .say("after a tool")
          }
          if text == "too much", !overflow.value {
            overflow.value = true
            return .fault(RunFault(.modelContextOverflow, "too long"))
          }
          return .say("re: \(text)")
        })
    }
    let agent = startParams(agent: #""compaction":"truncate""#)
    let (first, second) = (launch(), launch())
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    var runs: [ULID] = []
    for number in 0..<4 { runs.append(try #require(first.start("\(number)", agent, session: id).runID)) }
    let branch = inABranch ? try first.engine.forkSession(id, at: runs[3]).branchID : nil
    if inABranch { _ = first.start("on", agent, session: id) }
    for text in ["4", "5", "too much", "6"] { _ = second.start(text, agent, session: id, branch: branch) }
    #expect(overflow.value)
    _ = first.start("last", agent, session: id, branch: branch)
    let fresh = launch()
    _ = fresh.start("fresh", agent, session: id, branch: branch)
    let shown = try #require(fresh.model.shown.last).dropLast()
    #expect(first.model.shown.last.map { Array($0) } == Array(shown.dropLast()))
    #expect(shown.first != "user: 0")
  }

  @Test func `a cleared session has no part in its next turns, and its chapters go with it`() throws {
    let first = launch()
    let id = try first.engine.createSession(agentID: nil, metadata: nil).sessionID
    for number in 0..<40 { _ = first.start("\(number)", startParams(), session: id) }
    try first.engine.clearSession(id)
    for number in 40..<80 { _ = first.start("\(number)", startParams(), session: id) }
    let second = launch()
    _ = second.start("last", startParams(), session: id)
    #expect(second.model.shown == [said(40..<80) + ["user: last"]])
    #expect(try chapters(first).count == 2)
    _ = try first.engine.deleteSession(id)
    #expect(try chapters(first).isEmpty)
  }
}
