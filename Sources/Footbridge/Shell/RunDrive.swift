import AgentRuntime
import JSON
import POSIXSupport

/// What the commands that drive a run have in common: signals as something to read, and a parent that watches.
struct RunDrive {
  let observer: RunObserver
  private let shell: Shell

  init(_ shell: Shell, streams: Bool) throws(StartupError) {
    self.shell = shell
    observer = try RunObserver(wantsText: streams)
  }

  /// Opens the store, has `body` drive a run, and closes it.
  func run(
    _ body: (Runtime, borrowing SignalDescriptor) throws(StartupError) -> ExitStatus
  ) throws(StartupError) -> ExitStatus {
    let handled = Attendance.signals
    // Before the engine's thread, which inherits the mask.
    Signals.block(handled)
    defer { Signals.restore(handled) }
    let signals = try Self.descriptor(of: handled)
    return try shell.withRuntime(parent: observer) { (runtime) throws(StartupError) in try body(runtime, signals) }
  }

  private static func descriptor(of signals: [Int32]) throws(StartupError) -> SignalDescriptor {
    do throws(SystemError) { return try SignalDescriptor(signals) } catch {
      throw StartupError(status: .internalError, message: "\(error)")
    }
  }

  /// Whether a run of these params has nothing to call.
  static func hasNoTools(_ params: CarriedJSON) -> Bool {
    // Of an agent with an id that is not known here.
    if params.hasMember("agentId") { return false }
    return [params["tools"], params["agent"]?["tools"]].allSatisfy { $0?.elements.isEmpty ?? true }
  }
}
