package enum RunEvents: WireMethod {
  package static let name = "run.events"

  package struct Params: Decodable, Sendable {
    package let runId: String
    package let afterSeq: Int?
    package let limit: Int?
  }
}
