/// What the next turn would be offered.
package enum ToolkitList: WireMethod {
  package static let name = "toolkit.list"

  package struct Params: Decodable, Sendable {
    package let sessionId: String?
  }
}
