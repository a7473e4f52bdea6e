/// Reads the memory of a stored agent.
package enum MemoryGet: WireMethod {
  package static let name = "memory.get"

  package struct Params: Decodable, Sendable {
    package let agentId: String
    /// One block; without it all of them.
    package let label: String?
  }
}
