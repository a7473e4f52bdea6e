/// Versions of the wire protocol: dates, newest first.
package enum ProtocolVersion {
  package static let known = ["2026-11-20"]
  package static var newest: String { known[0] }
}
