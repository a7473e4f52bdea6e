package import JSON

/// Registers toolkits for this connection, or for a session.
package enum ToolkitRegister: WireMethod {
  package static let name = "toolkit.register"
  package static let carriedPaths: CarriedPaths = ["/_meta", "/toolkits"]

  package struct Params: Decodable, Sendable {
    package let toolkits: CarriedJSON
    package let sessionId: String?
  }
}
