package import JSON

/// The handshake of MCP: versions, names, capabilities.
package enum Initialize: WireMethod {
  package static let name = "initialize"

  package struct Params: Decodable, Sendable {
    package let protocolVersion: String
    package let clientInfo: Implementation
    package let capabilities: ClientCapabilities

    package init(from decoder: any Decoder) throws { self = try Initialize.read(CarriedJSON(from: decoder), carrying: .none) }

    fileprivate init(_ protocolVersion: String, _ clientInfo: Implementation, _ capabilities: ClientCapabilities) {
      self.protocolVersion = protocolVersion
      self.clientInfo = clientInfo
      self.capabilities = capabilities
    }
  }

  package struct Implementation: Sendable {
    package let name: String
    package let version: String
    package let title: String?
  }

  /// By hand: in the general way it would be a fifth of the work of a start.
  package static func read(_ json: CarriedJSON, carrying paths: CarriedPaths) throws(JSONError) -> Params {
    let version = try json.requiredText("protocolVersion", at: "")
    let client = try json.required("clientInfo", at: "")
    guard client.kind == .object else { throw JSONError(.typeMismatch, "must be an object", pointer: "/clientInfo") }
    let title = client["title"].flatMap { $0.isNull ? nil : $0 }
    if let title, title.kind != .string { throw JSONError(.typeMismatch, "must be a string", pointer: "/clientInfo/title") }
    let implementation = Implementation(
      name: try client.requiredText("name", at: "/clientInfo"), version: try client.requiredText("version", at: "/clientInfo"),
      title: title?.stringValue)
    return Params(version, implementation, try ClientCapabilities(reading: json.required("capabilities", at: ""), at: "/capabilities"))
  }
}

extension CarriedJSON {
  fileprivate func required(_ name: String, at pointer: String) throws(JSONError) -> CarriedJSON {
    guard let value = self[name] else { throw JSONError(.missingMember, "is required", pointer: "\(pointer)/\(name)") }
    return value
  }

  fileprivate func requiredText(_ name: String, at pointer: String) throws(JSONError) -> String {
    guard let text = try required(name, at: pointer).stringValue else {
      throw JSONError(.typeMismatch, "must be a string", pointer: "\(pointer)/\(name)")
    }
    return text
  }
}
