/// Answered with the OpenRPC document of this protocol.
package enum RPCDiscover: WireMethod {
  package static let name = "rpc.discover"
  package typealias Params = NoParams
}
