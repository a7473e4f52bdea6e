package import AgentRuntime
import JSON
import Synchronization

/// A model whose turns the test gives: from a list by the number of turns in the run's log, or by hand.
package final class ScriptedModel: ModelCatalog, ModelProvider, @unchecked Sendable {
  // Unchecked, because: a test drives all of its processes on one thread, or waits for the engine's before it looks.

  package enum Answer: Sendable {
    case turn(ModelTurn)
    case fault(RunFault)
    /// The test sends the signals.
    case held

    package static func say(_ text: String) -> Answer { .turn(.say(text)) }
    package static func call(_ calls: (String, String)..., text: String = "") -> Answer { .turn(.call(calls, text: text)) }
  }

  /// A turn that was asked for.
  package final class Call: ModelCall {
    package let request: ModelRequest
    private let signal: @Sendable (ModelSignal) -> Void
    private let state: Box<Bool>

    fileprivate init(_ request: ModelRequest, _ signal: @escaping @Sendable (ModelSignal) -> Void, isCancelled: Box<Bool>) {
      self.request = request
      self.signal = signal
      state = isCancelled
    }

    package var isCancelled: Bool { state.value }
    /// Between two attempts, as far as the test says so.
    private let waits = Box(false)
    package var isWaiting: Bool {
      get { waits.value }
      set { waits.value = newValue }
    }
    package func cancel() { state.value = true }
    package func send(_ signal: ModelSignal) { self.signal(signal) }
    package func finish(_ turn: ModelTurn) { send(.finished(turn)) }
  }

  private let answer: (ModelRequest) -> Answer
  /// Why this bridge cannot go on with a run; nil when it can.
  package var refusal: RuntimeError?
  package private(set) var calls: [Call] = []
  /// How many turns were made ready before it was time.
  package private(set) var prepared = 0
  /// The messages that each turn was shown, one a line.
  package private(set) var shown: [[String]] = []

  package init(_ answer: @escaping (ModelRequest) -> Answer) { self.answer = answer }

  /// The turns of a script; one too many fails as `script.exhausted`.
  package convenience init(_ turns: [Answer]) {
    self.init { request in
      request.turn < turns.count ? turns[request.turn] : .fault(RunFault(.scriptExhausted, "the list has \(turns.count) turns"))
    }
  }

  /// The turn that was asked for at `index`.
  package func call(_ index: Int) throws -> Call {
    guard index < calls.count else { throw Missing(description: "only \(calls.count) turns were asked for") }
    return calls[index]
  }

  package func provider(for agent: Agent, hasTools: Bool, parent: ParentAbilities?) throws(RuntimeError) -> any ModelProvider {
    if let refusal { throw refusal }
    return self
  }

  /// Keeps what a provider would, which must be of the messages that it is shown the next time.
  private func keep(_ request: ModelRequest) {
    let made = request.cache.content.withLock { content in
      defer { content = MadeOf(entries: request.transcript) }
      return content as? MadeOf
    }
    if let made, !request.transcript.starts(with: made.entries) {
      fatalError("what was kept of the messages is of others: run \(request.runID)")
    }
  }

  private struct MadeOf: ModelCacheContent {
    var entries: [TranscriptEntry]
    var entryCount: Int { entries.count }
    func prefix(_ count: Int) -> MadeOf { MadeOf(entries: Array(entries.prefix(count))) }
  }

  package func prepare(_ request: ModelRequest) throws(StoreError) -> (any PreparedTurn)? {
    prepared += 1
    keep(request)
    return Prepared(model: self, request: request)
  }

  private struct Prepared: PreparedTurn {
    let model: ScriptedModel
    let request: ModelRequest
    func start(signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall { model.start(request, signal: signal) }
  }

  package func start(_ request: ModelRequest, signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall {
    let call = Call(request, signal, isCancelled: Box(false))
    calls.append(call)
    shown.append(request.lines)
    keep(request)
    switch answer(request) {
    case .turn(let turn):
      let text = turn.text.stringValue ?? ""
      if !text.isEmpty { signal(.text(text)) }
      signal(.finished(turn))
    case .fault(let fault): signal(.failed(fault))
    case .held: break
    }
    return call
  }
}

extension ModelTurn {
  package static func say(_ text: String, stopReason: String = "end_turn") -> ModelTurn {
    ModelTurn(text: CarriedJSON(string: text), calls: [], usage: .tokens(10, 5), stopReason: stopReason)
  }

  package static func call(_ calls: [(String, String)], text: String = "") -> ModelTurn {
    ModelTurn(
      text: CarriedJSON(string: text), calls: calls.map { Call(name: $0.0, arguments: Bytes($0.1)) }, usage: .tokens(10, 5),
      stopReason: "tool_use")
  }
}

extension Usage {
  package static func tokens(_ input: Int, _ output: Int) -> Usage {
    var usage = Usage()
    usage.inputTokens = input
    usage.outputTokens = output
    return usage
  }
}

extension ModelRequest {
  /// The transcript, one message a line.
  fileprivate var lines: [String] {
    transcript.map { entry in
      do throws(StoreError) {
        switch entry {
        case .user(let blocks): return "user: \(try ModelText.text(of: blocks, load: load))"
        case .said(let blocks): return "said: \(try ModelText.text(of: blocks, load: load))"
        case .assistant(let message):
          let calls = try message.calls.map { (call) throws(StoreError) in " \(call.name)\(try load(call.arguments).bytes.string)" }
          return "assistant: \(try load(message.text).stringValue ?? "")\(calls.joined())"
        case .tool(_, let name, let result, let maxBytes):
          let text = try ModelText.text(of: result, maxBytes: maxBytes, load: load)
          return "\(name)\(result.isError ? " failed" : ""): \(text)"
        }
      } catch { return "unreadable: \(error)" }
    }
  }
}

/// A value that a test changes.
package final class Box<Value>: @unchecked Sendable {
  // Unchecked, because: a test drives all of its processes on one thread, or waits for the engine's before it looks.
  package var value: Value
  package init(_ value: Value) { self.value = value }
}
