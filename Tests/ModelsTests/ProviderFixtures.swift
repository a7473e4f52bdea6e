import JSON
import Synchronization
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// An HTTP service whose answers, and whose clock, the test moves by hand.
final class ScriptedHTTP: HTTPService {
  final class Exchange: HTTPExchange {
    private let cancelled = Atomic(false)
    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
    func cancel() { cancelled.store(true, ordering: .relaxed) }
  }

  struct Sent: Sendable {
    var request: HTTPRequest
    var exchange: Exchange
    var handler: @Sendable (HTTPEvent) -> Void
  }

  private let sentSoFar = Mutex<[Sent]>([])
  private let preparations = Atomic(0)
  var prepared: Int { preparations.load(ordering: .relaxed) }
  func prepare() { preparations.add(1, ordering: .relaxed) }
  func close() {}

  private let waiting = Mutex<[(delay: Int, body: @Sendable () -> Void)]>([])

  var sent: [Sent] { sentSoFar.withLock { $0 } }
  /// How long each of those waits that are not over is.
  var waits: [Int] { waiting.withLock { $0.map(\.delay) } }

  func begin(_ request: HTTPRequest, _ handler: @escaping @Sendable (HTTPEvent) -> Void) -> any HTTPExchange {
    let exchange = Exchange()
    sentSoFar.withLock { $0.append(Sent(request: request, exchange: exchange, handler: handler)) }
    return exchange
  }

  func schedule(afterMilliseconds delay: Int, _ body: @escaping @Sendable () -> Void) {
    waiting.withLock { $0.append((delay, body)) }
  }

  /// As a run's engine schedules: on the same clock.
  var wait: @Sendable (Int, @escaping @Sendable () -> Void) -> Void { { [self] in schedule(afterMilliseconds: $0, $1) } }

  /// Gives events to the request that was sent last.
  func answer(_ events: HTTPEvent...) {
    guard let last = sent.last else { return }
    for event in events { last.handler(event) }
  }

  /// Ends the oldest wait.
  func passTime() { waiting.withLock { $0.isEmpty ? nil : $0.removeFirst() }?.body() }
}

extension HTTPEvent {
  static func head(_ status: Int, _ headers: String...) -> HTTPEvent {
    .head(HTTPHead(status: status, lines: Bytes(headers.map { $0 + "\r\n" }.joined())))
  }

  static var stream: HTTPEvent { .head(200, "Content-Type: text/event-stream; charset=utf-8") }
  static func body(_ text: String) -> HTTPEvent { .body(Bytes(text)) }
}

/// What came of a turn, in words.
final class SignalRecorder: Sendable {
  private let linesSoFar = Mutex<[String]>([])
  private let last = Mutex<ModelTurn?>(nil)
  var lines: [String] { linesSoFar.withLock { $0 } }
  var turn: ModelTurn? { last.withLock { $0 } }

  var signal: @Sendable (ModelSignal) -> Void {
    { [self] signal in
      if case .finished(let turn) = signal { last.withLock { $0 = turn } }
      linesSoFar.withLock { $0.append(signal.words) }
    }
  }
}

extension ModelSignal {
  var words: String {
    switch self {
    case .text(let text): "text \(text)"
    case .reasoning(let text): "reasoning \(text)"
    case .retried(let attempt, let reason, let delay): "retried \(attempt) in \(delay): \(reason)"
    case .finished(let turn): "finished \(turn.words)"
    case .failed(let fault): "failed \(fault.kind.name)\(fault.retryable ? " retryable" : ""): \(fault.message)"
    }
  }
}

extension ModelTurn {
  var words: String {
    let calls = calls.map { "\($0.name)\($0.arguments.string)\($0.isCutOff ? " cut" : "")" }.joined(separator: " ")
    return "\(stopReason) \(text.bytes.string) [\(calls)] \(usage.inputTokens)/\(usage.outputTokens)"
      + (usage.cacheReadTokens + usage.cacheWriteTokens > 0 ? " cache \(usage.cacheReadTokens)/\(usage.cacheWriteTokens)" : "")
  }
}

extension CarriedJSON {
  init(_ text: String) throws { try self.init(validating: Bytes(text)) }
}

enum Sample {
  static let callA = ULID(high: 1, low: 1)
  static let callB = ULID(high: 1, low: 2)
  static let runID = ULID(high: 7, low: 7)
  static let messageID = ULID(high: 8, low: 8)
  static let png = "iVBORw0KGgo="
  static let pdf = "JVBERi0="

  static func agent(_ model: String, _ more: String = "") throws -> Agent {
    let text = "{\"model\":\(CarriedJSON(string: model).bytes.string)\(more.isEmpty ? "" : "," + more)}"
    return try RunParams.read(Agent.self, CarriedJSON(text), at: "/agent", carrying: Agent.carriedPaths)
  }

  static func tool(_ name: String, schema: String = "{\"type\":\"object\",\"x\":0.10}") throws -> Tool {
    try RunParams.read(
      Tool.self,
      CarriedJSON("{\"name\":\"\(name)\",\"description\":\"does \\\"\(name)\\\"\",\"inputSchema\":\(schema)}"),
      at: "/tools/0", carrying: ["/inputSchema"])
  }

  static func blocks(_ text: String) throws -> [ContentBlock] { try [ContentBlock](reading: CarriedJSON(text), at: "") }
  static func result(_ text: String) throws -> ToolResult { try ToolResult(reading: CarriedJSON(text)) }
  static func user(_ text: String) -> TranscriptEntry { .user([.text(text)]) }

  static func tool(_ id: ULID, _ name: String, _ result: String, maxBytes: Int = 1 << 20) throws -> TranscriptEntry {
    .tool(callID: id, name: name, result: try Self.result(result), maxBytes: maxBytes)
  }

  static func said(_ text: String, _ calls: [(ULID, String, String)] = [], notes: String? = nil) throws -> TranscriptEntry {
    let calls = try calls.map { id, name, arguments in
      ModelMessage.Call(callID: id, name: name, arguments: .inline(try CarriedJSON(arguments)), refusal: nil)
    }
    return .assistant(
      ModelMessage(
        messageID: messageID, text: .inline(CarriedJSON(string: text)), calls: calls, usage: Usage(), stopReason: "tool_use",
        providerData: try notes.map { try CarriedJSON($0) }))
  }

  static func request(
    _ agent: Agent, _ transcript: [TranscriptEntry], system: [String] = [], tools: [Tool] = [], cache: ModelCache = ModelCache(),
    parent: (any Parent)? = nil, load: @escaping @Sendable (StoredValue) throws(StoreError) -> CarriedJSON = { $0.wire },
    schedule: @escaping @Sendable (Int, @escaping @Sendable () -> Void) -> Void = { _, _ in }
  ) -> ModelRequest {
    ModelRequest(
      runID: runID, messageID: messageID, turn: 0, agent: agent, system: system, transcript: transcript, tools: tools, cache: cache,
      parent: parent, load: load, schedule: schedule)
  }

  /// The providers, with a key and a base URL of each.
  static func providers(_ http: ScriptedHTTP, _ more: [String: String] = [:], random: Double = 1) -> ModelProviders {
    let environment = ["ANTHROPIC_API_KEY": "key-a", "OPENAI_API_KEY": "key-of-it"].merging(more) { $1 }
    return ModelProviders(
      allowsScripts: true, environment: { environment[$0] }, version: "9", http: http, policy: RetryPolicy(random: { random }))
  }

  /// What `model` is sent for a request, as JSON.
  static func body(
    _ model: String, agent more: String = "", _ transcript: [TranscriptEntry], system: [String] = [], tools: [Tool] = [],
    environment: [String: String] = [:], cache: ModelCache = ModelCache(),
    load: @escaping @Sendable (StoredValue) throws(StoreError) -> CarriedJSON = { $0.wire }
  ) throws -> CarriedJSON {
    let http = ScriptedHTTP()
    let agent = try agent(model, more)
    let provider = try providers(http, environment).provider(for: agent, hasTools: !tools.isEmpty, parent: nil)
    _ = provider.start(request(agent, transcript, system: system, tools: tools, cache: cache, load: load)) { _ in }
    return try CarriedJSON(validating: #require(http.sent.first).request.body.parts.joined)
  }
}

/// Compares as values.
func expect(_ found: CarriedJSON?, is wanted: String, _ location: SourceLocation = #_sourceLocation) throws {
  let found = try #require(found, sourceLocation: location)
  #expect(try found.isEquivalent(to: CarriedJSON(wanted)), "\(found.bytes.string)", sourceLocation: location)
}
