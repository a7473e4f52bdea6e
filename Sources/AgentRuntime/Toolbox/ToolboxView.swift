import JSON

/// What a model sees of a resolved toolbox, in a stable order.
struct ToolboxView {
  private(set) var offered: [Tool] = []
  private(set) var prompts: [String] = []
  private(set) var covers: [Int: Cover] = [:]

  /// Why a tool is not offered.
  enum Cover {
    /// Its toolkit, by place, is collapsed.
    case collapsed(Int)
    /// An augmentation hides it, or something else has its name.
    case hidden
  }

  private let resolution: ToolboxResolution
  private let hidden: Set<String>
  private let activeSkills: [Toolbox.ActiveSkill]
  /// Tools that active skills refer to: they are seen though their toolkits are collapsed.
  private var available: Set<String> = []
  private var shown: Set<Int> = []

  init(_ resolution: ToolboxResolution, hidden: Set<String>, activeSkills: [Toolbox.ActiveSkill]) {
    self.resolution = resolution
    self.hidden = hidden
    self.activeSkills = activeSkills
    for kit in resolution.kits {
      for skill in kit.toolkit.skills where isActive(skill, kit) { available.formUnion(skill.references.map(\.toolName)) }
    }
    var places: Set<String> = []
    for level in resolution.levels {
      for tool in level.tools where tool.toolkit == nil && places.insert(tool.name).inserted { show(tool.name) }
      for toolkit in level.toolkits where places.insert(toolkit.name).inserted { show(toolkit.name) }
    }
    for place in resolution.tools.indices where !shown.contains(place) { covers[place] = cover(of: place) }
  }

  private func isActive(_ skill: Skill, _ kit: ToolboxIndex.Kit) -> Bool {
    activeSkills.contains { $0.skill == skill.name && $0.toolkit == kit.toolkit.name }
  }

  /// Shows what stands where `name` first came: a tool by itself, a collapsed toolkit, the inside of a toolkit.
  private mutating func show(_ name: String) {
    switch resolution.names[name] {
    case .tool(let place)? where resolution.tools[place].kit == nil: show(place)
    case .kit(let place)? where !resolution.kits[place].isExpanded: offered.append(container(resolution.kits[place]))
    default: break
    }
    guard let place = resolution.kitPlaces[name] else { return }
    let kit = resolution.kits[place]
    for child in kit.children where kit.isExpanded || available.contains(resolution.tools[child].tool.name) { show(child) }
    if kit.isExpanded { offered += kit.skills.filter { !hidden.contains($0.name) }.map(Self.tool) }
    if kit.isExpanded, let prompt = kit.toolkit.systemPrompt, !prompt.isEmpty { prompts.append(prompt) }
    for skill in kit.toolkit.skills where isActive(skill, kit) {
      if let prompt = skill.systemPrompt, !prompt.isEmpty { prompts.append(prompt) }
    }
  }

  private mutating func show(_ place: Int) {
    let tool = resolution.tools[place].tool
    guard !hidden.contains(tool.name) else { return }
    shown.insert(place)
    offered.append(tool)
  }

  private func cover(of place: Int) -> Cover {
    let candidate = resolution.tools[place]
    guard !hidden.contains(candidate.tool.name), let kit = candidate.kit, !resolution.kits[kit].isExpanded else { return .hidden }
    return .collapsed(kit)
  }

  // MARK: - Tools that stand for something else

  static let noArguments = CarriedJSON(trusted: Bytes(#"{"type":"object","properties":{}}"#))

  private func container(_ kit: ToolboxIndex.Kit) -> Tool {
    let inside = Self.list(Self.functions(of: kit, hidden: hidden) { resolution.tools[$0].tool.name })
    return Tool(
      name: kit.toolkit.name,
      description: Self.sentences(
        kit.toolkit.description, "A collapsed group of functions: call it without arguments to make them available: \(inside)."),
      inputSchema: Self.noArguments)
  }

  private static func tool(_ skill: Skill) -> Tool {
    let tools = list(skill.references.map(\.toolName))
    return Tool(
      name: skill.name,
      description: sentences(skill.description, "A skill: call it without arguments to learn how to use these functions: \(tools)."),
      inputSchema: noArguments)
  }

  private static func sentences(_ first: String, _ second: String) -> String { first.isEmpty ? second : "\(first)\n\n\(second)" }

  /// What of `kit` is not hidden, by name.
  static func functions(of kit: ToolboxIndex.Kit, hidden: Set<String>, name: (Int) -> String) -> [String] {
    (kit.children.map(name) + kit.skills.map(\.name)).filter { !hidden.contains($0) }
  }

  static func list(_ names: [String]) -> String { names.isEmpty ? "none" : names.joined(separator: ", ") }
}
