/// Takes tools back that this connection, a session or a stored agent has.
package enum ToolUnregister: WireMethod {
  package static let name = "tool.unregister"

  package struct Params: Decodable, Sendable {
    package let names: [String]
    package let sessionId: String?
    package let agentId: String?
  }
}
