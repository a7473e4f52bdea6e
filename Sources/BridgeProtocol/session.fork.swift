/// Begins a branch that shares what was said up to a message.
package enum SessionFork: WireMethod {
  package static let name = "session.fork"

  package struct Params: Decodable, Sendable {
    package let sessionId: String
    package let atMessageId: String
  }
}
