package import JSON

/// What a run may call and what its model is told besides the conversation: tools and toolkits of five levels, what of them is expanded or hidden,
/// the skills in use, the shared state and the context items.
///
/// A plain value without clock or chance: the same operations in the same order make an equal one, so it folds from a log. An operation that throws
/// changes nothing.
///
/// All names that a model can call are one space. A later level takes a name from an earlier one, whatever has it there (a tool, a skill, or a toolkit,
/// which then can be expanded by an augmentation only); within one level only a client and a server tool may share one, and the client tool
/// wins. What hides what never depends on what is expanded.
package struct Toolbox: Sendable {
  /// By `RegistrationLevel.place`.
  var levels: [Registrations] { didSet { later = LaterIndex() } }
  /// Of toolkits that were expanded or collapsed since they came; the others are as they start.
  var expansion: [String: Bool] { didSet { later = LaterIndex() } }
  /// Names of tools and skills, sorted; also of some that are not there now.
  var hidden: [String] { didSet { later = LaterIndex() } }
  /// In the order of their calls.
  var activeSkills: [ActiveSkill] { didSet { later = LaterIndex() } }
  /// The shared state; JSON's null is none.
  package internal(set) var state: CarriedJSON?
  /// In the order in which their keys came.
  package internal(set) var context: [ContextItem]
  /// MCP servers of which no tools are known, and why, in sentences.
  package internal(set) var failedServers: [String: String] = [:]
  /// Another one after each change of what it is made of.
  private(set) var later = LaterIndex()

  struct ActiveSkill: Sendable, Equatable, Codable {
    var toolkit: String
    var skill: String
  }

  package init() {
    levels = Self.noLevels
    expansion = [:]
    hidden = []
    activeSkills = []
    context = []
  }

  /// What all this comes to.
  var index: ToolboxIndex { later.index(of: self) }

  static let noLevels = [Registrations](repeating: Registrations(), count: RegistrationLevel.allCases.count)

  /// Names of the runtime's own tools, which nothing can be called.
  package static let builtInNames: Set<String> = ["ask_user", "memory_replace", "memory_insert", "memory_rethink"]

  subscript(_ level: RegistrationLevel) -> Registrations {
    get { levels[level.place] }
    _modify { yield &levels[level.place] }
  }

  /// Carries out `body` on a copy, which takes the place of this value only if nothing is wrong.
  mutating func change<R>(_ body: (inout Toolbox) throws(RuntimeError) -> R) throws(RuntimeError) -> R {
    var changed = self
    let result = try body(&changed)
    self = changed
    return result
  }
}

extension Toolbox: Equatable {
  /// The index follows from the rest.
  package static func == (a: Toolbox, b: Toolbox) -> Bool {
    a.levels == b.levels && a.expansion == b.expansion && a.hidden == b.hidden && a.activeSkills == b.activeSkills && a.state == b.state
      && a.context == b.context && a.failedServers == b.failedServers
  }
}

// MARK: - What a model is offered and told

extension Toolbox {
  /// How a call by a name is to be treated.
  package enum Offer: Sendable, Equatable {
    /// A tool that is offered now.
    case plain(Tool)
    /// A toolkit, collapsed or not: `expand(toolkit:)` makes the call's result.
    case toolkit(String)
    /// A skill, offered or in a collapsed toolkit: `activate(skill:)` makes the call's result.
    case skill(String, of: String)
    /// A tool in a collapsed toolkit, to be expanded before the call goes out.
    case hiddenChild(Tool, of: String)
    /// Nothing, or something that an augmentation hides.
    case unknown
  }

  /// Exactly what the next model turn is offered, names unique: in the order of the levels and, within one, of the registrations; what overrides
  /// something stands in its place, and so does the inside of an expanded toolkit.
  package var offered: [Tool] { index.offered }

  package func offer(named name: String) -> Offer { index.offer(named: name) }

  /// Parts of the system prompt: those of expanded toolkits in the order of `offered`, each followed by those of its active skills.
  package var prompts: [String] { index.prompts }

  /// What overrides what, in words, for `run.started.warnings`.
  package var overrides: [String] { index.overrides }

  /// Tools of all kinds that a model could come to call, those in collapsed toolkits included.
  package var totalTools: Int { index.tools.count }

  package func isExpanded(_ toolkit: String) -> Bool { index.kit(named: toolkit)?.isExpanded ?? false }

  /// State and context as the model is shown them, nil when there are none. Every turn shows
  ///
  ///     Shared state:
  ///     {"authenticated":true}
  ///
  ///     Context:
  ///     - user (Current user): {"role":"admin"}
  ///
  /// with the values as they were given, items in the order in which their keys came, and only the part that there is.
  package var shownState: String? {
    var parts: [String] = []
    if let state { parts.append("Shared state:\n" + state.bytes.string) }
    if !context.isEmpty {
      let items = context.map { item in
        "- \(item.key)\(item.description.isEmpty ? "" : " (\(item.description))"): \(item.value.bytes.string)"
      }
      parts.append((["Context:"] + items).joined(separator: "\n"))
    }
    return parts.isEmpty ? nil : parts.joined(separator: "\n\n")
  }

  /// For `toolkit.list`.
  package struct Listing: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
      /// With the tools and skills that count: without those that something overrides, with those that joined it.
      package var toolkit: Toolkit
      package var level: RegistrationLevel
      package var isExpanded: Bool
    }

    package var toolkits: [Entry]
    package var tools: [Tool]
  }

  package var registered: Listing { Listing(toolkits: index.kits.map { index.entry($0) }, tools: offered) }
}
