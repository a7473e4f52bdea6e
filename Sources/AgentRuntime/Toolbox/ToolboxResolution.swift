import JSON

/// Finds what counts under each name, and says in words what overrides what.
struct ToolboxResolution {
  struct Candidate {
    var tool: Tool
    var level: RegistrationLevel
    /// The toolkit it belongs to, by its place in `kits`.
    var kit: Int?
  }

  private(set) var kits: [ToolboxIndex.Kit] = []
  private(set) var kitPlaces: [String: Int] = [:]
  private(set) var tools: [Candidate] = []
  private(set) var names: [String: ToolboxIndex.Entity] = [:]
  private(set) var overrides: [String] = []
  let levels: [Registrations]

  init(_ levels: [Registrations], expansion: [String: Bool]) {
    self.levels = levels
    findKits(expansion)
    let places = findTools()
    keepGates(places)
    names = places.mapValues { .tool($0) }
    nameKits()
    nameSkills()
    fillKits(places)
  }

  private mutating func findKits(_ expansion: [String: Bool]) {
    for level in RegistrationLevel.allCases {
      for toolkit in levels[level.place].toolkits {
        let kit = ToolboxIndex.Kit(
          toolkit: toolkit, level: level, isExpanded: expansion[toolkit.name] ?? toolkit.startsExpanded)
        if let place = kitPlaces[toolkit.name] {
          overrides.append("toolkit '\(toolkit.name)': \(level.possessive) replaces \(kits[place].level.possessive)")
          kits[place] = kit
        } else {
          kitPlaces[toolkit.name] = kits.count
          kits.append(kit)
        }
      }
    }
  }

  private mutating func findTools() -> [String: Int] {
    var places: [String: Int] = [:]
    for level in RegistrationLevel.allCases {
      for tool in levels[level.place].tools {
        guard let toolkit = tool.toolkit else {
          add(Candidate(tool: tool, level: level), &places)
          continue
        }
        // A toolkit is replaced whole: with what joined it at the levels before.
        guard let kit = kitPlaces[toolkit], kits[kit].level <= level else {
          let why =
            kitPlaces[toolkit].map { "\(kits[$0].level.possessive) toolkit '\(toolkit)' replaces the one it joined" }
            ?? "its toolkit '\(toolkit)' is not there"
          overrides.append("tool '\(tool.name)': \(level.possessive) is left out, as \(why)")
          continue
        }
        add(Candidate(tool: tool, level: level, kit: kit), &places)
      }
      for toolkit in levels[level.place].toolkits {
        guard let kit = kitPlaces[toolkit.name], kits[kit].level == level else { continue }
        for tool in toolkit.tools { add(Candidate(tool: tool, level: level, kit: kit), &places) }
      }
    }
    return places
  }

  private mutating func add(_ new: Candidate, _ places: inout [String: Int]) {
    guard let place = places[new.tool.name] else {
      places[new.tool.name] = tools.count
      tools.append(new)
      return
    }
    let old = tools[place]
    // Levels come in their order, so the new one is of a later level or of the same.
    let wins = new.level > old.level || new.tool.target == .client || old.tool.target == .server
    let (winner, loser) = wins ? (new, old) : (old, new)
    let whose = winner.level == loser.level ? "its" : loser.level.possessive
    overrides.append(
      "tool '\(new.tool.name)': \(winner.level.possessive) \(words(winner, besides: loser)) overrides \(whose) \(words(loser, besides: winner))"
    )
    tools[place] = winner
  }

  private func words(_ candidate: Candidate, besides other: Candidate) -> String {
    let kind = "\(candidate.tool.target.rawValue) tool"
    guard let kit = candidate.kit, kit != other.kit else { return kind }
    return "\(kind) of toolkit '\(kits[kit].toolkit.name)'"
  }

  /// Whatever required approval under a name, what counts there now requires it.
  private mutating func keepGates(_ places: [String: Int]) {
    var gates: Set<String> = []
    for level in levels {
      gates.formUnion(level.gates)
      for tool in level.tools where tool.requiresApproval == true { gates.insert(tool.name) }
      for toolkit in level.toolkits {
        for tool in toolkit.tools where tool.requiresApproval == true { gates.insert(tool.name) }
      }
    }
    for name in gates.sorted() {
      guard let place = places[name], tools[place].tool.requiresApproval != true else { continue }
      tools[place].tool.requiresApproval = true
      overrides.append("tool '\(name)': it requires approval, as another declaration of it does or did")
    }
  }

  private func level(of entity: ToolboxIndex.Entity) -> RegistrationLevel {
    switch entity {
    case .tool(let place): tools[place].level
    case .kit(let place), .skill(let place): kits[place].level
    }
  }

  private func words(_ entity: ToolboxIndex.Entity) -> String {
    switch entity {
    case .tool: "tool"
    case .kit: "toolkit"
    case .skill: "skill"
    }
  }

  /// Gives `name` to `entity`, unless something of a later level has it.
  private mutating func claim(_ name: String, _ entity: ToolboxIndex.Entity) {
    guard let holder = names[name] else {
      names[name] = entity
      return
    }
    let isTaken = level(of: holder) > level(of: entity)
    let (winner, loser) = isTaken ? (holder, entity) : (entity, holder)
    overrides.append(
      "'\(name)': \(level(of: winner).possessive) \(words(winner)) takes the name of \(level(of: loser).possessive) \(words(loser))")
    names[name] = winner
  }

  private mutating func nameKits() {
    for place in kits.indices { claim(kits[place].toolkit.name, .kit(place)) }
  }

  private mutating func nameSkills() {
    for place in kits.indices {
      for skill in kits[place].toolkit.skills { claim(skill.name, .skill(kit: place)) }
    }
  }

  private mutating func fillKits(_ places: [String: Int]) {
    guard !kits.isEmpty else { return }
    func isChild(_ place: Int, of kit: Int) -> Bool {
      tools[place].kit == kit && names[tools[place].tool.name] == .tool(place)
    }
    var isListed = [Bool](repeating: false, count: tools.count)
    for kit in kits.indices {
      let own = kits[kit].toolkit.tools.compactMap { places[$0.name] }.filter { isChild($0, of: kit) }
      for place in own { isListed[place] = true }
      kits[kit].children = own
      kits[kit].skills = kits[kit].toolkit.skills.filter { names[$0.name] == .skill(kit: kit) }
    }
    for place in tools.indices where !isListed[place] {
      guard let kit = tools[place].kit, isChild(place, of: kit) else { continue }
      kits[kit].children.append(place)
    }
  }
}
