/// Gives a memory block another value.
package enum MemorySet: WireMethod {
  package static let name = "memory.set"

  package struct Params: Decodable, Sendable {
    package let agentId: String
    package let label: String
    package let value: String
    /// The version that the client has seen.
    package let ifVersion: Int?
  }
}
