import Glibc
import JSON
import POSIXSupport
import Testing

@testable import AgentRuntime
@testable import ToolHosts

struct MCPHostTests {
  @Test func `a server tells its tools, and its schemas come exactly`() {
    let workshop = MCPWorkshop()
    let offer = workshop.open(workshop.script()).prepare()
    #expect(offer.failures == [])
    #expect(offer.tools.map(\.tool.name).prefix(3) == ["s__echo", "s__exit", "s__signal"])
    #expect(offer.tools[0].route == MCPRoute(server: "s", tool: "echo"))
    #expect(offer.tools[0].tool.inputSchema?.bytes.string == #"{"type": "object", "$comment": "echo"}"#)
    #expect(offer.tools[0].tool.description == "does echo")
  }

  @Test func `hints of a server do not permit a repeat, the agent's word does`() {
    let workshop = MCPWorkshop()
    var server = workshop.script()
    server.tools = ["echo", "exit", "pid"]
    server.idempotent = ["exit"]
    server.requiresApproval = .named(["pid"])
    let tools = workshop.open(server).prepare().tools.map(\.tool)
    #expect(tools.map(\.name) == ["s__echo", "s__exit", "s__pid"])
    #expect(tools.map(\.isIdempotent) == [false, true, false])
    #expect(tools.map { $0.requiresApproval ?? false } == [false, false, true])
    #expect(tools.map { $0.annotations?.destructiveHint } == [false, false, false])
  }

  @Test func `arguments and results come exactly`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script(record: "got"))
    #expect(held.call("echo", #"{"a":[1,"ü",null]}"#) == .words(#"{"a": [1, "\u00fc", null]}"#))
    _ = held.call("echo", #"{"n":18446744073709551615,"x":0.10,"x":-0}"#)
    #expect(workshop.record("got").contains { $0.contains(#""arguments":{"n":18446744073709551615,"x":0.10,"x":-0}"#) })
  }

  @Test func `every kind of content comes`() {
    let workshop = MCPWorkshop()
    let result = workshop.open(workshop.script()).call("kinds")
    #expect(result.content.map(\.type) == ["text", "image", "audio", "resource_link", "resource", "json"])
    var writer = JSONWriter()
    result.content.write(to: &writer)
    let text = writer.finish().string
    #expect(text.contains(#"{"type":"resource","resource":{"uri": "file:///b", "text": "inside"}}"#))
    #expect(text.contains(#"{"type":"json","value":{"type": "hologram", "x": 1}}"#))
    #expect(text.contains(#""annotations":{"audience": ["user"], "priority": 0.1}"#))
  }

  @Test func `a sloppy member that need not be there is left out of a good result`() {
    let workshop = MCPWorkshop()
    let answer = #"""
      {"content":[{"type":"resource_link","uri":"u","name":"n","title":5,"mimeType":null,"size":-3,"description":{"$blob":"x"}},\#
      {"type":"resource","resource":{"uri":"u","mimeType":7,"text":"x"}},{"type":"resource","resource":{"text":"nameless"}}]}
      """#
    var writer = JSONWriter()
    workshop.open(workshop.script()).call("bad", #"{"result":\#(answer)}"#).content.write(to: &writer)
    #expect(
      writer.finish().string == #"[{"type":"resource_link","uri":"u","name":"n"},{"type":"resource","resource":{"uri":"u","text":"x"}},"#
        + #"{"type":"json","value":{"type": "resource", "resource": {"text": "nameless"}}}]"#)
  }

  @Test func `structured content is carried`() {
    let workshop = MCPWorkshop()
    let result = workshop.open(workshop.script()).call("structured")
    #expect(result.structuredContent == .inline(CarriedJSON(trusted: Bytes(#"{"n": 18446744073709551615, "x": 0.1}"#))))
    #expect(result.meta == .inline(CarriedJSON(trusted: Bytes(#"{"k": 1}"#))))
  }

  @Test func `a tool's error and a refusal are errors for the model`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script())
    #expect(held.call("error") == .words("it did not work", isError: true))
    #expect(held.call("nothing") == .failure("The MCP server 's' refused the call: no such tool: nothing (code -32602)"))
  }

  @Test(arguments: [
    (#"[]"#, "it is not an object"), (#"{"content":"x"}"#, "its content is not a list"),
    (#"{"content":[{"type":"text"}]}"#, "/content/0/text is required"),
    (#"{"content":[{"type":"text","text":{"$blob":"x"}}]}"#, "/content/0/text must be a string"),
    (#"{"content":[3]}"#, "/content/0 must be an object"), (#"{"resultType":"other"}"#, "its resultType is other"),
  ])
  func `a result that is none is an error that says why`(_ result: String, _ why: String) {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script())
    #expect(held.call("bad", #"{"result":\#(result)}"#) == .failure("The answer of the MCP server 's' cannot be used: \(why)."))
  }

  @Test func `a result that is too long is an error, and the server goes on`() {
    let workshop = MCPWorkshop { $0.maxMessageBytes = 100_000 }
    let held = workshop.open(workshop.script())
    #expect(
      held.call("big", #"{"bytes":200000}"#) == .failure("The answer of the MCP server 's' cannot be used: it is longer than 100000 bytes.")
    )
    #expect(held.call("echo") == .words("{}"))
  }

  @Test func `a list comes in pages`() {
    let workshop = MCPWorkshop()
    let whole = workshop.open(workshop.script()).prepare()
    let paged = workshop.open(workshop.script(#"{"page":3}"#)).prepare()
    #expect(whole == paged)
    #expect(whole.tools.count > 10)
  }

  @Test func `of a list without an end what was read is used, and the log says so`() {
    let workshop = MCPWorkshop()
    let whole = workshop.open(workshop.script()).prepare()
    #expect(workshop.open(workshop.script(#"{"loop":true}"#)).prepare() == whole)
    let count = whole.tools.count
    workshop.waitForLog(
      "MCP server 's' pointed at a page of its list of tools that it had given already; what came so far (\(count)) is used")
    let few = MCPWorkshop { $0.listPages = 2 }
    #expect(few.open(few.script(#"{"page":1}"#)).prepare() == MCPOffer(tools: Array(whole.tools[..<2])))
    few.waitForLog("MCP server 's' has more than 2 pages of tools; what came so far (2) is used")
  }

  @Test func `an empty cursor is followed once`() {
    func page(_ name: String, _ cursor: String) -> CarriedJSON {
      CarriedJSON(trusted: Bytes(#"{"tools":[{"name":"\#(name)"}],"nextCursor":"\#(cursor)"}"#))
    }
    var list = MCPToolList(mostPages: 10)
    #expect(list.take(page("a", "")) == .page(cursor: CarriedJSON(trusted: Bytes("\"\""))))
    #expect(list.take(page("b", "")) == .complete)
    #expect(list.tools.map(\.name) == ["a", "b"])
  }

  @Test func `a change of the list is followed`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script())
    let before = held.prepare()
    #expect(held.call("grow", #"{"name":"new"}"#) == .words("grown"))
    let after = held.waitForOffer { $0.tools.last?.tool.name == "s__new" }
    #expect(after.tools.dropLast() == before.tools[...])
    #expect(after.tools.last?.tool.name == "s__new")
  }

  @Test func `progress comes in order, with a token of its own`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script())
    let call = held.start("steps", #"{"count":3}"#)
    #expect(call.result == .words("done"))
    #expect(
      call.progress == (1...3).map { #"{"progress":\#($0),"total":3,"message":"step \#($0)"}"# })
  }

  @Test func `a flood of progress is thinned out`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script())
    let call = held.start("steps", #"{"count":20000}"#)
    #expect(call.result == .words("done"))
    #expect((100...2000).contains(call.progress.count))
  }

  @Test func `runs that define the same server share its process`() {
    let workshop = MCPWorkshop()
    let one = workshop.open(["a": workshop.script()])
    let two = workshop.open(["b": workshop.script()])
    let other = workshop.open(["a": workshop.script(#"{"names":["more"]}"#)])
    let first = one.call("pid", server: "a")
    #expect(two.call("pid", server: "b") == first)
    #expect(other.call("pid", server: "a") != first)
  }

  @Test func `a run's trace goes along`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script(record: "got"))
    _ = held.call("echo", meta: #"{"traceparent":"00-1-2-01","progressToken":"mine","io.modelcontextprotocol/x":1}"#)
    let sent = workshop.record("got").last ?? ""
    #expect(sent.contains(#""_meta":{"traceparent":"00-1-2-01","progressToken":"b-"#))
    #expect(!sent.contains("mine") && !sent.contains("modelcontextprotocol"))
  }

  @Test func `the environment is what commands get, and the server's own`() {
    let workshop = MCPWorkshop(environment: [
      "PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": "/h", "SECRET": "hunter2hunter2", "LANG": "C.UTF-8",
    ])
    var server = workshop.script()
    server.env = ["TOKEN": "a-${SECRET}-b", "PLAIN": "$x"]
    let text = workshop.open(server).call("env").text ?? ""
    #expect(text.contains(#""TOKEN": "a-hunter2hunter2-b""#) && text.contains(#""PLAIN": "$x""#) && text.contains(#""HOME": "/h""#))
    #expect(!text.contains("SECRET"))
  }

  @Test func `a variable that is not set is named, and nothing is started`() {
    let workshop = MCPWorkshop()
    var server = workshop.script()
    server.env = ["TOKEN": "${NO_SUCH}"]
    #expect(
      workshop.open(server).call("echo")
        == .failure(
          "The MCP server 's' could not be started: Its env needs the environment variable NO_SUCH, which is not set for the bridge."))
  }

  @Test func `what a server says on stderr is logged under its name, without the values of its env`() {
    let workshop = MCPWorkshop(environment: ["PATH": "/usr/bin:/bin:/usr/local/bin", "SECRET": "hunter2hunter2"])
    var server = workshop.script()
    server.env = ["TOKEN": "${SECRET}", "ONE": "1"]
    let held = workshop.open(["noisy": server])
    #expect(held.call("words", #"{"lines":["the token is hunter2hunter2!","n 1"]}"#, server: "noisy") == .words("said"))
    workshop.waitForLog("MCP server 'noisy' stderr: the token is ***!")
    workshop.waitForLog("MCP server 'noisy' stderr: n 1")
  }

  @Test func `a bridge that runs no commands runs no servers`() {
    let workshop = MCPWorkshop(allowsServers: false)
    var refusal: RuntimeError?
    do throws(RuntimeError) { try workshop.host.check(["s": workshop.script()], at: "/agent/mcpServers") } catch { refusal = error }
    #expect(refusal?.kind == .unsupportedCapability)
    #expect(workshop.open(workshop.script()).prepare().failures.count == 1)
  }

  @Test func `what cannot be started is refused with its place`() {
    let workshop = MCPWorkshop()
    func pointer(_ server: MCPServer) -> String? {
      do throws(RuntimeError) { try workshop.host.check(["a/b": server], at: "/agent/mcpServers") } catch { return error.pointer }
      return nil
    }
    #expect(pointer(MCPServer(command: "")) == "/agent/mcpServers/a~1b/command")
    #expect(pointer(MCPServer(command: "x", args: ["", "\0"])) == "/agent/mcpServers/a~1b/args/1")
    #expect(pointer(MCPServer(command: "x", env: ["A=B": ""])) == "/agent/mcpServers/a~1b/env")
    #expect(pointer(MCPServer(command: "x")) == nil)
  }
}
