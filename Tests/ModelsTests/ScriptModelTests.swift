import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A script as the provider that plays it.
@Suite struct ScriptModelTests {
  private let file: TemporaryFile
  private let models = ModelProviders(allowsScripts: true)

  init() throws { file = try TemporaryFile() }

  private func agent(_ model: String) throws -> Agent {
    try RunParams.read(Agent.self, CarriedJSON(trusted: Bytes("{\"model\":\(CarriedJSON(string: model).bytes.string)}")), at: "/agent")
  }

  private func refusal(_ model: String, allowsScripts: Bool = true) throws -> String? {
    let agent = try agent(model)
    do throws(RuntimeError) {
      _ = try ModelProviders(allowsScripts: allowsScripts).provider(for: agent, hasTools: false, parent: nil)
      return nil
    } catch { return "\(error.kind.name) \(error.message)" }
  }

  /// What a turn says, in order; with the time of each signal when something schedules.
  private func play(_ script: String, turn: Int = 0, _ transcript: [TranscriptEntry] = [], cancelAfter: Int? = nil) throws -> [String] {
    try file.write(script)
    let lines = Box<[String]>([])
    let later = Box<[(at: Int, body: @Sendable () -> Void)]>([])
    let now = Box(0)
    let id = ULID(high: 1, low: 1)
    let request = ModelRequest(
      runID: id, messageID: id, turn: turn, agent: try agent("script:" + file.path), system: [], transcript: transcript, tools: [],
      load: { $0.wire },
      schedule: { milliseconds, body in later.value.append((now.value + milliseconds, body)) })
    let call = try models.provider(for: request.agent, hasTools: false, parent: nil).start(request) { signal in
      let time = now.value == 0 ? "" : "\(now.value): "
      switch signal {
      case .text(let text): lines.value.append("\(time)text '\(text)'")
      case .finished(let turn):
        let names = turn.calls.map(\.name).joined(separator: ",")
        lines.value.append("\(time)finished \(turn.stopReason) \(turn.usage.inputTokens)/\(turn.usage.outputTokens) \(names)")
      case .failed(let fault): lines.value.append("\(time)failed \(fault.kind.name): \(fault.message)")
      default: lines.value.append("another signal")
      }
    }
    while !later.value.isEmpty {
      let next = later.value.removeFirst()
      now.value = next.at
      if let cancelAfter, next.at > cancelAfter { call.cancel() }
      next.body()
    }
    return lines.value
  }

  private func user(_ text: String) -> TranscriptEntry { .user([.text(text)]) }

  private func tool(_ name: String, _ text: String) -> TranscriptEntry {
    .tool(callID: ULID(high: 3, low: 3), name: name, result: .text(text), maxBytes: 100)
  }

  private var called: TranscriptEntry {
    .assistant(
      ModelMessage(
        messageID: ULID(high: 2, low: 2), text: .inline(CarriedJSON(string: "")), calls: [], usage: Usage(), stopReason: "tool_use"))
  }

  @Test func `a model is a provider and a name`() throws {
    for model in ["script", ":x", "script:", "", "x"] { #expect(try refusal(model)?.hasPrefix("invalidParams") == true, "\(model)") }
    #expect(try refusal("teleport:x")?.hasPrefix("model.unknownProvider") == true)
    #expect(try refusal("script:/nowhere/at/all")?.hasPrefix("model.unavailable the script cannot be read") == true)
    #expect(try refusal("script:/")?.hasPrefix("model.unavailable") == true)
    try file.write("{}")
    #expect(try refusal("script:" + file.path) == nil)
    #expect(try refusal("script:" + file.path, allowsScripts: false)?.hasPrefix("unsupportedCapability") == true)
  }

  @Test func `a turn streams its text and ends`() throws {
    #expect(
      try play(#"{"text":"The quick brown fox jumps."}"#, [user("12345678")]) == [
        "text 'The quick '", "text 'brown fox '", "text 'jumps.'", "finished end_turn 3/7 ",
      ])
    #expect(try play(#"{"toolCalls":[{"name":"a","arguments":{"x":1}}]}"#) == ["finished tool_use 0/2 a"])
    #expect(try play("{}") == ["finished end_turn 0/0 "])
  }

  @Test func `text is streamed whole, whatever it is`() throws {
    for text in ["é€😀 \u{0} \"quoted\"", String(repeating: "wörd ", count: 5000), String(repeating: "x", count: 100_000)] {
      let lines = try play("{\"text\":\(CarriedJSON(string: text).bytes.string)}")
      #expect(lines.dropLast().map { String($0.dropFirst(6).dropLast()) }.joined() == text)
      #expect(lines.count <= 130)
    }
  }

  @Test func `the place in the script is the number of turns in the log`() throws {
    let script = "{\"text\":\"a\",\"repeat\":2}\n{\"text\":\"b\"}"
    #expect(try (0..<3).map { try play(script, turn: $0)[0] } == ["text 'a'", "text 'a'", "text 'b'"])
    #expect(try play(script, turn: 3) == ["failed script.exhausted: the script has 3 turns; turn 4 was asked for"])
  }

  @Test func `a delay is spread over the text, and the turn ends when it is over`() throws {
    #expect(
      try play(#"{"text":"The quick brown fox jumps.","delayMs":90}"#) == [
        "text 'The quick '", "30: text 'brown fox '", "60: text 'jumps.'", "90: finished end_turn 0/7 ",
      ])
    #expect(try play(#"{"delayMs":50}"#) == ["50: finished end_turn 0/0 "])
  }

  @Test func `nothing follows a cancel`() throws {
    #expect(
      try play(#"{"text":"The quick brown fox jumps.","delayMs":90}"#, cancelAfter: 30) == ["text 'The quick '", "30: text 'brown fox '"])
  }

  @Test func `an expectation is held against the last message, or any tool message of the last batch`() throws {
    let transcript = [user("hi"), called, tool("a", "one"), tool("b", "two")]
    for (expect, fits) in [
      (#"{"role":"tool","name":"a","content":"one"}"#, true), (#"{"name":"b"}"#, true), (#"{"content":"hi"}"#, false),
      (#"{"name":"a","content":"two"}"#, false),
    ] {
      let last = try play("{\"expect\":\(expect),\"text\":\"ok\"}", transcript).last
      #expect(last?.hasPrefix(fits ? "finished" : "failed script.mismatch") == true, "\(expect): \(last ?? "")")
    }
    let noted = transcript + [user("by the way")]
    #expect(try play(#"{"expect":{"content":"by the way"}}"#, noted).last?.hasPrefix("finished") == true)
    #expect(try play(#"{"expect":{"name":"a"}}"#, noted).last?.hasPrefix("finished") == true)
    #expect(try play(#"{"expect":{"content":"one"}}"#, [user("one"), user("two")]).last?.hasPrefix("failed") == true)
    #expect(try play(#"{"expect":{}}"#).last?.hasPrefix("failed script.mismatch") == true)
  }

  @Test func `a mismatch tells no content`() throws {
    let line = try play(#"{"expect":{"content":"wanted secret"}}"#, [user("shown secret")]).last ?? ""
    #expect(line.contains("content"))
    #expect(!line.contains("secret"))
  }

  @Test func `a script that has changed is read again`() throws {
    #expect(try play(#"{"text":"before"}"#).first == "text 'before'")
    #expect(try play(#"{"text":"afterwards"}"#).first == "text 'afterwards'")
    #expect(try refusal("script:" + file.path) == nil)
    try file.write("oops")
    #expect(try refusal("script:" + file.path)?.contains(", line 1: ") == true)
  }
}

/// A file of a test's own, removed at the end.
final class TemporaryFile: Sendable {
  let path: String

  init() throws {
    let folder = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    var name = Array((folder + "/script-XXXXXX").utf8CString)
    let descriptor = unsafe name.withUnsafeMutableBufferPointer { unsafe mkstemp($0.baseAddress!) }
    guard descriptor >= 0 else { throw Missing(description: "no file could be made in \(folder)") }
    close(descriptor)
    path = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit { _ = unsafe unlink(path) }

  func write(_ text: String) throws {
    guard let file = unsafe fopen(path, "w") else { throw Missing(description: "\(path) cannot be written") }
    unsafe fputs(text, file)
    unsafe fclose(file)
  }
}
