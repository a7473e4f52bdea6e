package import JSON

/// Decisions on the calls of a run that need approval.
package enum RunSubmitApprovals: WireMethod {
  package static let name = "run.submitApprovals"
  package static let carriedPaths: CarriedPaths = ["/_meta", "/approvals/*/arguments"]

  package struct Params: Decodable, Sendable {
    package let runId: String
    /// `[{callId, decision, reason?, arguments?, scope?}]`.
    package let approvals: [CarriedJSON]?
    package let partial: Bool?
    package let wait: Bool?
    package let delivery: DeliveryMode?
  }
}
