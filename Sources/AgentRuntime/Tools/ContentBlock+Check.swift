import JSON

/// What the members of a block must be. Those that no type knows are carried as they are.
extension ContentBlock {
  mutating func check(at pointer: String, isForgiving: Bool) throws(RuntimeError) {
    try checkOptionalMembers(at: pointer, isForgiving: isForgiving)
    func need(_ name: String, _ kind: CarriedJSON.Kind, _ words: String) throws(RuntimeError) {
      guard case .inline(let value)? = self[name] else { throw .invalidParams("is required", at: "\(pointer)/\(name)") }
      if value.kind != kind, !value.hasMember("$blob") { throw .invalidParams("must be \(words)", at: "\(pointer)/\(name)") }
    }
    switch type {
    case "text": try need("text", .string, "a string")
    case "json": if self["value"] == nil { throw .invalidParams("is required", at: pointer + "/value") }
    case "image", "audio":
      try need("data", .string, "a string")
      try need("mimeType", .string, "a string")
    case "binary":
      try need("mimeType", .string, "a string")
      if self["data"] == nil, self["url"] == nil { throw .invalidParams("is required", at: pointer + "/data") }
    case "resource_link":
      try need("uri", .string, "a string")
      try need("name", .string, "a string")
    case "resource":
      try need("resource", .object, "an object")
      try checkResource(at: pointer + "/resource", isForgiving: isForgiving)
    default: throw .invalidParams("is not a type of content block", at: pointer + "/type")
    }
  }

  /// Members that are null count as absent, so they do not stand in the log.
  mutating func leaveOutNulls() {
    let names = Self.optionalMembers(of: type)
    if !names.isEmpty { members.removeAll { names.contains($0.name) && $0.value == .inline(.null) } }
    guard let index = members.firstIndex(where: { $0.name == "resource" }), type == "resource" else { return }
    guard case .inline(let resource) = members[index].value else { return }
    leaveOut(Self.optionalOfResource.filter { resource[$0]?.isNull == true }, at: index, of: resource)
  }

  // MARK: What need not be there

  /// `data` and `url` of a binary block among them, since one of the two will do.
  private static func optionalMembers(of type: String) -> [String] {
    switch type {
    case "binary": ["data", "url", "filename"]
    case "resource_link": ["title", "description", "mimeType", "size"]
    default: []
    }
  }

  private static let optionalOfResource = ["mimeType", "text", "blob"]

  private mutating func checkOptionalMembers(at pointer: String, isForgiving: Bool) throws(RuntimeError) {
    leaveOutNulls()
    for name in Self.optionalMembers(of: type) {
      guard case .inline(let value)? = self[name], let fault = Self.fault(of: value, called: name, isForgiving) else { continue }
      if !isForgiving { throw .invalidParams(fault, at: "\(pointer)/\(name)") }
      members.removeAll { $0.name == name }
    }
  }

  private mutating func checkResource(at pointer: String, isForgiving: Bool) throws(RuntimeError) {
    guard let index = members.firstIndex(where: { $0.name == "resource" }), case .inline(let resource) = members[index].value else {
      return
    }
    // One that is named is a value of its own.
    if resource.hasMember("$blob"), !isForgiving { return }
    guard let uri = resource["uri"] else { throw .invalidParams("is required", at: pointer + "/uri") }
    if let fault = Self.fault(of: uri, called: "uri", isForgiving) { throw .invalidParams(fault, at: pointer + "/uri") }
    var wrong: [String] = []
    for name in Self.optionalOfResource {
      guard let value = resource[name], let fault = Self.fault(of: value, called: name, isForgiving) else { continue }
      if !isForgiving { throw .invalidParams(fault, at: "\(pointer)/\(name)") }
      wrong.append(name)
    }
    leaveOut(wrong, at: index, of: resource)
  }

  private mutating func leaveOut(_ names: [String], at index: Int, of resource: CarriedJSON) {
    if names.isEmpty { return }
    members[index].value = .inline(resource.mapMembers { name, value in names.contains(name.text) ? nil : value })
  }

  /// What is wrong with a member; nil when nothing is. From who is forgiven, an object is never the name of a blob.
  private static func fault(of value: CarriedJSON, called name: String, _ isForgiving: Bool) -> String? {
    if name == "size" {
      let size = value.doubleValue ?? -1
      return size >= 0 && size.rounded() == size ? nil : "must be a number of bytes"
    }
    return value.kind == .string || !isForgiving && value.hasMember("$blob") ? nil : "must be a string"
  }
}
