package import JSON

/// What a run is made of besides its input: shapes of protocol section 8. Unknown members are ignored here and named by `warnings`.
package struct Agent: Sendable, Codable, Equatable {
  package var name: String?
  /// `provider:name`.
  package var model: String
  package var instructions: String?
  package var tools: [Tool]?
  package var toolkits: [Toolkit]?
  /// By the names under which their tools appear.
  package var mcpServers: [String: MCPServer]?
  /// Of a stored agent: what its blocks begin with.
  package var memory: [MemoryBlock]?
  /// The model may ask the user, by the built-in tool `ask_user`.
  package var askUser: Bool?
  package var clientTools: ClientToolPolicy?
  /// How long an approval is waited for; for ever when nil.
  package var approvalTimeoutMs: Int?
  package var limits: Limits?
  package var temperature: Double?
  package var maxOutputTokens: Int?
  package var reasoning: CarriedJSON?
  package var providerOptions: CarriedJSON?
  package var apiKeyEnv: String?
  package var messageConcurrency: CarriedJSON?
  package var compaction: CompactionStrategy?

  /// Members of an agent that this release understands, or carries for its provider.
  package static let members = [
    "name", "model", "instructions", "tools", "toolkits", "mcpServers", "memory", "askUser", "clientTools", "approvalTimeoutMs", "limits",
    "temperature", "maxOutputTokens", "reasoning", "providerOptions", "apiKeyEnv", "messageConcurrency", "compaction",
  ]

  var hasServers: Bool { mcpServers?.isEmpty == false }

  /// For requests that are answered in words alone.
  var withoutProviderTools: Agent {
    guard let options = providerOptions, options.hasMember("tools") || options.hasMember("tool_choice") else { return self }
    var writer = JSONWriter(capacity: options.bytes.count)
    writer.beginObject()
    options.forEachMember { name, value in
      if name == "tools" || name == "tool_choice" { return }
      writer.key(name)
      writer.value(value)
    }
    writer.endObject()
    var agent = self
    agent.providerOptions = CarriedJSON(trusted: writer.finish())
    return agent
  }

  package static let carriedPaths = CarriedPaths([
    "/reasoning", "/providerOptions", "/messageConcurrency",
  ]).union(RunParams.toolPaths.nested(under: "/tools")).union(Toolkit.listPaths.nested(under: "/toolkits"))
}

/// How calls of client tools go: `agent.clientTools`.
package struct ClientToolPolicy: Sendable, Codable, Equatable {
  package var invokeTimeoutMs: Int?
  package var onTimeout: DispatchStrategy?
  package var onDisconnect: DispatchStrategy?
  package var maxRetries: Int?
  package var fallbackTemplate: String?
  package var maxParallelInvocations: Int?

  package static let members = ["invokeTimeoutMs", "onTimeout", "onDisconnect", "maxRetries", "fallbackTemplate", "maxParallelInvocations"]
}

package enum DispatchStrategy: String, Sendable, Codable { case fallbackMessage, failFast, retryWithBackoff, park }

/// Bounds of a run; one iteration is one model turn.
package struct Limits: Sendable, Codable, Equatable {
  package enum OnLimit: String, Sendable, Codable { case stop, pause }
  package enum OnModelUnavailable: String, Sendable, Codable { case pause, error }

  package var maxIterations: Int?
  package var maxToolCalls: Int?
  package var maxTotalTokens: Int?
  package var deadlineMs: Int?
  package var onLimit: OnLimit?
  package var onModelUnavailable: OnModelUnavailable?

  package init() {}

  package static let members = ["maxIterations", "maxToolCalls", "maxTotalTokens", "deadlineMs", "onLimit", "onModelUnavailable"]
  package static let defaultMaxIterations = 25

  /// These limits with the members that `other` gives in their place.
  package func overridden(by other: Limits?) -> Limits {
    guard let other else { return self }
    var merged = self
    merged.maxIterations = other.maxIterations ?? maxIterations
    merged.maxToolCalls = other.maxToolCalls ?? maxToolCalls
    merged.maxTotalTokens = other.maxTotalTokens ?? maxTotalTokens
    merged.deadlineMs = other.deadlineMs ?? deadlineMs
    merged.onLimit = other.onLimit ?? onLimit
    merged.onModelUnavailable = other.onModelUnavailable ?? onModelUnavailable
    return merged
  }

  /// - Throws: `invalidParams` with the pointer of the member that is out of range.
  package func check(at pointer: String) throws(RuntimeError) {
    if let maxIterations, !(1...10000).contains(maxIterations) {
      throw .invalidParams("must be from 1 to 10000", at: pointer + "/maxIterations")
    }
    for (name, value) in [("maxToolCalls", maxToolCalls), ("maxTotalTokens", maxTotalTokens), ("deadlineMs", deadlineMs)] {
      if let value, value < 1 { throw .invalidParams("must be at least 1", at: "\(pointer)/\(name)") }
    }
  }
}
