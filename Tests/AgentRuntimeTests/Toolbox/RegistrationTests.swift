import JSON
import Testing

@testable import AgentRuntime

@Suite struct RegistrationTests {
  @Test(
    "a tool of a later level wins over that of an earlier one, in its place, and it is told",
    arguments: zip(RegistrationLevel.allCases, RegistrationLevel.allCases.dropFirst()))
  func laterWins(earlier: RegistrationLevel, later: RegistrationLevel) throws {
    var box = Toolbox()
    // Whichever comes first.
    try box.register(tools: [client("a", #""title":"new""#)], at: later)
    try box.register(tools: [server("a"), client("b")], at: earlier)
    #expect(box.offered.map { "\($0.name) \($0.target) \($0.title ?? "")" } == ["a client new", "b client "])
    #expect(box.overrides == ["tool 'a': \(later.possessive) client tool overrides \(earlier.possessive) server tool"])
    #expect(box.offer(named: "a") == .plain(client("a", #""title":"new""#)))
  }

  @Test func `levels stand in their order, whatever the order of registration`() throws {
    var box = Toolbox()
    for level in RegistrationLevel.allCases.reversed() { try box.register(tools: clients("of_\(level)"), at: level) }
    #expect(box.offeredNames == ["of_servers", "of_agent", "of_session", "of_connection", "of_run", "of_augmentation"])
    #expect(box.overrides == [])
    #expect(box.totalTools == 6)
  }

  @Test func `a toolkit of a later level replaces its namesake whole`() throws {
    var box = Toolbox()
    try box.register(
      tools: [client("joined", #""toolkit":"kit""#)], toolkits: [toolkit("kit", clients("a", "b"), #""systemPrompt":"old""#)], at: .agent)
    try box.register(toolkits: [toolkit("kit", clients("b", "c"))], at: .run)
    try box.expand(toolkit: "kit")
    #expect(box.offeredNames == ["b", "c"])
    #expect(box.prompts == [])
    #expect(box.offer(named: "a") == .unknown)
    #expect(
      box.overrides == [
        "toolkit 'kit': the run's replaces the agent's",
        "tool 'joined': the agent's is left out, as the run's toolkit 'kit' replaces the one it joined",
      ])
  }

  @Test("within one level a client tool wins over a server tool of its name", arguments: [true, false])
  func clientWins(clientFirst: Bool) throws {
    var box = Toolbox()
    try box.register(tools: clientFirst ? [client("a"), server("a")] : [server("a"), client("a")], at: .session)
    #expect(box.offered == [client("a")])
    #expect(box.overrides == ["tool 'a': the session's client tool overrides its server tool"])
  }

  @Test func `within one level a client tool of a toolkit wins over a server tool by itself`() throws {
    var box = Toolbox()
    try box.register(tools: [server("a")], toolkits: [toolkit("kit", clients("a"))], at: .run)
    #expect(box.offeredNames == ["kit"])
    #expect(box.offer(named: "a") == .hiddenChild(client("a"), of: "kit"))
    #expect(box.overrides == ["tool 'a': the run's client tool of toolkit 'kit' overrides its server tool"])
  }

  @Test func `what hides what does not depend on what is expanded`() throws {
    var box = Toolbox()
    try box.register(toolkits: [toolkit("old", clients("open"), #""startCollapsed":false"#)], at: .agent)
    try box.register(toolkits: [toolkit("new", [client("open", #""title":"new""#)])], at: .run)
    #expect(box.offer(named: "open") == .hiddenChild(client("open", #""title":"new""#), of: "new"))
    #expect(box.offeredNames == ["new"])
    try box.expand(toolkit: "new")
    #expect(box.offered.map(\.title) == ["new"])
    #expect(box.overrides == ["tool 'open': the run's client tool of toolkit 'new' overrides the agent's client tool of toolkit 'old'"])
  }

  @Test func `registering again at one level replaces in place`() throws {
    var box = Toolbox()
    try box.register(tools: clients("a", "b"), toolkits: [toolkit("kit", clients("x"))], at: .connection)
    try box.register(tools: [client("a", #""title":"2""#)], toolkits: [toolkit("kit", clients("y"))], at: .connection)
    #expect(box.offered.map { "\($0.name) \($0.title ?? "")" } == ["a 2", "b ", "kit "])
    #expect(box.offer(named: "x") == .unknown)
    #expect(box.offer(named: "y") == .hiddenChild(client("y"), of: "kit"))
    #expect(box.overrides == [])
  }

  // MARK: - What is refused

  @Test("built-ins cannot be overridden", arguments: Toolbox.builtInNames.sorted())
  func builtIns(name: String) {
    var box = Toolbox()
    for (tools, toolkits, pointer, kind) in [
      (clients("a", name), [], "/tools/1/name", "tool"), ([], [toolkit(name, clients("a"))], "/toolkits/0/name", "toolkit"),
      ([], [toolkit("a", clients(name))], "/toolkits/0/tools/0/name", "tool"),
      (
        [], [toolkit("a", [], #""skills":[{"name":"\#(name)","description":"","references":[]}]"#)], "/toolkits/0/skills/0/name", "skill"
      ),
    ] as [([Tool], [Toolkit], String, String)] {
      #expect(
        box.complaint { (box) throws(RuntimeError) in try box.register(tools: tools, toolkits: toolkits, at: .agent) }
          == "tool.invalid \(pointer): no \(kind) can be called '\(name)': that is a built-in tool")
    }
  }

  @Test(
    "what is declared wrong is refused with name and place, and nothing of its declaration comes in",
    arguments: [
      Wrong(clients("new", "x", "x"), [], "tool.invalid /p/tools/2/name: tool 'x' is declared twice"),
      Wrong(clients("new", "x y"), [], "tool.invalid /p/tools/1/name: a tool's name must match ^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$"),
      Wrong(
        [], [toolkit("k", clients("x")), toolkit("k", clients("y"))], "tool.invalid /p/toolkits/1/name: toolkit 'k' is declared twice"),
      Wrong(clients("new"), [toolkit("k")], "tool.invalid /p/toolkits/0/tools: toolkit 'k' is empty: it needs a tool or a skill"),
      Wrong(
        [client("new"), client("x", #""toolkit":"nope""#)], [],
        "toolkit.notFound /p/tools/1/toolkit: tool 'x': its toolkit 'nope' is not registered"
      ),
      Wrong(
        clients("new"), [toolkit("k", clients("x"), #""skills":[{"name":"s","description":"","references":[{"toolName":"nope"}]}]"#)],
        "tool.notFound /p/toolkits/0/skills/0/references/0/toolName: skill 's' of toolkit 'k' refers to tool 'nope', which is not registered"
      ),
      Wrong(
        [],
        [
          toolkit(
            "k", clients("x"),
            #""skills":[{"name":"s","description":"","references":[{"toolName":"x"},{"toolName":"x","toolkitName":"nope"}]}]"#)
        ],
        "toolkit.notFound /p/toolkits/0/skills/0/references/1/toolkitName: skill 's' of toolkit 'k' refers to tool 'x' of toolkit 'nope', "
          + "which is not registered"
      ),
      Wrong(
        [],
        [
          toolkit("j", clients("y")),
          toolkit("k", clients("x"), #""skills":[{"name":"s","description":"","references":[{"toolName":"x","toolkitName":"j"}]}]"#),
        ],
        "tool.notFound /p/toolkits/1/skills/0/references/0/toolName: skill 's' of toolkit 'k' refers to tool 'x', which toolkit 'j' does not have"
      ),
    ])
  func refused(wrong: Wrong) {
    var box = Toolbox()
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.register(tools: wrong.tools, toolkits: wrong.toolkits, at: .run, pointer: "/p")
      }
        == wrong.complaint)
    #expect(box == Toolbox())
  }

  @Test func `a toolkit is there for tools and references of its level and of later ones, not of earlier ones`() throws {
    let joining = [client("x", #""toolkit":"kit""#)]
    let referring = [
      toolkit("other", [], #""skills":[{"name":"s","description":"","references":[{"toolName":"a","toolkitName":"kit"}]}]"#)
    ]
    for level in RegistrationLevel.allCases {
      var box = Toolbox()
      try box.register(toolkits: [toolkit("kit", clients("a"))], at: .connection)
      let joined = box.complaint { (box) throws(RuntimeError) in try box.register(tools: joining, at: level) }
      #expect((joined == nil) == (level >= .connection))
      let referred = box.complaint { (box) throws(RuntimeError) in try box.register(toolkits: referring, at: level) }
      #expect((referred == nil) == (level >= .connection))
    }
  }

  @Test func `a reference does not find what a toolkit of that name had before it was replaced`() throws {
    var box = Toolbox()
    try box.register(toolkits: [toolkit("kit", clients("a"))], at: .agent)
    try box.register(toolkits: [toolkit("kit", clients("b"))], at: .session)
    let skill = #""skills":[{"name":"s","description":"","references":[{"toolName":"a","toolkitName":"kit"}]}]"#
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.register(toolkits: [toolkit("new", [], skill)], at: .run) }
        == "tool.notFound /toolkits/0/skills/0/references/0/toolName: skill 's' of toolkit 'new' refers to tool 'a', which toolkit 'kit' does not "
        + "have")
  }

  @Test func `a reference finds tools of its toolkit, tools by themselves, and tools that joined a toolkit`() throws {
    var box = Toolbox()
    try box.register(tools: [client("plain")], toolkits: [toolkit("base", clients("own"))], at: .agent)
    try box.register(
      tools: [client("joined", #""toolkit":"base""#)],
      toolkits: [
        toolkit(
          "kit", clients("x"),
          #""skills":[{"name":"s","description":"","references":[{"toolName":"x"},{"toolName":"plain"},{"toolName":"own"},"#
            + #"{"toolName":"joined"},{"toolName":"joined","toolkitName":"base"},{"toolName":"own","toolkitName":"base"}]}]"#)
      ], at: .run)
    #expect(box.offeredNames == ["plain", "base", "kit"])
  }

  @Test(
    "two things of one level that a model could not tell apart are refused",
    arguments: [
      Wrong(clients("k"), [], "tool.invalid /tools/0/name: 'k' is the name of both a toolkit and a tool of the run"),
      Wrong(clients("x"), [], "tool.invalid /tools/0/name: 'x' is the name of both a tool of toolkit 'k' and a tool of the run"),
      Wrong(clients("s"), [], "tool.invalid /tools/0/name: 's' is the name of both a skill of toolkit 'k' and a tool of the run"),
      Wrong(
        [], [toolkit("l", clients("y", "x"))],
        "tool.invalid /toolkits/0/tools/1/name: 'x' is the name of both a tool of toolkit 'k' and a tool of toolkit 'l' of the run"
      ),
      Wrong(
        [], [toolkit("l", clients("k"))],
        "tool.invalid /toolkits/0/tools/0/name: 'k' is the name of both a toolkit and a tool of toolkit 'l' of the run"
      ),
      Wrong(
        [], [toolkit("x", clients("y"))],
        "tool.invalid /toolkits/0/name: 'x' is the name of both a tool of toolkit 'k' and a toolkit of the run"
      ),
      Wrong(
        [], [toolkit("p", clients("y"))], "tool.invalid /toolkits/0/name: 'p' is the name of both a toolkit and a tool of the run"
      ),
      Wrong(
        [], [toolkit("l", [], #""skills":[{"name":"x","description":"","references":[]}]"#)],
        "tool.invalid /toolkits/0/skills/0/name: 'x' is the name of both a tool of toolkit 'k' and a skill of toolkit 'l' of the run"
      ),
    ])
  func clash(wrong: Wrong) throws {
    var box = Toolbox()
    try box.register(
      tools: clients("p"), toolkits: [toolkit("k", clients("x"), #""skills":[{"name":"s","description":"","references":[]}]"#)], at: .run)
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.register(tools: wrong.tools, toolkits: wrong.toolkits, at: .run) }
        == wrong.complaint)
  }

  @Test func `over levels the later one has a name, whatever it is`() throws {
    var box = Toolbox()
    try box.register(tools: clients("kit", "s"), at: .agent)
    let skill = #""skills":[{"name":"s","description":"","references":[]}]"#
    try box.register(toolkits: [toolkit("kit", clients("x"), skill)], at: .session)
    #expect(box.offeredNames == ["kit"])
    #expect(box.offer(named: "kit") == .toolkit("kit"))
    #expect(box.offer(named: "s") == .skill("s", of: "kit"))
    #expect(
      box.overrides == [
        "'kit': the session's toolkit takes the name of the agent's tool", "'s': the session's skill takes the name of the agent's tool",
      ])
    try box.register(tools: clients("kit", "s"), at: .run)
    #expect(box.offer(named: "kit") == .plain(client("kit")))
    #expect(box.offer(named: "s") == .plain(client("s")))
    #expect(box.offeredNames == ["kit", "s"])
    // The toolkit is still there for augmentations, and for a call of its tools.
    #expect(box.offer(named: "x") == .hiddenChild(client("x"), of: "kit"))
    try box.augment(#""expandToolkits":["kit"]"#)
    #expect(box.offeredNames == ["kit", "x", "s"])
  }

  // MARK: - Joining, leaving

  @Test func `a tool joins the toolkit it names`() throws {
    var box = Toolbox()
    try box.register(toolkits: [toolkit("kit", clients("a"))], at: .agent)
    try box.register(tools: [client("b", #""toolkit":"kit""#), client("c")], at: .connection)
    #expect(box.offeredNames == ["kit", "c"])
    #expect(box.offer(named: "b") == .hiddenChild(client("b", #""toolkit":"kit""#), of: "kit"))
    try box.expand(toolkit: "kit")
    #expect(box.offeredNames == ["a", "b", "c"])
    try box.register(tools: [client("a", #""toolkit":"kit","title":"new""#)], at: .run)
    #expect(box.offered.map { "\($0.name) \($0.title ?? "")" } == ["a new", "b ", "c "])
    #expect(box.overrides == ["tool 'a': the run's client tool overrides the agent's client tool"])
  }

  @Test func `a tool joins a toolkit of its own level`() throws {
    var box = Toolbox()
    try box.register(tools: [client("b", #""toolkit":"kit""#)], toolkits: [toolkit("kit", clients("a"))], at: .run)
    #expect(try box.expand(toolkit: "kit") == "kit expanded. Available functions: a, b")
    #expect(box.offeredNames == ["a", "b"])
  }

  @Test func `unregistering brings back what was overridden`() throws {
    var box = Toolbox()
    try box.register(tools: clients("a"), toolkits: [toolkit("kit", clients("x"))], at: .agent)
    let before = box
    try box.register(tools: [server("a")], toolkits: [toolkit("kit", clients("y"))], at: .run)
    try box.unregister(tools: ["a"], at: .run)
    try box.unregister(toolkits: ["kit"], at: .run)
    #expect(box == before)
    #expect(box.offered == before.offered)
  }

  @Test func `what joined a toolkit goes with it, and what was chosen for it`() throws {
    var box = Toolbox()
    try box.register(toolkits: [toolkit("kit", clients("a"))], at: .session)
    try box.register(tools: [client("b", #""toolkit":"kit""#)], at: .run)
    try box.augment(#""expandToolkits":["kit"],"hideTools":["a","b"]"#)
    try box.unregister(toolkits: ["kit"], at: .session)
    #expect(box == Toolbox())
  }

  @Test func `unregistering what the level does not have is an error that names it`() throws {
    var box = Toolbox()
    try box.register(tools: clients("a"), toolkits: [toolkit("kit", clients("x"))], at: .agent)
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.unregister(tools: ["a"], at: .session) }
        == "tool.notFound /names/0: tool 'a' is not registered by the session")
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.unregister(tools: ["a", "x"], at: .agent) }
        == "tool.notFound /names/1: tool 'x' is not registered by the agent: it stands in the declaration of toolkit 'kit'")
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.unregister(toolkits: ["kit", "kit"], at: .agent) }
        == "toolkit.notFound /names/1: toolkit 'kit' is not registered by the agent")
  }

  @Test func `the run's plain tools are replaced whole, its toolkits stay`() throws {
    var box = Toolbox()
    try box.register(tools: clients("a"), at: .agent)
    try box.register(tools: [server("a"), client("b")], toolkits: [toolkit("kit", clients("x"))], at: .run)
    try box.replaceRunTools(clients("c"))
    #expect(box.offered == [client("a"), client("c")] + box.offered.filter { $0.name == "kit" })
    #expect(
      box.complaint { (box) throws(RuntimeError) in try box.replaceRunTools(clients("x"), pointer: "/t") }
        == "tool.invalid /t/0/name: 'x' is the name of both a tool of toolkit 'kit' and a tool of the run")
  }
}
