import JSON

/// What the registrations of a toolbox come to: what counts under each name, and what of it all a model sees.
///
/// Made whole when it is first asked for and never changed itself, so that a turn and a call only look things up.
final class ToolboxIndex: Sendable {
  /// A toolkit that no later level replaces.
  struct Kit: Sendable {
    let toolkit: Toolkit
    let level: RegistrationLevel
    let isExpanded: Bool
    /// Tools by their place in `tools`: its own in their order, then those that joined it.
    var children: [Int] = []
    /// Those of its skills whose names are theirs.
    var skills: [Skill] = []
  }

  enum Entity: Sendable, Equatable {
    /// By its place in `tools`.
    case tool(Int)
    /// By its place in `kits`.
    case kit(Int)
    /// By the place of its toolkit in `kits`.
    case skill(kit: Int)
  }

  /// The tool that counts under each name, in the order in which the names first came.
  let tools: [Tool]
  /// In the order in which their names first came.
  let kits: [Kit]
  let names: [String: Entity]
  let offered: [Tool]
  let prompts: [String]
  let overrides: [String]
  /// Why a tool is not offered, by its place; those that are offered are not in here.
  private let covers: [Int: ToolboxView.Cover]
  private let hidden: Set<String>

  convenience init(_ box: Toolbox) {
    self.init(box.levels, box.expansion, Set(box.hidden), box.activeSkills)
  }

  private init(
    _ levels: [Registrations], _ expansion: [String: Bool], _ hidden: Set<String>, _ activeSkills: [Toolbox.ActiveSkill]
  ) {
    self.hidden = hidden
    if let plain = Self.plainTools(of: levels), hidden.isEmpty {
      tools = plain
      kits = []
      names = Dictionary(uniqueKeysWithValues: plain.enumerated().map { ($1.name, .tool($0)) })
      offered = plain
      prompts = []
      overrides = []
      covers = [:]
      return
    }
    let resolution = ToolboxResolution(levels, expansion: expansion)
    let view = ToolboxView(resolution, hidden: hidden, activeSkills: activeSkills)
    tools = resolution.tools.map(\.tool)
    kits = resolution.kits
    names = resolution.names
    overrides = resolution.overrides
    offered = view.offered
    prompts = view.prompts
    covers = view.covers
  }

  /// The tools of the only level that has something, when that is nothing but tools of different names: the common case, which shares the
  /// list instead of copying it.
  private static func plainTools(of levels: [Registrations]) -> [Tool]? {
    var tools: [Tool] = []
    for level in levels where !level.isEmpty {
      guard tools.isEmpty, level.toolkits.isEmpty, level.gates.isEmpty else { return nil }
      tools = level.tools
    }
    var names: Set<String> = []
    for tool in tools where tool.toolkit != nil || !names.insert(tool.name).inserted { return nil }
    return tools
  }

  /// Also one that lost its name to something else, which augmentations still reach.
  func kit(named name: String) -> Kit? {
    if case .kit(let place)? = names[name] { return kits[place] }
    return kits.first { $0.toolkit.name == name }
  }

  /// Whether there is a tool or a skill of that name, wherever it stands and whether it is seen or not.
  func hasTool(named name: String) -> Bool {
    switch names[name] {
    case .tool?, .skill?: true
    case .kit?, nil: false
    }
  }

  func offer(named name: String) -> Toolbox.Offer {
    switch names[name] {
    case .tool(let place)?:
      switch covers[place] {
      case nil: return .plain(tools[place])
      case .collapsed(let kit)?: return .hiddenChild(tools[place], of: kits[kit].toolkit.name)
      case .hidden?: return .unknown
      }
    case .kit?: return .toolkit(name)
    case .skill(let kit)?: return hidden.contains(name) ? .unknown : .skill(name, of: kits[kit].toolkit.name)
    case nil: return .unknown
    }
  }

  /// What a model sees of `kit` when it is expanded, by name.
  func functions(of kit: Kit) -> [String] { ToolboxView.functions(of: kit, hidden: hidden) { tools[$0].name } }

  func entry(_ kit: Kit) -> Toolbox.Listing.Entry {
    var toolkit = kit.toolkit
    toolkit.tools = kit.children.map { tools[$0] }
    toolkit.skills = kit.skills
    return Toolbox.Listing.Entry(toolkit: toolkit, level: kit.level, isExpanded: kit.isExpanded)
  }
}
