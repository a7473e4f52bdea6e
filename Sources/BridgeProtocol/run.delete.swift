package enum RunDelete: WireMethod {
  package static let name = "run.delete"
  package typealias Params = RunIDParams
}
