/// Who registered something; later levels win. What the agent's MCP servers offer is below all that anybody chose.
package enum RegistrationLevel: String, Sendable, Codable, CaseIterable, Comparable {
  case servers, agent, session, connection, run, augmentation

  var place: Int {
    switch self {
    case .servers: 0
    case .agent: 1
    case .session: 2
    case .connection: 3
    case .run: 4
    case .augmentation: 5
    }
  }

  package static func < (a: Self, b: Self) -> Bool { a.place < b.place }

  /// For sentences: "the run's".
  var possessive: String { self == .servers ? "an MCP server's" : "the \(rawValue)'s" }
}

/// What one level has registered, in the order in which it did.
struct Registrations: Sendable, Equatable {
  /// No two of one name.
  var toolkits: [Toolkit] = []
  /// Tools that were declared by themselves, also those that belong to a toolkit; no two of one name and target.
  var tools: [Tool] = []
  /// Names of tools that required approval and were replaced, or were taken away other than by unregistering; sorted.
  var gates: [String] = []

  var isEmpty: Bool { toolkits.isEmpty && tools.isEmpty && gates.isEmpty }

  /// Overriding never removes `requiresApproval`, so what goes leaves it behind.
  mutating func keepGates(of leaving: some Sequence<Tool>) {
    keepGates(leaving.lazy.filter { $0.requiresApproval == true }.map(\.name))
  }

  mutating func keepGates(_ names: some Sequence<String>) {
    let all = Set(gates).union(names)
    if all.count > gates.count { gates = all.sorted() }
  }

  /// Adds `new`, no two of which have one name; each takes the place of its namesake.
  mutating func put(_ new: [Toolkit]) {
    let places = Self.places(of: new.map(\.name), in: toolkits.lazy.map(\.name))
    for toolkit in new {
      guard let place = places[toolkit.name] else {
        toolkits.append(toolkit)
        continue
      }
      keepGates(of: toolkits[place].tools)
      toolkits[place] = toolkit
    }
  }

  /// Adds `new`, no two of which have one name and target; each takes the place of its namesake with the same target.
  mutating func put(_ new: [Tool]) {
    if tools.isEmpty {
      tools = new
      return
    }
    let places = Self.places(of: new.map(\.key), in: tools.lazy.map(\.key))
    for tool in new {
      guard let place = places[tool.key] else {
        tools.append(tool)
        continue
      }
      keepGates(of: [tools[place]])
      tools[place] = tool
    }
  }

  /// Where what is called as one of `new` stands already. One by itself is looked for without a dictionary of all, which takes far longer to make.
  private static func places<Name: Hashable>(of new: [Name], in names: some Collection<Name>) -> [Name: Int] {
    if new.count == 1 {
      for (place, name) in names.enumerated() where name == new[0] { return [name: place] }
      return [:]
    }
    return Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
  }
}

extension Tool {
  struct Key: Hashable {
    let name: String
    let target: Target
  }

  /// What tells the tools of one level apart.
  var key: Key { Key(name: name, target: target) }
}
