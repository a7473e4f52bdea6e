import JSON
import Testing

@testable import AgentRuntime

@Suite struct ExpansionTests {
  private let ide = toolkit(
    "IDE", clients("OpenFile", "GetSelection", "ShowMessage"), #""systemPrompt":"Confirm first.","functionResult":"Select before editing.""#
  )

  @Test func `a collapsed toolkit is one tool of its name that says what is inside`() {
    let box = Toolbox(ide)
    #expect(
      box.offered == [
        Tool(
          name: "IDE",
          description: """
            About IDE.

            A collapsed group of functions: call it without arguments to make them available: OpenFile, GetSelection, ShowMessage.
            """,
          inputSchema: json(#"{"type":"object","properties":{}}"#))
      ])
    #expect(box.offer(named: "IDE") == .toolkit("IDE"))
    #expect(box.prompts == [])
    #expect(!box.isExpanded("IDE"))
  }

  @Test func `calling it tells what is available now, with its functionResult appended`() throws {
    var box = Toolbox(ide)
    #expect(
      try box.expand(toolkit: "IDE")
        == "IDE expanded. Available functions: OpenFile, GetSelection, ShowMessage\n\nSelect before editing.")
    #expect(box.offered == ide.tools)
    #expect(box.prompts == ["Confirm first."])
    #expect(box.isExpanded("IDE"))
    #expect(box.offer(named: "OpenFile") == .plain(client("OpenFile")))
    // A model may call it once more, out of an earlier turn.
    #expect(box.offer(named: "IDE") == .toolkit("IDE"))
    #expect(try box.expand(toolkit: "IDE") == "IDE is expanded already. Available functions: OpenFile, GetSelection, ShowMessage")
  }

  @Test func `without a functionResult only the functions are told`() throws {
    var box = Toolbox(toolkit("kit", clients("a")), toolkit("bare", clients("b"), #""functionResult":"""#))
    #expect(try box.expand(toolkit: "kit") == "kit expanded. Available functions: a")
    #expect(try box.expand(toolkit: "bare") == "bare expanded. Available functions: b")
    try box.augment(#""collapseToolkits":["kit"],"hideTools":["a"]"#)
    #expect(try box.expand(toolkit: "kit") == "kit expanded. Available functions: none")
  }

  @Test func `a toolkit that starts expanded is`() {
    let box = Toolbox(toolkit("kit", clients("a"), #""startCollapsed":false,"systemPrompt":"p""#))
    #expect(box.offeredNames == ["a"])
    #expect(box.prompts == ["p"])
  }

  @Test func `a hidden child names the toolkit to expand first`() throws {
    var box = Toolbox(ide)
    #expect(box.offer(named: "GetSelection") == .hiddenChild(client("GetSelection"), of: "IDE"))
    try box.expand(toolkit: "IDE")
    #expect(box.offer(named: "GetSelection") == .plain(client("GetSelection")))
  }

  @Test func `collapsing takes tools and systemPrompt away again`() throws {
    var box = Toolbox(ide)
    let before = box.offered
    try box.expand(toolkit: "IDE")
    try box.collapse(toolkit: "IDE")
    #expect(box.offered == before)
    #expect(box.prompts == [])
    #expect(
      try box.expand(toolkit: "IDE")
        == "IDE expanded. Available functions: OpenFile, GetSelection, ShowMessage\n\nSelect before editing.")
  }

  @Test func `the inside of a toolkit stands in its place, its prompt before those that come after it`() throws {
    var box = Toolbox()
    try box.register(tools: clients("first"), toolkits: [toolkit("one", clients("a"), #""systemPrompt":"1""#)], at: .agent)
    try box.register(tools: clients("second"), toolkits: [toolkit("two", clients("b"), #""systemPrompt":"2""#)], at: .run)
    try box.expand(toolkit: "two")
    #expect(box.offeredNames == ["first", "one", "second", "b"])
    try box.expand(toolkit: "one")
    #expect(box.offeredNames == ["first", "a", "second", "b"])
    #expect(box.prompts == ["1", "2"])
  }

  @Test func `what is expanded stays so when its toolkit is registered anew`() throws {
    var box = Toolbox(ide)
    try box.expand(toolkit: "IDE")
    try box.register(toolkits: [toolkit("IDE", clients("Close"))], at: .run)
    #expect(box.offeredNames == ["Close"])
  }

  @Test func `a toolkit that is not there cannot be expanded or collapsed`() {
    var box = Toolbox(ide)
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.expand(toolkit: "OpenFile") }
        == "toolkit.notFound -: there is no toolkit 'OpenFile'")
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.collapse(toolkit: "nope") } == "toolkit.notFound -: there is no toolkit 'nope'")
  }

  @Test func `nothing else is known`() {
    #expect(Toolbox(ide).offer(named: "nope") == .unknown)
    #expect(Toolbox().offer(named: "ask_user") == .unknown)
    #expect(Toolbox().offered == [])
  }
}

@Suite struct SkillTests {
  private static let checkout = toolkit(
    "Checkout", clients("ValidateCart", "Pay"),
    #""systemPrompt":"kit","skills":[{"name":"CompleteCheckout","description":"End to end.","systemPrompt":"CHECKOUT","#
      + #""functionResult":"Begin with the cart.","references":[{"toolName":"ValidateCart"},{"toolName":"Ship","toolkitName":"Post"}]},"#
      + #"{"name":"Refund","description":"","references":[{"toolName":"Pay"},{"toolName":"Track"}]}]"#)
  private static let post = toolkit("Post", clients("Ship", "Track"), #""systemPrompt":"post""#)

  private var box: Toolbox { Toolbox(Self.post, Self.checkout) }

  @Test func `a skill is a tool of its expanded toolkit`() throws {
    var box = box
    #expect(box.offeredNames == ["Post", "Checkout"])
    #expect(box.offer(named: "CompleteCheckout") == .skill("CompleteCheckout", of: "Checkout"))
    #expect(try box.expand(toolkit: "Checkout") == "Checkout expanded. Available functions: ValidateCart, Pay, CompleteCheckout, Refund")
    #expect(box.offeredNames == ["Post", "ValidateCart", "Pay", "CompleteCheckout", "Refund"])
    #expect(
      box.offered[3]
        == Tool(
          name: "CompleteCheckout",
          description: "End to end.\n\nA skill: call it without arguments to learn how to use these functions: ValidateCart, Ship.",
          inputSchema: json(#"{"type":"object","properties":{}}"#)))
  }

  @Test func `calling it shows its functionResult once, its systemPrompt from then on, and makes its references available`() throws {
    var box = box
    try box.expand(toolkit: "Checkout")
    #expect(try box.activate(skill: "CompleteCheckout") == "Begin with the cart.")
    #expect(box.prompts == ["kit", "CHECKOUT"])
    // Of the collapsed toolkit only what the skill refers to.
    #expect(box.offeredNames == ["Post", "Ship", "ValidateCart", "Pay", "CompleteCheckout", "Refund"])
    #expect(box.offer(named: "Ship") == .plain(client("Ship")))
    #expect(box.offer(named: "Track") == .hiddenChild(client("Track"), of: "Post"))
    let once = box
    #expect(try box.activate(skill: "CompleteCheckout") == "CompleteCheckout is active already. Available functions: ValidateCart, Ship")
    #expect(box == once)
  }

  @Test func `a skill without a functionResult tells what is available`() throws {
    var box = box
    try box.expand(toolkit: "Checkout")
    #expect(try box.activate(skill: "Refund") == "Refund is active. Available functions: Pay, Track")
    #expect(box.prompts == ["kit"])
  }

  @Test func `calling a skill of a collapsed toolkit expands it first`() throws {
    var box = box
    #expect(
      try box.activate(skill: "CompleteCheckout")
        == "Checkout expanded. Available functions: ValidateCart, Pay, CompleteCheckout, Refund\n\nBegin with the cart.")
    #expect(box.isExpanded("Checkout"))
  }

  @Test func `collapsing its toolkit ends a skill, collapsing another does not`() throws {
    var box = box
    try box.activate(skill: "CompleteCheckout")
    try box.expand(toolkit: "Post")
    try box.collapse(toolkit: "Post")
    #expect(box.prompts == ["kit", "CHECKOUT"])
    try box.collapse(toolkit: "Checkout")
    #expect(box.prompts == [])
    #expect(box.offeredNames == ["Post", "Checkout"])
    #expect(try box.activate(skill: "CompleteCheckout").hasSuffix("\n\nBegin with the cart."))
  }

  @Test func `removing its toolkit ends a skill`() throws {
    var box = box
    try box.activate(skill: "CompleteCheckout")
    try box.augment(#""removeToolkits":["Checkout"]"#)
    #expect(box == Toolbox(Self.post))
  }

  @Test func `a reference that went after the registration is left out`() throws {
    var box = box
    try box.augment(#""removeToolkits":["Post"],"hideTools":["Pay"]"#)
    try box.expand(toolkit: "Checkout")
    #expect(try box.activate(skill: "Refund") == "Refund is active. Available functions: none")
    #expect(box.offeredNames == ["ValidateCart", "CompleteCheckout", "Refund"])
  }

  @Test func `of two skills of one name the later level's counts`() throws {
    func kit(_ name: String, _ prompt: String) -> Toolkit {
      toolkit(name, [], #""skills":[{"name":"s","description":"","systemPrompt":"\#(prompt)","references":[]}]"#)
    }
    var box = Toolbox()
    try box.register(toolkits: [kit("old", "before")], at: .agent)
    try box.register(toolkits: [kit("new", "after")], at: .run)
    #expect(box.overrides == ["'s': the run's skill takes the name of the agent's skill"])
    try box.activate(skill: "s")
    #expect(box.prompts == ["after"])
    #expect(box.offeredNames == ["old", "s"])
  }

  @Test func `a skill can be hidden, and one that is not there cannot be called`() throws {
    var box = box
    try box.augment(#""expandToolkits":["Checkout"],"hideTools":["Refund"]"#)
    #expect(box.offeredNames == ["Post", "ValidateCart", "Pay", "CompleteCheckout"])
    #expect(box.offer(named: "Refund") == .unknown)
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.activate(skill: "Pay") } == "tool.notFound -: there is no skill 'Pay'")
  }
}
