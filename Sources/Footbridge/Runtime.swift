import AgentRuntime
import EngineHosting
import JSON
import Models
import POSIXSupport
import ToolHosts

/// The runtime as this program wires it: store, models, tools, and the thread they work on.
final class Runtime: Sendable {
  let thread: EngineThread
  let log: Log
  private let store: any RunStore
  private let commands: CommandTools
  private let servers: MCPHost
  private let providers: ModelProviders
  /// `providers`, or what writes their turns down.
  private let models: any ModelCatalog
  private let options: Options

  /// Opens the store.
  /// - Throws: status 74 with the file and the reason.
  init(_ options: Options, thread: EngineThread, log: Log) throws(StartupError) {
    self.options = options
    self.log = log
    self.thread = thread
    store = try Self.openStore(options)
    providers = ModelProviders(
      allowsScripts: options.allowsCommands, environment: { (name) throws(RuntimeError) in try Self.variable(name) }, version: Version.text,
      whenTold: { thread.rest(takesTurns: $0) })
    models = try Self.recorded(providers, options, log)
    let children = ChildGuard { log.write(.warning, $0) }
    commands = CommandTools(
      environment: { Environment.all }, allowsCommands: options.allowsCommands, children: children, log: { log.write(.warning, $0) })
    var limits = MCPLimits()
    limits.maxMessageBytes = options.maxMessageBytes
    servers = MCPHost(
      environment: { Environment.all }, allowsServers: options.allowsCommands, children: children, version: Version.text, limits: limits,
      log: { log.write(.warning, $0) })
  }

  /// Begins the engine's thread. `parent` is kept by the caller.
  func start(parent: (any Parent)?) throws(SystemError) {
    var limits = RunEngine.Limits()
    limits.maxConcurrentRuns = options.maxConcurrentRuns
    let engineLimits = limits
    try thread.start { [store, thread, commands, servers, models, options] in
      let engine = RunEngine(
        store: store, host: thread, models: models, serverTools: commands,
        schemas: SchemaAdapter(), limits: engineLimits)
      engine.parent = parent
      engine.mcpServers = servers
      servers.connect(engine.questionsOfServers)
      engine.agentFiles = options.agents.map { AgentFolder(path: $0) }
      return engine
    }
  }

  /// Makes ready what the first request to a model would have to wait for.
  func prepare() { providers.prepare() }

  /// Takes up what dead processes left, if that is wanted.
  func adopt() {
    if options.adopts { thread.post { $0.adoptOrphans() } }
  }

  /// Reads all agents of `--agents`.
  /// - Throws: status 78 with the file and the place of what is wrong.
  func checkAgents() throws(StartupError) {
    if options.agents == nil { return }
    let isStrict = options.isStrict
    let result = thread.perform { engine in Result { () throws(RuntimeError) in try engine.checkAgentFiles(isStrict: isStrict) } }
    do throws(RuntimeError) { try result.get() } catch {
      let status = ExitStatus(error.kind)
      throw StartupError(status: status == .store ? status : .configuration, message: "--agents: \(error.message)")
    }
  }

  private static func variable(_ name: String) throws(RuntimeError) -> String? {
    do throws(Environment.NotUTF8) { return try Environment.value(name) } catch { throw RuntimeError(.modelUnavailable, error.message) }
  }

  private static func recorded(
    _ models: ModelProviders, _ options: Options, _ log: Log
  ) throws(StartupError) -> any ModelCatalog {
    guard let file = options.record else { return models }
    do throws(SystemError) { return try RecordingModels(models, file: file) { log.write(.warning, $0) } } catch {
      throw StartupError(status: .configuration, message: "--record \(file): \(error)")
    }
  }

  private static func openStore(_ options: Options) throws(StartupError) -> any RunStore {
    try options.store.get().open(synchronous: options.synchronous)
  }

  /// The runs are left as they are to be: MCP servers, which get a moment to end by themselves, may begin to.
  func beginToClose() { servers.close() }

  /// Kills what runs beside the engine, which is left where it is.
  func abandon() {
    commands.shutdown()
    servers.shutdown()
  }

  /// Kills the commands that still run, ends the MCP servers, closes the store and ends the thread.
  func close() {
    servers.close()
    commands.shutdown()
    servers.shutdown()
    // Its thread must be gone before the libraries that it uses clear up.
    providers.close()
    thread.perform { $0.close() }
    thread.stop()
  }
}
