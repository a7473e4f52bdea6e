internal import AgentRuntime
internal import JSON

/// Who answers.
public struct LocalAgent: Sendable {
  /// `provider:name`, such as `anthropic:NAME`, `openai:NAME`, or `script:FILE` for tests.
  public var model: String
  public var instructions: String?
  /// Model turns, at most.
  public var maxIterations = 25

  public init(model: String, instructions: String? = nil) {
    self.model = model
    self.instructions = instructions
  }

  /// Those of a `run.start`.
  func params(tools: [CarriedJSON]) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("agent")
    writer.beginObject()
    writer.member("model", model)
    writer.member("instructions", ifPresent: instructions)
    writer.key("limits")
    writer.beginObject()
    writer.member("maxIterations", maxIterations)
    writer.endObject()
    writer.endObject()
    writer.key("tools")
    writer.beginArray()
    for tool in tools { writer.value(tool) }
    writer.endArray()
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}

/// How a run stands.
public struct LocalOutcome: Sendable, Equatable {
  public let runID: String
  /// One of the status words of the protocol: `success`, `error`, `max_iterations`, `paused`, `waiting_client_tool` and so on.
  public let status: String
  /// The text of the model's last message, of a run with status `success`.
  public let answer: String?
  /// Why it ended or paused, when something made it.
  public let error: String?
  public let inputTokens: Int
  public let outputTokens: Int

  init(_ outcome: RunOutcome, _ engine: RunEngine) {
    runID = outcome.runID.text
    status = outcome.status.rawValue
    var problem = outcome.fault.map { "\($0.kind.name): \($0.message)" }
    var text: String?
    if let stored = outcome.answer {
      do throws(StoreError) { text = try engine.load(stored).stringValue } catch {
        problem = "the answer could not be read: \(error.message)"
      }
    }
    answer = text
    error = problem
    inputTokens = outcome.usage.inputTokens
    outputTokens = outcome.usage.outputTokens
  }
}

/// What the runtime refuses: `kind` is one of the protocol's error kinds.
public struct LocalRuntimeError: Error, Sendable, Equatable, CustomStringConvertible {
  public let kind: String
  /// One sentence for people; no secret and no argument value.
  public let message: String

  init(kind: String, message: String) {
    self.kind = kind
    self.message = message
  }

  init(_ error: RuntimeError) {
    kind = error.kind.name
    message = error.pointer.map { $0.isEmpty ? error.message : "\($0): \(error.message)" } ?? error.message
  }

  public var description: String { "\(kind): \(message)" }
}
