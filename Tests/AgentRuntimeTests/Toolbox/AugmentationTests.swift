import JSON
import Testing

@testable import AgentRuntime

@Suite struct AugmentationTests {
  private let box = Toolbox(toolkit("kit", clients("a", "b")), toolkit("open", clients("c"), #""startCollapsed":false"#))

  private func complaint(_ members: String) -> String? {
    var box = box
    return box.complaint { (box) throws(RuntimeError) in
      try box.apply(augmentation(members), isInsideResult: true, pointer: "/augmentation")
    }
  }

  @Test func `it reads as it is written, with the bytes of what it carries`() throws {
    let text =
      #"{"removeToolkits":["a"],"injectToolkits":[{"name":"k","description":"d","tools":[],"skills":[]}],"expandToolkits":["b"],"#
      + #""collapseToolkits":["c"],"hideTools":["d"],"showTools":["e"],"addContext":[{"key":"k","description":"d","value":{"n": 1.0,"n":2}}],"#
      + #""removeContext":["f"],"updateState":{"x":1e2,"x":2},"patchState":[0.10]}"#
    let whole = try Augmentation(reading: json(text), at: "/a")
    #expect(whole.addContext == [ContextItem(key: "k", description: "d", value: json(#"{"n": 1.0,"n":2}"#))])
    #expect(whole.updateState == json(#"{"x":1e2,"x":2}"#))
    #expect(try JSONCoding.encode(whole) == json(text))
    #expect(try JSONCoding.encode(augmentation("")) == json("{}"))
    #expect(augmentation("").isEmpty && !whole.isEmpty)
    // A state of null is one.
    #expect(augmentation(#""updateState":null"#).updateState == .null)
    #expect(augmentation(#""patchState":null"#).patchState == .null)
  }

  @Test(
    "one that is not an augmentation is refused with its place",
    arguments: [
      ("[]", "/a"), (#"{"hideTools":"x"}"#, "/a/hideTools"), (#"{"hideTools":[1]}"#, "/a/hideTools/0"),
      (#"{"addContext":[{"key":"k","description":"d"}]}"#, "/a/addContext/0/value"),
      (#"{"addContext":[{"description":"d","value":1}]}"#, "/a/addContext/0/key"),
      (#"{"injectToolkits":[{"name":"k"}]}"#, "/a/injectToolkits/0/description"),
    ])
  func unreadable(text: String, pointer: String) {
    #expect(throws: RuntimeError.invalidParams("", at: pointer).kindAndPlace) {
      try kindAndPlace { () throws(RuntimeError) in _ = try Augmentation(reading: json(text), at: "/a") }
    }
  }

  // MARK: - The operations

  @Test func `the login example of a client, all at once`() throws {
    var box = Toolbox()
    try box.register(
      tools: clients("Login", "Logout"), toolkits: [toolkit("GuestTools", clients("Browse")), toolkit("PublicTools", clients("Read"))],
      at: .run)
    try box.augment(#""hideTools":["Logout"],"expandToolkits":["PublicTools","GuestTools"]"#)
    #expect(box.offeredNames == ["Login", "Browse", "Read"])
    try box.augment(
      #""injectToolkits":[{"name":"AdminTools","description":"","systemPrompt":"Careful.","tools":[\#(clientTool("DropUser"))]}],"#
        + #""removeToolkits":["GuestTools"],"expandToolkits":["AdminTools"],"collapseToolkits":["PublicTools"],"hideTools":["Login"],"#
        + #""showTools":["Logout"],"addContext":[{"key":"user","description":"Current user","value":{"role":"admin"}}],"#
        + #""updateState":{"authenticated":true}"#)
    #expect(box.offeredNames == ["Logout", "PublicTools", "DropUser"])
    #expect(box.prompts == ["Careful."])
    #expect(
      box.shownState == """
        Shared state:
        {"authenticated":true}

        Context:
        - user (Current user): {"role":"admin"}
        """)
  }

  @Test func `the order is fixed: collapsing comes after expanding, showing after hiding, removing context after adding it`() throws {
    var box = box
    try box.augment(
      #""collapseToolkits":["kit"],"expandToolkits":["kit"],"showTools":["c"],"hideTools":["c"],"#
        + #""removeContext":["k"],"addContext":[{"key":"k","description":"","value":1}],"patchState":{"b":2},"updateState":{"a":1}"#)
    #expect(!box.isExpanded("kit"))
    #expect(box.offeredNames == ["kit", "c"])
    #expect(box.context == [])
    #expect(box.state == json(#"{"a":1,"b":2}"#))
  }

  @Test func `a toolkit can be replaced by one of its name, and is new then`() throws {
    var box = box
    try box.augment(#""expandToolkits":["kit"],"hideTools":["a"]"#)
    try box.augment(
      #""removeToolkits":["kit"],"injectToolkits":[{"name":"kit","description":"","tools":[\#(clientTool("a")),\#(clientTool("z"))]}]"#)
    #expect(!box.isExpanded("kit"))
    #expect(try box.expand(toolkit: "kit") == "kit expanded. Available functions: a, z")
  }

  @Test func `removing takes a toolkit away at every level`() throws {
    var box = Toolbox()
    for level in RegistrationLevel.allCases { try box.register(toolkits: [toolkit("kit", clients("a"))], at: level) }
    try box.augment(#""removeToolkits":["kit"]"#)
    #expect(box == Toolbox())
  }

  @Test func `hiding works on tools by themselves and on those in toolkits, and lasts`() throws {
    var box = box
    try box.register(tools: clients("plain"), at: .run)
    try box.augment(#""hideTools":["plain","a","c"]"#)
    #expect(box.offeredNames == ["kit"])
    #expect(box.offered[0].description.hasSuffix("make them available: b."))
    #expect(box.offer(named: "a") == .unknown)
    #expect(box.offer(named: "plain") == .unknown)
    try box.replaceRunTools([])
    try box.replaceRunTools(clients("plain"))
    #expect(try box.expand(toolkit: "kit") == "kit expanded. Available functions: b")
    #expect(box.offeredNames == ["b"])
    try box.augment(#""showTools":["plain","a","c"]"#)
    #expect(box.offeredNames == ["plain", "a", "b", "c"])
  }

  @Test func `context items keep the place of their key, and keys are told apart by their bytes`() throws {
    var box = Toolbox()
    try box.augment(
      #""addContext":[{"key":"b","description":"B","value":"x"},{"key":"a","description":"","value":null},{"key":"\u00e9","description":"","value":1},"#
        + #"{"key":"e\u0301","description":"","value":2}]"#)
    try box.augment(#""addContext":[{"key":"b","description":"","value":{"n": 1.50}}],"removeContext":["\u00e9","nope"]"#)
    #expect(box.shownState == "Context:\n- b: {\"n\": 1.50}\n- a: null\n- e\u{301}: 2")
    try box.augment(#""removeContext":["a","b","e\u0301"]"#)
    #expect(box == Toolbox())
    #expect(box.shownState == nil)
  }

  @Test func `context items that come and go one by one lead to where all at once do`() throws {
    func item(_ key: String, _ value: Int) -> String { #"{"key":"\#(key)","description":"","value":\#(value)}"# }
    let items = [item("a", 1), item("\\u00e9", 2), item("b", 3), item("e\\u0301", 4), item("a", 5), item("\\u00e9", 6), item("", 7)]
    let gone = [#""b""#, #""e\u0301""#, #""nope""#, #""a""#]
    var (apart, atOnce) = (Toolbox(), Toolbox())
    for item in items { try apart.augment(#""addContext":[\#(item)]"#) }
    try atOnce.augment(#""addContext":[\#(items.joined(separator: ","))]"#)
    #expect(apart.context == atOnce.context && apart.context.map(\.value) == [5, 6, 3, 4, 7].map { json("\($0)") })
    for name in gone { try apart.augment(#""removeContext":[\#(name)]"#) }
    try atOnce.augment(#""removeContext":[\#(gone.joined(separator: ","))]"#)
    #expect(apart.context == atOnce.context && apart.context.map(\.value) == [6, 7].map { json("\($0)") })
  }

  @Test func `the state is replaced, patched and cleared`() throws {
    var box = Toolbox()
    try box.augment(#""patchState":{"a":{"b":1.0,"c":null}}"#)
    #expect(box.state == json(#"{"a":{"b":1.0}}"#))
    try box.augment(#""updateState":[1, 2]"#)
    #expect(box.shownState == "Shared state:\n[1, 2]")
    try box.augment(#""patchState":{"x":1}"#)
    #expect(box.state == json(#"{"x":1}"#))
    try box.augment(#""updateState":null"#)
    #expect(box == Toolbox())
    try box.augment(#""updateState":1,"patchState":null"#)
    #expect(box.shownState == nil)
  }

  // MARK: - What is refused, and changes nothing

  @Test(
    "what is not there, or not any more, is named with its place, and nothing is changed",
    arguments: [
      (#""removeToolkits":["open","nope"]"#, "toolkit.notFound /augmentation/removeToolkits/1: toolkit 'nope' is not there to be removed"),
      (#""removeToolkits":["open","open"]"#, "toolkit.notFound /augmentation/removeToolkits/1: toolkit 'open' is not there to be removed"),
      (
        #""removeToolkits":["new"],"injectToolkits":[{"name":"new","description":"","tools":[\#(clientTool("x"))]}]"#,
        "toolkit.notFound /augmentation/removeToolkits/0: toolkit 'new' is not there to be removed"
      ),
      (#""removeToolkits":["kit"],"expandToolkits":["kit"]"#, "toolkit.notFound /augmentation/expandToolkits/0: there is no toolkit 'kit'"),
      (#""collapseToolkits":["kit","a"]"#, "toolkit.notFound /augmentation/collapseToolkits/1: there is no toolkit 'a'"),
      (#""removeToolkits":["kit"],"hideTools":["c","a"]"#, "tool.notFound /augmentation/hideTools/1: there is no tool 'a'"),
      (#""hideTools":["kit"]"#, "tool.notFound /augmentation/hideTools/0: there is no tool 'kit': that is a toolkit"),
      (#""updateState":1,"showTools":["nope"]"#, "tool.notFound /augmentation/showTools/0: there is no tool 'nope'"),
      (
        #""injectToolkits":[{"name":"new","description":"","tools":[]}]"#,
        "tool.invalid /augmentation/injectToolkits/0/tools: toolkit 'new' is empty: it needs a tool or a skill"
      ),
      (
        #""injectToolkits":[{"name":"new","description":"","tools":[\#(clientTool("ask_user"))]}]"#,
        "tool.invalid /augmentation/injectToolkits/0/tools/0/name: no tool can be called 'ask_user': that is a built-in tool"
      ),
      (
        #""injectToolkits":[{"name":"new","description":"","tools":[\#(clientTool("x")),\#(serverTool("y"))]}]"#,
        "tool.invalid /augmentation/injectToolkits/0/tools/1: tool 'y' of toolkit 'new': a tool result declares client tools only"
      ),
      (
        #""removeToolkits":["kit"],"injectToolkits":[{"name":"new","description":"","skills":[{"name":"s","description":"","references":[{"toolName":"a"}]}]}]"#,
        "tool.notFound /augmentation/injectToolkits/0/skills/0/references/0/toolName: skill 's' of toolkit 'new' refers to tool 'a', which is not "
          + "registered"
      ),
    ])
  func refused(members: String, expected: String) {
    #expect(complaint(members) == expected)
  }

  @Test func `outside of a result it may declare server tools`() throws {
    var box = Toolbox()
    try box.augment(
      #""injectToolkits":[{"name":"new","description":"","tools":[\#(serverTool("y"))]}]"#, isInsideResult: false)
    #expect(box.offer(named: "y") == .hiddenChild(server("y"), of: "new"))
  }

  @Test func `what injected toolkits override is told`() throws {
    var box = Toolbox()
    try box.register(tools: clients("a"), at: .agent)
    try box.augment(#""injectToolkits":[{"name":"new","description":"","tools":[\#(clientTool("a"))]}]"#)
    #expect(box.overrides == ["tool 'a': the augmentation's client tool of toolkit 'new' overrides the agent's client tool"])
  }

  @Test func `the toolkits that came, or came anew, are told`() throws {
    var box = box
    try box.register(toolkits: [toolkit("old", clients("o"))], at: .agent)
    let before = box
    try box.augment(
      #""removeToolkits":["old"],"injectToolkits":[{"name":"new","description":"","tools":[\#(clientTool("x"))]}],"#
        + #""expandToolkits":["kit"],"collapseToolkits":["open"],"patchState":{}"#)
    #expect(box.toolkitsRegistered(since: before) == ["new"])
    #expect(box.toolkitsRegistered(since: box) == [])
    var other = box
    try other.register(toolkits: [toolkit("new", clients("y"))], at: .augmentation)
    #expect(other.toolkitsRegistered(since: box) == ["new"])
  }
}

/// More context than one request can bring.
@Suite struct ContextSizeTests {
  private func items(_ range: Range<Int>) -> String {
    range.map { #"{"key":"\#($0)","description":"","value":1}"# }.joined(separator: ",")
  }

  @Test func `a toolbox with more values than one message can have is read back as it is`() throws {
    var box = Toolbox()
    for first in stride(from: 0, to: 260_000, by: 130_000) { try box.augment(#""addContext":[\#(items(first..<first + 130_000))]"#) }
    #expect(try Toolbox(reading: box.json) == box)
  }

  @Test func `context beyond what there can be is refused with its place, and can be made shorter`() throws {
    var box = Toolbox()
    try box.augment(#""addContext":[\#(items(0..<Toolbox.mostContextItems))]"#)
    let replacing = augmentation(#""addContext":[\#(items(0..<1))]"#)
    try box.apply(replacing, isInsideResult: true)
    try box.checkSize(after: replacing, pointer: "/augmentation")
    let more = augmentation(#""addContext":[{"key":"more","description":"","value":1}]"#)
    try box.apply(more, isInsideResult: true)
    let refused = RuntimeError.invalidParams(
      "the context would have 100001 items; it can have 100000", at: "/augmentation/addContext")
    #expect(throws: refused) { try box.checkSize(after: more, pointer: "/augmentation") }
    // What the log has is as it is, and an augmentation that adds nothing is none of this.
    try box.checkSize(after: augmentation(#""updateState":1"#), pointer: "/augmentation")
  }
}
