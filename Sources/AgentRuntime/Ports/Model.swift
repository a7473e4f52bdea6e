package import JSON

/// What a provider is asked for one turn.
package struct ModelRequest: Sendable {
  package var runID: ULID
  package var messageID: ULID
  /// How many turns the run's log has: the place in a script.
  package var turn: Int
  package var agent: Agent
  package var transcript: [TranscriptEntry]
  package var tools: [Tool]
  /// Reads a blob of the transcript. Only within `start`, on the engine's thread.
  package var load: @Sendable (StoredValue) throws(StoreError) -> CarriedJSON
  /// Calls back on the engine's thread after so many milliseconds.
  package var schedule: @Sendable (_ milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> Void
}

/// A finished turn, as a provider gives it.
package struct ModelTurn: Sendable, Equatable {
  package struct Call: Sendable, Equatable {
    package var name: String
    /// As the model wrote them; they may be no JSON at all.
    package var arguments: Bytes
    /// The turn ended before the call did.
    package var isCutOff = false

    package init(name: String, arguments: Bytes, isCutOff: Bool = false) {
      self.name = name
      self.arguments = arguments
      self.isCutOff = isCutOff
    }
  }

  /// A JSON string.
  package var text: CarriedJSON
  package var calls: [Call]
  package var usage: Usage
  /// `end_turn`, `tool_use`, `max_tokens` or `refusal`.
  package var stopReason: String

  package init(text: CarriedJSON, calls: [Call], usage: Usage, stopReason: String) {
    self.text = text
    self.calls = calls
    self.usage = usage
    self.stopReason = stopReason
  }
}

package enum ModelSignal: Sendable {
  /// Streamed text, for observers.
  case text(String)
  case reasoning(String)
  /// A failure that the provider tries to get over; voids the text streamed so far.
  case retried(attempt: Int, reason: String, retryAfterMilliseconds: Int)
  case finished(ModelTurn)
  case failed(RunFault)
}

/// A turn on its way.
package protocol ModelCall: AnyObject, Sendable {
  /// Ends it at once; no signal follows, except what is on its way already.
  func cancel()
}

package protocol ModelProvider: Sendable {
  /// Begins a turn. Signals may come from any thread, also before this returns; `finished` or `failed` is the last.
  func start(_ request: ModelRequest, signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall
}

/// Finds who answers for `provider:name`.
package protocol ModelCatalog: Sendable {
  /// - Throws: `model.unknownProvider`, `model.missingKey`, `unsupportedCapability`, or `model.unavailable` for a script that cannot be read.
  func provider(for agent: Agent) throws(RuntimeError) -> any ModelProvider
}
