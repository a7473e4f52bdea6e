import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Files of agents that a test writes.
final class ScriptedFiles: AgentFiles, @unchecked Sendable {
  // Unchecked, because: a test drives all of its processes on one thread.
  var texts: [String: String] = [:]
  var modifiedAt = Timestamp(milliseconds: 1)
  var reads = 0

  func agentIDs(refused: (RuntimeError) throws(RuntimeError) -> Void) throws(RuntimeError) -> [String] { texts.keys.sorted() }

  func file(of agentID: String) throws(RuntimeError) -> AgentFile? {
    reads += 1
    return texts[agentID].map { AgentFile(agentID: agentID, name: "folder/\(agentID).json", text: Bytes($0), modifiedAt: modifiedAt) }
  }
}

func agentJSON(_ more: String = "") -> CarriedJSON { json("{\"model\":\"scripted:x\"\(more.isEmpty ? "" : "," + more)}") }

@Suite struct StoredAgentTests {
  private let world = VirtualWorld()

  private func process(_ turns: [ScriptedModel.Answer] = [.say("ok")]) -> VirtualProcess { world.launch(model: ScriptedModel(turns)) }

  @Test func `an agent has versions, and its runs the one they began with`() throws {
    let process = process([.call(("a", "{}")), .say("ok")])
    let tool = #""tools":[\#(clientTool("a"))]"#
    let made = try process.engine.createAgent(agentJSON(#""name":"one",\#(tool)"#), isStrict: false)
    #expect(made.version == 1 && made.warnings == [])
    let run = try #require(process.start("hi", json(#"{"agentId":"\#(made.agentID)"}"#)).runID)
    world.advance(milliseconds: 5)
    let changed = try process.engine.updateAgent(made.agentID, to: agentJSON(#""name":"two""#), ifVersion: 1, isStrict: false)
    #expect(changed.version == 2)
    let agent = try process.engine.agent(made.agentID)
    #expect(agent.json == agentJSON(#""name":"two""#))
    #expect(agent.createdAt == Timestamp(milliseconds: world.clock.wall.milliseconds - 5) && agent.updatedAt == world.clock.wall)
    let second = self.process([.call(("a", "{}")), .say("ok")])
    let details = try second.engine.details(of: run)
    #expect(details.outcome.agentID == made.agentID && details.agentVersion == 1)
    #expect(details.shownAgent == agentJSON(#""name":"one",\#(tool)"#))
    #expect(world.disk.summary(of: run)?.agentID == made.agentID)
    process.kill()
    second.parent.answer = { _ in .text("done") }
    #expect(second.resume(run).outcome?.status == .success)
    #expect(try second.engine.runs(matching: RunQuery(), driver: nil).runs.map(\.outcome.agentID) == [made.agentID])
  }

  @Test func `a version that somebody else has changed is a conflict`() throws {
    let (a, b) = (process(), process())
    let id = try a.engine.createAgent(agentJSON(), isStrict: false).agentID
    _ = try b.engine.updateAgent(id, to: agentJSON(#""name":"b""#), ifVersion: 1, isStrict: false)
    #expect(
      refusal { () throws(RuntimeError) in _ = try a.engine.updateAgent(id, to: agentJSON(), ifVersion: 1, isStrict: false) }
        == "agent.conflict /ifVersion")
    #expect(try a.engine.updateAgent(id, to: agentJSON(), ifVersion: nil, isStrict: false).version == 3)
    try b.engine.deleteAgent(id)
    #expect(
      refusal { () throws(RuntimeError) in _ = try a.engine.updateAgent(id, to: agentJSON(), ifVersion: nil, isStrict: false) }
        == "agent.notFound -")
    #expect(refusal { () throws(RuntimeError) in try a.engine.deleteAgent(id) } == "agent.notFound -")
  }

  @Test func `a deleted agent takes its memory and its history along, and nobody else's`() throws {
    let process = process()
    let memory = #""memory":[{"label":"m","value":"0"}]"#
    let id = try process.engine.createAgent(agentJSON(memory), isStrict: false).agentID
    let other = try process.engine.createAgent(agentJSON(memory), isStrict: false).agentID
    for value in 1...250 { _ = try process.engine.setMemory(of: id, label: "m", to: "\(value)", ifVersion: nil) }
    try process.engine.deleteAgent(id)
    for kind in [StoredAgent.kind, StoredBlock.kind, StoredBlock.historyKind] {
      #expect(try process.store.documents(matching: DocumentQuery(kind: kind)).allSatisfy { $0.id.hasPrefix(other) })
      #expect(try process.store.documents(matching: DocumentQuery(kind: kind)).count == 1)
    }
  }

  @Test(
    "what is wrong with a stored agent is named by its place",
    arguments: [
      ("[]", "invalidParams /agent"), ("{}", "invalidParams /agent/model"),
      (#"{"model":"x","tools":[\#(clientTool("a b"))]}"#, "tool.invalid /agent/tools/0/name"),
      (
        #"{"model":"x","tools":[{"name":"a","description":"","inputSchema":{"broken":1}}]}"#,
        "tool.invalidSchema /agent/tools/0/inputSchema/broken"
      ),
      (
        #"{"model":"x","toolkits":[{"name":"k","description":"","tools":[{"name":"a","description":"","inputSchema":{"broken":1}}]}]}"#,
        "tool.invalidSchema /agent/toolkits/0/tools/0/inputSchema/broken"
      ),
      (#"{"model":"x","memory":[{"label":"","value":""}]}"#, "invalidParams /agent/memory/0/label"),
      (#"{"model":"x","memory":[{"label":"a","value":"ab","limit":1}]}"#, "invalidParams /agent/memory/0/value"),
      (#"{"model":"x","memory":[{"label":"a","value":"","limit":0}]}"#, "invalidParams /agent/memory/0/limit"),
      (
        #"{"model":"x","memory":[{"label":"a","value":""},{"label":"b","value":""},{"label":"a","value":""}]}"#,
        "invalidParams /agent/memory/2/label"
      ),
      (#"{"model":"x","clientTools":{"maxRetries":-1}}"#, "invalidParams /agent/clientTools/maxRetries"),
      (#"{"model":"x","messageConcurrency":"all"}"#, "invalidParams /agent/messageConcurrency"),
    ])
  func wrong(text: String, expected: String) {
    let process = process()
    #expect(refusal { () throws(RuntimeError) in _ = try process.engine.createAgent(json(text), isStrict: false) } == expected)
    #expect(world.disk.document(StoredAgent.kind, "") == nil)
  }

  @Test func `what an agent of an earlier version has that is refused now is named by the agent's id`() throws {
    let process = process()
    let id = try process.engine.createAgent(agentJSON(), isStrict: false).agentID
    let tool = clientTool("a", #""annotations":{"title":5}"#)
    for (more, place) in [
      (#""temperature":-1"#, "/temperature: must not be negative"),
      (#""tools":[\#(tool)]"#, "/tools/0/annotations/title: must be a string"),
    ] {
      let old = try #require(world.disk.document(StoredAgent.kind, id))
      let write = DocumentWrite(
        kind: StoredAgent.kind, id: id, expectedVersion: old.version, json: agentJSON(more), updatedAt: world.clock.wall)
      #expect(try process.engine.store.write([write]))
      #expect(
        process.start("hi", json(#"{"agentId":"\#(id)"}"#)).error
          == .invalidParams("the stored agent cannot be used: \(place)", at: "/agentId"))
    }
  }

  @Test func `what a bridge lacks is no fault of an agent, but a provider that there is not is`() throws {
    let process = process()
    for kind in [RuntimeError.Kind.modelMissingKey, .modelUnavailable, .unsupportedCapability] {
      process.model.refusal = RuntimeError(kind, "not here")
      #expect(try process.engine.createAgent(agentJSON(), isStrict: false).version == 1)
    }
    process.model.refusal = RuntimeError(.modelUnknownProvider, "nobody")
    #expect(
      refusal { () throws(RuntimeError) in _ = try process.engine.createAgent(agentJSON(), isStrict: false) }
        == "model.unknownProvider /agent/model")
    process.model.refusal = nil
    process.tools.refusal = RuntimeError(.unsupportedCapability, "no commands")
    #expect(
      refusal { () throws(RuntimeError) in
        _ = try process.engine.createAgent(agentJSON(#""tools":[\#(clientTool("a")),\#(serverTool("b"))]"#), isStrict: false)
      } == "unsupportedCapability /agent/tools/1")
  }

  @Test func `unknown members of a stored agent are named at each use, by their places in it`() throws {
    let process = process()
    let made = try process.engine.createAgent(agentJSON(#""tols":[],"memory":[{"label":"m","value":"","size":1}]"#), isStrict: false)
    #expect(made.warnings == ["/agent/tols: unknown member, ignored", "/agent/memory/0/size: unknown member, ignored"])
    let run = try #require(process.start("hi", json(#"{"agentId":"\#(made.agentID)","limits":{"more":1}}"#)).runID)
    let first = try #require(world.disk.records(of: run).first?.event)
    #expect(
      CarriedJSON(trusted: first)["data"]?["warnings"]?.elements.map(\.stringValue)
        == ["/tols", "/memory/0/size", "/limits/more"].map { "\($0): unknown member, ignored" })
  }

  @Test func `a key finds its run, whatever has become of the agent`() throws {
    let process = process()
    let id = try process.engine.createAgent(agentJSON(), isStrict: false).agentID
    let params = json(#"{"agentId":"\#(id)","idempotencyKey":"k"}"#)
    let first = process.start("hi", params)
    try process.engine.deleteAgent(id)
    let again = process.start("hi", params)
    #expect(again.isNew == false && again.runID == first.runID && again.outcome?.status == .success)
    #expect(process.start("hi", json(#"{"agentId":"\#(id)"}"#)).error?.kind == .agentNotFound)
    #expect(process.start("hi", json("{}")).error == .invalidParams("is required", at: "/agent"))
  }

  // MARK: Files

  @Test func `a file is read at each use, and its version is made by its bytes`() throws {
    let files = ScriptedFiles()
    let (a, b) = (process(), process())
    (a.engine.agentFiles, b.engine.agentFiles) = (files, files)
    files.texts["clerk"] = agentJSON(#""name":"one""#).bytes.string
    let version = try a.engine.agent("clerk").version
    #expect(try b.engine.agent("clerk").version == version)
    let run = try #require(a.start("hi", json(#"{"agentId":"clerk"}"#)).runID)
    files.texts["clerk"] = agentJSON(#""name":"two""#).bytes.string
    #expect(try a.engine.agent("clerk").version != version)
    #expect(try b.engine.details(of: run).agentVersion == version)
    #expect(try b.engine.details(of: run).shownAgent == agentJSON(#""name":"one""#))
    files.texts["clerk"] = nil
    #expect(a.start("hi", json(#"{"agentId":"clerk"}"#)).error?.kind == .agentNotFound)
    files.texts["clerk"] = agentJSON().bytes.string
    let engine = a.engine
    #expect(refusal { () throws(RuntimeError) in try engine.deleteAgent("clerk") } == "invalidParams /agentId")
    #expect(
      refusal { () throws(RuntimeError) in _ = try engine.updateAgent("clerk", to: agentJSON(), ifVersion: nil, isStrict: false) }
        == "invalidParams /agentId")
  }

  @Test(
    "a file that is no agent is named with what is wrong in it",
    arguments: [
      ("", "folder/clerk.json: "), ("{", "folder/clerk.json: "), ("{}", "folder/clerk.json: /model: "),
      (#"{"model":"x","tools":[\#(clientTool("a b"))]}"#, "folder/clerk.json: /tools/0/name: "),
    ])
  func badFile(text: String, words: String) throws {
    let files = ScriptedFiles()
    let process = process()
    process.engine.agentFiles = files
    files.texts["clerk"] = text
    for use in 0..<3 {
      do throws(RuntimeError) {
        switch use {
        case 0: try process.engine.checkAgentFiles(isStrict: false)
        case 1: _ = try process.engine.agent("clerk")
        default: _ = try process.engine.memory(of: "clerk", label: nil)
        }
        Issue.record("it was taken")
      } catch { #expect(error.message.hasPrefix(words) && error.pointer == "/agentId") }
    }
    #expect(process.start("hi", json(#"{"agentId":"clerk"}"#)).error?.pointer == "/agentId")
    #expect(try process.engine.agents(limit: 10, cursor: nil).agents.isEmpty)
    #expect(process.host.messages.count == 1)
  }

  @Test func `an id that the store and a file have is refused at the start`() throws {
    let process = process()
    let files = ScriptedFiles()
    let id = try process.engine.createAgent(agentJSON(), isStrict: false).agentID
    process.engine.agentFiles = files
    files.texts[id] = agentJSON().bytes.string
    #expect(refusal { () throws(RuntimeError) in try process.engine.checkAgentFiles(isStrict: false) } == "invalidParams /agentId")
  }

  @Test("files are listed before the store's agents, the newest of those first", arguments: 1...8)
  func list(limit: Int) throws {
    let process = process()
    let files = ScriptedFiles()
    var stored: [String] = []
    for _ in 0..<4 {
      world.advance(milliseconds: 1)
      stored.append(try process.engine.createAgent(agentJSON(), isStrict: false).agentID)
    }
    process.engine.agentFiles = files
    for name in ["b", "a", "c"] { files.texts[name] = agentJSON().bytes.string }
    var found: [String] = []
    var cursor: String?
    repeat {
      let page = try process.engine.agents(limit: limit, cursor: cursor)
      #expect(page.agents.count <= limit)
      found += page.agents.map(\.agentID)
      cursor = page.nextCursor
    } while cursor != nil
    #expect(found == ["a", "b", "c"] + stored.reversed())
  }
}
