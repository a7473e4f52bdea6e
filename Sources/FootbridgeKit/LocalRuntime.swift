internal import AgentRuntime
internal import EngineHosting
internal import JSON
internal import Models
internal import POSIXSupport
internal import SQLiteStore
internal import Synchronization
internal import ToolHosts

/// Durable agents inside a Swift program: runs, their logs and their models, with the program's functions as tools.
///
/// A call of a function is logged before it is made, and made again only by `resume`, and then with the same `ToolCall.id`. One value is enough for a
/// program; it has a thread of its own, and closes its store at the end.
///
///     let runtime = try LocalRuntime(store: .sqlite("runs.db"), environment: ProcessInfo.processInfo.environment)
///     try runtime.register("add", "Adds two numbers.") { (numbers: Numbers) in numbers.a + numbers.b }
///     let outcome = try await runtime.run(LocalAgent(model: "anthropic:claude-sonnet-4-5"), "What is 2 and 3?")
public final class LocalRuntime: Sendable {
  public enum Store: Sendable {
    /// Gone when the program ends.
    case memory
    /// A file, which other processes, the program `footbridge` among them, may share.
    case sqlite(String)
  }

  private let thread: EngineThread
  private let parent = FunctionParent()
  private let providers: ModelProviders
  private let commands: CommandTools
  private let isClosed = Mutex(false)

  /// - Parameters:
  ///   - environment: Keys and base URLs of models: `ANTHROPIC_API_KEY`, `OPENAI_API_KEY` and so on.
  ///   - allowsCommands: Whether agents may have tools that are commands, and models that are scripts.
  ///   - log: Lines for people; no secret and no value of an argument.
  /// - Throws: `store.unavailable` with the file and the reason.
  public init(
    store: Store = .memory, environment: [String: String] = [:], allowsCommands: Bool = false,
    log: @escaping @Sendable (_ message: String) -> Void = { _ in }
  ) throws(LocalRuntimeError) {
    let path =
      switch store {
      case .memory: ":memory:"
      case .sqlite(let path): path
      }
    let opened: SQLiteStore
    do throws(StoreError) { opened = try SQLiteStore.open(path: path) { Clock.wallMilliseconds() } } catch {
      throw LocalRuntimeError(RuntimeError(error))
    }
    thread = EngineThread(log: log)
    providers = ModelProviders(allowsScripts: allowsCommands, environment: { environment[$0] })
    commands = CommandTools(environment: { environment }, allowsCommands: allowsCommands, log: log)
    do throws(SystemError) {
      try thread.start { [thread, parent, providers, commands] in
        let engine = RunEngine(store: opened, host: thread, models: providers, serverTools: commands, schemas: SchemaAdapter())
        engine.parent = parent
        return engine
      }
    } catch { throw LocalRuntimeError(kind: "internalError", message: "no thread could be begun: \(error)") }
  }

  deinit { close() }

  /// Parks what is under way and closes the store; nothing is asked of the runtime afterwards.
  public func close() {
    guard
      isClosed.withLock({ closed in
        defer { closed = true }
        return !closed
      })
    else { return }
    thread.perform { $0.end(.signal) }
    thread.settle()
    parent.close()
    commands.shutdown()
    providers.close()
    thread.perform { $0.close() }
    thread.stop()
  }

  // MARK: Tools

  /// Makes a function a tool of the runs that begin from now on.
  ///
  /// - Parameters:
  ///   - schema: Of the arguments, as JSON Schema (2020-12). When nil it is made from `Arguments`: strings, numbers, truth values, lists, optionals,
  ///     `CaseIterable` enums of strings, and structs of those.
  ///   - isIdempotent: A repeat does no harm.
  ///   - timeoutMilliseconds: After it the model is told that the result is unknown; the function's task is cancelled.
  ///   - body: A `String` reaches the model as it is, anything else as JSON; an error is a tool error, with its description.
  /// - Throws: `tool.invalid` or `tool.invalidSchema`.
  public func register<Arguments: Decodable & Sendable, Result: Encodable & Sendable>(
    _ name: String, _ description: String, schema: String? = nil, isIdempotent: Bool = false, timeoutMilliseconds: Int = 30_000,
    _ body: @escaping @Sendable (_ arguments: Arguments, _ call: ToolCall) async throws -> Result
  ) throws(LocalRuntimeError) {
    do throws(RuntimeError) {
      let json = try schema.map { schema throws(RuntimeError) in
        do throws(JSONError) { return try CarriedJSON(validating: Bytes(schema)) } catch {
          throw RuntimeError(.toolInvalidSchema, "tool '\(name)': the schema is not JSON: \(error.message)")
        }
      }
      var writer = JSONWriter()
      writer.beginObject()
      writer.member("name", name)
      writer.member("description", description)
      writer.member("inputSchema", json ?? ArgumentsSchema.of(Arguments.self))
      writer.member("timeoutMs", timeoutMilliseconds)
      writer.key("annotations")
      writer.beginObject()
      writer.member("idempotentHint", isIdempotent)
      writer.endObject()
      writer.endObject()
      let tool = CarriedJSON(trusted: writer.finish())
      var list = JSONWriter()
      list.beginArray()
      list.value(tool)
      list.endArray()
      let tools = CarriedJSON(trusted: list.finish())
      _ = try RunAdmission(tools: tools, at: "")
      let checked = thread.perform { engine in
        Swift.Result { () throws(RuntimeError) in try engine.checkSchemas(ofTools: tools, at: "") }
      }
      try checked.get()
      parent.add(name, FunctionTool(json: tool, body))
    } catch { throw LocalRuntimeError(error) }
  }

  /// The same for a function that does not ask which call it answers.
  public func register<Arguments: Decodable & Sendable, Result: Encodable & Sendable>(
    _ name: String, _ description: String, schema: String? = nil, isIdempotent: Bool = false, timeoutMilliseconds: Int = 30_000,
    _ body: @escaping @Sendable (_ arguments: Arguments) async throws -> Result
  ) throws(LocalRuntimeError) {
    try register(
      name, description, schema: schema, isIdempotent: isIdempotent, timeoutMilliseconds: timeoutMilliseconds
    ) { (arguments: Arguments, _: ToolCall) in try await body(arguments) }
  }

  // MARK: Runs

  /// Runs the agent until it ends, or waits for somebody, or is paused.
  /// - Parameter began: Called with the run's id as soon as it is durable.
  /// - Throws: What is wrong before there is a run, such as `model.missingKey`; how a run ends is an outcome.
  public func run(
    _ agent: LocalAgent, _ input: String, began: @escaping @Sendable (_ runID: String) -> Void = { _ in }
  ) async throws(LocalRuntimeError) -> LocalOutcome {
    let params = agent.params(tools: parent.tools)
    do throws(RuntimeError) { _ = try RunAdmission(params: params) } catch { throw LocalRuntimeError(error) }
    return try await answer { engine, reply in
      do throws(RuntimeError) { try engine.checkSchemas(ofParams: params) } catch { return reply(.failure(error)) }
      let request = StartRequest(input: CarriedJSON(string: input), params: params, delivery: .invoke, canInvoke: true, wait: true)
      engine.start(request, durable: { runID, _ in began(runID.text) }, waiting: { _ in }, reply: reply)
    }
  }

  /// Takes up a run that a program left: calls that were out are made again, with the same `ToolCall.id`.
  public func resume(_ runID: String) async throws(LocalRuntimeError) -> LocalOutcome {
    guard let id = ULID(runID) else { throw LocalRuntimeError(kind: "run.notFound", message: "there is no such run") }
    return try await answer { engine, reply in
      var resumption = RunMachine.Resumption()
      resumption.delivery = .invoke
      resumption.canInvoke = true
      engine.resume(id, resumption, wait: true, waiting: { _ in }, reply: reply)
    }
  }

  private func answer(
    _ ask: @escaping @Sendable (RunEngine, @escaping RunReply) -> Void
  ) async throws(LocalRuntimeError) -> LocalOutcome {
    let result: Swift.Result<LocalOutcome, LocalRuntimeError> = await withCheckedContinuation { continuation in
      thread.post { engine in
        ask(engine) { result in
          switch result {
          case .success(let answer): continuation.resume(returning: .success(LocalOutcome(answer.outcome, engine)))
          case .failure(let error): continuation.resume(returning: .failure(LocalRuntimeError(error)))
          }
        }
      }
    }
    return try result.get()
  }
}
