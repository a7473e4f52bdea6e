import POSIXSupport

/// Why a command could not be started; the message is for the model and holds no value of an argument or of the environment.
struct CommandError: Error, Sendable, Equatable {
  struct Code: Sendable, Equatable {
    private enum Value { case environment, start }
    private let value: Value
    private init(_ value: Value) { self.value = value }

    /// The tool's `env` cannot be had.
    static let environment = Code(.environment)
    /// The system did not start it.
    static let start = Code(.start)
  }

  var code: Code
  var message: String

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  init(_ error: SystemError) {
    let subject = error.subject.map { " '\($0)'" } ?? ""
    switch error.call {
    case "chdir": self.init(.start, "The command cannot run in the folder\(subject): \(error.text).")
    case ChildProcess.watchingCall:
      let what = "The command\(subject) was killed as soon as it was started, since it cannot be watched"
      self.init(.start, "\(what) (\(error.text)); whether it took effect is unknown.")
    default: self.init(.start, "The command\(subject) cannot be started: \(error.text).")
    }
  }
}
