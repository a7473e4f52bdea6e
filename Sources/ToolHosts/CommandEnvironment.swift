import AgentRuntime

/// The environment of commands: little of the bridge's, and what the tool declares.
struct CommandEnvironment: Sendable {
  /// What a command gets without asking; keys and tokens of the bridge are not for it.
  static let passedOn = ["PATH", "HOME", "LANG", "TMPDIR"]

  let bridge: [String: String]

  /// All of a tool's environment, as `NAME=value`, by name.
  func variables(of tool: Tool) throws(CommandError) -> [String] {
    var variables = bridge.filter { Self.passedOn.contains($0.key) }
    for (name, template) in tool.env ?? [:] {
      guard !name.isEmpty, !name.utf8.contains(0x3D), !name.utf8.contains(0), !template.utf8.contains(0) else {
        throw CommandError(.environment, "Its env has a variable that no program can get.")
      }
      variables[name] = try fill(template)
    }
    return variables.map { "\($0.key)=\($0.value)" }.sorted()
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
      filled += value
      rest = rest[rest.index(after: brace)...]
    }
    return filled + rest
  }
}
