import JSON
import JSONRPC
import Testing

@testable import AgentRuntime
@testable import ToolHosts

struct MCPNegotiationTests {
  private func json(_ text: String) -> PeerReply { .result(CarriedJSON(trusted: Bytes(text))) }

  @Test(arguments: ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
  func `a revision with a handshake is taken as the server answers it`(_ version: String) {
    var negotiation = MCPNegotiation()
    let step = negotiation.initialized(json(#"{"protocolVersion":"\#(version)","capabilities":{"tools":{"listChanged":true}}}"#))
    #expect(step == .agreed(MCPAgreement(isStateless: false, hasTools: true, announcesChanges: true)))
  }

  @Test func `another revision is refused by name`() {
    var negotiation = MCPNegotiation()
    let other = negotiation.initialized(json(#"{"protocolVersion":"2031-01-01"}"#))
    #expect(
      other
        == .failed("speaks revision 2031-01-01 of MCP; this bridge knows 2026-07-28, 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05"))
    let none = negotiation.initialized(json("{}"))
    #expect(none == .failed("answered initialize without a protocolVersion"))
  }

  @Test func `a server without a handshake is asked what it speaks`() {
    var negotiation = MCPNegotiation()
    let step = negotiation.initialized(.error(RPCError(code: -32601, message: "Method not found")))
    #expect(step == .discover)
    #expect(
      negotiation.discovered(json(#"{"supportedVersions":["2027-01-01","2026-07-28"],"capabilities":{}}"#))
        == .agreed(MCPAgreement(isStateless: true, hasTools: false, announcesChanges: false)))
    #expect(
      negotiation.discovered(json(#"{"supportedVersions":["2027-01-01"]}"#))
        == .failed("speaks MCP 2027-01-01; this bridge knows 2026-07-28, 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05"))
    #expect(
      negotiation.discovered(.error(RPCError(code: -1, message: "no"))) == .failed("refused initialize: Method not found (code -32601)"))
  }

  @Test func `the handshake and everything after it are as MCP has them`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script(record: "got"))
    _ = held.prepare()
    _ = held.call("echo", "{}")
    #expect(
      workshop.record("got").dropFirst() == [
        #"{"jsonrpc":"2.0","id":"b-1","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{"name":"footbridge","version":"1.2.3"}}}"#,
        #"{"jsonrpc":"2.0","method":"notifications/initialized","params":{}}"#,
        #"{"jsonrpc":"2.0","id":"b-2","method":"tools/list","params":{}}"#,
        #"{"jsonrpc":"2.0","id":"b-3","method":"tools/call","params":{"name":"echo","arguments":{},"_meta":{"progressToken":"b-3"}}}"#,
      ])
  }

  @Test func `without a handshake every request says what there is to know`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script(#"{"stateless":true}"#, record: "got"))
    #expect(held.prepare().failures == [])
    #expect(held.call("echo", "{}") == .words("{}"))
    let meta =
      #""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"footbridge","version":"1.2.3"},"#
      + #""io.modelcontextprotocol/clientCapabilities":{"roots":{}}}"#
    #expect(
      workshop.record("got").dropFirst(2) == [
        #"{"jsonrpc":"2.0","id":"b-2","method":"server/discover","params":{"_meta":{\#(meta)}}"#,
        #"{"jsonrpc":"2.0","id":"b-3","method":"tools/list","params":{"_meta":{\#(meta)}}"#,
        #"{"jsonrpc":"2.0","id":"b-4","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{\#(meta)}}"#,
        #"{"jsonrpc":"2.0","id":"b-5","method":"tools/call","params":{"name":"echo","arguments":{},"_meta":{"progressToken":"b-5",\#(meta)}}"#,
      ])
    #expect(held.call("grow", #"{"name":"new"}"#) == .words("grown"))
    #expect(held.waitForOffer { $0.tools.last?.tool.name == "s__new" }.tools.last?.tool.name == "s__new")
  }
}

struct MCPToolNamesTests {
  private func names(_ pairs: [(String, String)]) -> [String] {
    var names = MCPToolNames()
    return pairs.map { names.name(server: $0.0, tool: $0.1) }
  }

  @Test func `a plain name is the server's and the tool's`() {
    #expect(names([("git", "git_status"), ("a-b", "C3")]) == ["git__git_status", "a-b__C3"])
  }

  @Test func `every name fits, and no two are one`() {
    let long = String(repeating: "x", count: 70)
    let all = names([
      ("my server", "a.b/c"), ("my.server", "a.b/c"), ("9lives", "t"), ("süß", "t"), ("a__b", "c"), ("a", "b__c"), ("a_", "b"), ("a", "_b"),
      ("s", long + "1"), ("s", long + "2"), ("", "t"), ("a", ""), ("日本", "語"),
    ])
    #expect(Set(all).count == all.count)
    for name in all { #expect(name.wholeMatch(of: /[a-zA-Z_][a-zA-Z0-9_-]{0,63}/) != nil, "\(name)") }
    #expect(all[0].hasPrefix("my_server__a_b_c_") && all[2].hasPrefix("_9lives__t_") && all[3].hasPrefix("s____t_"))
    #expect(all[5] == "a__b__c" && all[7] == "a___b")
  }

  @Test func `a name does not depend on what else there is`() {
    #expect(names([("my server", "t")]) == [names([("x", "y"), ("my server", "t")])[1]])
    #expect(names([("my server", "t")]) == ["my_server__t_027e755e"])
  }
}

struct MCPEndingCourseTests {
  @Test func `input closed, then asked, then killed, then given up`() {
    var ending = MCPEnding(closedAt: 0)
    let steps = [0, 2000, 2000, 4000, 4001, 5000].map { ending.next(at: $0, hasExited: false) }
    #expect(steps == [.wait(until: 2000), .terminate, .wait(until: 4000), .kill, .wait(until: 5000), .finish])
    let exited = ending.next(at: 4500, hasExited: true)
    #expect(exited == .finish)
  }

  @Test func `in a hurry all of it takes less than a second`() {
    var ending = MCPEnding(closedAt: 0)
    ending.hurryUp()
    var now = 0
    while true {
      switch ending.next(at: now, hasExited: false) {
      case .wait(let time): now = time
      case .terminate, .kill: continue
      case .finish:
        #expect(now == 600)
        return
      }
    }
  }
}

struct BucketTests {
  @Test func `a burst passes, and then so many a second`() {
    var bucket = Bucket(burst: 3, perSecond: 2)
    let passed = [1000, 1000, 1000, 1000, 1000, 1499, 1500, 90_000, 90_000, 90_000, 90_000].map { bucket.take(at: $0) }
    #expect(passed == [true, true, true, false, false, false, true, true, true, true, false])
  }
}
