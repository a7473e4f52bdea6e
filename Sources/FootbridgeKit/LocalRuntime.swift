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
///
/// All of it may be called from any thread and any task, functions and the closures given here included.
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
  private let lines: LogLines
  private let isClosed = Mutex(false)

  /// - Parameters:
  ///   - environment: Keys and base URLs of models: `ANTHROPIC_API_KEY`, `OPENAI_API_KEY` and so on.
  ///   - allowsCommands: Whether agents may have tools that are commands, and models that are scripts.
  ///   - log: Lines for people; no secret and no value of an argument. Called on threads of the runtime, which waits for it: it should be quick.
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
    let lines = LogLines(log)
    self.lines = lines
    thread = EngineThread { lines.say($0) }
    providers = ModelProviders(allowsScripts: allowsCommands, environment: { environment[$0] })
    commands = CommandTools(environment: { environment }, allowsCommands: allowsCommands, log: { lines.say($0) })
    do throws(SystemError) {
      try thread.start { [thread, parent, providers, commands] in
        let engine = RunEngine(store: opened, host: thread, models: providers, serverTools: commands, schemas: SchemaAdapter())
        engine.parent = parent
        return engine
      }
    } catch { throw LocalRuntimeError(kind: "internalError", message: "no thread could be begun: \(error)") }
  }

  deinit { close() }

  /// Parks what is under way, and closes the store: whoever waits for a run is told how it stands, and what is asked afterwards is `shuttingDown`.
  ///
  /// Functions that are out find their tasks cancelled. In the closure `log` this only begins, as the runtime waits for the closure.
  public func close() {
    guard
      isClosed.withLock({ closed in
        defer { closed = true }
        return !closed
      })
    else { return }
    let close: @Sendable () -> Void = { [thread, parent, commands, providers] in
      thread.perform { $0.end(.signal) }
      thread.settle()
      parent.close()
      commands.shutdown()
      providers.close()
      thread.perform { $0.close() }
      thread.stop()
    }
    // Without a thread the runtime stays as it is, until the program ends.
    if lines.areSaidHere { _ = try? Thread.start(name: "close", close) } else { close() }
  }

  // MARK: Tools

  /// Makes a function a tool of the runs that begin from now on, in place of an earlier one with its name.
  ///
  /// A run keeps the names, descriptions and schemas that it began with. Each call goes to the function that has the name at that moment, in a run that
  /// was begun before, or by another program and resumed, too: a new one has to take the arguments of the old one as long as there are such runs.
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
      let inputSchema = json ?? ArgumentsSchema.of(Arguments.self)
      var writer = JSONWriter()
      writer.beginObject()
      writer.member("name", name)
      writer.member("description", description)
      writer.member("inputSchema", inputSchema)
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
      // Not by the engine, which may be busy, or wait for the caller.
      do throws(RuntimeError) { _ = try SchemaAdapter().compile(inputSchema) } catch {
        throw RuntimeError(.toolInvalidSchema, "tool '\(name)': \(error.message)", pointer: error.pointer)
      }
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
  ///
  /// When the task is cancelled, so is the run, as `cancel` does it: the outcome, which comes soon, has the status `cancelled`. Functions that are out
  /// find their tasks cancelled, and are not waited for.
  /// - Parameter began: Called in the caller's task with the run's id as soon as the run is durable; no function is called for it before that returns.
  /// - Throws: What is wrong before there is a run, such as `model.missingKey`; `cancelled` when the task was. How a run ends is an outcome.
  public func run(
    _ agent: LocalAgent, _ input: String, began: (_ runID: String) -> Void = { _ in }
  ) async throws(LocalRuntimeError) -> LocalOutcome {
    let params = agent.params(tools: parent.tools)
    do throws(RuntimeError) { _ = try RunAdmission(params: params) } catch { throw LocalRuntimeError(error) }
    let request = EngineRequest(to: thread)
    let answer = await withTaskCancellationHandler {
      request.send { [parent] engine, reply in
        do throws(RuntimeError) { try engine.checkSchemas(ofParams: params) } catch { return reply(.failure(error)) }
        let start = StartRequest(input: CarriedJSON(string: input), params: params, delivery: .invoke, canInvoke: true, wait: true)
        let durable = { (runID: ULID, _: Bool) in
          parent.hold(runID)
          request.bind(runID)
        }
        engine.start(start, durable: durable, waiting: { _ in }, reply: reply)
      }
      if let runID = await request.run() {
        began(runID.text)
        parent.release(runID)
      }
      return await request.answer()
    } onCancel: {
      request.cancel()
    }
    return try answer.get()
  }

  /// Takes up a run that a program left: calls that were out are made again, with the same `ToolCall.id`. One that has ended stays what it is.
  ///
  /// When the task is cancelled, so is the run.
  /// - Throws: `run.notFound`; `run.leaseHeld` while another process drives the run; `cancelled` when the task was before the run was taken up.
  public func resume(_ runID: String) async throws(LocalRuntimeError) -> LocalOutcome {
    let id = try Self.id(runID)
    let request = EngineRequest(to: thread)
    let answer = await withTaskCancellationHandler {
      request.send { engine, reply in
        request.bind(id)
        var resumption = RunMachine.Resumption()
        resumption.delivery = .invoke
        resumption.canInvoke = true
        engine.resume(id, resumption, wait: true, waiting: { _ in }, reply: reply)
      }
      return await request.answer()
    } onCancel: {
      request.cancel()
    }
    return try answer.get()
  }

  /// Ends a run, for good and wherever it is at work; whoever waits for it gets the outcome `cancelled`.
  ///
  /// - Parameter reason: Kept in the log.
  /// - Returns: The outcome, once the run has ended; of one that had ended before, how it did.
  /// - Throws: `run.notFound`.
  @discardableResult
  public func cancel(_ runID: String, reason: String? = nil) async throws(LocalRuntimeError) -> LocalOutcome {
    let id = try Self.id(runID)
    let request = EngineRequest(to: thread)
    request.send { engine, reply in engine.cancel(id, reason: reason, waiting: { _ in }, reply: reply) }
    return try await request.answer().get()
  }

  private static func id(_ text: String) throws(LocalRuntimeError) -> ULID {
    guard let id = ULID(text) else { throw LocalRuntimeError(kind: "run.notFound", message: "there is no such run") }
    return id
  }
}
