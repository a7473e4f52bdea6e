package import JSON

/// Begins a run. Agent, tools and limits are the runtime's to read.
package enum RunStart: WireMethod {
  package static let name = "run.start"
  package static let carriedPaths: CarriedPaths = [
    "/_meta", "/metadata", "/outputSchema", "/tools/*/inputSchema", "/tools/*/outputSchema", "/tools/*/parameters", "/agent/reasoning",
    "/agent/providerOptions", "/agent/tools/*/inputSchema", "/agent/tools/*/outputSchema", "/agent/tools/*/parameters",
    "/input/*/value", "/input/*/content/*/value", "/augmentation",
  ]

  package struct Params: Decodable, Sendable {
    package let input: CarriedJSON
    package let agent: CarriedJSON?
    package let agentId: String?
    package let sessionId: String?
    package let branchId: String?
    package let tools: CarriedJSON?
    package let toolkits: CarriedJSON?
    package let augmentation: CarriedJSON?
    package let resetClientState: Bool?
    package let delivery: DeliveryMode?
    package let wait: Bool?
    package let events: Bool?
    package let idempotencyKey: String?
    package let limits: CarriedJSON?
    package let outputSchema: CarriedJSON?
    package let metadata: CarriedJSON?
    package let _meta: CarriedJSON?
  }
}

/// Whether client calls go out as `tool.invoke`, or wait for a submit.
package enum DeliveryMode: String, Decodable, Sendable { case invoke, pause }
