package import AgentRuntime

/// Finds the provider that an agent's `model` names.
package struct ModelProviders: ModelCatalog {
  private let scripts: ScriptModel?
  private let environment: @Sendable (String) throws(RuntimeError) -> String?
  private let http: any HTTPService
  private let userAgent: String
  private let policy: RetryPolicy

  /// - Parameters:
  ///   - allowsScripts: `--no-commands` refuses scripts too, since a script can call any tool.
  ///   - environment: Asked for keys, base URLs and proxies; a key is looked up anew for each turn. Throws for one that cannot be used.
  ///   - version: Of the bridge, told to the providers.
  ///   - whenTold: Called on the thread of the answers when it has passed on all that came, with whether it has nothing else to wait for.
  package init(
    allowsScripts: Bool, environment: @escaping @Sendable (String) throws(RuntimeError) -> String? = { _ in nil }, version: String = "0",
    whenTold: @escaping @Sendable (_ isFree: Bool) -> Void = { _ in }
  ) {
    self.init(
      allowsScripts: allowsScripts, environment: environment, version: version,
      http: HTTPClient(environment: environment, whenTold: whenTold))
  }

  init(
    allowsScripts: Bool, environment: @escaping @Sendable (String) throws(RuntimeError) -> String?, version: String, http: any HTTPService,
    policy: RetryPolicy = RetryPolicy()
  ) {
    scripts = allowsScripts ? ScriptModel() : nil
    self.environment = environment
    self.http = http
    self.policy = policy
    userAgent = "footbridge/" + version
  }

  /// Makes ready for a first request, when there is a key that one could be sent with.
  package func prepare() {
    if ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"].contains(where: { (try? environment($0))?.isEmpty == false }) { http.prepare() }
  }

  /// Ends all connections; turns that are asked for from now on fail as unavailable.
  package func close() { http.close() }

  /// What there is, as errors name it.
  private static let names = "anthropic, openai, openai-responses, parent, script"

  package func provider(for agent: Agent, hasTools: Bool, parent: ParentAbilities?) throws(RuntimeError) -> any ModelProvider {
    // By bytes, since this is asked for each turn.
    let words = agent.model.utf8
    guard let colon = words.firstIndex(of: 0x3A), colon != words.startIndex, words.index(after: colon) != words.endIndex else {
      throw .invalidParams("must be provider:name, such as anthropic:NAME or script:FILE", at: "/model")
    }
    let name = String(agent.model[words.index(after: colon)...])
    switch agent.model[..<colon] {
    case "anthropic": return try overHTTP(AnthropicFormat.self, agent, name, "ANTHROPIC", "https://api.anthropic.com")
    case "openai": return try overHTTP(ChatFormat.self, agent, name, "OPENAI", ChatFormat.defaultBase)
    case "openai-responses": return try overHTTP(ResponsesFormat.self, agent, name, "OPENAI", ChatFormat.defaultBase)
    case "parent": return try asked(name, agent, hasTools: hasTools, parent)
    case "script":
      guard let scripts else { throw RuntimeError(.unsupportedCapability, "scripts are refused by --no-commands") }
      return try scripts.checked(file: name)
    case let other:
      throw RuntimeError(
        .modelUnknownProvider, "there is no model provider '\(other.prefix(64))' in this release; there are: \(Self.names)",
        pointer: "/model")
    }
  }

  private func overHTTP<Format: HTTPProviderFormat>(
    _ format: Format.Type, _ agent: Agent, _ model: String, _ prefix: String, _ base: String
  ) throws(RuntimeError) -> any ModelProvider {
    try agent.checkProviderOptions()
    try agent.checkProviderTools()
    let access = ProviderAccess(
      environment: environment, baseVariable: prefix + "_BASE_URL", defaultBase: base,
      keyVariable: agent.apiKeyEnv.flatMap { $0.isEmpty ? nil : $0 } ?? prefix + "_API_KEY")
    return HTTPProvider<Format>(
      model: model, base: try access.base(), key: try access.key(), http: http, userAgent: userAgent,
      proxy: { [environment, access] in
        // Without settings no request leaves, nor is there anything to say about a proxy.
        guard let base = try? access.base(), let network = try? NetworkSettings(environment: environment) else { return "" }
        return network.proxy(for: base)
      },
      policy: policy)
  }

  private func asked(
    _ model: String, _ agent: Agent, hasTools: Bool, _ parent: ParentAbilities?
  ) throws(RuntimeError) -> any ModelProvider {
    try agent.checkProviderOptions()
    guard let parent, parent.sampling else {
      throw RuntimeError(.unsupportedCapability, "a parent: model needs a client with the capability sampling")
    }
    if hasTools, !parent.samplingTools {
      throw RuntimeError(.unsupportedCapability, "a parent: model with tools needs a client with the capability sampling.tools")
    }
    return ParentProvider(model: model, policy: policy)
  }
}
