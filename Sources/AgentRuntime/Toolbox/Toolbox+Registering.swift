import JSON

extension Toolbox {
  /// Takes in what `level` declares; what it declared under the same names before is replaced, a toolkit whole.
  ///
  /// - Parameter pointer: Where `tools` and `toolkits` stand in the request.
  /// - Throws: `tool.invalid` for a declaration that is wrong in itself or has a name that is taken at this level; `toolkit.notFound` and
  ///   `tool.notFound` for a toolkit or a reference that is registered neither at this level nor at an earlier one. All name what and where.
  package mutating func register(
    tools: [Tool] = [], toolkits: [Toolkit] = [], at level: RegistrationLevel, pointer: String = ""
  ) throws(RuntimeError) {
    try change { (box) throws(RuntimeError) in
      try box.put(
        Declaration(tools: tools, toolkits: toolkits, toolsPointer: pointer + "/tools", toolkitsPointer: pointer + "/toolkits"), at: level)
    }
  }

  /// Puts `tools` in the place of all plain tools of the run; its toolkits stay. What required approval goes on doing so.
  package mutating func replaceRunTools(_ tools: [Tool], pointer: String = "/tools") throws(RuntimeError) {
    try change { (box) throws(RuntimeError) in
      box[.run].keepGates(of: box[.run].tools)
      box[.run].tools = []
      try box.put(Declaration(tools: tools, toolsPointer: pointer), at: .run)
    }
  }

  /// Takes back toolkits that `level` has registered, with the tools that joined them there and what was expanded or hidden in them; those of an
  /// earlier level that they replaced count again.
  /// - Throws: `toolkit.notFound` that names the first that `level` does not have.
  package mutating func unregister(
    toolkits names: [String], at level: RegistrationLevel, pointer: String = "/names"
  ) throws(RuntimeError) {
    try change { (box) throws(RuntimeError) in
      for (index, name) in names.enumerated() {
        guard let place = box[level].toolkits.firstIndex(where: { $0.name == name }) else {
          throw RuntimeError(
            .toolkitNotFound, "toolkit '\(name.prefix(64))' is not registered by the \(level.rawValue)", pointer: "\(pointer)/\(index)")
        }
        let gone = box[level].toolkits.remove(at: place)
        box[level].gates.removeAll { gate in gone.tools.contains { $0.name == gate } }
        box.forget([gone])
      }
    }
  }

  /// Takes back tools that `level` has declared by themselves; a tool inside of a toolkit goes with the toolkit.
  /// - Throws: `tool.notFound` that names the first that `level` does not have.
  package mutating func unregister(tools names: [String], at level: RegistrationLevel, pointer: String = "/names") throws(RuntimeError) {
    try change { (box) throws(RuntimeError) in
      for (index, name) in names.enumerated() {
        guard box[level].tools.contains(where: { $0.name == name }) else {
          let home = box[level].toolkits.first { $0.tools.contains { $0.name == name } }
          let hint = home.map { ": it stands in the declaration of toolkit '\($0.name)'" } ?? ""
          throw RuntimeError(
            .toolNotFound, "tool '\(name.prefix(64))' is not registered by the \(level.rawValue)\(hint)", pointer: "\(pointer)/\(index)")
        }
        box[level].tools.removeAll { $0.name == name }
        box[level].gates.removeAll { $0 == name }
        box.forgetHidden([name])
      }
    }
  }

  /// `resetClientState`: the registrations of the session and of its runs go, with what is expanded, hidden and active, state and context.
  package mutating func resetClientState() {
    for level in [RegistrationLevel.session, .run, .augmentation] { self[level] = Registrations() }
    expansion = [:]
    hidden = []
    activeSkills = []
    state = nil
    context = []
  }

  /// What a session keeps of a run, for the next one to begin with: its registrations and the toolkits of the run, all as the session's, what is
  /// expanded, hidden and active, state and context. The agent's and the connection's come anew with each run, the run's plain tools do not.
  package var keptBySession: Toolbox {
    var kept = self
    for level in [RegistrationLevel.servers, .agent, .connection] { kept[level] = Registrations() }
    kept.failedServers = [:]
    for level in [RegistrationLevel.run, .augmentation] {
      // They replace the session's whole: with what joined those.
      for toolkit in self[level].toolkits { kept[.session].dropTools(of: toolkit.name) }
      kept[.session].put(self[level].toolkits)
      kept[level] = Registrations()
    }
    kept[.session].keepGates(self[.augmentation].gates)
    return kept
  }

  // MARK: - What goes with what goes

  /// After toolkits of one name went: what joined them and finds no other, and, when there is no other, what was chosen for them.
  mutating func forget(_ gone: [Toolkit]) {
    guard let name = gone.first?.name else { return }
    var names = gone.flatMap { $0.tools.map(\.name) + $0.skills.map(\.name) }
    var isThere = false
    for level in levels.indices {
      isThere = isThere || levels[level].toolkits.contains { $0.name == name }
      if isThere { continue }
      names += levels[level].tools.filter { $0.toolkit == name }.map(\.name)
      levels[level].tools.removeAll { $0.toolkit == name }
    }
    if !isThere {
      expansion[name] = nil
      activeSkills.removeAll { $0.toolkit == name }
    }
    forgetHidden(names)
  }

  /// Of `names`, those that nothing has any more are not hidden any more.
  mutating func forgetHidden(_ names: [String]) {
    guard !hidden.isEmpty else { return }
    var there: Set<String> = []
    for level in levels {
      there.formUnion(level.tools.map(\.name))
      for toolkit in level.toolkits { there.formUnion(toolkit.tools.map(\.name) + toolkit.skills.map(\.name)) }
    }
    let gone = Set(names).subtracting(there)
    hidden.removeAll { gone.contains($0) }
  }
}

extension Registrations {
  mutating func dropTools(of toolkit: String) {
    keepGates(of: tools.lazy.filter { $0.toolkit == toolkit })
    tools.removeAll { $0.toolkit == toolkit }
  }
}

extension RuntimeError.Kind {
  package static let toolNotFound = Self("tool.notFound")
}
