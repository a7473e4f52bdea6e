package enum RunSubscribe: WireMethod {
  package static let name = "run.subscribe"

  package struct Params: Decodable, Sendable {
    package let runId: String
    package let afterSeq: Int?
  }
}
