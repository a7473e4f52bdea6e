import JSON
import Testing

@testable import AgentRuntime

/// What a session keeps of its runs.
@Suite struct SessionToolboxTests {
  @Test func `a session keeps its own, and the toolkits of its runs with what became of them`() throws {
    var box = Toolbox()
    try box.register(tools: clients("of_agent"), toolkits: [toolkit("agents", clients("a"))], at: .agent)
    try box.register(tools: clients("of_session"), toolkits: [toolkit("kit", clients("old"))], at: .session)
    try box.register(tools: clients("of_connection"), at: .connection)
    try box.register(tools: clients("plain"), toolkits: [toolkit("kit", clients("x", "y"))], at: .run)
    try box.augment(
      #""injectToolkits":[{"name":"late","description":"","tools":[\#(clientTool("z"))]}],"expandToolkits":["kit","agents"],"#
        + #""hideTools":["y","plain"],"addContext":[{"key":"k","description":"","value":1}],"updateState":{"s":1}"#)
    var next = box.keptBySession
    #expect(next.offeredNames == ["of_session", "x", "late"])
    #expect(next.overrides == [])
    try next.register(tools: clients("of_agent"), toolkits: [toolkit("agents", clients("a"))], at: .agent)
    try next.register(tools: clients("plain"), at: .run)
    #expect(next.offeredNames == ["of_agent", "a", "of_session", "x", "late"])
    #expect(next.shownState == box.shownState)
    next.resetClientState()
    #expect(next.offeredNames == ["of_agent", "agents"])
    #expect(next.shownState == nil)
    #expect(next.keptBySession == Toolbox())
  }

  @Test func `what a run's toolkit took over is still its own in the next run`() throws {
    var box = Toolbox()
    try box.register(tools: clients("new", "plain"), toolkits: [toolkit("old", [server("x"), client("y")])], at: .session)
    try box.register(toolkits: [toolkit("new", [server("x", #""title":"new""#)])], at: .run)
    #expect(box.offer(named: "x") == .hiddenChild(server("x", #""title":"new""#), of: "new"))
    #expect(box.offer(named: "new") == .toolkit("new"))
    var next = box.keptBySession
    #expect(next.offer(named: "x") == box.offer(named: "x"))
    #expect(next.offer(named: "new") == .toolkit("new"))
    // That they are of one level now keeps nobody from registering.
    try next.register(tools: clients("more"), at: .session)
    #expect(next.offeredNames == ["new", "plain", "more", "old"])
  }

  @Test func `a session's tool waits for the toolkit of the agent that it joined`() throws {
    var box = Toolbox()
    try box.register(toolkits: [toolkit("kit", clients("a"))], at: .agent)
    try box.register(tools: [client("b", #""toolkit":"kit""#)], at: .session)
    var next = box.keptBySession
    #expect(next.offered == [])
    #expect(next.offer(named: "b") == .unknown)
    #expect(next.overrides == ["tool 'b': the session's is left out, as its toolkit 'kit' is not there"])
    try next.register(toolkits: [toolkit("kit", clients("a"))], at: .agent)
    #expect(next == box)
    #expect(next.offer(named: "b") == box.offer(named: "b"))
  }
}
