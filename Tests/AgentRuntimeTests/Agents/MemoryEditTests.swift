import JSON
import Testing

@testable import AgentRuntime

@Suite struct MemoryEditTests {
  private func outcome(_ edit: MemoryEdit, _ value: String) -> String {
    do throws(MemoryEdit.Refusal) { return try edit.applied(to: value) } catch { return "refused: \(error.message)" }
  }

  private static let noMatch = "refused: 'old' does not occur in the block: no match. It must be the block's text, to the letter."

  private static func several(_ count: Int) -> String {
    "refused: 'old' occurs \(count) times in the block. Give more of the text around it, so that it occurs once."
  }

  @Test(
    "a replacement needs exactly one match, to the byte",
    arguments: [
      ("ab", "b", "c", "ac"), ("ab", "ab", "", ""), ("ab", "x", "c", noMatch), ("", "x", "c", noMatch), ("b", "bb", "c", noMatch),
      ("aba", "a", "c", several(2)), ("aaa", "aa", "c", several(2)), ("aaaa", "aa", "c", several(3)), ("abababc", "ababc", "x", "abx"),
      ("\u{E9}", "e\u{301}", "c", noMatch), ("e\u{301} \u{E9}", "e\u{301}", "c", "c \u{E9}"), ("a\r\nb", "\n", "", "a\rb"),
      ("\u{1F600}", "\u{1F600}", "\u{E9}", "\u{E9}"),
      ("ab", "", "c", "refused: 'old' is empty. Give the text to replace, or use memory_insert."),
    ])
  func replace(value: String, old: String, new: String, expected: String) {
    #expect(outcome(.replace(old: old, new: new), value).utf8.elementsEqual(expected.utf8))
  }

  @Test func `a match is found in time, whatever the texts are`() {
    let value = String(repeating: "a", count: 200_000)
    #expect(outcome(.replace(old: String(repeating: "a", count: 100_000) + "b", new: ""), value) == Self.noMatch)
  }

  @Test(
    "lines are inserted on lines of their own",
    arguments: [
      ("", "x", nil, "x"), ("", "x", 0, "x"), ("a", "x", nil, "a\nx"), ("a\n", "x", nil, "a\nx"), ("a\n\n", "x", nil, "a\n\nx"),
      ("a\nb", "x", 0, "x\na\nb"), ("a\nb", "x", 1, "a\nx\nb"), ("a\nb", "x", 2, "a\nb\nx"), ("a\nb\n", "x", 2, "a\nb\nx"),
      ("a\nb", "x\ny\n", 1, "a\nx\ny\nb"), ("a\nb", "", 1, "a\nb"), ("a", "", nil, "a\n"), ("\n", "x", 1, "\nx"), ("\n", "x", 0, "x\n\n"),
      ("a\r\nb", "x", 1, "a\r\nx\nb"), ("a", "x", 2, "refused: There is no line 2: the block has 1 lines. 0 is before the first."),
      ("", "x", 1, "refused: There is no line 1: the block has 0 lines. 0 is before the first."),
      ("a", "x", -1, "refused: There is no line -1: the block has 1 lines. 0 is before the first."),
    ] as [(String, String, Int?, String)])
  func insert(value: String, text: String, line: Int?, expected: String) {
    #expect(outcome(.insert(text: text, afterLine: line), value).utf8.elementsEqual(expected.utf8))
  }

  @Test func `a block can be thought anew`() { #expect(outcome(.rethink("new"), "old") == "new") }

  @Test(
    "a call says what it asks for",
    arguments: [
      ("memory_replace", #"{"label":"m","old":"a","new":"b"}"#, "m replace(old: \"a\", new: \"b\")"),
      ("memory_replace", #"{"label":"m","old":"a"}"#, nil), ("memory_replace", #"{"old":"a","new":"b"}"#, nil),
      ("memory_insert", #"{"label":"m","text":"a"}"#, "m insert(text: \"a\", afterLine: nil)"),
      ("memory_insert", #"{"label":"m","text":"a","line":2}"#, "m insert(text: \"a\", afterLine: Optional(2))"),
      ("memory_insert", #"{"label":"m","text":"a","line":2.0}"#, "m insert(text: \"a\", afterLine: Optional(2))"),
      ("memory_insert", #"{"label":"m","text":"a","line":2.5}"#, nil), ("memory_insert", #"{"label":"m","text":"a","line":"2"}"#, nil),
      ("memory_insert", #"{"label":"m"}"#, nil),
      ("memory_rethink", #"{"label":"m","value":"a"}"#, "m rethink(\"a\")"), ("memory_rethink", #"{"label":1,"value":"a"}"#, nil),
    ] as [(String, String, String?)])
  func reading(name: String, arguments: String, expected: String?) throws {
    let read = try #require(MemoryTool(rawValue: name)).edit(json(arguments))
    #expect(read.map { "\($0.label) \($0.edit)" } == expected)
  }

  @Test func `each tool is one of the runtime's own, with a schema that is JSON`() throws {
    #expect(Set(MemoryTool.allCases.map(\.rawValue)).isSubset(of: Toolbox.builtInNames))
    for tool in MemoryTool.allCases.map(\.tool) {
      let schema = try #require(tool.inputSchema)
      #expect(try CarriedJSON(validating: schema.bytes) == schema)
      #expect(tool.target == .server)
      #expect(refusal { () throws(RuntimeError) in try tool.check(at: "/t") } == "tool.invalid /t/name")
    }
  }
}

@Suite struct EnvironmentValuesTests {
  private static let agent = json(
    #"{"env":{"A":"kept"},"tools":[{"name":"t","env":{"A":"1","B/C":"2"}},{"name":"u","agent":{"tools":[{"name":"v","env":{"A":"3"}}]}}],"#
      + #""toolkits":[{"name":"k","tools":[{"name":"t","env":{"A":"4"}}]}],"mcpServers":{"s":{"command":"x","env":{"A":"5"}}},"x":0.10}"#)

  @Test func `every value of an env is hidden, wherever it stands, and nothing else`() {
    let shown = EnvironmentValues.hidden(in: Self.agent).bytes.string
    #expect(
      shown
        == #"{"env":{"A":"kept"},"tools":[{"name":"t","env":{"A":"(hidden)","B/C":"(hidden)"}},{"name":"u","agent":{"tools":[{"name":"v","env":{"A":"(hidden)"}}]}}],"#
        + #""toolkits":[{"name":"k","tools":[{"name":"t","env":{"A":"(hidden)"}}]}],"mcpServers":{"s":{"command":"x","env":{"A":"(hidden)"}}},"x":0.10}"#
    )
    #expect(
      EnvironmentValues.hidden(inTool: json(#"{"name":"t","\u0065nv":{"A":"1"}}"#)).bytes.string
        == #"{"name":"t","\u0065nv":{"A":"(hidden)"}}"#)
    #expect(
      EnvironmentValues.hidden(
        inToolkit: json(
          #"{"name":"k","env":{"A":"kept"},"tools":[{"name":"t","agent":{"mcpServers":{"s":{"command":"x","env":{"A":"1"}}}}}]}"#)
      ).bytes.string
        == #"{"name":"k","env":{"A":"kept"},"tools":[{"name":"t","agent":{"mcpServers":{"s":{"command":"x","env":{"A":"(hidden)"}}}}}]}"#)
  }

  @Test func `what was hidden is restored, also when it stands elsewhere now`() throws {
    let shown = EnvironmentValues.hidden(in: Self.agent)
    #expect(try EnvironmentValues.restored(in: shown, from: Self.agent, at: "/agent") == Self.agent)
    let moved = json(#"{"tools":[{"name":"new"},{"name":"t","env":{"B/C":"(hidden)","D":"new"}}]}"#)
    #expect(
      try EnvironmentValues.restored(in: moved, from: Self.agent, at: "/agent")
        == json(#"{"tools":[{"name":"new"},{"name":"t","env":{"B/C":"2","D":"new"}}]}"#))
  }

  @Test(
    "a placeholder that stands for nothing is refused, with its place",
    arguments: [
      (#"{"tools":[{"name":"x"},{"name":"t","env":{"B~":"(hidden)"}}]}"#, "/agent/tools/1/env/B~0"),
      (#"{"tools":[{"name":"w","env":{"A":"(hidden)"}}]}"#, "/agent/tools/0/env/A"),
      (#"{"toolkits":[{"name":"k","tools":[{"name":"u","env":{"A":"(hidden)"}}]}]}"#, "/agent/toolkits/0/tools/0/env/A"),
      (#"{"mcpServers":{"o/p":{"env":{"A":"(hidden)"}}}}"#, "/agent/mcpServers/o~1p/env/A"),
    ])
  func nothing(text: String, pointer: String) {
    for old in [Self.agent, nil] {
      #expect(
        refusal { () throws(RuntimeError) in _ = try EnvironmentValues.restored(in: json(text), from: old, at: "/agent") }
          == "invalidParams \(pointer)")
    }
  }
}
