import JSON

/// Which tool of several with one name counts.
package enum ToolLevels {
  /// The agent's tools and a run's; later levels win. What overrides what is told in words.
  package static func merge(agent: [Tool], run: [Tool]) -> (tools: [Tool], warnings: [String]) {
    var tools: [Tool] = []
    var places: [String: Int] = [:]
    var warnings: [String] = []
    for (level, list) in [("agent", agent), ("run", run)] {
      var fromThisLevel: Set<String> = []
      for tool in list {
        guard let place = places[tool.name] else {
          places[tool.name] = tools.count
          tools.append(tool)
          fromThisLevel.insert(tool.name)
          continue
        }
        let old = tools[place]
        if !fromThisLevel.insert(tool.name).inserted {
          if old.target == .client, tool.target == .server {
            warnings.append("tool '\(tool.name)': the \(level)'s client tool overrides its server tool")
            if tool.requiresApproval == true { tools[place].requiresApproval = true }
            continue
          }
          warnings.append("tool '\(tool.name)': declared twice by the \(level), the later one counts")
        } else {
          warnings.append("tool '\(tool.name)': the run's \(tool.target.rawValue) tool overrides the agent's \(old.target.rawValue) tool")
        }
        tools[place] = tool
        if old.requiresApproval == true { tools[place].requiresApproval = true }
      }
    }
    return (tools, warnings)
  }
}
