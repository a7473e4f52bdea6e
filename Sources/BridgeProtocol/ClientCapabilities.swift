package import JSON

/// What a client can do. A capability is there when its member is, as an object or as `true`.
package struct ClientCapabilities: Sendable {
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

  package init(reading json: CarriedJSON, at pointer: String) throws(JSONError) {
    guard json.kind == .object else { throw JSONError(.typeMismatch, "must be an object", pointer: pointer) }
    try json.forEachMember { (name, value) throws(JSONError) in
      let place = pointer + "/" + name.text
      switch name {
      case "tools": tools = try Self.isDeclared(value, place)
      case "approvals": approvals = try Self.isDeclared(value, place)
      case "elicitation":
        elicitation = try Self.isDeclared(value, place)
        // As in MCP, an empty object means forms; one that names only other modes does not.
        if elicitation, try value["url"].map({ url throws(JSONError) in try Self.isDeclared(url, place) }) == true {
          elicitation = try value["form"].map { form throws(JSONError) in try Self.isDeclared(form, place) } ?? false
        }
      case "sampling":
        sampling = try Self.isDeclared(value, place)
        if sampling, let tools = value["tools"] { samplingTools = try Self.isDeclared(tools, place) }
      case "drain": drain = try Self.isDeclared(value, place)
      case "events":
        if !value.isNull { optOut = try JSONCoding.decode(Events.self, from: value, at: place).optOut ?? [] }
      case "maxMessageBytes":
        if value.isNull { return }
        let most = try JSONCoding.decode(Int.self, from: value, at: place)
        if most < 4096 { throw JSONError(.invalidValue, "must be at least 4096", pointer: place) }
        maxMessageBytes = most
      default: break
      }
    }
  }

  private struct Events: Decodable { var optOut: [String]? }

  private static func isDeclared(_ value: CarriedJSON, _ place: String) throws(JSONError) -> Bool {
    if value.isNull { return false }
    if let flag = value.boolValue { return flag }
    guard value.kind == .object else { throw JSONError(.invalidValue, "must be an object", pointer: place) }
    return true
  }

  package func wants(eventType type: String) -> Bool {
    !optOut.contains { pattern in pattern.hasSuffix("*") ? type.hasPrefix(pattern.dropLast()) : pattern == type }
  }
}
