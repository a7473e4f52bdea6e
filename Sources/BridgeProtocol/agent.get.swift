package enum AgentGet: WireMethod {
  package static let name = "agent.get"
  package typealias Params = AgentIDParams
}

/// What several methods want: a stored agent.
package struct AgentIDParams: Decodable, Sendable {
  package let agentId: String
}
