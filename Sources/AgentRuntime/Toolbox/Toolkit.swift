package import JSON

/// A group of tools that the model opens when it needs them: protocol section 6.
package struct Toolkit: Sendable, Codable, Equatable {
  package var name: String
  package var description: String
  package var startCollapsed: Bool?
  /// Stands in the system prompt of every turn while the toolkit is expanded.
  package var systemPrompt: String?
  /// Appended to what the model is told when it expands the toolkit.
  package var functionResult: String?
  package var tools: [Tool]
  package var skills: [Skill]

  package init(
    name: String, description: String, startCollapsed: Bool? = nil, systemPrompt: String? = nil, functionResult: String? = nil,
    tools: [Tool] = [], skills: [Skill] = []
  ) {
    self.name = name
    self.description = description
    self.startCollapsed = startCollapsed
    self.systemPrompt = systemPrompt
    self.functionResult = functionResult
    self.tools = tools
    self.skills = skills
  }

  /// By hand, because one of the two lists may be absent.
  package init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    name = try members.decode(String.self, forKey: .name)
    description = try members.decode(String.self, forKey: .description)
    startCollapsed = try members.decodeIfPresent(Bool.self, forKey: .startCollapsed)
    systemPrompt = try members.decodeIfPresent(String.self, forKey: .systemPrompt)
    functionResult = try members.decodeIfPresent(String.self, forKey: .functionResult)
    tools = try members.decodeIfPresent([Tool].self, forKey: .tools) ?? []
    skills = try members.decodeIfPresent([Skill].self, forKey: .skills) ?? []
  }

  package static let carriedPaths = RunParams.toolPaths.nested(under: "/tools")

  /// The carried places of a list of toolkits.
  package static let listPaths = carriedPaths.nested(under: "/*")

  package var startsExpanded: Bool { startCollapsed == false }

  /// Judges the toolkit by itself; what its skills refer to may stand elsewhere, so a `Toolbox` judges that.
  /// - Throws: `tool.invalid` that names the toolkit, what is wrong in it, and the place; `invalidParams` for a member that is missing.
  package func check(at pointer: String) throws(RuntimeError) {
    guard Tool.isName(name) else {
      throw RuntimeError(.toolInvalid, "a toolkit's name must match ^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$", pointer: pointer + "/name")
    }
    if tools.isEmpty, skills.isEmpty {
      throw RuntimeError(.toolInvalid, "toolkit '\(name)' is empty: it needs a tool or a skill", pointer: pointer + "/tools")
    }
    var names: Set<String> = [name]
    for (index, tool) in tools.enumerated() {
      let place = "\(pointer)/tools/\(index)"
      try tool.check(at: place)
      if let toolkit = tool.toolkit, toolkit != name {
        throw .aboutTool(
          tool.name, .toolInvalid, "tool '\(tool.name)' stands in toolkit '\(name)' and names another one as its own",
          at: place + "/toolkit")
      }
      guard names.insert(tool.name).inserted else { throw twice(tool.name, "tool", at: place) }
    }
    for (index, skill) in skills.enumerated() {
      let place = "\(pointer)/skills/\(index)"
      try skill.check(in: name, at: place)
      guard names.insert(skill.name).inserted else { throw twice(skill.name, "skill", at: place) }
    }
  }

  private func twice(_ taken: String, _ kind: String, at pointer: String) -> RuntimeError {
    let why = taken == name ? "is the toolkit's own name" : "is there already"
    return RuntimeError(.toolInvalid, "toolkit '\(name)': the \(kind) name '\(taken)' \(why)", pointer: pointer + "/name")
  }
}

/// A way of working with some tools: calling it shows the model how, and makes those tools available.
package struct Skill: Sendable, Codable, Equatable {
  package var name: String
  package var description: String
  /// Shown once, as the result of the call.
  package var functionResult: String?
  /// Stands in the system prompt of every turn from then on.
  package var systemPrompt: String?
  package var references: [SkillReference]

  package init(
    name: String, description: String, functionResult: String? = nil, systemPrompt: String? = nil, references: [SkillReference] = []
  ) {
    self.name = name
    self.description = description
    self.functionResult = functionResult
    self.systemPrompt = systemPrompt
    self.references = references
  }

  fileprivate func check(in toolkit: String, at pointer: String) throws(RuntimeError) {
    guard Tool.isName(name) else {
      throw RuntimeError(
        .toolInvalid, "toolkit '\(toolkit)': a skill's name must match ^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$", pointer: pointer + "/name")
    }
  }
}

/// A tool that a skill needs, in the skill's toolkit or in another.
package struct SkillReference: Sendable, Codable, Equatable {
  package var toolName: String
  package var toolkitName: String?

  package init(toolName: String, toolkitName: String? = nil) {
    self.toolName = toolName
    self.toolkitName = toolkitName
  }
}
