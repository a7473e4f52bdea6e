package enum RunPause: WireMethod {
  package static let name = "run.pause"
  package typealias Params = RunIDParams
}
