/// Puts what was said in a session out of sight.
package enum SessionClear: WireMethod {
  package static let name = "session.clear"
  package typealias Params = SessionIDParams
}
