import AgentRuntime
import JSON
import POSIXSupport

/// What a command's end means to the model.
enum CommandResult {
  /// - Parameters:
  ///   - exit: nil when it could not be ended.
  ///   - isStructured: The tool has an `outputSchema`: what the command prints is JSON.
  static func make(
    exit: ChildProcess.Exit?, interruption: CommandCourse.Interruption?, stdout: Bytes, stderr: Bytes, isStructured: Bool,
    limits: CommandLimits
  ) -> ToolResult {
    var result = ToolResult()
    result.stderr = output(stderr)
    if interruption == nil, exit == .code(0) {
      // The output is the content, and not stored again as `stdout`.
      if !stdout.isEmpty { result.content = [.text(.inline(text(stdout)))] }
      result.exitCode = 0
      guard isStructured else { return result }
      do throws(JSONError) { result.structuredContent = .inline(try CarriedJSON(validating: stdout)) } catch {
        return result.refused("The command's output is not JSON, which the tool's outputSchema asks for: \(error.message).")
      }
      return result
    }
    result.isError = true
    result.stdout = output(stdout)
    result.content = [.text(words(exit, interruption, limits))]
    if interruption == nil, case .code(let code)? = exit { result.exitCode = Int(code) }
    return result
  }

  static var stoppedBeforeStart: ToolResult { .failure("The command was stopped before it was started.") }
  static var notStarted: ToolResult { .failure("The command was not started: the bridge is about to end.") }

  static func late(_ limits: CommandLimits, milliseconds: Int) -> ToolResult {
    .failure("The command was not started within its \(milliseconds) ms; at most \(limits.commands) run at once.")
  }

  private static func words(_ exit: ChildProcess.Exit?, _ interruption: CommandCourse.Interruption?, _ limits: CommandLimits) -> String {
    guard let interruption else {
      switch exit {
      case .code(let code)?: return "The command failed with exit code \(code)."
      case .signal(let number)?: return "The command was ended by \(SignalName.of(number))."
      case .unknown?, nil: return "The command has ended; how is unknown."
      }
    }
    let why =
      switch interruption {
      case .timeout(let milliseconds): "timed out after \(milliseconds) ms"
      case .stop: "was stopped"
      case .tooMuchOutput(let stream): "was killed because it wrote more than \(limits.outputBytes) bytes to \(stream.rawValue)"
      }
    let rest = exit == nil ? " It could not be killed and may still be running." : ""
    return "The command \(why); whether it took effect is unknown.\(rest)"
  }

  /// One string, the whole output: lines would not say how the last one ended.
  private static func output(_ bytes: Bytes) -> [StoredValue]? { bytes.isEmpty ? nil : [.inline(text(bytes))] }

  private static func text(_ bytes: Bytes) -> CarriedJSON {
    var writer = JSONWriter(capacity: bytes.count + 64)
    writer.string(utf8: bytes)
    return CarriedJSON(trusted: writer.finish())
  }
}
