import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What a connection remembers of what it registered, and what a run makes of it that takes many changes at once.
@Suite struct ConnectionRegistrationsTests {
  @Test("many changes at once lead to where each by itself does", arguments: 0..<400)
  func atOnce(seed: UInt64) throws {
    var chance = Chance(seed)
    var connection = ConnectionRegistrations()
    var changes: [RegistrationChange] = []
    var taken = 0
    var (atOnce, apart) = (Toolbox(), Toolbox())
    for _ in 0..<80 {
      let operation = ToolboxPropertyTests.Operation.random(&chance)
      switch operation {
      case .register(let tools, let toolkits, _): make(.register(tools: tools, toolkits: toolkits))
      case .unregisterTools(let names, _): make(.unregisterTools(names))
      case .unregisterToolkits(let names, _): make(.unregisterToolkits(names))
      case .expand, .collapse:
        do throws(RuntimeError) {
          try operation.carryOut(&atOnce)
          try operation.carryOut(&apart)
        } catch {}
      default:
        for change in changes[taken...] { try change.apply(to: &apart, at: .connection) }
        connection.bring(&atOnce, from: taken)
        taken = changes.count
        #expect(atOnce.levels == apart.levels)
        #expect(atOnce.expansion == apart.expansion)
        #expect(atOnce.offered == apart.offered)
      }
    }
    func make(_ change: RegistrationChange) {
      do throws(RuntimeError) {
        try connection.make(change)
        changes.append(change)
      } catch {}
    }
    #expect(connection.count == changes.count)
  }

  @Test func `what was replaced or unregistered is not remembered`() throws {
    var connection = ConnectionRegistrations()
    for number in 1...100 {
      try connection.make(
        .register(
          tools: [client("t\(number)"), client("same")], toolkits: [toolkit("k\(number)", clients("a")), toolkit("kit", clients("b"))]))
      try connection.make(.register(tools: [client("joined", #""toolkit":"k\#(number)""#)], toolkits: []))
      try connection.make(.unregisterTools(["t\(number)"]))
      try connection.make(.unregisterToolkits(["k\(number)"]))
    }
    #expect(connection.count == 400)
    #expect(Array(connection.toolkits.keys) == ["kit"])
    #expect(connection.tools.keys.map(\.name) == ["same"])
    #expect(connection.toolbox.offeredNames == ["same", "kit"])
  }

  @Test func `what a run has removed keeps nothing else from it`() throws {
    var connection = ConnectionRegistrations()
    try connection.make(.register(tools: [], toolkits: [toolkit("gone", clients("a"))]))
    var box = Toolbox()
    try box.takeLevel(.connection, of: connection.toolbox)
    try box.augment(#""removeToolkits":["gone"]"#)
    let skill = #""skills":[{"name":"s","description":"","references":[{"toolName":"a","toolkitName":"gone"}]}]"#
    try connection.make(.register(tools: [client("joined", #""toolkit":"gone""#)], toolkits: [toolkit("refers", clients("b"), skill)]))
    try connection.make(.register(tools: clients("late"), toolkits: []))
    connection.bring(&box, from: 1)
    #expect(box.offeredNames == ["late", "refers"])
    try box.expand(toolkit: "refers")
    #expect(box.offeredNames == ["late", "b", "s"])
  }

  @Test func `what a run removed comes back when it is registered again, and not with something else`() throws {
    var connection = ConnectionRegistrations()
    let kit = toolkit("kit", clients("a"))
    try connection.make(.register(tools: [], toolkits: [kit]))
    var box = Toolbox()
    try box.takeLevel(.connection, of: connection.toolbox)
    try box.augment(#""removeToolkits":["kit"]"#)
    for number in 1...200 { try connection.make(.register(tools: [client("t", #""title":"\#(number)""#)], toolkits: [])) }
    connection.bring(&box, from: 1)
    #expect(box.offeredNames == ["t"])
    try connection.make(.register(tools: [], toolkits: [kit]))
    connection.bring(&box, from: 201)
    #expect(box.offeredNames == ["t", "kit"])
  }

  @Test func `of many changes one after the other none makes an index, which is made when it is asked for, once`() throws {
    var connection = ConnectionRegistrations()
    for number in 1...9 {
      try connection.make(.register(tools: [client("t\(number)")], toolkits: [toolkit("k\(number)", clients("a\(number)"))]))
      #expect(!connection.toolbox.later.isMade)
    }
    try connection.make(.unregisterTools(["t1"]))
    try connection.make(.unregisterToolkits(["k1"]))
    #expect(!connection.toolbox.later.isMade)
    let names = (2...9).map { "t\($0)" } + (2...9).map { "k\($0)" }
    #expect(connection.toolbox.offeredNames == names)
    let index = connection.toolbox.index
    #expect(connection.toolbox.index === index)
    var copy = connection.toolbox
    try copy.augment(#""addContext":[{"key":"a","description":"","value":1}],"updateState":{"b":2}"#)
    #expect(copy.index === index, "nothing of what it is made of has changed")
    try copy.expand(toolkit: "k2")
    #expect(copy.offeredNames == names.map { $0 == "k2" ? "a2" : $0 })
    #expect(connection.toolbox.index === index)
  }
}
