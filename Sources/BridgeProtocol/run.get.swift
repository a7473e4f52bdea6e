package enum RunGet: WireMethod {
  package static let name = "run.get"
  package typealias Params = RunIDParams
}
