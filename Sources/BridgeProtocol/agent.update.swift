package import JSON

/// Stores another version of an agent.
package enum AgentUpdate: WireMethod {
  package static let name = "agent.update"
  package static let carriedPaths = AgentCreate.carriedPaths

  package struct Params: Decodable, Sendable {
    package let agentId: String
    package let agent: CarriedJSON
    /// The version that the client has seen.
    package let ifVersion: Int?
  }
}
