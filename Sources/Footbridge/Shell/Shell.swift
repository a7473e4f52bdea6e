import AgentRuntime
import EngineHosting
import JSON
import POSIXSupport

/// What a command for people works with.
struct Shell {
  let options: Options
  let terminal: Terminal

  /// Carries a command out.
  /// - Returns: the status that the process ends with; what is wrong has been said.
  static func run(_ command: Command, _ arguments: [String], _ options: Options) -> Int32 {
    do throws(StartupError) {
      guard let body = command.run else {
        throw StartupError(status: .internalError, message: "'\(command.name)' is not a command for people")
      }
      let arguments = try CommandArguments(arguments, for: command)
      let shell = Shell(options: options.forShell, terminal: try Terminal())
      let status = Result { () throws(StartupError) in try body(arguments, shell) }
      shell.terminal.flush()
      let result = try status.get()
      try shell.terminal.finish()
      return result.rawValue
    } catch {
      Log.put("footbridge: \(VisibleText.safe(error.message))\n")
      if error.status == .usage { Log.put("Try 'footbridge help \(command.name)'.\n") }
      return error.status.rawValue
    }
  }

  /// Opens the store and begins the engine, for as long as `body` takes.
  /// - Parameters:
  ///   - makesStore: for a command that begins a run. Any other is about runs that are there, and a mistyped name must not become a store.
  ///   - checksAgents: as `serve` does at its start; once for each command.
  func withRuntime<Value>(
    parent: (any Parent)? = nil, makesStore: Bool = false, checksAgents: Bool = true, _ body: (Runtime) throws(StartupError) -> Value
  ) throws(StartupError) -> Value {
    if !makesStore { try options.store.get().checkExistence() }
    let log = Log(level: options.logLevel, format: options.logFormat)
    let runtime = try Runtime(options, thread: EngineThread { log.write(.warning, $0) }, log: log)
    do throws(SystemError) { try runtime.start(parent: parent) } catch {
      throw StartupError(status: .internalError, message: "\(error)")
    }
    defer { runtime.close() }
    if checksAgents { try runtime.checkAgents() }
    return try body(runtime)
  }

  /// How a command line names this store, where it is not the one that is taken anyway.
  var storeOption: String {
    let usual = (try? Options.read(arguments: []))?.options.knownStore
    guard let store = options.knownStore, store != usual else { return "" }
    return " --store \(Self.quoted(store.text))"
  }

  /// A word as a shell reads it back.
  static func quoted(_ word: String) -> String {
    let plain = word.utf8.allSatisfy { byte in
      (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x2B...0x3A).contains(byte) || byte == 0x5F || byte == 0x40
    }
    if plain, !word.isEmpty { return word }
    return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}

extension Options {
  /// A command looks at one run, or drives it: it takes up no others.
  fileprivate var forShell: Options {
    var options = self
    options.adopts = false
    return options
  }
}

extension EngineThread {
  /// Has the engine answer a question.
  func ask<Value: Sendable>(
    _ body: @escaping @Sendable (RunEngine) throws(RuntimeError) -> Value
  ) throws(StartupError) -> Value {
    let result = perform { engine in Result { () throws(RuntimeError) in try body(engine) } }
    do throws(RuntimeError) { return try result.get() } catch { throw StartupError(error) }
  }
}

extension StartupError {
  init(_ error: RuntimeError) {
    let place = error.pointer.map { $0.isEmpty ? "" : $0 + ": " } ?? ""
    self.init(status: ExitStatus(error.kind), message: place + error.message)
  }
}

extension ExitStatus {
  init(_ kind: RuntimeError.Kind) {
    switch kind {
    case .storeUnavailable, .storeFull, .storeNewer: self = .store
    case .invalidParams, .toolInvalid, .toolInvalidSchema: self = .usage
    case .internalError: self = .internalError
    default: self = .failure
    }
  }
}
