package enum AgentList: WireMethod {
  package static let name = "agent.list"

  package struct Params: Decodable, Sendable {
    package let limit: Int?
    package let cursor: String?
  }
}
