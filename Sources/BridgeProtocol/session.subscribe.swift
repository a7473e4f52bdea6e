/// Sight of all runs of a session, those to come included.
package enum SessionSubscribe: WireMethod {
  package static let name = "session.subscribe"

  package struct Params: Decodable, Sendable {
    package let sessionId: String
    package let after: [String: Int]?
  }
}
