package enum Ping: WireMethod {
  package static let name = "ping"
  package typealias Params = NoParams
}
