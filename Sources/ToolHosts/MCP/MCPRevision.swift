import AgentRuntime
import JSON
import JSONRPC

/// The revisions of MCP that are spoken, newest first.
///
/// Up to 2025-11-25 a connection begins with a handshake, `initialize`. 2026-07-28 has none: each request says all that the server has to know.
/// https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning
enum MCPRevision {
  static let withHandshake = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
  static let stateless = "2026-07-28"
}

/// What this side says of itself.
struct MCPClient: Sendable, Equatable {
  /// Of the bridge.
  var version: String
  var answersSampling: Bool
  var answersElicitation: Bool

  fileprivate func writeInfo(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("name", "footbridge")
    writer.member("version", version)
    writer.endObject()
  }

  fileprivate func writeCapabilities(to writer: inout JSONWriter) {
    writer.beginObject()
    // Roots are answered, with none: which folders a server may use is said by its arguments, and a root would override those.
    writer.member("roots", .emptyObject)
    if answersSampling { writer.member("sampling", .emptyObject) }
    if answersElicitation { writer.member("elicitation", .emptyObject) }
    writer.endObject()
  }
}

/// How requests to one server are written, as it was agreed.
struct MCPDialect: Sendable, Equatable {
  var client: MCPClient
  /// Each request names revision, client and capabilities.
  var isStateless: Bool

  func initialize() -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("protocolVersion", MCPRevision.withHandshake[0])
    writer.key("capabilities")
    client.writeCapabilities(to: &writer)
    writer.key("clientInfo")
    client.writeInfo(to: &writer)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// `server/discover`, which only the stateless revision has.
  func discover() -> CarriedJSON { params { _ in } }

  func listTools(cursor: CarriedJSON?) -> CarriedJSON { params { $0.member("cursor", ifPresent: cursor) } }

  /// `subscriptions/listen`: without it the stateless revision tells of no changes.
  func listen() -> CarriedJSON { params { $0.member("notifications", CarriedJSON(trusted: Bytes(#"{"toolsListChanged":true}"#))) } }

  func callTool(_ call: MCPCall, progressToken: RequestID, inputs: CarriedJSON?, state: CarriedJSON?) -> CarriedJSON {
    params(progressToken: progressToken, meta: call.meta, capacity: call.arguments.bytes.count + 1024) { writer in
      writer.member("name", call.route.tool)
      writer.member("arguments", call.arguments)
      writer.member("inputResponses", ifPresent: inputs)
      writer.member("requestState", ifPresent: state)
    }
  }

  private func params(
    progressToken: RequestID? = nil, meta: CarriedJSON? = nil, capacity: Int = 512, _ members: (inout JSONWriter) -> Void
  ) -> CarriedJSON {
    var writer = JSONWriter(capacity: capacity)
    writer.beginObject()
    members(&writer)
    if isStateless || progressToken != nil {
      writer.key("_meta")
      writer.beginObject()
      meta?.forEachMember { name, value in
        guard name != "progressToken", !name.text.hasPrefix("io.modelcontextprotocol/") else { return }
        writer.key(name)
        writer.value(value)
      }
      writer.member("progressToken", ifPresent: progressToken?.json)
      if isStateless { writeIdentity(to: &writer) }
      writer.endObject()
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  private func writeIdentity(to writer: inout JSONWriter) {
    writer.member("io.modelcontextprotocol/protocolVersion", MCPRevision.stateless)
    writer.key("io.modelcontextprotocol/clientInfo")
    client.writeInfo(to: &writer)
    writer.key("io.modelcontextprotocol/clientCapabilities")
    client.writeCapabilities(to: &writer)
  }

  /// Names one request of this side, for `notifications/cancelled`.
  static func cancelled(_ id: RequestID, reason: String) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("requestId", id.json)
    writer.member("reason", reason)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}
