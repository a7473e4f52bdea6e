package import JSON

/// Takes up an undriven or paused run.
package enum RunResume: WireMethod {
  package static let name = "run.resume"

  package struct Params: Decodable, Sendable {
    package let runId: String
    package let delivery: DeliveryMode?
    package let limits: CarriedJSON?
    package let wait: Bool?
    package let afterSeq: Int?
    package let reissue: [String]?
  }
}
