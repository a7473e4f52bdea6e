import AgentRuntime
import JSON
import JSONRPC
import POSIXSupport
import TestSupport
import Testing

@testable import BridgeService

/// The order of what goes to the client, also to one that reads slowly.
@Suite struct OutboxTests {
  private static let agent = #""agent":{"model":"scripted:x"},"tools":[{"name":"a","description":"","inputSchema":{}}]"#

  private func start(_ id: Int, _ input: String = "hi", _ more: String = "") -> String {
    #"{"id":\#(id),"method":"run.start","params":{"input":"\#(input)",\#(Self.agent)\#(more)}}"#
  }

  private func isResponse(_ id: Int) -> (CarriedJSON) -> Bool { { $0["method"] == nil && $0["id"]?.intValue == id } }

  @Test func `events precede the request that they announce, and the response follows them`() throws {
    let bench = try Bench { request in request.turn == 0 ? .call(("a", "{}"), text: "let me see") : .say("done") }
    try bench.initialize(#"{"tools":{}}"#)
    try bench.send(start(1))
    var lines = try bench.receive { $0["method"]?.stringValue == "tool.invoke" }
    #expect(
      lines.map(\.words) == [
        "run.accepted", "1 run.started", "2 model.started", "text.delta", "3 model.completed", "4 tool.started", "5 run.paused",
        "tool.invoke",
      ])
    try bench.send(#"{"id":"b-1","result":{"content":"seen"}}"#)
    lines = try bench.receive(until: isResponse(1))
    #expect(
      lines.map(\.words) == [
        "6 tool.completed", "7 run.resumed", "8 model.started", "text.delta", "9 model.completed", "10 run.completed", "result 1",
      ])
    #expect(lines.last?["result"]?["lastSeq"]?.intValue == 10)
  }

  @Test func `the response of a start that does not wait precedes the run's events`() throws {
    let bench = try Bench { _ in .say("done") }
    try bench.send(start(1, "hi", #","wait":false"#))
    #expect(
      try bench.receive { $0["params"]?["type"]?.stringValue == "run.completed" }.map(\.words) == [
        "result 1", "1 run.started", "2 model.started", "text.delta", "3 model.completed", "4 run.completed",
      ])
  }

  @Test func `a client that wants no events gets the response alone`() throws {
    let bench = try Bench { _ in .say("done") }
    try bench.send(start(1, "hi", #","events":false"#))
    #expect(try bench.receive().words == "result 1")
    try bench.send(#"{"id":2,"method":"ping"}"#)
    #expect(try bench.receive().words == "result 2")
  }

  @Test func `events that a client opted out of are left out, and what waits for them comes all the same`() throws {
    let bench = try Bench { request in request.turn == 0 ? .call(("a", "{}")) : .say("done") }
    try bench.initialize(#"{"tools":{},"events":{"optOut":["model.*","text.delta","run.paused","run.accepted"]}}"#)
    try bench.send(start(1))
    #expect(
      try bench.receive { $0["method"]?.stringValue == "tool.invoke" }.map(\.words) == ["1 run.started", "4 tool.started", "tool.invoke"])
    try bench.send(#"{"id":"b-1","result":{}}"#)
    #expect(
      try bench.receive(until: isResponse(1)).map(\.words) == ["6 tool.completed", "7 run.resumed", "10 run.completed", "result 1"])
  }

  /// Far more than a pipe holds, with nobody reading.
  @Test func `a client that reads nothing for a while misses nothing, and gets it in order`() throws {
    let count = 60
    let bench = try Bench(congestedBytes: 10_000) { request in request.turn == 0 ? .call(("a", "{}"), text: "let me see") : .say("done") }
    try bench.initialize(#"{"tools":{}}"#)
    for id in 1...count { try bench.send(start(id, String(repeating: "x", count: 60_000))) }
    try bench.waitUntilFull()
    var seen: [String: [CarriedJSON]] = [:]
    var responses: [Int] = []
    var accepted: Set<String> = []
    while responses.count < count {
      let line = try bench.receive()
      if line["method"] == nil {
        let id = try #require(line["id"]?.intValue)
        let result = try #require(line["result"])
        // After the run's events up to its last.
        let run = try #require(result["runId"]?.stringValue)
        #expect(seen[run]?.last?["params"]?["seq"]?.intValue == result["lastSeq"]?.intValue)
        responses.append(id)
        continue
      }
      let type = line["params"]?["type"]?.stringValue
      if type == "run.accepted" {
        accepted.insert(line.runID)
        continue
      }
      if type == "text.delta" {
        // Streamed text is joined, or left out when its message is there already; it never comes after it.
        let message = line["params"]?["data"]?["messageId"]
        #expect(
          seen[line.runID]?.contains {
            $0["params"]?["type"]?.stringValue == "model.completed" && $0["params"]?["data"]?["messageId"] == message
          } != true)
        continue
      }
      if line.words == "tool.invoke" {
        #expect(seen[line.runID]?.last?.words == "5 run.paused")
        try bench.send(#"{"id":\#(try #require(line["id"]).bytes.string),"result":{"content":"seen"}}"#)
        continue
      }
      let sequence = (seen[line.runID]?.last?["params"]?["seq"]?.intValue ?? 0) + 1
      try #require(line["params"]?["seq"]?.intValue == sequence)
      seen[line.runID, default: []].append(line)
    }
    #expect(Set(responses) == Set(1...count))
    #expect(accepted == Set(seen.keys))
    #expect(seen.values.allSatisfy { $0.last?.words == "10 run.completed" })
  }

  @Test func `text that was streamed while the client did not read comes joined, before its message`() throws {
    let bench = try Bench(congestedBytes: 10_000) { _ in .held }
    try bench.initialize("{}")
    try bench.send(start(1))
    _ = try bench.receive { $0.words == "2 model.started" }
    try bench.settle()
    let first = try #require(bench.model.calls.first)
    // The pipe is full of others' events.
    for id in 2...40 { try bench.send(start(id, String(repeating: "x", count: 60_000))) }
    try bench.waitUntilFull()
    for piece in 0..<1000 { first.send(.text("\(piece) ")) }
    // Room is made, and then the message is finished.
    var pieces: [String] = []
    var lines = 0
    let expected = (0..<1000).map { "\($0) " }.joined()
    let run = first.request.runID.text
    while pieces.joined() != expected {
      let line = try bench.receive()
      guard line.runID == run else { continue }
      #expect(line.words == "text.delta")
      pieces.append(line["params"]?["data"]?["text"]?.stringValue ?? "")
      lines += 1
      try #require(lines < 100, "the pieces were not joined")
    }
    #expect(lines < 10)
    first.finish(.say(expected))
    let rest = try bench.receive(until: isResponse(1)).filter { $0.runID == run }.map(\.words)
    #expect(rest == ["3 model.completed", "4 run.completed"])
  }

  @Test func `text whose message is finished while the client did not read is left out`() throws {
    let bench = try Bench(congestedBytes: 10_000) { _ in .held }
    try bench.initialize("{}")
    try bench.send(start(1))
    _ = try bench.receive { $0.words == "2 model.started" }
    try bench.settle()
    let first = try #require(bench.model.calls.first)
    for id in 2...40 { try bench.send(start(id, String(repeating: "x", count: 60_000))) }
    try bench.waitUntilFull()
    first.send(.text("never seen"))
    first.finish(.say("never seen"))
    try bench.settle()
    let run = first.request.runID.text
    let lines = try bench.receive(until: isResponse(1)).filter { $0.runID == run }.map(\.words)
    #expect(lines == ["3 model.completed", "4 run.completed"])
  }

  @Test func `text of several threads and a slow client stays in order`() throws {
    let bench = try Bench(congestedBytes: 2000) { _ in .held }
    try bench.initialize("{}")
    for id in 1...2 { try bench.send(start(id)) }
    for _ in 1...2 { _ = try bench.receive { $0.words == "2 model.started" } }
    try bench.settle()
    let calls = bench.model.calls
    let count = 20_000
    var texts: [String: String] = [:]
    // While the client reads: of a text that waits until its message overtakes it nothing comes at all.
    for call in calls { call.send(.text("0 ")) }
    while texts.count < 2 {
      let line = try bench.receive()
      if line.words == "text.delta" { texts[line.runID] = line["params"]?["data"]?["text"]?.stringValue }
    }
    for call in calls {
      try Thread.start(name: "provider") {
        for piece in 1..<count { call.send(.text("\(piece) ")) }
        call.finish(.say("all"))
      }
    }
    var ended = 0
    while ended < 2 {
      let line = try bench.receive()
      if line.words == "text.delta" { texts[line.runID, default: ""] += line["params"]?["data"]?["text"]?.stringValue ?? "" }
      if line.words.hasPrefix("result") { ended += 1 }
    }
    // The end of a text may be left out when its message overtakes it; what came is the beginning, in order.
    let whole = (0..<count).map { "\($0) " }.joined()
    for text in texts.values { #expect(whole.hasPrefix(text), "text came out of order") }
    #expect(texts.count == 2)
  }

  /// A run's `tool.invoke` waits for room behind its events; nothing is read until the call has its result, or its run has ended.
  @Test(
    "what is taken back before the client reads is not sent",
    arguments: [
      (#""run.cancel","params":{"runId":"RUN"}"#, ["5 run.paused", "6 tool.completed", "7 run.cancelled"]),
      (
        #""run.submitToolResults","params":{"runId":"RUN","results":[{"callId":"CALL","content":"x"}]}"#,
        ["5 run.paused", "6 tool.completed", "7 run.resumed", "8 model.started", "9 model.completed", "10 run.completed"]
      ),
    ])
  func takenBack(request: String, rest: [String]) throws {
    let bench = try Bench(congestedBytes: 10_000) { request in request.turn == 0 ? .held : .say("done") }
    try bench.initialize(#"{"tools":{}}"#)
    try bench.send(start(1))
    _ = try bench.receive { $0.words == "2 model.started" }
    try bench.settle()
    let first = try #require(bench.model.calls.first)
    for id in 2...40 { try bench.send(start(id, String(repeating: "x", count: 60_000))) }
    try bench.waitUntilFull()
    first.finish(.call([("a", "{}")]))
    try bench.settle()
    let run = first.request.runID
    let call = try #require(try outcome(of: run, bench)?.pendingCalls.first?.callID.text)
    try bench.send(#"{"id":99,"method":\#(request.replacing(text: "RUN", with: run.text).replacing(text: "CALL", with: call))}"#)
    try Patience.until("the end of the run") { try outcome(of: run, bench)?.status.hasEnded == true }
    let lines = try bench.receive(until: isResponse(99)) + receiveTheRest(bench)
    #expect(lines.filter { $0.runID == run.text }.map(\.words) == ["3 model.completed", "4 tool.started"] + rest)
  }

  private func outcome(of run: ULID, _ bench: Bench) throws -> RunOutcome? {
    let found = Monitor<RunOutcome?>(nil)
    try bench.onEngine { engine in
      let outcome = try? engine.details(of: run).outcome
      found.update { $0 = outcome }
    }
    return found.update { $0 }
  }

  /// What waited for room is out when later events are.
  private func receiveTheRest(_ bench: Bench) throws -> [CarriedJSON] {
    var lines: [CarriedJSON] = []
    for id in 100...101 {
      try bench.send(start(id, "hi", #","wait":false"#))
      lines += try bench.receive(until: isResponse(id))
      let later = try #require(lines.last?["result"]?["runId"]?.stringValue)
      lines += try bench.receive { $0.words == "2 model.started" && $0.runID == later }
      try bench.settle()
    }
    return lines
  }

  @Test func `progress that was not read is left out when the call has its result`() throws {
    let bench = try Bench(congestedBytes: 10_000) { request in request.turn == 0 ? .call(("a", "{}")) : .held }
    try bench.initialize(#"{"tools":{}}"#)
    try bench.send(start(1))
    let invoke = try #require(try bench.receive { $0.words == "tool.invoke" }.last)
    let call = try #require(invoke["params"]?["callId"]).bytes.string
    for id in 2...40 { try bench.send(start(id, String(repeating: "x", count: 60_000))) }
    try bench.waitUntilFull()
    for done in 1...5 {
      try bench.send(#"{"method":"notifications/progress","params":{"progressToken":\#(call),"progress":\#(done)}}"#)
    }
    try bench.send(#"{"id":\#(try #require(invoke["id"]).bytes.string),"result":{"content":"seen"}}"#)
    try Patience.until("the next turn") {
      try bench.settle()
      return bench.model.calls.contains { $0.request.turn == 1 }
    }
    let lines = try bench.receive { $0.words == "8 model.started" && $0.runID == invoke.runID } + receiveTheRest(bench)
    #expect(lines.filter { $0.runID == invoke.runID }.map(\.words) == ["6 tool.completed", "7 run.resumed", "8 model.started"])
  }

  @Test func `a subscription replays what is in the store, then goes on`() throws {
    let bench = try Bench { request in request.turn == 0 ? .call(("a", "{}")) : .say("done") }
    try bench.send(start(1, "hi", #","events":false"#))
    let outcome = try bench.receive()["result"]
    let run = try #require(outcome?["runId"]?.stringValue)
    let call = try #require(outcome?["pendingToolCalls"]?.elements.first?["callId"]?.stringValue)
    try bench.send(#"{"id":2,"method":"run.subscribe","params":{"runId":"\#(run)","afterSeq":2}}"#)
    #expect(try bench.receive { $0.words == "4 run.paused" }.map(\.words) == ["result 2", "3 model.completed", "4 run.paused"])
    try bench.send(
      #"{"id":3,"method":"run.submitToolResults","params":{"runId":"\#(run)","results":[{"callId":"\#(call)","content":"x"}]}}"#)
    #expect(
      try bench.receive(until: isResponse(3)).map(\.words) == [
        "5 tool.completed", "6 run.resumed", "7 model.started", "text.delta", "8 model.completed", "9 run.completed", "result 3",
      ])
    try bench.send(#"{"id":4,"method":"run.subscribe","params":{"runId":"\#(run)","afterSeq":7}}"#)
    #expect(try bench.receive { $0.words == "9 run.completed" }.map(\.words) == ["result 4", "8 model.completed", "9 run.completed"])
    try bench.send(#"{"id":5,"method":"run.subscribe","params":{"runId":"\#(run)"}}"#)
    #expect(try bench.receive().words == "result 5")
    try bench.send(#"{"id":6,"method":"run.unsubscribe","params":{"runId":"\#(run)"}}"#)
    #expect(try bench.receive().words == "result 6")
  }
}
