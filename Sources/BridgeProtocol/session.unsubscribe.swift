/// Ends the sight of a session's new runs.
package enum SessionUnsubscribe: WireMethod {
  package static let name = "session.unsubscribe"
  package typealias Params = SessionIDParams
}
