package import AgentRuntime

/// Finds the provider that an agent's `model` names.
package struct ModelProviders: ModelCatalog {
  private let scripts: ScriptModel?

  /// - Parameter allowsScripts: `--no-commands` refuses scripts too, since a script can call any tool.
  package init(allowsScripts: Bool) {
    scripts = allowsScripts ? ScriptModel() : nil
  }

  package func provider(for agent: Agent, hasTools: Bool, parent: ParentAbilities?) throws(RuntimeError) -> any ModelProvider {
    guard let colon = agent.model.firstIndex(of: ":"), colon != agent.model.startIndex,
      agent.model.index(after: colon) != agent.model.endIndex
    else { throw .invalidParams("must be provider:name, such as script:FILE", at: "/agent/model") }
    let name = String(agent.model[agent.model.index(after: colon)...])
    switch agent.model[..<colon] {
    case "script":
      guard let scripts else { throw RuntimeError(.unsupportedCapability, "scripts are refused by --no-commands") }
      return try scripts.checked(file: name)
    case let other:
      throw RuntimeError(.modelUnknownProvider, "there is no model provider '\(other.prefix(64))' in this release; there is: script")
    }
  }
}
