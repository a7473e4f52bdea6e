package enum RunWait: WireMethod {
  package static let name = "run.wait"

  package struct Params: Decodable, Sendable {
    package let runId: String
    package let timeoutMs: Int?
  }
}
