import JSON

/// Tools and toolkits that are declared together, and where.
struct Declaration {
  var tools: [Tool] = []
  var toolkits: [Toolkit] = []
  var toolsPointer = ""
  var toolkitsPointer = ""

  var isEmpty: Bool { tools.isEmpty && toolkits.isEmpty }

  func place(ofTool index: Int) -> String { "\(toolsPointer)/\(index)" }
  func place(ofToolkit index: Int) -> String { "\(toolkitsPointer)/\(index)" }

  /// Judges what needs no look at anything else.
  func check() throws(RuntimeError) {
    var keys: Set<Tool.Key> = []
    for (index, tool) in tools.enumerated() {
      try tool.check(at: place(ofTool: index))
      try Self.check(tool.name, "tool") { place(ofTool: index) }
      guard keys.insert(tool.key).inserted else {
        throw .aboutTool(tool.name, .toolInvalid, "tool '\(tool.name)' is declared twice", at: place(ofTool: index) + "/name")
      }
    }
    var names: Set<String> = []
    for (index, toolkit) in toolkits.enumerated() {
      let place = place(ofToolkit: index)
      try toolkit.check(at: place)
      try Self.check(toolkit.name, "toolkit") { place }
      for (index, tool) in toolkit.tools.enumerated() { try Self.check(tool.name, "tool") { "\(place)/tools/\(index)" } }
      for (index, skill) in toolkit.skills.enumerated() { try Self.check(skill.name, "skill") { "\(place)/skills/\(index)" } }
      guard names.insert(toolkit.name).inserted else {
        throw RuntimeError(.toolInvalid, "toolkit '\(toolkit.name)' is declared twice", pointer: place + "/name")
      }
    }
  }

  private static func check(_ name: String, _ kind: String, at place: () -> String) throws(RuntimeError) {
    guard Toolbox.builtInNames.contains(name) else { return }
    throw RuntimeError(.toolInvalid, "no \(kind) can be called '\(name)': that is a built-in tool", pointer: place() + "/name")
  }
}

extension Toolbox {
  /// Registers, and judges what the declaration says of other things. Leaves the index as it was.
  mutating func put(_ declaration: Declaration, at level: RegistrationLevel) throws(RuntimeError) {
    if declaration.isEmpty { return }
    try declaration.check()
    self[level].put(declaration.toolkits)
    self[level].put(declaration.tools)
    try checkNames(declaration, level)
    try checkReferences(declaration, level)
  }
}

// MARK: - Names within a level

extension Toolbox {
  /// Something that has a name at a level.
  private struct Holder {
    enum Kind: String { case toolkit, tool, skill }

    var kind: Kind
    /// Of a tool: only a client and a server tool may share a name.
    var target: Tool.Target?
    /// The toolkit that it is, or is declared in.
    var toolkit: String?
    /// Its place in the list it stands in.
    var place: Int
    /// Where it, or its toolkit, stands in the declaration; nil when it was there before.
    var declared: Int?

    var words: String { kind == .toolkit ? "a toolkit" : toolkit.map { "a \(kind.rawValue) of toolkit '\($0)'" } ?? "a \(kind.rawValue)" }

    func pointer(in declaration: Declaration) -> String? {
      guard let declared else { return nil }
      switch kind {
      case .toolkit: return declaration.place(ofToolkit: declared)
      case .tool where toolkit == nil: return declaration.place(ofTool: declared)
      case .tool, .skill: return "\(declaration.place(ofToolkit: declared))/\(kind.rawValue)s/\(place)"
      }
    }

    func clashes(with other: Holder) -> Bool {
      guard declared != nil || other.declared != nil else { return false }
      return target == nil || other.target == nil || target == other.target
    }
  }

  /// A model could not tell two things of one name apart. What was there before is taken as it is.
  private func checkNames(_ declaration: Declaration, _ level: RegistrationLevel) throws(RuntimeError) {
    // Tools by themselves are told apart already.
    if self[level].toolkits.isEmpty { return }
    let newToolkits = Dictionary(uniqueKeysWithValues: declaration.toolkits.enumerated().map { ($1.name, $0) })
    let newTools = Dictionary(uniqueKeysWithValues: declaration.tools.enumerated().map { ($1.key, $0) })
    var holders: [String: [Holder]] = [:]
    func add(_ name: String, _ new: Holder) throws(RuntimeError) {
      if let old = holders[name]?.first(where: { $0.clashes(with: new) }) {
        var error = RuntimeError(
          .toolInvalid, "'\(name)' is the name of both \(old.words) and \(new.words) of the \(level.rawValue)",
          pointer: (new.pointer(in: declaration) ?? old.pointer(in: declaration) ?? "") + "/name")
        if old.kind == .tool || new.kind == .tool { error.details = [("tool", CarriedJSON(string: name))] }
        throw error
      }
      holders[name, default: []].append(new)
    }
    for (index, toolkit) in self[level].toolkits.enumerated() {
      let declared = newToolkits[toolkit.name]
      try add(toolkit.name, Holder(kind: .toolkit, toolkit: toolkit.name, place: index, declared: declared))
      for (index, tool) in toolkit.tools.enumerated() {
        try add(tool.name, Holder(kind: .tool, target: tool.target, toolkit: toolkit.name, place: index, declared: declared))
      }
      for (index, skill) in toolkit.skills.enumerated() {
        try add(skill.name, Holder(kind: .skill, toolkit: toolkit.name, place: index, declared: declared))
      }
    }
    for (index, tool) in self[level].tools.enumerated() {
      try add(tool.name, Holder(kind: .tool, target: tool.target, place: index, declared: newTools[tool.key]))
    }
  }
}

// MARK: - References to toolkits and tools

extension Toolbox {
  /// What is registered at a level and those before it, seen from there.
  private struct Scope {
    /// The tools of each toolkit, those that joined it included.
    var toolkits: [String: Set<String>] = [:]
    var tools: Set<String> = []

    init(_ box: Toolbox, upTo last: RegistrationLevel) {
      for level in RegistrationLevel.allCases where level <= last {
        for toolkit in box[level].toolkits {
          toolkits[toolkit.name] = Set(toolkit.tools.map(\.name))
          tools.formUnion(toolkit.tools.map(\.name))
        }
        for tool in box[level].tools {
          tools.insert(tool.name)
          if let toolkit = tool.toolkit { toolkits[toolkit]?.insert(tool.name) }
        }
      }
    }
  }

  private func checkReferences(_ declaration: Declaration, _ level: RegistrationLevel) throws(RuntimeError) {
    guard declaration.tools.contains(where: { $0.toolkit != nil }) || declaration.toolkits.contains(where: { !$0.skills.isEmpty }) else {
      return
    }
    let scope = Scope(self, upTo: level)
    for (index, tool) in declaration.tools.enumerated() {
      guard let toolkit = tool.toolkit, scope.toolkits[toolkit] == nil else { continue }
      throw RuntimeError(
        .toolkitNotFound, "tool '\(tool.name)': its toolkit '\(toolkit.prefix(64))' is not registered",
        pointer: declaration.place(ofTool: index) + "/toolkit")
    }
    for (index, toolkit) in declaration.toolkits.enumerated() {
      for (skillIndex, skill) in toolkit.skills.enumerated() {
        for (referenceIndex, reference) in skill.references.enumerated() {
          let place = "\(declaration.place(ofToolkit: index))/skills/\(skillIndex)/references/\(referenceIndex)"
          try check(reference, of: "skill '\(skill.name)' of toolkit '\(toolkit.name)'", in: scope, at: place)
        }
      }
    }
  }

  private func check(_ reference: SkillReference, of skill: String, in scope: Scope, at pointer: String) throws(RuntimeError) {
    let tool = "tool '\(reference.toolName.prefix(64))'"
    guard let name = reference.toolkitName else {
      if scope.tools.contains(reference.toolName) { return }
      throw RuntimeError(.toolNotFound, "\(skill) refers to \(tool), which is not registered", pointer: pointer + "/toolName")
    }
    guard let tools = scope.toolkits[name] else {
      throw RuntimeError(
        .toolkitNotFound, "\(skill) refers to \(tool) of toolkit '\(name.prefix(64))', which is not registered",
        pointer: pointer + "/toolkitName")
    }
    guard tools.contains(reference.toolName) else {
      throw RuntimeError(.toolNotFound, "\(skill) refers to \(tool), which toolkit '\(name)' does not have", pointer: pointer + "/toolName")
    }
  }
}
