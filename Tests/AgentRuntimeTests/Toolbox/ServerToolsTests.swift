import JSON
import Testing

@testable import AgentRuntime

/// What MCP servers offer, in the toolbox of a run.
@Suite struct ServerToolsTests {
  private func entry(_ name: String, isUnjudged: Bool? = nil, _ change: (inout MCPServer) -> Void = { _ in }) -> MCPOffer.Entry {
    var definition = MCPServer(command: "x")
    change(&definition)
    var route = MCPRoute(server: "s", tool: name)
    route.isUnjudged = isUnjudged
    return MCPOffer.Entry(
      name: "s__\(name)", route: route, listed: CarriedJSON(trusted: Bytes(#"{"name":"\#(name)","inputSchema":{"type":"object"}}"#)),
      definition: definition)
  }

  @Test func `they are server tools whose routes are in the snapshot, where no client can put one`() throws {
    var box = Toolbox()
    box.take(
      MCPOffer(tools: [entry("a"), entry("b", isUnjudged: true)], failures: [MCPOffer.Failure(server: "t", message: "It did not start.")]))
    #expect(box.offeredNames == ["s__a", "s__b"])
    #expect(box.offered.map(\.target) == [.server, .server])
    #expect(box.offered[1].route?.isUnjudged == true)
    #expect(try Toolbox(reading: box.json) == box)
    let given = #"{"name":"s__a","description":"","inputSchema":{},"route":{"server":"s","tool":"a"}}"#
    #expect(try RunParams.read(Tool.self, CarriedJSON(trusted: Bytes(given)), at: "").route == nil)
  }

  @Test func `what is offered now takes the place of what was`() {
    var box = Toolbox()
    box.take(MCPOffer(tools: [entry("a"), entry("b")]))
    box.take(MCPOffer(tools: [entry("b")], failures: [MCPOffer.Failure(server: "t", message: "It did not start.")]))
    #expect(box.offeredNames == ["s__b"])
    #expect(box.failures == ["It did not start."])
    #expect(box.shownFailures == "Tools that are not available now:\n- It did not start.")
    box.take(MCPOffer())
    #expect(box == Toolbox())
  }

  @Test func `whatever is registered under their names wins, and keeps their gates`() throws {
    var box = Toolbox()
    try box.register(tools: [client("s__a")], at: .agent)
    box.take(MCPOffer(tools: [entry("a") { $0.requiresApproval = .named(["a"]) }]))
    #expect(box.offered.map(\.target) == [.client])
    #expect(box.offered.map(\.requiresApproval) == [true])
  }

  @Test func `a session does not keep them: each turn hears its agent's servers itself`() {
    var box = Toolbox()
    box.take(MCPOffer(tools: [entry("a")], failures: [MCPOffer.Failure(server: "t", message: "It did not start.")]))
    #expect(box.keptBySession == Toolbox())
  }

  @Test func `a server's own hints never permit a repeat, and what its definition says counts for all its tools`() {
    let listed = CarriedJSON(
      trusted: Bytes(#"{"name":"a","annotations":{"idempotentHint":true,"readOnlyHint":true,"destructiveHint":true}}"#))
    var definition = MCPServer(command: "x")
    definition.timeoutMs = 5
    definition.maxResultBytes = 6
    definition.parallel = false
    let route = MCPRoute(server: "s", tool: "a")
    let tool = MCPOffer.Entry(name: "s__a", route: route, listed: listed, definition: definition).tool
    #expect(!tool.isIdempotent)
    #expect(tool.annotations?.destructiveHint == true)
    #expect((tool.timeoutMs, tool.maxResultBytes, tool.runsAlone) == (5, 6, true))
    definition.idempotent = ["a"]
    #expect(MCPOffer.Entry(name: "s__a", route: route, listed: listed, definition: definition).tool.isIdempotent)
  }
}
