import AgentRuntime
import JSON
import POSIXSupport

/// What the commands that drive a run have in common: signals as something to read, and a parent that watches.
struct RunDrive {
  let observer: RunObserver
  private let shell: Shell
  private let isFirst: Bool

  /// - Parameter isFirst: the command has not looked at the store and the agents before, and may make the store.
  init(_ shell: Shell, streams: Bool, isFirst: Bool) throws(StartupError) {
    self.shell = shell
    self.isFirst = isFirst
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
    return try shell.withRuntime(parent: observer, makesStore: isFirst, checksAgents: isFirst) { (runtime) throws(StartupError) in
      try body(runtime, signals)
    }
  }

  private static func descriptor(of signals: [Int32]) throws(StartupError) -> SignalDescriptor {
    do throws(SystemError) { return try SignalDescriptor(signals) } catch {
      throw StartupError(status: .internalError, message: "\(error)")
    }
  }

  /// Whether a run of these params has nothing to call.
  static func hasNoTools(_ params: CarriedJSON) -> Bool {
    // What a stored agent has, and what is registered in a session, is not known here.
    if params.hasMember("agentId") || params.hasMember("sessionId") { return false }
    return [params, params["agent"]].allSatisfy { place in
      ["tools", "toolkits", "mcpServers", "askUser", "memory"].allSatisfy { offersNothing(place?[$0]) }
    }
  }

  private static func offersNothing(_ value: CarriedJSON?) -> Bool {
    guard let value else { return true }
    switch value.kind {
    case .array: return value.elements.isEmpty
    case .object:
      var isEmpty = true
      value.forEachMember { _, _ in isEmpty = false }
      return isEmpty
    default: return value.boolValue != true
    }
  }
}
