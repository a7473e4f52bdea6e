import AgentRuntime
import JSON
import JSONRPC

/// What the answer to `tools/call` means to the model.
enum MCPToolResult {
  enum Reading: Sendable, Equatable {
    case result(ToolResult)
    /// The call is to be made again with answers to these questions (MCP 2026-07-28).
    case inputRequired(requests: CarriedJSON?, state: CarriedJSON?)
  }

  /// What in an answer is only carried.
  static let carriedPaths: CarriedPaths = ToolResult.carriedPaths.union([
    "/inputRequests/*/params/requestedSchema", "/inputRequests/*/params/metadata", "/inputRequests/*/params/_meta",
  ])

  static func read(_ reply: PeerReply, server: String) -> Reading {
    switch reply {
    case .result(let result): read(result, server: server)
    case .error(let error): .result(.failure("The MCP server '\(server)' refused the call: \(error.message) (code \(error.code))"))
    case .broken(let reason): .result(unusable(server, reason))
    case .closed: .result(.failure("The MCP server '\(server)' ended before it answered."))
    }
  }

  private static func read(_ result: CarriedJSON, server: String) -> Reading {
    guard result.kind == .object else { return .result(unusable(server, "it is not an object")) }
    switch result["resultType"]?.stringValue ?? "complete" {
    case "complete": break
    case "input_required": return .inputRequired(requests: result["inputRequests"], state: result["requestState"])
    case let other: return .result(unusable(server, "its resultType is \(other.prefix(100))"))
    }
    var read = ToolResult()
    read.isError = result["isError"]?.boolValue ?? false
    read.structuredContent = result["structuredContent"].map { .inline($0) }
    if let meta = result["_meta"], meta.kind == .object { read.meta = .inline(meta) }
    guard let content = result["content"], !content.isNull else { return .result(read) }
    guard content.kind == .array else { return .result(unusable(server, "its content is not a list")) }
    for (index, block) in content.elements.enumerated() {
      do throws(RuntimeError) { read.content.append(try Self.block(block, at: "/content/\(index)")) } catch {
        return .result(unusable(server, "\(error.pointer ?? "") \(error.message)"))
      }
    }
    return .result(read)
  }

  /// A block of a kind that is unknown here, or a resource that does not say which it is, is given to the model as the JSON it is. A member that need
  /// not be there and is not as it should be is left out: the rest of the answer is good.
  private static func block(_ json: CarriedJSON, at pointer: String) throws(RuntimeError) -> ContentBlock {
    guard json.kind == .object else { throw .invalidParams("must be an object", at: pointer) }
    let needed: [String]
    switch json["type"]?.stringValue {
    case "text": needed = ["text"]
    case "image", "audio": needed = ["data", "mimeType"]
    case "resource_link": needed = ["uri", "name"]
    case "resource" where json["resource"]?.kind != .object: throw .invalidParams("must be an object", at: pointer + "/resource")
    case "resource" where json["resource"]?["uri"]?.kind == .string: needed = []
    default:
      var writer = JSONWriter(capacity: json.bytes.count + 32)
      writer.beginObject()
      writer.member("type", "json")
      writer.member("value", json)
      writer.endObject()
      return try ContentBlock(reading: CarriedJSON(trusted: writer.finish()), at: pointer)
    }
    // Before the runtime reads it, which would take an object there for the name of a stored value.
    for name in needed {
      if let member = json[name], member.kind != .string { throw .invalidParams("must be a string", at: "\(pointer)/\(name)") }
    }
    return try ContentBlock(reading: json, at: pointer, isForgiving: true)
  }

  private static func unusable(_ server: String, _ reason: String) -> ToolResult {
    .failure("The answer of the MCP server '\(server)' cannot be used: \(reason).")
  }
}
