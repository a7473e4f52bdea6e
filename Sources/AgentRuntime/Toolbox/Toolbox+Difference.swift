extension Toolbox {
  /// What a change came to, for the events that tell of it.
  package struct Difference: Sendable, Equatable {
    /// Toolkits that came, or have another definition than before.
    package var registered: [String] = []
    package var removed: [String] = []
    /// Toolkits that were there before and are expanded, or collapsed, since.
    package var expanded: [String] = []
    package var collapsed: [String] = []
    /// Skills by name.
    package var activated: [String] = []
    /// The next model turn is offered other tools, or the same ones otherwise.
    package var changesOffer = false
    /// The next model turn is shown another state or context.
    package var changesState = false

    package init() {}
  }

  package func difference(from old: Toolbox) -> Difference {
    var difference = Difference()
    difference.changesOffer = index !== old.index && offered != old.offered
    difference.changesState = state != old.state || context != old.context
    difference.activated = activeSkills.filter { !old.activeSkills.contains($0) }.map(\.skill)
    if index === old.index { return difference }
    let before = Dictionary(uniqueKeysWithValues: old.index.kits.map { ($0.toolkit.name, $0) })
    let now = Set(index.kits.map(\.toolkit.name))
    difference.removed = old.index.kits.map(\.toolkit.name).filter { !now.contains($0) }
    for kit in index.kits {
      let name = kit.toolkit.name
      if before[name].map({ $0.toolkit != kit.toolkit || $0.level != kit.level }) ?? true { difference.registered.append(name) }
      guard let wasExpanded = before[name]?.isExpanded, wasExpanded != kit.isExpanded else { continue }
      if kit.isExpanded { difference.expanded.append(name) } else { difference.collapsed.append(name) }
    }
    return difference
  }
}
