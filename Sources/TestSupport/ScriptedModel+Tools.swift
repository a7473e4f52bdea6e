package import AgentRuntime
package import JSON

/// Server tools that the test answers, from a function or by hand.
package final class ScriptedTools: ServerTools, @unchecked Sendable {
  // Unchecked, because: a test drives all of its processes on one thread, or waits for the engine's before it looks.

  /// A tool that was started.
  package final class Run: RunningTool {
    package let call: ServerToolCall
    package let progress: @Sendable (_ stream: String, _ text: String) -> Void
    private let completion: @Sendable (ToolResult) -> Void
    private let lingers: Bool
    private let state = Box((isStopped: false, isDone: false))

    fileprivate init(
      _ call: ServerToolCall, _ progress: @escaping @Sendable (String, String) -> Void,
      _ completion: @escaping @Sendable (ToolResult) -> Void, lingers: Bool
    ) {
      self.call = call
      self.lingers = lingers
      self.progress = progress
      self.completion = completion
    }

    package var isStopped: Bool { state.value.isStopped }
    package var isDone: Bool { state.value.isDone }

    package func complete(_ result: ToolResult) {
      if isDone { return }
      state.value.isDone = true
      completion(result)
    }

    package func stop() {
      state.value.isStopped = true
      if !lingers { complete(.failure("stopped")) }
    }
  }

  private let transcript: Transcript
  /// What a tool comes to; nil leaves it to the test.
  package var answer: (ServerToolCall) -> ToolResult?
  /// Why this bridge does not run such tools; nil when it does.
  package var refusal: RuntimeError?
  /// What is stopped takes a while to end, as a command does: until the test completes it.
  package var lingers = false
  package private(set) var runs: [Run] = []

  package init(transcript: Transcript, _ answer: @escaping (ServerToolCall) -> ToolResult?) {
    self.transcript = transcript
    self.answer = answer
  }

  package func check(_ tool: Tool) throws(RuntimeError) {
    if let refusal { throw refusal }
  }

  package func start(
    _ call: ServerToolCall, progress: @escaping @Sendable (_ stream: String, _ text: String) -> Void,
    completion: @escaping @Sendable (ToolResult) -> Void
  ) -> any RunningTool {
    let run = Run(call, progress, completion, lingers: lingers)
    runs.append(run)
    transcript.note("run \(transcript.name(of: call.callID, tool: call.tool.name))#\(call.attempt) \(call.arguments.bytes.string)")
    if let result = answer(call) { run.complete(result) }
    return run
  }

  /// The last run of the tool.
  package func run(of tool: String) -> Run? { runs.last { $0.call.tool.name == tool } }
}

/// Schemas of two keywords, `type` and `required`; one with a member `broken` does not compile.
package struct ScriptedSchemas: SchemaCompiler {
  package init() {}

  package func compile(_ schema: CarriedJSON) throws(RuntimeError) -> any CompiledSchema {
    if schema.hasMember("broken") { throw RuntimeError(.toolInvalidSchema, "is broken", pointer: "/broken") }
    return Compiled(type: schema["type"]?.stringValue, required: schema["required"]?.elements.compactMap(\.stringValue) ?? [])
  }

  private struct Compiled: CompiledSchema {
    let type: String?
    let required: [String]

    func failures(of value: CarriedJSON) -> [String] {
      if let type, type != "\(value.kind)" { return ["the value must be \(type)"] }
      return required.filter { value[$0] == nil }.map { "/\($0) is required" }
    }
  }
}
