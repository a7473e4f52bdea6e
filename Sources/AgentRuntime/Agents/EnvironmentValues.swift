package import JSON

/// What of an agent is stored and not shown: the values of `env`, and members that are null, which count as absent.
package enum EnvironmentValues {
  /// What stands where a value is not shown; given back in an update, it stands for the stored value.
  package static let placeholder = "(hidden)"

  /// The agent as clients may see it.
  package static func hidden(in agent: CarriedJSON) -> CarriedJSON {
    let word = CarriedJSON(string: placeholder)
    return Walk<Never>(leavesOutNulls: true) { _, _, _ in word }.agent(agent, "", "")
  }

  /// A tool as clients may see it.
  package static func hidden(inTool tool: CarriedJSON) -> CarriedJSON {
    let word = CarriedJSON(string: placeholder)
    return Walk<Never>(leavesOutNulls: true) { _, _, _ in word }.tool(tool, "", "")
  }

  /// A toolkit as clients may see it.
  package static func hidden(inToolkit toolkit: CarriedJSON) -> CarriedJSON {
    let word = CarriedJSON(string: placeholder)
    return Walk<Never>(leavesOutNulls: true) { _, _, _ in word }.toolkit(toolkit, "", "")
  }

  /// An agent that a client may have changed after it was shown: each placeholder becomes the value that `old` has in its place.
  ///
  /// Places are found again by the names of tools, toolkits and servers, so that a list may be sorted anew.
  /// - Throws: `invalidParams` with the pointer of a placeholder that stands for nothing.
  static func restored(in agent: CarriedJSON, from old: CarriedJSON?, at pointer: String) throws(RuntimeError) -> CarriedJSON {
    var known: [String: CarriedJSON] = [:]
    if let old {
      _ = Walk<Never> { place, _, value in
        known[place] = value
        return value
      }.agent(old, "", "")
    }
    return try Walk<RuntimeError> { (place, pointer, value) throws(RuntimeError) in
      guard value.stringValue == placeholder else { return value }
      guard let stored = known[place] else {
        throw .invalidParams("stands for a value that is not shown, and there is none here", at: pointer)
      }
      return stored
    }.agent(agent, "", pointer)
  }

  /// Goes through an agent and writes it anew. `replace` gets each value with its place (by names) and its pointer.
  private struct Walk<Failure: Error> {
    /// Of the members that are known; what is only carried keeps its nulls.
    var leavesOutNulls = false
    let replace: (_ place: String, _ pointer: String, _ value: CarriedJSON) throws(Failure) -> CarriedJSON

    func agent(_ agent: CarriedJSON, _ place: String, _ pointer: String) throws(Failure) -> CarriedJSON {
      try members(of: agent, known: Agent.members) { (name, value) throws(Failure) in
        let pointer = "\(pointer)/\(name)"
        switch name {
        case "tools": return try tools(value, place, pointer)
        case "toolkits":
          return try value.mapElements { (index, kit) throws(Failure) in try toolkit(kit, place, "\(pointer)/\(index)") }
        case "mcpServers":
          return try members(of: value) { (name, server) throws(Failure) in
            let place = "\(place)/mcpServers/\(Self.step(name.text))"
            return try environment(in: server, place, "\(pointer)/\(JSONPointer.escape(name.text))", known: MCPServer.members)
          }
        case "memory": return try value.mapElements { (_, block) throws(Failure) in try bare(block, MemoryBlock.members) }
        case "limits": return try bare(value, Limits.members)
        case "clientTools": return try bare(value, ClientToolPolicy.members)
        case "messageConcurrency": return try bare(value, ["debounceMs"])
        default: return value
        }
      }
    }

    func toolkit(_ toolkit: CarriedJSON, _ place: String, _ pointer: String) throws(Failure) -> CarriedJSON {
      let place = "\(place)/toolkits/\(Self.step(toolkit["name"]?.stringValue))"
      return try members(of: toolkit, known: Toolkit.members) { (name, value) throws(Failure) in
        switch name {
        case "tools": return try tools(value, place, pointer + "/tools")
        case "skills":
          return try value.mapElements { (_, skill) throws(Failure) in
            try bare(skill, Skill.members) { (name, value) throws(Failure) in
              guard name == "references" else { return value }
              return try value.mapElements { (_, reference) throws(Failure) in try bare(reference, SkillReference.members) }
            }
          }
        default: return value
        }
      }
    }

    private func tools(_ tools: CarriedJSON, _ place: String, _ pointer: String) throws(Failure) -> CarriedJSON {
      try tools.mapElements { (index, tool) throws(Failure) in
        try self.tool(tool, "\(place)/tools/\(Self.step(tool["name"]?.stringValue))", "\(pointer)/\(index)")
      }
    }

    func tool(_ tool: CarriedJSON, _ place: String, _ pointer: String) throws(Failure) -> CarriedJSON {
      let tool = try environment(in: tool, place, pointer, known: Tool.members)
      guard tool["agent"]?.kind == .object || leavesOutNulls && tool.hasMember("annotations") else { return tool }
      return try members(of: tool) { (name, value) throws(Failure) in
        switch name {
        case "agent": return try agent(value, place + "/agent", pointer + "/agent")
        case "annotations": return try bare(value, Tool.annotationMembers)
        default: return value
        }
      }
    }

    private func environment(
      in value: CarriedJSON, _ place: String, _ pointer: String, known: [String]
    ) throws(Failure) -> CarriedJSON {
      guard value.hasMember("env") || leavesOutNulls else { return value }
      return try members(of: value, known: known) { (name, value) throws(Failure) in
        guard name == "env" else { return value }
        return try members(of: value) { (variable, value) throws(Failure) in
          try replace("\(place)/env/\(Self.step(variable.text))", "\(pointer)/env/\(JSONPointer.escape(variable.text))", value)
        }
      }
    }

    /// An object that holds no secret; as it is where nulls stay.
    private func bare(
      _ object: CarriedJSON, _ known: [String],
      _ body: (_ name: MemberName, _ value: CarriedJSON) throws(Failure) -> CarriedJSON = { $1 }
    ) throws(Failure) -> CarriedJSON {
      leavesOutNulls ? try members(of: object, known: known, body) : object
    }

    private static func step(_ name: String?) -> String { JSONPointer.escape(name ?? "") }

    private func members(
      of object: CarriedJSON, known: [String] = [], _ body: (_ name: MemberName, _ value: CarriedJSON) throws(Failure) -> CarriedJSON
    ) throws(Failure) -> CarriedJSON {
      try object.mapMembers { (name, value) throws(Failure) in
        leavesOutNulls && value.isNull && known.contains(name.text) ? nil : try body(name, value)
      }
    }
  }
}
