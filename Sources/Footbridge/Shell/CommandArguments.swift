/// What follows a command's name: its own options and its operands. The options that all commands share have been taken out before.
struct CommandArguments: Sendable {
  private(set) var operands: [String] = []
  private var given: [(name: String, value: String)] = []

  /// - Throws: usage, for an option that the command has not, or one without its value.
  init(_ rest: [String], for command: Command) throws(StartupError) {
    var index = 0
    while index < rest.count {
      let argument = rest[index]
      index += 1
      if argument == "--" {
        operands += rest[index...]
        break
      }
      guard argument.hasPrefix("-"), argument.count > 1 else {
        operands.append(argument)
        continue
      }
      let name = Self.name(of: argument)
      guard let option = command.options.first(where: { "--" + $0.name == name }) else {
        throw Self.unknownOption(name, of: command)
      }
      let inline = name.count < argument.count ? String(argument.dropFirst(name.count + 1)) : nil
      if option.value == nil {
        guard inline == nil else { throw StartupError(status: .usage, message: "\(name) takes no value") }
        given.append((option.name, ""))
      } else if let inline {
        given.append((option.name, inline))
      } else {
        guard index < rest.count else { throw StartupError(status: .usage, message: "\(name) needs a value (\(option.value ?? ""))") }
        given.append((option.name, rest[index]))
        index += 1
      }
    }
  }

  /// `--name` of `--name=value`.
  static func name(of argument: String) -> String {
    String(argument[..<(argument.firstIndex(of: "=") ?? argument.endIndex)])
  }

  private static func unknownOption(_ name: String, of command: Command) -> StartupError {
    if let owner = Command.all.first(where: { $0.options.contains { "--" + $0.name == name } }) {
      return StartupError(status: .usage, message: "'\(command.name)' has no option \(name); '\(owner.name)' has")
    }
    return unknownOption(name, among: command.options.map(\.name))
  }

  /// `names`: options besides those that all commands share.
  static func unknownOption(_ name: String, among names: [String]) -> StartupError {
    let known = (names + ["config", "help", "version"] + Options.known.map(\.name)).map { "--" + $0 }
    let hint = NearNames.hint(for: name, among: known)
    return StartupError(status: .usage, message: "there is no option '\(VisibleText.shown(name))'\(hint)")
  }

  // MARK: Looking

  func has(_ name: String) -> Bool { given.contains { $0.name == name } }

  func values(_ name: String) -> [String] { given.filter { $0.name == name }.map(\.value) }

  /// The last one counts, as with the options that all commands share.
  func value(_ name: String) -> String? { values(name).last }

  func number(_ name: String, atLeast least: Int) throws(StartupError) -> Int? {
    guard let text = value(name) else { return nil }
    do throws(OptionError) { return try OptionValues.number(text, atLeast: least) } catch {
      throw StartupError(status: .usage, message: "--\(name) \(error.message)")
    }
  }

  /// The operands, when there are as many as there should be.
  func operands(_ names: String..., optional: Int = 0) throws(StartupError) -> [String] {
    if operands.count < names.count - optional {
      let missing = names[operands.count]
      let hint = missing == "PROMPT" ? "; - reads it from standard input" : ""
      throw StartupError(status: .usage, message: "\(missing) is missing\(hint)")
    }
    if operands.count > names.count {
      let extra = VisibleText.shown(operands[names.count])
      let quotes = names.last == "PROMPT" ? "; put the whole prompt in quotes" : ""
      throw StartupError(status: .usage, message: "there is one argument too many: '\(extra)'\(quotes)")
    }
    return operands
  }
}
