package import JSON

/// Registers tools for this connection, a session or a stored agent.
package enum ToolRegister: WireMethod {
  package static let name = "tool.register"
  package static let carriedPaths: CarriedPaths = ["/_meta", "/tools"]

  package struct Params: Decodable, Sendable {
    package let tools: CarriedJSON
    package let toolkit: String?
    package let sessionId: String?
    package let agentId: String?
  }
}
