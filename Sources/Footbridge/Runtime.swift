import AgentRuntime
import JSON
import Models
import POSIXSupport
import SQLiteStore
import ToolHosts

/// The runtime as this program wires it: store, models, tools, and the thread they work on.
final class Runtime: Sendable {
  let thread: EngineThread
  let log: Log
  private let store: SQLiteStore
  private let commands: CommandTools
  private let options: Options

  /// Opens the store.
  /// - Throws: status 74 with the file and the reason.
  init(_ options: Options, thread: EngineThread, log: Log) throws(StartupError) {
    self.options = options
    self.log = log
    self.thread = thread
    store = try Self.openStore(options)
    commands = CommandTools(environment: { Environment.all }, allowsCommands: options.allowsCommands, log: { log.write(.warning, $0) })
  }

  /// Begins the engine's thread. `parent` is kept by the caller.
  func start(parent: (any Parent)?) throws(SystemError) {
    var limits = RunEngine.Limits()
    limits.maxConcurrentRuns = options.maxConcurrentRuns
    let engineLimits = limits
    try thread.start { [store, thread, commands, options] in
      let engine = RunEngine(
        store: store, host: thread, models: ModelProviders(allowsScripts: options.allowsCommands), serverTools: commands,
        schemas: SchemaAdapter(), limits: engineLimits)
      engine.parent = parent
      if options.adopts { engine.adoptOrphans() }
      return engine
    }
  }

  private static func openStore(_ options: Options) throws(StartupError) -> SQLiteStore {
    guard let location = options.store else {
      throw StartupError(
        status: .configuration, message: "neither HOME nor XDG_STATE_HOME is set: say where the store is with --store sqlite:PATH")
    }
    let path =
      switch location {
      case .memory: ":memory:"
      case .sqlite(let path): path
      }
    do throws(StoreError) {
      return try SQLiteStore.open(path: path, synchronous: options.synchronous) { Clock.wallMilliseconds() }
    } catch { throw StartupError(status: .store, message: error.message) }
  }

  /// Kills the commands that still run, closes the store and ends the thread.
  func close() {
    commands.shutdown()
    thread.perform { $0.close() }
    thread.stop()
  }
}
