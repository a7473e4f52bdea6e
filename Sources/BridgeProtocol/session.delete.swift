/// Removes a session with its branches and runs.
package enum SessionDelete: WireMethod {
  package static let name = "session.delete"
  package typealias Params = SessionIDParams
}

/// What several methods want: a session.
package struct SessionIDParams: Decodable, Sendable {
  package let sessionId: String
}
