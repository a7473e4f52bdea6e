import BridgeProtocol
import BridgeService
import JSONRPC
import SQLiteStore

/// What the program says about itself.
enum Help {
  /// What `help`, `-h`, `--help` and `--version` are answered with, whatever else is there; nil when nothing asks for it.
  /// - Throws: usage, for help about a command that there is not.
  static func answer(to arguments: [String]) throws(StartupError) -> String? {
    let words = arguments.prefix { $0 != "--" }
    if words.contains("--help") || words.contains("-h") {
      let command = words.lazy.compactMap(Command.named).first
      return command.flatMap { $0.name == Command.help.name ? nil : text(of: $0) } ?? overview()
    }
    if words.contains("--version") { return "footbridge \(Version.text)\n" }
    guard words.first == "help" else { return nil }
    let named = words.dropFirst().drop { $0.hasPrefix("-") }
    guard let name = named.first else { return overview() }
    guard let command = Command.named(name) else {
      throw Command.unknown(name)
    }
    // `store copy` is listed so, and found by both words.
    let further = named.dropFirst()
    let rest = further.first == command.subcommand ? further.dropFirst() : further
    if let extra = rest.first, !extra.hasPrefix("-") {
      throw StartupError(status: .usage, message: "there is one argument too many: '\(VisibleText.shown(extra))'")
    }
    return text(of: command)
  }

  private static func overview() -> String {
    var text = """
      footbridge \(Version.text), a durable agent runtime that speaks JSON-RPC 2.0 on stdin and stdout

      Usage: footbridge [serve] [OPTION]...
             footbridge COMMAND [OPTION]... [ARGUMENT]...

      Commands:

      """
    let names = Command.all.map { $0.operands.isEmpty ? $0.name : "\($0.name) \($0.operands)" }
    for (name, command) in zip(names, Command.all) { text += row(name, command.summary) }
    text += """

      Options of every command, each also an environment variable and a name in the --config file:

      """
    let usual = Options()
    for option in Options.known {
      text += "  --\(option.name)\(option.value.map { " " + $0 } ?? "")\n"
      text += "        \(option.help)\n"
      text += "        \(option.variable), default \(option.usual(in: usual))\n"
    }
    text += """
        --config FILE
              a JSON object with the names above; the environment and the command line come before it
              FOOTBRIDGE_CONFIG, default none

      Exit status: 0 success, 1 error, 64 usage, 70 internal error, 74 the store is not usable, 75 a run was left waiting or paused,
      78 configuration, 130 cancelled. 'footbridge help COMMAND' says more about a command.

      """
    return text
  }

  private static func text(of command: Command) -> String {
    let words = ["footbridge", command.name, command.options.isEmpty ? "" : "[OPTION]...", command.operands]
    var text = "Usage: " + words.filter { !$0.isEmpty }.joined(separator: " ") + "\n\n"
    text += command.summary.prefix(1).uppercased() + command.summary.dropFirst() + ".\n"
    if !command.text.isEmpty { text += "\n" + command.text + "\n" }
    if !command.options.isEmpty {
      text += "\nOptions:\n"
      for option in command.options { text += row("--\(option.name)\(option.value.map { " " + $0 } ?? "")", option.help) }
    }
    return text + "\nThe options of every command, such as --store, are in 'footbridge help'.\n"
  }

  private static func row(_ name: String, _ words: String) -> String {
    name.count > 22 ? "  \(name)\n\(spaces(26))\(words)\n" : "  \(name)\(spaces(24 - name.count))\(words)\n"
  }

  private static func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }
}

extension Options.Known {
  /// The value that counts when nothing is said, as the options themselves have it.
  func usual(in options: Options) -> String {
    switch name {
    case "store": storeWords(options)
    case "synchronous": options.synchronous.rawValue
    case "adopt": word(options.adopts)
    case "strict": word(options.isStrict)
    case "no-commands": word(!options.allowsCommands)
    case "framing": options.framing.rawValue
    case "on-eof": options.onEOF.rawValue
    case "protocol": options.protocolVersion ?? ProtocolVersion.known.last ?? ""
    case "max-message-bytes": String(options.maxMessageBytes)
    case "max-concurrent-runs": String(options.maxConcurrentRuns)
    case "log-level": options.logLevel.rawValue
    case "log-format": options.logFormat.rawValue
    default: "none"
    }
  }

  private func storeWords(_ options: Options) -> String {
    do throws(StartupError) { return try options.store.get().text } catch { return "none: \(error.message)" }
  }

  private func word(_ flag: Bool) -> String { flag ? "true" : "false" }
}
