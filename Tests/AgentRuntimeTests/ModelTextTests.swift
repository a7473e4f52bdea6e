import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Results and messages as a model reads them.
@Suite struct ModelTextTests {
  private func text(_ result: String, maxBytes: Int = 1 << 20) throws -> String {
    try ModelText.text(of: try ToolResult(json: result), maxBytes: maxBytes) { $0.wire }
  }

  @Test(
    "every kind of block has its words",
    arguments: [
      (#"{"content":"plain"}"#, "plain"), (#"{"content":[]}"#, ""), (#"{}"#, ""),
      (#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#, "a\nb"),
      (#"{"content":[{"type":"json","value":{"x":0.10}}]}"#, #"{"x":0.10}"#),
      (#"{"content":[{"type":"image","data":"AAAA","mimeType":"image/png"}]}"#, "[image image/png, 3 bytes]"),
      (#"{"content":[{"type":"binary","data":"AAAAAAAA","mimeType":"a/b"}]}"#, "[file a/b, 6 bytes]"),
      (#"{"content":[{"type":"binary","data":"AAAA","mimeType":"a/b","filename":"f.bin"}]}"#, "[f.bin a/b, 3 bytes]"),
      (#"{"content":[{"type":"binary","url":"http://x","mimeType":"a/b"}]}"#, "[a/b at http://x]"),
      (#"{"content":[{"type":"resource_link","uri":"u:1","name":"n"}]}"#, "[resource n: u:1]"),
      (#"{"content":[{"type":"resource","resource":{"uri":"u:1","text":"t"}}]}"#, "t"),
      (#"{"content":[{"type":"resource","resource":{"uri":"u:1"}}]}"#, "[resource u:1]"),
      (#"{"structuredContent":{"a":[1, 2]}}"#, #"{"a":[1, 2]}"#),
      (#"{"structuredContent":1,"content":"said"}"#, "said"),
      (#"{"content":"x","stdout":["1","2"],"stderr":["3"]}"#, "x\nstdout:\n1\n2\nstderr:\n3"),
      (#"{"stdout":[],"stderr":["e"]}"#, "stderr:\ne"),
      (#"{"content":"lone \ud800 half"}"#, "lone \u{FFFD} half"),
    ])
  func blocks(result: String, expected: String) throws { #expect(try text(result) == expected) }

  @Test func `a long result is cut at a character's border, with a note of how much`() throws {
    let result = #"{"content":"aé€😀z"}"#
    let whole = "aé€😀z"
    let borders = [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10]
    for (limit, kept) in borders.enumerated() {
      let expected = String(decoding: Array(whole.utf8.prefix(kept)), as: UTF8.self) + "\n[cut: the first \(limit) of 11 bytes]"
      #expect(try text(result, maxBytes: limit) == expected)
    }
    #expect(try text(result, maxBytes: 11) == whole)
  }

  @Test func `the model gets at most maxResultBytes of a tool, the log keeps all`() throws {
    let world = VirtualWorld()
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    process.parent.answer = { _ in .text(String(repeating: "x", count: 1000)) }
    let run = try #require(process.start("hi", startParams(tools: [clientTool("a", #""maxResultBytes":10"#)])).runID)
    #expect(process.model.shown.last?.last == "a: xxxxxxxxxx\n[cut: the first 10 of 1000 bytes]")
    #expect(world.disk.records(of: run).contains { $0.event?.count ?? 0 > 1000 })
  }
}
