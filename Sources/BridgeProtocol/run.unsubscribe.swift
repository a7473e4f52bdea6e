package enum RunUnsubscribe: WireMethod {
  package static let name = "run.unsubscribe"
  package typealias Params = RunIDParams
}
