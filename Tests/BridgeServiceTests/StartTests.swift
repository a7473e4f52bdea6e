import JSON
import POSIXSupport
import TestSupport
import Testing

/// `run.start` twice with one key, as the client sees it.
@Suite struct StartTests {
  private static let start =
    #""method":"run.start","params":{"input":"hi","agent":{"model":"scripted:x"},"idempotencyKey":"k""#

  /// Has the engine take all that these lines ask for in one turn.
  private func sendTogether(_ bench: Bench, _ lines: [String]) throws {
    let gate = Monitor(false)
    let isHeld = Monitor(false)
    bench.host.post { _ in
      isHeld.update { $0 = true }
      try? gate.wait(for: "the test to let the engine go") { $0 ? () : nil }
    }
    try isHeld.wait(for: "the engine") { $0 ? () : nil }
    try bench.send(lines.joined(separator: "\n"))
    // Answered by the reader: it has passed the others on.
    try bench.send(#"{"id":"passed","method":"ping"}"#)
    #expect(try bench.receive().words == #"result "passed""#)
    gate.update { $0 = true }
  }

  @Test("a run that two requests of one write ask for is shown from its first event on", arguments: [false, true])
  func shownWhole(isBatch: Bool) throws {
    let bench = try Bench { _ in .say("ok") }
    try bench.initialize("{}")
    let lines = ["1", "2"].map { "{\"id\":\($0),\(Self.start)}}" }
    try sendTogether(bench, isBatch ? ["[\(lines.joined(separator: ","))]"] : lines)
    var seen: [String] = []
    while seen.count(where: { $0.hasPrefix("result") }) < (isBatch ? 1 : 2) {
      let line = try bench.receive()
      if line.kind == .array {
        #expect(line.elements.map(\.words) == ["result 1", "result 2"])
        seen.append("results")
      } else {
        seen.append(line.words)
      }
    }
    let events = seen.filter { $0.first?.isNumber == true }
    #expect(events == ["1 run.started", "2 model.started", "3 model.completed", "4 run.completed"])
  }

  @Test func `a start that does not wait is answered before the events, whoever else asks for its run`() throws {
    let bench = try Bench { _ in .say("ok") }
    try bench.initialize("{}")
    try sendTogether(bench, [#"{"id":1,\#(Self.start),"wait":false}}"#, #"{"id":2,\#(Self.start)}}"#])
    let seen = try bench.receive { $0.words == "result 2" }.map(\.words)
    #expect(
      seen.filter { $0 != "run.accepted" && $0 != "text.delta" }
        == ["result 1", "1 run.started", "2 model.started", "3 model.completed", "4 run.completed", "result 2"])
  }
}
