package import JSON

/// Answers to the questions of a run.
package enum RunSubmitInput: WireMethod {
  package static let name = "run.submitInput"
  package static let carriedPaths: CarriedPaths = ["/_meta", "/inputs/*/content"]

  package struct Params: Decodable, Sendable {
    package let runId: String
    /// `[{callId, action, content?}]`.
    package let inputs: [CarriedJSON]?
    package let partial: Bool?
    package let wait: Bool?
    package let delivery: DeliveryMode?
  }
}
