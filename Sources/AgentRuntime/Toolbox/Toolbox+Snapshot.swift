package import JSON

/// A toolbox as JSON, exact: reading what was written gives an equal value, and schemas, state and context keep their bytes.
extension Toolbox {
  private struct Snapshot: Codable {
    struct Level: Codable {
      var toolkits: [Toolkit]?
      var tools: [Tool]?
      var gates: [String]?
      /// Of tools of MCP servers, by name.
      var routes: [String: MCPRoute]?
    }

    /// By `RegistrationLevel`; those without anything are left out, as is all that is empty.
    var levels: [String: Level]?
    var expansion: [String: Bool]?
    var hidden: [String]?
    var skills: [ActiveSkill]?
    var state: CarriedJSON?
    var context: [ContextItem]?
    var failedServers: [String: String]?

    static let carriedPaths = CarriedPaths(["/state", "/context/*/value"])
      .union(Toolkit.listPaths.nested(under: "/levels/*/toolkits"))
      .union(RunParams.toolPaths.nested(under: "/levels/*/tools"))
  }

  package var json: CarriedJSON {
    var levels: [String: Snapshot.Level] = [:]
    for level in RegistrationLevel.allCases where !self[level].isEmpty {
      let registrations = self[level]
      levels[level.rawValue] = Snapshot.Level(
        toolkits: registrations.toolkits.nonEmpty, tools: registrations.tools.nonEmpty, gates: registrations.gates.nonEmpty,
        routes: registrations.routes)
    }
    let snapshot = Snapshot(
      levels: levels.isEmpty ? nil : levels, expansion: expansion.isEmpty ? nil : expansion, hidden: hidden.nonEmpty,
      skills: activeSkills.nonEmpty, state: state, context: context.nonEmpty, failedServers: failedServers.isEmpty ? nil : failedServers)
    do throws(JSONError) { return try JSONCoding.encode(snapshot) } catch {
      preconditionFailure("a toolbox holds nothing that JSON cannot say: \(error)")
    }
  }

  /// - Throws: `invalidParams` with the pointer of what another version wrote differently.
  package init(reading json: CarriedJSON) throws(RuntimeError) {
    // It has grown over many requests, each within the limits of one.
    let limits = JSONLimits(maxDepth: .max, maxNodes: .max)
    let snapshot = try RunParams.read(Snapshot.self, json, at: "", carrying: Snapshot.carriedPaths, limits: limits)
    self.init()
    for (name, registrations) in snapshot.levels ?? [:] {
      guard let level = RegistrationLevel(rawValue: name) else { throw .invalidParams("is not a level", at: "/levels/" + name) }
      self[level] = Registrations(
        toolkits: registrations.toolkits ?? [], tools: registrations.tools ?? [], gates: registrations.gates ?? [])
      self[level].take(routes: registrations.routes ?? [:])
    }
    expansion = snapshot.expansion ?? [:]
    hidden = snapshot.hidden ?? []
    activeSkills = snapshot.skills ?? []
    state = snapshot.state
    context = snapshot.context ?? []
    failedServers = snapshot.failedServers ?? [:]
  }
}

extension Array {
  fileprivate var nonEmpty: Self? { isEmpty ? nil : self }
}
