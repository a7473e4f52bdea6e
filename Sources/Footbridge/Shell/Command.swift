/// One command of the program, as the dispatch and the help know it.
struct Command: Sendable {
  struct Option: Sendable {
    var name: String
    /// What the value is, for help; nil for a switch.
    var value: String?
    var help: String
  }

  var name: String
  /// What follows the name, for help: `RUN [FILE]`.
  var operands: String
  /// The second word of its name, where it has one: what is before the operands in small letters.
  var subcommand: String? {
    operands.split(separator: " ").first.flatMap { $0.allSatisfy(\.isLowercase) ? String($0) : nil }
  }
  /// One line.
  var summary: String
  /// What help says besides.
  var text: String
  var options: [Option]
  /// Nil for `serve`, which is not a command for people.
  var run: (@Sendable (CommandArguments, Shell) throws(StartupError) -> ExitStatus)?

  /// In the order of the help.
  static let all: [Command] = [
    serve, RunCommand.command, SubmitCommand.command, RunsCommand.command, ShowCommand.command, EventsCommand.command,
    CancelCommand.command, StoreCommand.command, SchemaCommand.command, help,
  ]

  static let serve = Command(
    name: "serve", operands: "", summary: "speak the protocol on stdin and stdout; what no command means",
    text: """
      One JSON-RPC 2.0 message a line, both ways; logs go to stderr. 'footbridge schema' prints the protocol.
      Exit status: 0, or 75 when input has ended and a run was left waiting, paused or queued.
      """, options: [], run: nil)

  static let help = Command(
    name: "help", operands: "[COMMAND]", summary: "show this, or what a command does", text: "", options: [], run: nil)

  static let json = Option(name: "json", value: nil, help: "print the outcome as one line of JSON instead")

  static func named(_ name: String) -> Command? { all.first { $0.name == name } }
}

extension Command {
  /// The command that the arguments name, and what follows it. No name is `serve`.
  /// - Throws: usage, naming what is not known and what is near it.
  static func find(in rest: [String]) throws(StartupError) -> (Command, arguments: [String]) {
    guard let first = rest.first else { return (serve, []) }
    if let command = named(first) { return (command, Array(rest.dropFirst())) }
    if first.hasPrefix("-"), first.count > 1 {
      let name = CommandArguments.name(of: first)
      if let owner = all.first(where: { $0.options.contains { "--" + $0.name == name } }) {
        throw StartupError(status: .usage, message: "\(name) is an option of '\(owner.name)': write it after 'footbridge \(owner.name)'")
      }
      throw CommandArguments.unknownOption(name, among: [])
    }
    throw unknown(first)
  }

  static func unknown(_ name: String) -> StartupError {
    let hint = NearNames.hint(for: name, among: all.map(\.name))
    return StartupError(status: .usage, message: "there is no command '\(VisibleText.shown(name))'\(hint)")
  }
}
