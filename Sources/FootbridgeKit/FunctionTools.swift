internal import AgentRuntime
internal import JSON
internal import Synchronization

/// The call that a function answers.
public struct ToolCall: Sendable {
  public let runID: String
  /// The same whenever the call is made again: what a function does at most once it can tell by this.
  public let id: String
  /// From 1; more when the call is made again.
  public let attempt: Int
}

/// A function as a tool.
struct FunctionTool: Sendable {
  /// As `run.start` takes it.
  let json: CarriedJSON
  let call: @Sendable (CarriedJSON, ToolCall) async -> InvocationReply

  init<Arguments: Decodable & Sendable, Result: Encodable & Sendable>(
    json: CarriedJSON, _ body: @escaping @Sendable (Arguments, ToolCall) async throws -> Result
  ) {
    self.json = json
    call = { given, call in
      let arguments: Arguments
      do throws(JSONError) { arguments = try JSONCoding.decode(Arguments.self, from: given) } catch {
        return .error("The arguments cannot be read: \(error.message)", bytes: 0)
      }
      do {
        let result = try await body(arguments, call)
        return Self.reply(result)
      } catch { return .error("\(error)", bytes: 0) }
    }
  }

  private static func reply(_ value: some Encodable & Sendable) -> InvocationReply {
    var result = ToolResult()
    if let text = value as? String {
      result.content = [.text(text)]
      result.isPlainText = true
    } else {
      do throws(JSONError) { result.structuredContent = .inline(try JSONCoding.encode(value)) } catch {
        return .error("The result cannot be written as JSON: \(error.message)", bytes: 0)
      }
    }
    return .result(result, bytes: result.byteCount)
  }
}

/// The program as the parent of its runs: it answers `tool.invoke` by calling functions.
final class FunctionParent: Parent {
  private struct State {
    var tools: [(name: String, tool: FunctionTool)] = []
    var tasks: [ULID: Task<Void, Never>] = [:]
    /// Calls of runs whose beginning the program has not been told of yet.
    var held: [ULID: [(callID: ULID, begin: @Sendable () -> Void)]] = [:]
    var isClosed = false
  }

  private let state = Mutex(State())

  func add(_ name: String, _ tool: FunctionTool) {
    state.withLock { state in
      state.tools.removeAll { $0.name == name }
      state.tools.append((name, tool))
    }
  }

  var tools: [CarriedJSON] { state.withLock { $0.tools.map(\.tool.json) } }

  func close() {
    let tasks = state.withLock { state in
      defer { state.tasks = [:] }
      state.held = [:]
      state.isClosed = true
      return state.tasks
    }
    for task in tasks.values { task.cancel() }
  }

  var answersInvocations: Bool { state.withLock { !$0.isClosed } }
  var abilities: ParentAbilities { ParentAbilities() }

  func publish(_ run: ULID, _ events: [PublishedEvent]) {}
  func stream(_ run: ULID, _ delta: StreamedDelta) {}
  func streamForeign(_ chunk: LiveChunk) {}

  func invoke(
    _ invocation: ToolInvocation, sent: @escaping @Sendable () -> Void, progress: @escaping @Sendable (CarriedJSON) -> Void,
    reply: @escaping @Sendable (InvocationReply) -> Void
  ) {
    let begin: @Sendable () -> Void = { [self] in
      sent()
      call(invocation, reply: reply)
    }
    let isHeld = state.withLock { $0.held[invocation.runID]?.append((invocation.callID, begin)) != nil }
    if !isHeld { begin() }
  }

  private func call(_ invocation: ToolInvocation, reply: @escaping @Sendable (InvocationReply) -> Void) {
    guard let tool = state.withLock({ state in state.tools.first { $0.name == invocation.name }?.tool }) else {
      return reply(.error("This program has no function '\(invocation.name)'.", bytes: 0))
    }
    let call = ToolCall(runID: invocation.runID.text, id: invocation.callID.text, attempt: invocation.attempt)
    state.withLock { state in
      if state.isClosed { return }
      // Ends with the function; `cancelInvocation` and `close` ask it to.
      state.tasks[invocation.callID] = Task {
        reply(await tool.call(invocation.arguments, call))
        self.state.withLock { $0.tasks[invocation.callID] = nil }
      }
    }
  }

  /// Calls no function for the run until `release`.
  func hold(_ runID: ULID) {
    state.withLock { state in
      if !state.isClosed { state.held[runID] = [] }
    }
  }

  func release(_ runID: ULID) {
    let calls = state.withLock { $0.held.removeValue(forKey: runID) }
    for call in calls ?? [] { call.begin() }
  }

  func cancelInvocation(_ callID: ULID, reason: String) {
    let task = state.withLock { state in
      forget(callID, &state)
      return state.tasks[callID]
    }
    task?.cancel()
  }

  func closeInvocations(of callID: ULID) { state.withLock { forget(callID, &$0) } }

  /// A call that is held is not made.
  private func forget(_ callID: ULID, _ state: inout State) {
    for runID in state.held.keys { state.held[runID]?.removeAll { $0.callID == callID } }
  }

  func ask(
    _ request: ParentRequest, progress: @escaping @Sendable (CarriedJSON) -> Void, reply: @escaping @Sendable (ParentReply) -> Void
  ) -> any ParentExchange {
    reply(.error(code: -32601, message: "this program answers no questions"))
    return NoExchange()
  }
}

private final class NoExchange: ParentExchange {
  func cancel(reason: String) {}
}
