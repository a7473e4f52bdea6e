import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Toolboxes to which anything is done, in any order: what must hold of every one holds of them too.
@Suite struct ToolboxPropertyTests {
  @Test("random operations", arguments: 0..<400)
  func anything(seed: UInt64) throws {
    var chance = Chance(seed)
    var box = Toolbox()
    var done: [Operation] = []
    for _ in 0..<40 {
      let operation = Operation.random(&chance)
      let before = box
      do throws(RuntimeError) {
        try operation.carryOut(&box)
        done.append(operation)
      } catch {
        #expect(box == before && box.offered == before.offered, "\(operation) threw and changed something")
        #expect(error.kind == .toolInvalid || error.kind == .toolkitNotFound || error.kind == .toolNotFound, "\(error)")
      }
      check(box)
      checkGates(before, box, operation)
    }
    // The same operations make an equal box that shows the same.
    var again = Toolbox()
    for operation in done { try operation.carryOut(&again) }
    #expect(again == box)
    expectSameSight(again, box)
    #expect(again.json == box.json)
  }

  private func check(_ box: Toolbox) {
    let names = box.offeredNames
    #expect(Set(names).count == names.count, "\(names)")
    #expect(names.allSatisfy { !box.hidden.contains($0) || box.offer(named: $0) == .toolkit($0) })
    for tool in box.offered {
      switch box.offer(named: tool.name) {
      case .plain(let found): #expect(found == tool)
      case .toolkit(let name): #expect(name == tool.name && !box.isExpanded(name))
      case .skill(let name, of: let toolkit): #expect(name == tool.name && box.isExpanded(toolkit))
      case .hiddenChild, .unknown: Issue.record("\(tool.name) is offered and cannot be called")
      }
    }
    for kit in box.registered.toolkits where !kit.isExpanded {
      for tool in kit.toolkit.tools where !names.contains(tool.name) && !box.hidden.contains(tool.name) {
        #expect(box.offer(named: tool.name) == .hiddenChild(tool, of: kit.toolkit.name))
      }
    }
    do throws(RuntimeError) {
      let read = try Toolbox(reading: box.json)
      #expect(read == box)
      #expect(read.json == box.json)
      expectSameSight(read, box)
    } catch { Issue.record("\(error) in \(box.json.bytes.string)") }
  }

  private func expectSameSight(_ a: Toolbox, _ b: Toolbox) {
    #expect(a.offered == b.offered)
    #expect(a.prompts == b.prompts)
    #expect(a.overrides == b.overrides)
    #expect(a.shownState == b.shownState)
    #expect(a.registered == b.registered)
  }

  /// What required approval and is still there, or there again, requires it, unless it was unregistered in between.
  private func checkGates(_ before: Toolbox, _ after: Toolbox, _ operation: Operation) {
    switch operation {
    case .unregisterTools, .unregisterToolkits, .reset, .nextRun: return
    default: break
    }
    for name in Operation.toolNames where before.requiresApproval(name) == true {
      #expect(after.requiresApproval(name) != false, "\(operation) ungated \(name)")
    }
  }
}

extension ToolboxPropertyTests {
  enum Operation {
    case register([Tool], [Toolkit], RegistrationLevel)
    case unregisterTools([String], RegistrationLevel)
    case unregisterToolkits([String], RegistrationLevel)
    case replaceRunTools([Tool])
    case augment(Augmentation, isInsideResult: Bool)
    case expand(String)
    case collapse(String)
    case activate(String)
    case reset
    case nextRun

    static let toolNames = ["a", "b", "c", "d", "e"]
    // Some are names of other things, too.
    private static let kitNames = ["k", "l", "m", "e"]
    private static let skillNames = ["s", "t", "d", "l"]

    func carryOut(_ box: inout Toolbox) throws(RuntimeError) {
      switch self {
      case .register(let tools, let toolkits, let level): try box.register(tools: tools, toolkits: toolkits, at: level)
      case .unregisterTools(let names, let level): try box.unregister(tools: names, at: level)
      case .unregisterToolkits(let names, let level): try box.unregister(toolkits: names, at: level)
      case .replaceRunTools(let tools): try box.replaceRunTools(tools)
      case .augment(let augmentation, let isInsideResult): try box.apply(augmentation, isInsideResult: isInsideResult)
      case .expand(let name): try box.expand(toolkit: name)
      case .collapse(let name): try box.collapse(toolkit: name)
      case .activate(let name): try box.activate(skill: name)
      case .reset: box.resetClientState()
      case .nextRun: box = box.keptBySession
      }
    }

    static func random(_ chance: inout Chance) -> Operation {
      let level = RegistrationLevel.allCases[chance.below(5)]
      switch chance.below(24) {
      case 0..<8: return .register(tools(&chance, below: 3), toolkits(&chance), level)
      case 8: return .unregisterTools(pick(toolNames, &chance), level)
      case 9: return .unregisterToolkits(pick(kitNames, &chance), level)
      case 10: return .replaceRunTools(tools(&chance, below: 3))
      case 11..<17: return .augment(augmentation(&chance), isInsideResult: chance.below(2) == 0)
      case 17, 18: return .expand(one(kitNames, &chance))
      case 19: return .collapse(one(kitNames, &chance))
      case 20, 21: return .activate(one(skillNames, &chance))
      case 22: return chance.below(4) == 0 ? .reset : .expand(one(kitNames, &chance))
      default: return .nextRun
      }
    }

    private static func one(_ names: [String], _ chance: inout Chance) -> String { names[chance.below(names.count)] }

    private static func pick(_ names: [String], _ chance: inout Chance) -> [String] {
      (0..<chance.below(2) + 1).map { _ in one(names, &chance) }
    }

    private static func tools(_ chance: inout Chance, below bound: Int) -> [Tool] {
      (0..<chance.below(bound)).map { _ in
        var tool = chance.below(4) == 0 ? server(one(toolNames, &chance)) : client(one(toolNames, &chance))
        if chance.below(3) == 0 { tool.requiresApproval = chance.below(2) == 0 }
        if bound == 3, chance.below(3) == 0 { tool.toolkit = one(kitNames, &chance) }
        tool.title = String(chance.below(10))
        return tool
      }
    }

    private static func toolkits(_ chance: inout Chance) -> [Toolkit] {
      (0..<chance.below(3)).map { _ in
        let skills = (0..<chance.below(2)).map { _ in
          Skill(
            name: one(skillNames, &chance), description: "", functionResult: chance.below(2) == 0 ? "how" : nil, systemPrompt: "use",
            references: [
              SkillReference(toolName: one(toolNames, &chance), toolkitName: chance.below(4) == 0 ? one(kitNames, &chance) : nil)
            ])
        }
        return Toolkit(
          name: one(kitNames, &chance), description: "d", startCollapsed: [nil, true, false][chance.below(3)],
          systemPrompt: chance.below(2) == 0 ? "prompt \(chance.below(5))" : nil, tools: tools(&chance, below: 4), skills: skills)
      }
    }

    private static func augmentation(_ chance: inout Chance) -> Augmentation {
      var augmentation = Augmentation()
      func maybe(_ names: [String]) -> [String] { chance.below(4) == 0 ? pick(names, &chance) : [] }
      augmentation.removeToolkits = maybe(kitNames)
      if chance.below(3) == 0 { augmentation.injectToolkits = toolkits(&chance) }
      augmentation.expandToolkits = maybe(kitNames)
      augmentation.collapseToolkits = maybe(kitNames)
      augmentation.hideTools = maybe(toolNames + skillNames)
      augmentation.showTools = maybe(toolNames)
      if chance.below(3) == 0 {
        augmentation.addContext = [
          ContextItem(key: one(toolNames, &chance), description: "d", value: json("{\"n\": \(chance.below(9)).50}"))
        ]
      }
      augmentation.removeContext = maybe(toolNames)
      if chance.below(4) == 0 { augmentation.updateState = json(["null", "[1.0]", #"{"a":1,"a":2}"#][chance.below(3)]) }
      if chance.below(4) == 0 { augmentation.patchState = json(#"{"a":null,"b":{"c":\#(chance.below(9)).0}}"#) }
      return augmentation
    }
  }
}

@Suite struct ToolboxSnapshotTests {
  @Test func `an empty one is an empty object`() throws {
    #expect(Toolbox().json == .emptyObject)
    #expect(try Toolbox(reading: .emptyObject) == Toolbox())
  }

  @Test func `everything is in it, exact`() throws {
    var box = Toolbox()
    let schema = #"{"type":"object","default": 1.50,"x":1,"x":2}"#
    let tool = piece([Tool].self, #"[{"name":"t","description":"","inputSchema":\#(schema),"toolkit":"kit"}]"#, RunParams.toolPaths)[0]
    try box.register(
      tools: [tool], toolkits: [toolkit("kit", clients("a"), #""skills":[{"name":"s","description":"","references":[]}]"#)], at: .session)
    try box.register(tools: [server("g", gated + #","env":{"B":"2","A":"1"}"#)], at: .run)
    try box.replaceRunTools([])
    try box.activate(skill: "s")
    try box.augment(#""hideTools":["a"],"addContext":[{"key":"k","description":"d","value":[0.10]}],"updateState":{"n":1e0,"n":2}"#)
    let text = box.json.bytes.string
    #expect(
      text
        == #"{"levels":{"run":{"gates":["g"]},"session":{"toolkits":[{"name":"kit","description":"About kit.","tools":[{"name":"a","#
        + #""description":"","inputSchema":{"type":"object"}}],"skills":[{"name":"s","description":"","references":[]}]}],"tools":[{"name":"t","#
        + #""description":"","inputSchema":\#(schema),"toolkit":"kit"}]}},"expansion":{"kit":true},"hidden":["a"],"#
        + #""skills":[{"toolkit":"kit","skill":"s"}],"state":{"n":1e0,"n":2},"context":[{"key":"k","description":"d","value":[0.10]}]}"#)
    #expect(try Toolbox(reading: json(text)) == box)
  }

  @Test(
    "one that another version wrote differently is refused with its place",
    arguments: [("[]", ""), (#"{"levels":{"moon":{}}}"#, "/levels/moon"), (#"{"hidden":1}"#, "/hidden")])
  func unreadable(text: String, pointer: String) {
    #expect(throws: RuntimeError.invalidParams("", at: pointer).kindAndPlace) {
      try kindAndPlace { () throws(RuntimeError) in _ = try Toolbox(reading: json(text)) }
    }
  }

  @Test func `the listing shows every toolkit with what counts of it, and the tools as the next turn has them`() throws {
    var box = Toolbox()
    try box.register(
      tools: clients("plain"), toolkits: [toolkit("kit", clients("a", "b"), #""startCollapsed":false"#), toolkit("shut", clients("x"))],
      at: .agent)
    try box.register(tools: [client("b"), client("c", #""toolkit":"kit""#)], at: .run)
    let listing = box.registered
    #expect(listing.tools == box.offered)
    #expect(listing.tools.map(\.name) == ["plain", "a", "c", "shut", "b"])
    #expect(
      listing.toolkits.map { "\($0.toolkit.name) \($0.toolkit.tools.map(\.name)) \($0.level) \($0.isExpanded)" } == [
        "kit [\"a\", \"c\"] agent true", "shut [\"x\"] agent false",
      ])
  }
}
