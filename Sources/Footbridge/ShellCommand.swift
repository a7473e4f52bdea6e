import JSON
import POSIXSupport

/// The commands for people: `footbridge COMMAND ...`.
enum ShellCommand {
  static func run(_ name: String, _ arguments: [String], _ options: Options, _ environment: [String: String]) throws(StartupError) -> Int32 {
    switch name {
    case "--version":
      Log.put("footbridge \(Version.text)\n", to: 1)
      return 0
    default: throw StartupError(status: .usage, message: "there is no command '\(name)'")
    }
  }
}
