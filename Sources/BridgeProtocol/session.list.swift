/// Sessions, newest first.
package enum SessionList: WireMethod {
  package static let name = "session.list"

  package struct Params: Decodable, Sendable {
    package let limit: Int?
    package let cursor: String?
  }
}
