package import AgentRuntime
package import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Tools that are commands: a program gets the arguments as JSON on its standard input, and what it prints is the result.
///
/// One thread runs all of them. Each is the leader of a process group, and the group ends with the call. Standard input, output and errors are all
/// that a command shares with the bridge; of its environment it gets four variables and those that the tool declares. A bridge that is killed takes
/// its commands with it (`ChildGuard`), so that none is left to be found when a run is taken up again.
package final class CommandTools: ServerTools {
  private let queue = CommandQueue()
  private let environment: @Sendable () -> CommandEnvironment
  private let allowsCommands: Bool
  private let children: ChildGuard
  private let limits: CommandLimits
  private let log: @Sendable (_ message: String) -> Void

  /// - Parameters:
  ///   - environment: The bridge's, nil for a value that is not UTF-8; asked for when the first command runs.
  ///   - children: Guards the commands; one of its own by default.
  ///   - log: Gets what people who run the bridge may want to know; no value of an argument, of the environment, or of output.
  package convenience init(
    environment: @escaping @Sendable () -> [String: String?], allowsCommands: Bool, children: ChildGuard? = nil,
    log: @escaping @Sendable (_ message: String) -> Void
  ) {
    self.init(environment: environment, allowsCommands: allowsCommands, children: children, limits: CommandLimits(), log: log)
  }

  init(
    environment: @escaping @Sendable () -> [String: String?], allowsCommands: Bool, children: ChildGuard? = nil, limits: CommandLimits,
    log: @escaping @Sendable (_ message: String) -> Void
  ) {
    self.environment = { CommandEnvironment(bridge: environment()) }
    self.allowsCommands = allowsCommands
    self.children = children ?? ChildGuard(log: log)
    self.limits = limits
    self.log = log
  }

  // The thread ends after the last command.
  deinit { queue.close() }

  package func check(_ tool: Tool) throws(RuntimeError) {
    guard tool.command != nil else {
      throw RuntimeError(.unsupportedCapability, "tool '\(tool.name)': this bridge runs only server tools that have a command")
    }
    guard allowsCommands else {
      throw RuntimeError(.unsupportedCapability, "tool '\(tool.name)' is a command, and this bridge was told to run none (--no-commands)")
    }
  }

  /// Both closures are called on the thread of the commands: they must be short. `completion` may come before this returns, when nothing is started.
  package func start(
    _ call: ServerToolCall, progress: @escaping @Sendable (_ stream: String, _ text: String) -> Void,
    completion: @escaping @Sendable (ToolResult) -> Void
  ) -> any RunningTool {
    do throws(RuntimeError) { try check(call.tool) } catch {
      completion(.failure("The command was not started: \(error.message)."))
      return Handle(queue: queue, id: nil)
    }
    do throws(SystemError) {
      let id = try queue.add(call, progress: progress, completion: completion) { (wake) throws(SystemError) in
        try Thread.start(name: "commands") { [queue, environment, children, limits, log] in
          var loop = CommandLoop(queue: queue, wake: wake, environment: environment(), children: children, limits: limits, log: log)
          loop.run()
        }
      }
      if id == nil { completion(CommandResult.notStarted) }
      return Handle(queue: queue, id: id)
    } catch {
      log("commands cannot be run: \(error)")
      completion(.failure(CommandError(error).message))
      return Handle(queue: queue, id: nil)
    }
  }

  /// Kills all commands with their groups, and waits a moment for them to go; for the end of the process. Nothing starts any more.
  package func shutdown() {
    let patience = Clock.monotonicMilliseconds() + 200
    for child in queue.close() {
      let rest = max(0, patience - Clock.monotonicMilliseconds())
      _ = PollSet.look(child.exitDescriptor, for: .readable, timeoutMilliseconds: Int32(rest))
    }
  }

  private final class Handle: RunningTool {
    private let queue: CommandQueue
    private let id: Int?

    init(queue: CommandQueue, id: Int?) {
      self.queue = queue
      self.id = id
    }

    func stop() {
      if let id { queue.stop(id) }
    }
  }
}
