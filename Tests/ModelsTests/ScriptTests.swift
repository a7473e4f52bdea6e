import AgentRuntime
import JSON
import Testing

@testable import Models

/// A script as it is read: JSON Lines, one model turn each.
@Suite struct ScriptTests {
  private func read(_ text: String) throws -> Script { try Script(Bytes(text), file: "demo.jsonl") }

  private func refusal(_ text: String) -> String? {
    do throws(RuntimeError) {
      _ = try Script(Bytes(text), file: "demo.jsonl")
      return nil
    } catch { return "\(error.kind.name) \(error.message)" }
  }

  @Test func `each line is a turn, whatever ends it, and blank lines are none`() throws {
    let script = try read("{\"text\":\"one\"}\r\n\n  \t\r\n{\"text\":\"two\"}\n{\"text\":\"three\"}")
    #expect(script.turns.map { $0.text.stringValue } == ["one", "two", "three"])
    #expect(try read("").turns.isEmpty)
    #expect(try read("\n\n").turns.isEmpty)
  }

  @Test func `a turn has text, calls, a delay and an expectation`() throws {
    let script = try read(
      #"{"text":"t","toolCalls":[{"name":"a","arguments":{"x":0.10}},{"name":"b"},{"name":"c","arguments":"{\"half"}],"delayMs":7,"expect":{"role":"user"}}"#
    )
    let turn = try #require(script.turns.first)
    #expect(turn.calls.map(\.name) == ["a", "b", "c"])
    #expect(turn.calls.map(\.arguments.string) == [#"{"x":0.10}"#, "{}", #"{"half"#])
    #expect(turn.delayMilliseconds == 7)
    #expect(turn.expect?.bytes.string == #"{"role":"user"}"#)
    #expect(try read("{}").turns.first?.text.stringValue == "")
  }

  @Test(
    "what is wrong is named with the file, the line and the place",
    arguments: [
      ("{\"text\":\"a\"}\n\n{oops}", "line 3", "column 2"), ("nonsense", "line 1", "column"), ("[]", "line 1", ""),
      ("{}\n{\"text\":1}", "line 2", "must be a string at /text"), (#"{"toolCalls":{}}"#, "line 1", "must be a list at /toolCalls"),
      (#"{"toolCalls":[{"name":"a"},{}]}"#, "line 1", "must be a string at /toolCalls/1/name"),
      (#"{"toolCalls":[1]}"#, "line 1", "must be a string at /toolCalls/0/name"),
      (#"{"toolCalls":[{"name":"a","x-cutOff":1}]}"#, "line 1", "must be true or false at /toolCalls/0/x-cutOff"),
      (#"{"x-stopReason":"end_turn"}"#, "line 1", "must be one of max_tokens, refusal at /x-stopReason"),
      (#"{"expect":"x"}"#, "line 1", "must be an object at /expect"),
      (#"{"delayMs":-1}"#, "line 1", "must be a whole number from 0 to 9007199254740991 at /delayMs"),
      (#"{"repeat":0}"#, "line 1", "must be a whole number from 1 to 9007199254740991 at /repeat"),
      (#"{"repeat":"2"}"#, "line 1", "at /repeat"),
      (#"{"text":"a","text":"b"}"#, "line 1", "at /text"), ("{\"text\":\"\u{1}\"}", "line 1", ""), ("{} {}", "line 1", ""),
    ])
  func errors(text: String, line: String, what: String) throws {
    let message = try #require(refusal(text))
    #expect(message.hasPrefix("model.unavailable script demo.jsonl, \(line): "), "\(message)")
    #expect(what.isEmpty || message.contains(what), "\(message)")
  }

  @Test func `a turn stands as often as it is repeated`() throws {
    let script = try read("{\"text\":\"a\",\"repeat\":2}\n{\"text\":\"b\"}\n{\"text\":\"c\",\"repeat\":1000000000}\n{\"text\":\"d\"}")
    func text(_ index: Int) -> String? { script.turn(at: index)?.text.stringValue }
    #expect((0..<5).map(text) == ["a", "a", "b", "c", "c"])
    #expect([1_000_000_002, 1_000_000_003, 1_000_000_004].map(text) == ["c", "d", nil])
    #expect(try read("").turn(at: 0) == nil)
  }

  @Test func `every turn of a long script is found`() throws {
    let script = try read((0..<100).map { "{\"text\":\"\($0)\",\"repeat\":\($0 % 3 + 1)}" }.joined(separator: "\n"))
    let expected = (0..<100).flatMap { number in Array(repeating: "\(number)", count: number % 3 + 1) }
    #expect(expected.indices.map { script.turn(at: $0)?.text.stringValue } == expected)
    #expect(script.turn(at: expected.count) == nil)
  }
}

/// `expect` against what the model was shown.
@Suite struct ShownMessageTests {
  private let message = ShownMessage(
    role: "tool", content: "3 rows\r\nand é", name: "fetch", callID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", isError: false)

  @Test(
    "an expectation fits when all of its members do",
    arguments: [
      ("{}", true), (#"{"role":"tool"}"#, true), (#"{"role":"user"}"#, false), (#"{"content":"3 rows\r\nand é"}"#, true),
      (#"{"content":"3 rows"}"#, false), (#"{"content":{"contains":"rows"}}"#, true), (#"{"content":{"contains":"rows\r"}}"#, true),
      (#"{"content":{"contains":"\nand"}}"#, true), (#"{"content":{"contains":""}}"#, true), (#"{"content":{"contains":"Rows"}}"#, false),
      (#"{"content":{"contains":"e\u0301"}}"#, false), (#"{"content":"3 rows\r\nand e\u0301"}"#, false),
      (#"{"content":{"matches":"rows"}}"#, false),
      (#"{"content":3}"#, false), (#"{"name":"fetch"}"#, true), (#"{"name":{"contains":"fet"}}"#, true), (#"{"name":"other"}"#, false),
      (#"{"callId":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#, true), (#"{"isError":false}"#, true), (#"{"isError":true}"#, false),
      (#"{"isError":"false"}"#, false), (#"{"nobody":"knows"}"#, false), (#"{"role":"tool","name":"fetch","isError":true}"#, false),
    ])
  func matches(expect: String, fits: Bool) throws {
    let wanted = try CarriedJSON(validating: Bytes(expect))
    #expect(message.matches(wanted) == fits)
    #expect(message.misfits(wanted).isEmpty == fits)
  }

  @Test func `a message without a name or a call has none`() throws {
    let user = ShownMessage(role: "user", content: "hi", name: nil, callID: nil, isError: nil)
    #expect(user.matches(try CarriedJSON(validating: Bytes(#"{"role":"user","content":"hi"}"#))))
    for expect in [#"{"name":{"contains":""}}"#, #"{"callId":""}"#, #"{"isError":false}"#] {
      #expect(!user.matches(try CarriedJSON(validating: Bytes(expect))), "\(expect)")
    }
  }

  @Test func `what does not fit is named, not shown`() throws {
    let wanted = try CarriedJSON(validating: Bytes(#"{"role":"tool","content":"secret","name":"x"}"#))
    #expect(message.misfits(wanted) == ["content", "name"])
  }
}
