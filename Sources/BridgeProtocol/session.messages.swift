/// What was said in a branch of a session.
package enum SessionMessages: WireMethod {
  package static let name = "session.messages"

  package struct Params: Decodable, Sendable {
    package let sessionId: String
    package let branchId: String?
    package let cursor: String?
    package let limit: Int?
  }
}
