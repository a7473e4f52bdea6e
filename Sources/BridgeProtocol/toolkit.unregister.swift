/// Takes toolkits back that this connection, or a session, has registered.
package enum ToolkitUnregister: WireMethod {
  package static let name = "toolkit.unregister"

  package struct Params: Decodable, Sendable {
    package let names: [String]
    package let sessionId: String?
  }
}
