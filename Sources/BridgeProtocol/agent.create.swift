package import JSON

/// Stores an agent. What stands in it is the runtime's to read.
package enum AgentCreate: WireMethod {
  package static let name = "agent.create"
  package static let carriedPaths: CarriedPaths = [
    "/_meta", "/agent/reasoning", "/agent/providerOptions", "/agent/tools/*/inputSchema", "/agent/tools/*/outputSchema",
    "/agent/tools/*/parameters",
  ]

  package struct Params: Decodable, Sendable {
    package let agent: CarriedJSON
  }
}
