package import JSON

/// Members that nothing reads, by pointer: a typo must not ungate a tool. Those that begin with `x-` are extensions.
extension Toolkit {
  package static let members = ["name", "description", "startCollapsed", "systemPrompt", "functionResult", "tools", "skills"]

  package static func unknownMembers(of json: CarriedJSON, at pointer: String) -> [String] {
    var unknown = UnknownMembers.of(json, members, at: pointer)
    unknown += UnknownMembers.ofEach(in: json["tools"], at: pointer + "/tools", Tool.unknownMembers)
    return unknown + UnknownMembers.ofEach(in: json["skills"], at: pointer + "/skills", Skill.unknownMembers)
  }
}

extension Skill {
  package static let members = ["name", "description", "functionResult", "systemPrompt", "references"]

  package static func unknownMembers(of json: CarriedJSON, at pointer: String) -> [String] {
    UnknownMembers.of(json, members, at: pointer)
      + UnknownMembers.ofEach(in: json["references"], at: pointer + "/references") {
        UnknownMembers.of($0, SkillReference.members, at: $1)
      }
  }
}

extension SkillReference {
  package static let members = ["toolName", "toolkitName"]
}

extension Tool {
  package static func unknownMembers(of json: CarriedJSON, at pointer: String) -> [String] {
    let unknown = UnknownMembers.of(json, members, at: pointer)
    guard let annotations = json["annotations"] else { return unknown }
    return unknown + UnknownMembers.of(annotations, annotationMembers, at: pointer + "/annotations")
  }
}

extension Augmentation {
  package static let members = [
    "removeToolkits", "injectToolkits", "expandToolkits", "collapseToolkits", "hideTools", "showTools", "addContext", "removeContext",
    "updateState", "patchState",
  ]

  package static func unknownMembers(of json: CarriedJSON, at pointer: String) -> [String] {
    var unknown = UnknownMembers.of(json, members, at: pointer)
    unknown += UnknownMembers.ofEach(in: json["injectToolkits"], at: pointer + "/injectToolkits", Toolkit.unknownMembers)
    return unknown
      + UnknownMembers.ofEach(in: json["addContext"], at: pointer + "/addContext") { UnknownMembers.of($0, ContextItem.members, at: $1) }
  }
}

extension ContextItem {
  package static let members = ["key", "description", "value"]
}

private enum UnknownMembers {
  static func of(_ json: CarriedJSON, _ known: [String], at pointer: String) -> [String] {
    JSONCoding.unknownMembers(of: json, known: known, at: pointer).filter { !$0.dropFirst(pointer.count + 1).hasPrefix("x-") }
  }

  static func ofEach(in list: CarriedJSON?, at pointer: String, _ look: (CarriedJSON, String) -> [String]) -> [String] {
    var unknown: [String] = []
    for (index, element) in (list?.elements ?? []).enumerated() { unknown += look(element, "\(pointer)/\(index)") }
    return unknown
  }
}
