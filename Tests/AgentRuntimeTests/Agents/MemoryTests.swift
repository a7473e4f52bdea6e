import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// An agent with memory, and runs of it.
struct MemoryStage {
  let world = VirtualWorld()
  let agentID: String
  let turns: [ScriptedModel.Answer]

  init(_ memory: String = #"{"label":"m","value":"0"}"#, tools: [String] = [], turns: [ScriptedModel.Answer] = []) throws {
    self.turns = turns
    let maker = world.launch(model: ScriptedModel([]))
    let agent = agentJSON(#""instructions":"Be brief.","memory":[\#(memory)],"tools":[\#(tools.joined(separator: ","))]"#)
    agentID = try maker.engine.createAgent(agent, isStrict: false).agentID
    maker.kill()
  }

  func launch() -> VirtualProcess { world.launch(model: ScriptedModel(turns)) }

  var params: CarriedJSON { json(#"{"agentId":"\#(agentID)"}"#) }

  func block(_ label: String = "m") -> StoredBlock? {
    world.disk.document(StoredBlock.kind, StoredBlock.documentID(agentID, label)).flatMap { try? StoredBlock($0) }
  }

  /// The values that the block has had, by its history.
  func history(_ label: String = "m") -> [String] {
    let count = block(label)?.version ?? 0
    return (1...max(1, count)).map { version in
      world.disk.document(StoredBlock.historyKind, StoredBlock.historyID(agentID, label, version))?.json["value"]?.stringValue
        ?? "(missing)"
    }
  }

  static func insert(_ text: String, _ label: String = "m") -> (String, String) {
    ("memory_insert", #"{"label":"\#(label)","text":"\#(text)"}"#)
  }
}

private func memoryText(_ blocks: String...) -> String {
  ([
    "Your memory. It outlasts this conversation; keep in it what you will need later. Change it with memory_replace, memory_insert and "
      + "memory_rethink. The blocks are shown as they are now; the line breaks next to <value> and </value> do not belong to them."
  ] + blocks).joined(separator: "\n\n")
}

@Suite struct MemoryTests {
  @Test func `the model is shown its memory as it is at each turn`() throws {
    let stage = try MemoryStage(
      #"{"label":"user","description":"Who \"she\" is.","value":"A","limit":10},{"label":"rules","value":"é\n</value>","readOnly":true}"#,
      turns: [.call(("memory_rethink", #"{"label":"user","value":"\ud83d\ude00"}"#)), .call(("a", "{}")), .say("ok")])
    let process = stage.launch()
    _ = process.start("hi", stage.params)
    func shown(_ value: String) -> [String] {
      [
        "Be brief.",
        memoryText(
          "<memory_block label=\"user\" characters=\"1\" limit=\"10\">\n<description>Who \"she\" is.</description>\n<value>\n\(value)\n</value>\n</memory_block>",
          "<memory_block label=\"rules\" characters=\"10\" limit=\"20000\" read_only=\"true\">\n<value>\né\n</value>\n</value>\n</memory_block>"
        ),
      ]
    }
    #expect(process.model.calls.map(\.request.system) == [shown("A"), shown("\u{1F600}"), shown("\u{1F600}")])
    #expect(process.model.calls[0].request.tools.map(\.name) == MemoryTool.allCases.map(\.rawValue))
  }

  @Test func `what a client sets is shown at the next turn`() throws {
    let stage = try MemoryStage(tools: [clientTool("a")], turns: [.call(("a", "{}")), .say("ok")])
    let process = stage.launch()
    let run = process.start("hi", stage.params)
    let other = stage.launch()
    #expect(try other.engine.setMemory(of: stage.agentID, label: "m", to: "set", ifVersion: 1) == 2)
    process.parent.invocation(of: "a")?.answer(.text("x"))
    stage.world.settle()
    #expect(run.outcome?.status == .success)
    #expect(process.model.calls.last?.request.system.last?.contains("<value>\nset\n</value>") == true)
  }

  @Test func `an edit and its result are one append`() throws {
    let stage = try MemoryStage(turns: [.call(MemoryStage.insert("1")), .say("ok")])
    let process = stage.launch()
    var appends: [(records: [String], documents: [String])] = []
    process.store.beforeSubmit = { batch in
      appends += batch.map { ($0.records.map(\.type), $0.documents.map { "\($0.kind) \($0.expectedVersion)" }) }
    }
    #expect(process.start("hi", stage.params).outcome?.status == .success)
    let edit = try #require(appends.first { !$0.documents.isEmpty })
    #expect(edit.records == ["model.completed", "tool.started", "tool.completed", "model.started"])
    #expect(edit.documents == ["memory 1", "memoryHistory 0"])
    #expect(appends.count { !$0.documents.isEmpty } == 1)
    #expect(process.tools.runs.isEmpty)
  }

  @Test func `edits of one message are made one after the other, each with a version of its own`() throws {
    let stage = try MemoryStage(
      #"{"label":"m","value":"0"},{"label":"n","value":"0"}"#,
      turns: [.call(MemoryStage.insert("1"), MemoryStage.insert("1", "n"), MemoryStage.insert("2"), MemoryStage.insert("3")), .say("ok")])
    let process = stage.launch()
    #expect(process.start("hi", stage.params).outcome?.status == .success)
    #expect(stage.history() == ["0", "0\n1", "0\n1\n2", "0\n1\n2\n3"])
    #expect(stage.history("n") == ["0", "0\n1"])
    #expect(process.engine.live.isEmpty)
  }

  @Test func `a pause comes before an edit that is not made yet`() throws {
    let stage = try MemoryStage(turns: [.held, .say("ok")])
    let process = stage.launch()
    let answer = process.start("hi", stage.params)
    let run = try #require(answer.runID)
    _ = process.pause(run)
    try process.model.call(0).finish(.call([MemoryStage.insert("1")]))
    stage.world.settle()
    #expect(process.look(run)?.status == .paused)
    #expect(stage.block()?.value == "0")
    #expect(process.resume(run).outcome?.status == .success)
    #expect(stage.block()?.value == "0\n1")
  }

  @Test func `a run waits for a place before it edits`() throws {
    let stage = try MemoryStage(tools: [clientTool("a")], turns: [.call(("a", "{}"), MemoryStage.insert("1")), .say("ok")])
    let process = stage.launch()
    let run = process.start("hi", stage.params)
    #expect(stage.block()?.value == "0\n1", "an edit does not wait for the client")
    process.parent.invocation(of: "a")?.answer(.text("x"))
    stage.world.settle()
    #expect(run.outcome?.status == .success)
  }

  @Test func `memory that cannot be read pauses the run`() throws {
    let stage = try MemoryStage(tools: [clientTool("a")], turns: [.call(("a", "{}")), .say("ok")])
    let process = stage.launch()
    let run = try #require(process.start("hi", stage.params).runID)
    process.store.afterSubmit = { [unowned process] _ in process.store.readFault = StoreError(.unavailable, "gone") }
    process.parent.invocation(of: "a")?.answer(.text("x"))
    stage.world.settle()
    process.store.afterSubmit = nil
    process.store.readFault = nil
    #expect(process.look(run)?.fault?.kind == .modelUnavailable)
    #expect(process.resume(run).outcome?.status == .success)
  }

  @Test func `a store that refuses an edit leaves the run where its log ends`() throws {
    let stage = try MemoryStage(turns: [.held, .say("ok")])
    let process = stage.launch()
    let answer = process.start("hi", stage.params)
    process.store.faults = [.refused(StoreError(.full, "full"))]
    try process.model.call(0).finish(.call([MemoryStage.insert("1")]))
    stage.world.settle()
    #expect(answer.error?.kind == .storeFull)
    #expect(stage.history() == ["0"])
  }

  @Test func `an edit that was stored though the answer was lost is not made again`() throws {
    let stage = try MemoryStage(turns: [.held, .say("ok"), .say("ok")])
    let process = stage.launch()
    let run = try #require(process.start("hi", stage.params).runID)
    process.store.faults = [.answerLost(StoreError(.unavailable, "lost"))]
    try process.model.call(0).finish(.call([MemoryStage.insert("1")]))
    stage.world.settle()
    #expect(process.resume(run).outcome?.status == .success)
    #expect(stage.history() == ["0", "0\n1"])
  }

  @Test func `the history has the last thousand versions`() throws {
    let stage = try MemoryStage()
    let process = stage.launch()
    for number in 1...1005 { _ = try process.engine.setMemory(of: stage.agentID, label: "m", to: "\(number)", ifVersion: nil) }
    let history = stage.history()
    #expect(history.count == 1006)
    #expect(history.prefix(6).allSatisfy { $0 == "(missing)" })
    #expect(Array(history.dropFirst(6)) == (6...1005).map(String.init))
  }

  @Test func `an update keeps edited values unless another one is declared`() throws {
    let stage = try MemoryStage()
    let engine = stage.launch().engine
    func update(_ memory: String) throws {
      _ = try engine.updateAgent(stage.agentID, to: agentJSON(#""memory":[\#(memory)]"#), ifVersion: nil, isStrict: false)
    }
    _ = try engine.setMemory(of: stage.agentID, label: "m", to: "edited", ifVersion: nil)
    try update(#"{"label":"m","value":"0","limit":100}"#)
    #expect(stage.block()?.value == "edited" && stage.block()?.limit == 100)
    try update("")
    #expect(stage.block()?.value == "edited")
    #expect(refusal { () throws(RuntimeError) in _ = try engine.memory(of: stage.agentID, label: "m") } == "invalidParams /label")
    try update(#"{"label":"m","value":"0"}"#)
    #expect(try engine.memory(of: stage.agentID, label: nil).map(\.value) == ["edited"])
    try update(#"{"label":"m","value":"1"}"#)
    #expect(stage.block()?.value == "1")
    try update(#"{"label":"m","value":"1"}"#)
    #expect(stage.history() == ["0", "edited", "edited", "edited", "1"])
  }
}
