import JSON
import TestSupport
import Testing

@testable import AgentRuntime

private func read(_ text: String) throws -> Tool {
  try RunParams.read([Tool].self, json("[\(text)]"), at: "", carrying: RunParams.toolPaths)[0]
}

/// What `body` throws, on one line.
func refusal(_ body: () throws(RuntimeError) -> Void) -> String? {
  do throws(RuntimeError) {
    try body()
    return nil
  } catch { return "\(error.kind.name) \(error.pointer ?? "-")" }
}

@Suite struct ToolCheckTests {
  @Test(
    "good tools pass",
    arguments: [
      clientTool("a"), serverTool("b"), clientTool("_x-9Z"), clientTool(String(repeating: "a", count: 64)),
      #"{"name":"a","description":"","parameters":{}}"#, clientTool("a", #""target":"client""#), serverTool("a", #""target":"server""#),
      serverTool("a", #""cwd":"/","env":{"A":"1"},"timeoutMs":1,"maxCallsPerRun":1,"maxResultBytes":1"#),
    ])
  func good(text: String) throws {
    let tool = try read(text)
    #expect(refusal { () throws(RuntimeError) in try tool.check(at: "/tools/0") } == nil)
  }

  @Test(
    "a contradiction is named with its place",
    arguments: [
      (clientTool(""), "tool.invalid /tools/0/name"), (clientTool("9a"), "tool.invalid /tools/0/name"),
      (clientTool("-a"), "tool.invalid /tools/0/name"), (clientTool("a b"), "tool.invalid /tools/0/name"),
      (clientTool("ä"), "tool.invalid /tools/0/name"), (clientTool(String(repeating: "a", count: 65)), "tool.invalid /tools/0/name"),
      (#"{"name":"a","description":""}"#, "invalidParams /tools/0/inputSchema"),
      (#"{"name":"a","description":"","inputSchema":{},"parameters":{}}"#, "tool.invalid /tools/0/parameters"),
      (clientTool("a", #""target":"server""#), "tool.invalid /tools/0/target"),
      (serverTool("a", #""target":"client""#), "tool.invalid /tools/0/target"),
      (clientTool("a", #""command":[]"#), "tool.invalid /tools/0/command"),
      (clientTool("a", #""command":[""]"#), "tool.invalid /tools/0/command"), (clientTool("a", #""cwd":"/""#), "tool.invalid /tools/0/cwd"),
      (clientTool("a", #""env":{}"#), "tool.invalid /tools/0/env"), (clientTool("a", #""timeoutMs":0"#), "tool.invalid /tools/0/timeoutMs"),
      (clientTool("a", #""maxCallsPerRun":-1"#), "tool.invalid /tools/0/maxCallsPerRun"),
      (clientTool("a", #""maxResultBytes":0"#), "tool.invalid /tools/0/maxResultBytes"),
    ])
  func bad(text: String, expected: String) throws {
    let tool = try read(text)
    #expect(refusal { () throws(RuntimeError) in try tool.check(at: "/tools/0") } == expected)
  }
}

@Suite struct OlderLogTests {
  @Test func `a title that earlier versions took is read, and refused where a tool is declared`() throws {
    let old = try read(clientTool("a", #""annotations":{"title":5}"#))
    #expect(refusal { () throws(RuntimeError) in try old.check(at: "/tools/0") } == nil)
    let schemas = SchemaCache(compiler: ScriptedSchemas())
    #expect(
      refusal { () throws(RuntimeError) in try RunAdmission.checkSchemas(of: [old], at: "/tools", with: schemas) }
        == "invalidParams /tools/0/annotations/title")
  }

  @Test func `a member of a block that is null is not in the log, and an older log with it is read`() {
    let block = json(#"{"type":"binary","mimeType":"m","data":"AA==","url":null}"#)
    #expect(ContentBlock(given: block)["url"] == nil)
    #expect(ContentBlock(logged: block)["url"] == .inline(.null))
  }
}

@Suite struct AdmissionTests {
  @Test func `good params pass, and what nothing reads is named`() throws {
    let admission = try RunAdmission(
      params: startParams(
        agent: #""name":"x","colour":"red","x-mine":1,"limits":{"maxIterations":10000,"maxTurns":3},"clientTools":{"retries":1}"#,
        agentTools: [clientTool("a", #""approval":true"#)], tools: [clientTool("b", #""annotations":{"idempotent":true},"x-y":{}"#)],
        limits: #"{"deadlineMs":1}"#, outputSchema: "true", more: #""metadata":{"k":"v"}"#))
    let unknown = [
      "/agent/colour", "/agent/clientTools/retries", "/agent/limits/maxTurns", "/agent/tools/0/approval", "/tools/0/annotations/idempotent",
    ]
    #expect(Set(admission.unknownMembers) == Set(unknown))
    #expect(admission.warnings == admission.unknownMembers.map { "\($0): unknown member, ignored" })
  }

  @Test(
    "what is wrong is named with its place",
    arguments: [
      ("{}", "invalidParams /agent"), (#"{"agent":{}}"#, "invalidParams /agent/model"),
      (#"{"agent":{"model":1}}"#, "invalidParams /agent/model"),
      (#"{"agent":1}"#, "invalidParams /agent"), (#"{"agent":{"model":"x","tools":{}}}"#, "invalidParams /agent/tools"),
      (#"{"agent":{"model":"x","tools":[1]}}"#, "invalidParams /agent/tools/0"),
      (#"{"agent":{"model":"x"},"limits":{"maxIterations":0}}"#, "invalidParams /limits/maxIterations"),
      (#"{"agent":{"model":"x"},"limits":{"maxIterations":10001}}"#, "invalidParams /limits/maxIterations"),
      (#"{"agent":{"model":"x"},"limits":{"onLimit":"explode"}}"#, "invalidParams /limits/onLimit"),
      (#"{"agent":{"model":"x","limits":{"maxTotalTokens":0}}}"#, "invalidParams /agent/limits/maxTotalTokens"),
      (#"{"agent":{"model":"x","clientTools":{"invokeTimeoutMs":0}}}"#, "invalidParams /agent/clientTools/invokeTimeoutMs"),
      (#"{"agent":{"model":"x","clientTools":{"maxRetries":-1}}}"#, "invalidParams /agent/clientTools/maxRetries"),
      (#"{"agent":{"model":"x"},"metadata":{"k":1}}"#, "invalidParams /metadata/k"),
      (#"{"agent":{"model":"x"},"metadata":{"a/b":1}}"#, "invalidParams /metadata/a~1b"),
      (#"{"agent":{"model":"x"},"metadata":[]}"#, "invalidParams /metadata"),
      (#"{"agent":{"model":"x"},"outputSchema":[]}"#, "invalidParams /outputSchema"),
      (#"{"agent":{"model":"x","model":"y"}}"#, "invalidParams /agent/model"),
      (#"{"agent":{"model":"x","memory":[{}]}}"#, "invalidParams /agent/memory/0/label"),
      (#"{"agent":{"model":"x","memory":[{"label":"a","value":""}]}}"#, "invalidParams /agent/memory"),
      (#"{"agent":{"model":"x"},"tools":[\#(clientTool("memory_insert"))]}"#, "tool.invalid /tools/0/name"),
      (#"{"agent":{"model":"x","mcpServers":[]}}"#, "invalidParams /agent/mcpServers"),
      (#"{"agent":{"model":"x","mcpServers":{"a/b":{}}}}"#, "invalidParams /agent/mcpServers/a~1b/command"),
      (#"{"agent":{"model":"x","mcpServers":{"a":{"command":""}}}}"#, "invalidParams /agent/mcpServers/a/command"),
      (#"{"agent":{"model":"x","mcpServers":{"":{"command":"x"}}}}"#, "invalidParams /agent/mcpServers/"),
      (#"{"agent":{"model":"x","mcpServers":{"a":{"command":"x","args":[1]}}}}"#, "invalidParams /agent/mcpServers/a/args/0"),
      (#"{"agent":{"model":"x","mcpServers":{"a":{"command":"x","env":{"A":1}}}}}"#, "invalidParams /agent/mcpServers/a/env/A"),
      (#"{"agent":{"model":"x","mcpServers":{"a":{"command":"x","timeoutMs":0}}}}"#, "invalidParams /agent/mcpServers/a/timeoutMs"),
      (#"{"agent":{"model":"x","mcpServers":{"a":{"command":"x","type":"sse"}}}}"#, "unsupportedCapability /agent/mcpServers/a/type"),
      (#"{"agent":{"model":"x","approvalTimeoutMs":0}}"#, "invalidParams /agent/approvalTimeoutMs"),
      (#"{"agent":{"model":"x","askUser":1}}"#, "invalidParams /agent/askUser"),
      (#"{"agent":{"model":"x"},"tools":[\#(clientTool("ask_user"))]}"#, "tool.invalid /tools/0/name"),
      (#"{"agent":{"model":"x"},"tools":[\#(clientTool("a")),\#(clientTool("a"))]}"#, "tool.invalid /tools/1/name"),
      (#"{"agent":{"model":"x"},"tools":[\#(clientTool("a b"))]}"#, "tool.invalid /tools/0/name"),
    ])
  func bad(text: String, expected: String) {
    #expect(refusal { () throws(RuntimeError) in _ = try RunAdmission(params: json(text)) } == expected)
  }

  @Test(
    "members that ask for nothing are let through",
    arguments: [
      #""memory":[]"#, #""askUser":false"#, #""mcpServers":{}"#, #""toolkits":null"#, #""compaction":"none""#,
      #""messageConcurrency":"latest""#,
    ])
  func emptyMembers(member: String) throws {
    #expect(try RunAdmission(params: startParams(agent: member)).warnings == [])
  }

  @Test(
    "an input is a text, content blocks, or messages with roles",
    arguments: [
      (#""hi""#, nil), (#"[{"type":"text","text":"x"}]"#, nil),
      (#"[{"role":"user","content":"x"},{"role":"assistant","content":[]}]"#, nil),
      (#"[{"type":"json","value":null}]"#, nil), ("1", "invalidParams /input"), ("[]", "invalidParams /input"),
      ("{}", "invalidParams /input"),
      ("[1]", "invalidParams /input/0"), (#"[{"role":"system","content":"x"}]"#, "invalidParams /input/0/role"),
      (#"[{"role":1,"content":"x"}]"#, "invalidParams /input/0/role"), (#"[{"role":"user"}]"#, "invalidParams /input/0/content"),
      (#"[{"role":"user","content":1}]"#, "invalidParams /input/0/content"), (#"[{"type":"text"}]"#, "invalidParams /input/0/text"),
      (#"[{"type":"text","text":1}]"#, "invalidParams /input/0/text"), (#"[{"type":"video"}]"#, "invalidParams /input/0/type"),
      (#"[{"text":"x"}]"#, "invalidParams /input/0/type"), (#"[{"type":"image","data":""}]"#, "invalidParams /input/0/mimeType"),
      (#"[{"type":"binary","mimeType":"a/b"}]"#, "invalidParams /input/0/data"),
      (#"[{"type":"resource_link","uri":""}]"#, "invalidParams /input/0/name"),
      (#"[{"type":"resource","resource":1}]"#, "invalidParams /input/0/resource"),
      (#"[{"role":"user","content":[{"type":"json"}]}]"#, "invalidParams /input/0/content/0/value"),
    ] as [(String, String?)])
  func input(text: String, expected: String?) {
    #expect(refusal { () throws(RuntimeError) in try RunAdmission.checkInput(json(text)) } == expected)
  }

  @Test func `a schema that does not compile is named with its tool and place`() {
    let engine = VirtualWorld().launch(model: ScriptedModel([])).engine
    let broken = #"{"name":"b","description":"","inputSchema":{"broken":1}}"#
    #expect(
      refusal { () throws(RuntimeError) in try engine.checkSchemas(ofParams: startParams(tools: [clientTool("a"), broken])) }
        == "tool.invalidSchema /tools/1/inputSchema/broken")
    #expect(
      refusal { () throws(RuntimeError) in
        try engine.checkSchemas(ofParams: startParams(agentTools: [clientTool("a", #""outputSchema":{"broken":1}"#)]))
      }
        == "tool.invalidSchema /agent/tools/0/outputSchema/broken")
    #expect(
      refusal { () throws(RuntimeError) in try engine.checkSchemas(ofParams: startParams(outputSchema: #"{"broken":1}"#)) }
        == "invalidParams /outputSchema/broken")
    #expect(
      refusal { () throws(RuntimeError) in try engine.checkSchemas(ofTools: json("[\(broken)]"), at: "/tools") }
        == "tool.invalidSchema /tools/0/inputSchema/broken")
  }
}
