import JSON

extension Toolbox {
  // MARK: - Calls

  /// Expands a toolkit, as a call of it or of a hidden child does.
  ///
  /// Its tools are offered and its `systemPrompt` counts from now on.
  /// - Returns: What the model is told: the result of the call.
  /// - Throws: `toolkit.notFound`.
  @discardableResult package mutating func expand(toolkit name: String, pointer: String? = nil) throws(RuntimeError) -> String {
    let kit = try Self.kit(named: name, in: index, at: pointer)
    let functions = ToolboxView.list(index.functions(of: kit))
    if kit.isExpanded { return "\(name) is expanded already. Available functions: \(functions)" }
    try setExpansion(of: name, true, in: index, at: pointer)
    let text = "\(name) expanded. Available functions: \(functions)"
    guard let more = kit.toolkit.functionResult, !more.isEmpty else { return text }
    return "\(text)\n\n\(more)"
  }

  /// Collapses a toolkit: its tools, its `systemPrompt` and its skills go, until it is expanded again.
  /// - Throws: `toolkit.notFound`.
  package mutating func collapse(toolkit name: String, pointer: String? = nil) throws(RuntimeError) {
    try setExpansion(of: name, false, in: index, at: pointer)
  }

  /// - Parameter index: As it was before the first of several, so that it is made once for all of them.
  private mutating func setExpansion(
    of name: String, _ isExpanded: Bool, in index: ToolboxIndex, at pointer: String?
  ) throws(RuntimeError) {
    let kit = try Self.kit(named: name, in: index, at: pointer)
    guard (expansion[name] ?? kit.isExpanded) != isExpanded else { return }
    expansion[name] = isExpanded
    if !isExpanded { activeSkills.removeAll { $0.toolkit == name } }
  }

  /// Activates a skill, as a call of it does; a collapsed toolkit around it is expanded first.
  ///
  /// Its `systemPrompt` counts and the tools it refers to are offered from now on, until its toolkit is collapsed or goes.
  /// - Returns: What the model is told: the result of the call, `functionResult` only when the skill was not active.
  /// - Throws: `tool.notFound`.
  @discardableResult package mutating func activate(skill name: String) throws(RuntimeError) -> String {
    guard case .skill(let kitPlace)? = index.names[name], let skill = index.kits[kitPlace].skills.first(where: { $0.name == name }) else {
      throw RuntimeError(.toolNotFound, "there is no skill '\(name.prefix(64))'")
    }
    let kit = index.kits[kitPlace]
    let expansion = kit.isExpanded ? nil : try expand(toolkit: kit.toolkit.name)
    let active = ActiveSkill(toolkit: kit.toolkit.name, skill: name)
    let isNew = !activeSkills.contains(active)
    if isNew { activeSkills.append(active) }
    let text: String
    if isNew, let result = skill.functionResult, !result.isEmpty {
      text = result
    } else {
      let tools = skill.references.map(\.toolName).filter { if case .plain = offer(named: $0) { true } else { false } }
      text = "\(name) is active\(isNew ? "" : " already"). Available functions: \(ToolboxView.list(tools))"
    }
    return expansion.map { "\($0)\n\n\(text)" } ?? text
  }

  private static func kit(named name: String, in index: ToolboxIndex, at pointer: String?) throws(RuntimeError) -> ToolboxIndex.Kit {
    guard let kit = index.kit(named: name) else {
      throw RuntimeError(.toolkitNotFound, "there is no toolkit '\(name.prefix(64))'", pointer: pointer)
    }
    return kit
  }

  // MARK: - Augmentations

  /// Carries out the operations of `augmentation` in the order of its members.
  ///
  /// Removing comes first, so what it injects itself cannot be what it removes. A context key that is not there is removed without complaint.
  /// - Parameters:
  ///   - isInsideResult: It stands in a tool result, which declares client tools only.
  ///   - pointer: Where the augmentation stands in the request.
  /// - Throws: `toolkit.notFound` and `tool.notFound` that name what is not there, or not any more; what `register` throws.
  package mutating func apply(_ augmentation: Augmentation, isInsideResult: Bool, pointer: String = "") throws(RuntimeError) {
    try augmentation.check(at: pointer, isInsideResult: isInsideResult)
    try change { (box) throws(RuntimeError) in
      for (place, name) in augmentation.removeToolkits.enumerated() {
        try box.remove(toolkit: name, at: "\(pointer)/removeToolkits/\(place)")
      }
      try box.put(
        Declaration(toolkits: augmentation.injectToolkits, toolkitsPointer: pointer + "/injectToolkits"), at: .augmentation)
      try box.setExpansions(augmentation, at: pointer)
      try box.hide(augmentation.hideTools, pointer + "/hideTools")
      try box.show(augmentation.showTools, pointer + "/showTools")
      box.changeContext(augmentation)
    }
  }

  private mutating func setExpansions(_ augmentation: Augmentation, at pointer: String) throws(RuntimeError) {
    if augmentation.expandToolkits.isEmpty, augmentation.collapseToolkits.isEmpty { return }
    let index = index
    for (place, name) in augmentation.expandToolkits.enumerated() {
      try setExpansion(of: name, true, in: index, at: "\(pointer)/expandToolkits/\(place)")
    }
    for (place, name) in augmentation.collapseToolkits.enumerated() {
      try setExpansion(of: name, false, in: index, at: "\(pointer)/collapseToolkits/\(place)")
    }
  }

  /// Takes a toolkit away at all levels; what in it required approval goes on doing so under the same name.
  private mutating func remove(toolkit name: String, at pointer: String) throws(RuntimeError) {
    let gone = levels.compactMap { level in level.toolkits.first { $0.name == name } }
    if gone.isEmpty {
      throw RuntimeError(.toolkitNotFound, "toolkit '\(name.prefix(64))' is not there to be removed", pointer: pointer)
    }
    for level in levels.indices {
      self[.augmentation].keepGates(of: levels[level].tools.filter { $0.toolkit == name })
      levels[level].toolkits.removeAll { $0.name == name }
    }
    self[.augmentation].keepGates(of: gone.flatMap(\.tools))
    forget(gone)
  }

  private mutating func hide(_ names: [String], _ pointer: String) throws(RuntimeError) {
    if names.isEmpty { return }
    try checkTools(names, pointer)
    hidden = Set(hidden).union(names).sorted()
  }

  private mutating func show(_ names: [String], _ pointer: String) throws(RuntimeError) {
    if names.isEmpty { return }
    try checkTools(names, pointer)
    hidden = Set(hidden).subtracting(names).sorted()
  }

  private func checkTools(_ names: [String], _ pointer: String) throws(RuntimeError) {
    for (place, name) in names.enumerated() where !index.hasTool(named: name) {
      let hint = index.kit(named: name) == nil ? "" : ": that is a toolkit"
      throw RuntimeError(.toolNotFound, "there is no tool '\(name.prefix(64))'\(hint)", pointer: "\(pointer)/\(place)")
    }
  }

  /// The most context items that a run or session can have. More would only come of a client that never removes any.
  package static let mostContextItems = 100_000

  /// Judges a new augmentation, after it was applied. Those in the log are as they are.
  /// - Throws: `invalidParams` when it makes the context longer than it can be.
  package func checkSize(after augmentation: Augmentation, pointer: String) throws(RuntimeError) {
    guard !augmentation.addContext.isEmpty, context.count > Self.mostContextItems else { return }
    throw .invalidParams(
      "the context would have \(context.count) items; it can have \(Self.mostContextItems)", at: pointer + "/addContext")
  }

  private mutating func changeContext(_ augmentation: Augmentation) {
    addContext(augmentation.addContext)
    removeContext(augmentation.removeContext)
    if let update = augmentation.updateState { state = update }
    if let patch = augmentation.patchState { state = CarriedJSON.merge(patch, into: state) }
    if state?.isNull == true { state = nil }
  }

  /// One by itself is looked for without a dictionary of all keys, which takes far longer to make.
  private mutating func addContext(_ items: [ContextItem]) {
    if items.count == 1 {
      if let place = context.firstIndex(where: { $0.isCalled(items[0].key) }) {
        context[place] = items[0]
      } else {
        context.append(items[0])
      }
    }
    if items.count < 2 { return }
    var places = Dictionary(context.enumerated().map { ($1.exactKey, $0) }, uniquingKeysWith: { first, _ in first })
    for item in items {
      if let place = places[item.exactKey] {
        context[place] = item
      } else {
        places[item.exactKey] = context.count
        context.append(item)
      }
    }
  }

  private mutating func removeContext(_ names: [String]) {
    if names.count == 1 { context.removeAll { $0.isCalled(names[0]) } }
    if names.count < 2 { return }
    let gone = Set(names.map { Bytes($0) })
    context.removeAll { gone.contains($0.exactKey) }
  }
}
