import JSON

/// What a client can do. A capability is there when its member is, as an object or as `true`.
package struct ClientCapabilities: Decodable, Sendable {
  package var tools = false
  package var approvals = false
  package var elicitation = false
  package var sampling = false
  /// `sampling: {tools: {}}`.
  package var samplingTools = false
  package var drain = false
  /// Event types, or prefixes that end in `*`, that the client does not want.
  package var optOut: [String] = []
  /// The longest line that the client can read, in bytes.
  package var maxMessageBytes: Int?

  /// Of a client that did not say `initialize`.
  package init() {}

  private enum CodingKeys: String, CodingKey { case tools, approvals, elicitation, sampling, drain, events, maxMessageBytes }
  private struct Events: Decodable { var optOut: [String]? }

  package init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    func isDeclared(_ key: CodingKeys) throws -> Bool {
      guard let value = try members.decodeIfPresent(CarriedJSON.self, forKey: key), !value.isNull else { return false }
      if let flag = value.boolValue { return flag }
      guard value.kind == .object else { throw decoder.invalid("must be an object", key) }
      return true
    }
    tools = try isDeclared(.tools)
    approvals = try isDeclared(.approvals)
    elicitation = try isDeclared(.elicitation)
    // As in MCP, an empty object means forms; one that names only other modes does not.
    if elicitation, let modes = try members.decodeIfPresent(CarriedJSON.self, forKey: .elicitation), modes.hasMember("url") {
      elicitation = modes.hasMember("form")
    }
    sampling = try isDeclared(.sampling)
    if sampling, let tools = try members.decodeIfPresent(CarriedJSON.self, forKey: .sampling)?["tools"], !tools.isNull {
      guard tools.kind == .object || tools.boolValue != nil else { throw decoder.invalid("must be an object", CodingKeys.sampling) }
      samplingTools = tools.boolValue ?? true
    }
    drain = try isDeclared(.drain)
    optOut = try members.decodeIfPresent(Events.self, forKey: .events)?.optOut ?? []
    maxMessageBytes = try members.decodeIfPresent(Int.self, forKey: .maxMessageBytes)
    if let maxMessageBytes, maxMessageBytes < 4096 { throw decoder.invalid("must be at least 4096", CodingKeys.maxMessageBytes) }
  }

  package func wants(eventType type: String) -> Bool {
    !optOut.contains { pattern in pattern.hasSuffix("*") ? type.hasPrefix(pattern.dropLast()) : pattern == type }
  }
}
