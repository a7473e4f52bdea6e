/// The handshake of MCP: versions, names, capabilities.
package enum Initialize: WireMethod {
  package static let name = "initialize"

  package struct Params: Decodable, Sendable {
    package let protocolVersion: String
    package let clientInfo: Implementation
    package let capabilities: ClientCapabilities
  }

  package struct Implementation: Decodable, Sendable {
    package let name: String
    package let version: String
    package let title: String?
  }
}
