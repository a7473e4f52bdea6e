import JSON
import Testing

@testable import AgentRuntime

/// Overriding never removes `requiresApproval`.
@Suite struct GateTests {
  @Test func `overriding never removes requiresApproval`() throws {
    for (earlier, later) in [
      (client("a", gated), client("a")), (server("a", gated), client("a", #""requiresApproval":false"#)), (client("a"), client("a", gated)),
    ] {
      var box = Toolbox()
      try box.register(tools: [earlier], at: .agent)
      try box.register(tools: [later], at: .run)
      #expect(box.requiresApproval("a") == true)
    }
    var box = Toolbox()
    try box.register(tools: [client("a", gated)], at: .agent)
    try box.register(tools: [client("a")], at: .run)
    #expect(
      box.overrides == [
        "tool 'a': the run's client tool overrides the agent's client tool",
        "tool 'a': it requires approval, as another declaration of it does or did",
      ])
  }

  @Test("nothing takes requiresApproval from a name", arguments: Ungating.allCases)
  func gateStays(way: Ungating) throws {
    var box = Toolbox()
    switch way {
    case .sameLevelServer: try box.register(tools: [server("a", gated), client("a")], at: .run)
    case .again:
      try box.register(tools: [client("a", gated)], at: .run)
      try box.register(tools: clients("a"), at: .run)
    case .toolkitAgain:
      try box.register(toolkits: [toolkit("kit", [client("a", gated)])], at: .run)
      try box.register(toolkits: [toolkit("kit", clients("a"))], at: .run)
    case .laterToolkit:
      try box.register(toolkits: [toolkit("kit", [client("a", gated)])], at: .agent)
      try box.register(toolkits: [toolkit("kit", clients("a"))], at: .run)
    case .toolkitWithoutIt:
      try box.register(toolkits: [toolkit("kit", [client("a", gated)])], at: .agent)
      try box.register(tools: clients("a"), toolkits: [toolkit("kit", clients("b"))], at: .run)
    case .otherToolkit:
      try box.register(tools: [client("a", gated)], at: .agent)
      try box.register(toolkits: [toolkit("kit", clients("a"))], at: .run)
    case .replacedRunTools:
      try box.register(tools: [client("a", gated)], at: .run)
      try box.replaceRunTools([])
      try box.replaceRunTools(clients("a"))
    case .removedAndInjected:
      try box.register(toolkits: [toolkit("kit", [client("a", gated)])], at: .agent)
      try box.augment(#""removeToolkits":["kit"],"injectToolkits":[{"name":"kit","description":"","tools":[\#(clientTool("a"))]}]"#)
    case .removedWithJoined:
      try box.register(tools: [client("a", gated + #","toolkit":"kit""#)], toolkits: [toolkit("kit", clients("b"))], at: .run)
      try box.augment(#""removeToolkits":["kit"]"#)
      try box.register(tools: clients("a"), at: .run)
    case .removedInAnEarlierRun:
      try box.register(toolkits: [toolkit("kit", [client("a", gated)])], at: .session)
      try box.augment(#""removeToolkits":["kit"]"#)
      box = box.keptBySession
      try box.register(tools: clients("a"), at: .run)
    case .nextRunOfTheSession:
      try box.register(toolkits: [toolkit("kit", [client("a", gated)])], at: .session)
      try box.register(toolkits: [toolkit("kit", clients("a"))], at: .run)
      box = box.keptBySession
    }
    #expect(box.requiresApproval("a") == true)
  }

  enum Ungating: CaseIterable {
    case sameLevelServer, again, toolkitAgain, laterToolkit, toolkitWithoutIt, otherToolkit, replacedRunTools, removedAndInjected,
      removedWithJoined, removedInAnEarlierRun, nextRunOfTheSession
  }

  @Test func `unregistering takes its own requiresApproval along, and no other`() throws {
    var box = Toolbox()
    try box.register(tools: [client("a", gated)], toolkits: [toolkit("kit", [client("b", gated)])], at: .connection)
    try box.register(tools: clients("a"), at: .connection)
    try box.unregister(tools: ["a"], at: .connection)
    try box.unregister(toolkits: ["kit"], at: .connection)
    try box.register(tools: clients("a", "b"), at: .connection)
    #expect(box.requiresApproval("a") == false)
    #expect(box.requiresApproval("b") == false)
    try box.register(tools: [client("a", gated)], at: .agent)
    try box.unregister(tools: ["a"], at: .connection)
    try box.register(tools: clients("a"), at: .connection)
    #expect(box.requiresApproval("a") == true)
  }
}
