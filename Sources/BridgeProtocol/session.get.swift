/// A session with its branches, shared state and context.
package enum SessionGet: WireMethod {
  package static let name = "session.get"

  package struct Params: Decodable, Sendable {
    package let sessionId: String
    package let branchId: String?
  }
}
