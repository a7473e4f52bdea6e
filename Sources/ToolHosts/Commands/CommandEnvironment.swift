/// The environment of what the bridge starts: little of the bridge's own, and what a tool or an MCP server declares.
struct CommandEnvironment: Sendable {
  /// What it gets without asking; keys and tokens of the bridge are not for it.
  static let passedOn = ["PATH", "HOME", "LANG", "TMPDIR"]

  /// The bridge's variables; nil for one that is not UTF-8. Such a one is refused where it is wanted: repaired, it would be another folder's name.
  let bridge: [String: String?]

  /// All of it, as `NAME=value`, by name.
  func variables(adding declared: [String: String]) throws(CommandError) -> [String] {
    try values(adding: declared).map { "\($0.key)=\($0.value)" }.sorted()
  }

  /// - Parameter declared: `${NAME}` in a value stands for the bridge's variable of that name.
  func values(adding declared: [String: String]) throws(CommandError) -> [String: String] {
    var variables: [String: String] = [:]
    for name in Self.passedOn where declared[name] == nil {
      guard let value = bridge[name] else { continue }
      guard let value else {
        throw CommandError(.environment, "It gets the environment variable \(name), which is not UTF-8 in the bridge's environment.")
      }
      variables[name] = value
    }
    for (name, template) in declared {
      guard !name.isEmpty, !name.utf8.contains(0x3D), !name.utf8.contains(0), !template.utf8.contains(0) else {
        throw CommandError(.environment, "Its env has a variable that no program can get.")
      }
      variables[name] = try fill(template)
    }
    return variables
  }

  /// `template` with the bridge's value in place of each `${NAME}`. What is inserted is not read again.
  private func fill(_ template: String) throws(CommandError) -> String {
    var filled = ""
    var rest = template[...]
    while let dollar = rest.firstIndex(of: "$") {
      filled += rest[..<dollar]
      rest = rest[dollar...]
      guard rest.hasPrefix("${"), let brace = rest.firstIndex(of: "}"), rest.index(dollar, offsetBy: 2) < brace else {
        filled += "$"
        rest = rest.dropFirst()
        continue
      }
      let name = String(rest[rest.index(dollar, offsetBy: 2)..<brace])
      guard let value = bridge[name] else {
        throw CommandError(.environment, "Its env needs the environment variable \(name), which is not set for the bridge.")
      }
      guard let value else {
        throw CommandError(.environment, "Its env needs the environment variable \(name), which is not UTF-8 in the bridge's environment.")
      }
      filled += value
      rest = rest[rest.index(after: brace)...]
    }
    return filled + rest
  }
}
