package enum RunCancel: WireMethod {
  package static let name = "run.cancel"

  package struct Params: Decodable, Sendable {
    package let runId: String
    package let reason: String?
  }
}
