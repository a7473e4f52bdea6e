package import JSON

/// Begins a session.
package enum SessionCreate: WireMethod {
  package static let name = "session.create"
  package static let carriedPaths: CarriedPaths = ["/_meta", "/metadata"]

  package struct Params: Decodable, Sendable {
    package let agentId: String?
    package let metadata: CarriedJSON?
  }
}
