package import JSON

/// Results for the calls that a run waits for.
package enum RunSubmitToolResults: WireMethod {
  package static let name = "run.submitToolResults"
  package static let carriedPaths: CarriedPaths = [
    "/_meta", "/results/*/structuredContent", "/results/*/content/*/value", "/results/*/content/*/resource",
    "/results/*/content/*/annotations",
    "/results/*/content/*/_meta", "/results/*/_meta", "/results/*/augmentation", "/tools/*/inputSchema", "/tools/*/outputSchema",
    "/tools/*/parameters", "/approvals/*/arguments", "/inputs/*/content",
  ]

  package struct Params: Decodable, Sendable {
    package let runId: String
    /// `[{callId} + ToolResult]`.
    package let results: [CarriedJSON]?
    /// `[{callId, decision, reason?, arguments?, scope?}]`.
    package let approvals: [CarriedJSON]?
    /// `[{callId, action, content?}]`.
    package let inputs: [CarriedJSON]?
    package let tools: CarriedJSON?
    package let partial: Bool?
    package let wait: Bool?
    package let delivery: DeliveryMode?
  }
}
