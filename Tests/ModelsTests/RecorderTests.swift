import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// Turns written as a script.
@Suite struct RecorderTests {
  private func turn(_ text: String, _ calls: (String, String)...) throws -> ModelTurn {
    ModelTurn(
      text: try CarriedJSON(text), calls: calls.map { .init(name: $0.0, arguments: Bytes($0.1)) }, usage: Usage(), stopReason: "end_turn")
  }

  @Test func `a turn is a line of a script that says the same`() throws {
    for given in [
      try turn("\"Hi \\u00fc\\n\""),
      try turn("\"\"", ("a", "{\"x\": 1.50,\n\t\"y\":\"\\n\"}"), ("b", ""), ("c", "{\"cut"), ("d", "[1]"), ("e", "\"s\"")),
    ] {
      let line = TurnRecorder.line(given)
      #expect(line[line.count - 1] == 0x0A && line.firstIndex(of: 0x0A) == line.count - 1)
      let played = try #require(try Script(line, file: "f").turn(at: 0))
      #expect(played.text == given.text)
      #expect(played.calls.map(\.name) == given.calls.map(\.name))
      for (mine, theirs) in zip(played.calls, given.calls) {
        #expect(
          mine.arguments.string == (theirs.arguments.isEmpty ? "{}" : theirs.arguments.string.split(separator: "\n").joined(separator: " "))
        )
      }
    }
  }

  @Test func `how a turn ended, and which call that cut off, is said too`() throws {
    var given = try turn("\"Hi\"", ("a", "{\"x\":1}"), ("b", "{\"x\":1}"))
    given.calls[1].isCutOff = true
    for (reason, member) in [
      ("max_tokens", #","x-stopReason":"max_tokens""#), ("refusal", #","x-stopReason":"refusal""#), ("tool_use", ""),
    ] {
      given.stopReason = reason
      let line = TurnRecorder.line(given)
      #expect(
        line.string
          == #"{"text":"Hi"\#(member),"toolCalls":[{"name":"a","arguments":{"x":1}},{"name":"b","arguments":{"x":1},"x-cutOff":true}]}"#
          + "\n")
      let played = try #require(try Script(line, file: "f").turn(at: 0))
      #expect(played.stopReason == reason && played.calls == given.calls)
    }
  }

  @Test func `what is no turn of a run is not recorded`() throws {
    let file = try TemporaryFile()
    let http = ScriptedHTTP()
    let models = try RecordingModels(Sample.providers(http), file: file.path) { _ in }
    let agent = try Sample.agent("openai:m")
    let seen = SignalRecorder()
    for isAside in [true, false] {
      var request = Sample.request(agent, [Sample.user("x")], schedule: http.wait)
      request.isAside = isAside
      _ = try models.provider(for: agent, hasTools: false, parent: nil).start(request, signal: seen.signal)
      http.answer(
        .stream, .body("data: {\"choices\":[{\"delta\":{\"content\":\"\(isAside)\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
    }
    #expect(seen.lines.filter { $0.hasPrefix("finished") }.count == 2)
    #expect(String(decoding: try FileReading.contents(of: file.path), as: UTF8.self) == "{\"text\":\"false\"}\n")
  }

  @Test func `only turns of real providers are recorded, each when it ends`() throws {
    let file = try TemporaryFile()
    let http = ScriptedHTTP()
    let log = Box<[String]>([])
    let models = try RecordingModels(Sample.providers(http), file: file.path) { log.value.append($0) }
    let agent = try Sample.agent("openai:m")
    let seen = SignalRecorder()
    for text in ["one", "two"] {
      _ = try models.provider(for: agent, hasTools: false, parent: nil).start(
        Sample.request(agent, [Sample.user("x")], schedule: http.wait), signal: seen.signal)
      http.answer(.head(500), .finished)
      http.passTime()
      http.answer(
        .stream, .body("data: {\"choices\":[{\"delta\":{\"content\":\"\(text)\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
      http.passTime()
    }
    #expect(seen.lines.filter { $0.hasPrefix("finished") }.count == 2)
    let recorded = String(decoding: try FileReading.contents(of: file.path), as: UTF8.self)
    #expect(recorded == "{\"text\":\"one\"}\n{\"text\":\"two\"}\n")

    let script = try Sample.agent("script:" + file.path)
    _ = try models.provider(for: script, hasTools: false, parent: nil).start(Sample.request(script, []), signal: seen.signal)
    #expect(seen.lines.last == "finished end_turn \"one\" [] 0/1")
    #expect(String(decoding: try FileReading.contents(of: file.path), as: UTF8.self) == recorded)
    #expect(log.value.isEmpty)
  }

  @Test func `a file that cannot be opened is told at once, with its name`() {
    let failure = #expect(throws: SystemError.self) {
      _ = try RecordingModels(ModelProviders(allowsScripts: false), file: "/nowhere/at/all.jsonl") { _ in }
    }
    #expect(failure.map { "\($0)".contains("/nowhere/at/all.jsonl") } == true)
  }

  @Test func `a file that can no longer be written is told once`() throws {
    let log = Box<[String]>([])
    let recorder = try TurnRecorder(file: "/dev/full") { log.value.append($0) }
    for _ in 0..<3 { recorder.append(try turn("\"x\"")) }
    #expect(
      log.value == [
        "a turn could not be recorded (write: No space left on device), so no more are written to the file: "
          + "its last line may be only the beginning of one"
      ])
  }
}
