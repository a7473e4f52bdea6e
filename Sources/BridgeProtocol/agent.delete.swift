/// Deletes a stored agent with its memory.
package enum AgentDelete: WireMethod {
  package static let name = "agent.delete"
  package typealias Params = AgentIDParams
}
