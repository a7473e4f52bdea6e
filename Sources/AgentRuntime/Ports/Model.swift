package import JSON
package import Synchronization

/// What a provider is asked for one turn.
package struct ModelRequest: Sendable {
  package var runID: ULID
  package var messageID: ULID
  /// The last event before the turn.
  package var sequence: Int
  /// How many turns the run's log has: the place in a script.
  package var turn: Int
  package var agent: Agent
  /// The parts of the system prompt, the most lasting first.
  package var system: [String]
  /// Only ever appended to over the turns of a run, as long as `cache` is the same.
  package var transcript: [TranscriptEntry]
  package var tools: [Tool]
  /// Reads a blob of the transcript. Only within `start`, on the engine's thread.
  package var load: @Sendable (StoredValue) throws(StoreError) -> CarriedJSON
  /// Calls back on the engine's thread after so many milliseconds.
  package var schedule: @Sendable (_ milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> Void
  /// What the provider keeps between the turns of this run.
  package var cache: ModelCache
  /// The client, for a model that asks it.
  package var parent: (any Parent)?
  /// Asked in the course of a run, but no turn of its log: a summary of its messages, or what an MCP server wants to know.
  package var isAside = false

  package init(
    runID: ULID, messageID: ULID, sequence: Int = 0, turn: Int, agent: Agent, system: [String], transcript: [TranscriptEntry],
    tools: [Tool],
    cache: ModelCache = ModelCache(), parent: (any Parent)? = nil,
    load: @escaping @Sendable (StoredValue) throws(StoreError) -> CarriedJSON,
    schedule: @escaping @Sendable (_ milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> Void
  ) {
    self.runID = runID
    self.messageID = messageID
    self.sequence = sequence
    self.turn = turn
    self.agent = agent
    self.system = system
    self.transcript = transcript
    self.tools = tools
    self.cache = cache
    self.parent = parent
    self.load = load
    self.schedule = schedule
  }
}

/// A place for what a provider has made of a run's transcript, so that a turn need not make it again; goes when the run leaves memory.
package final class ModelCache: Sendable {
  package let content: Mutex<(any ModelCacheContent)?>
  package init() { content = Mutex(nil) }
  private init(_ content: (any ModelCacheContent)?) { self.content = Mutex(content) }

  /// One of its own for a transcript that begins with the same `count` entries.
  func prefix(_ count: Int) -> ModelCache { ModelCache(content.withLock { $0 }?.prefix(count)) }

  /// Of how many entries something has been made.
  var entryCount: Int { content.withLock { $0?.entryCount ?? 0 } }
  /// Forgets what was made of entries behind the first `count`.
  func cut(to count: Int) { content.withLock { $0 = $0?.prefix(count) } }
}

/// What a provider has made of a transcript.
package protocol ModelCacheContent: Sendable {
  var entryCount: Int { get }
  /// What holds for the first `count` entries alone.
  func prefix(_ count: Int) -> Self
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
  /// What the provider wants to see again in later turns, such as signed thinking and the ids it gave the calls: an object that only a
  /// provider reads, and that says in `provider` which. Kept in the log, not shown to clients.
  package var providerData: CarriedJSON?

  package init(text: CarriedJSON, calls: [Call], usage: Usage, stopReason: String, providerData: CarriedJSON? = nil) {
    self.text = text
    self.calls = calls
    self.usage = usage
    self.stopReason = stopReason
    self.providerData = providerData
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
  /// Whether it waits for its next attempt, with nothing on its way.
  var isWaiting: Bool { get }
  /// Ends it at once; no signal follows, except what is on its way already.
  func cancel()
  /// The client answers nothing more: a turn that rests with it fails.
  func clientIsGone()
}

extension ModelCall {
  package var isWaiting: Bool { false }
  package func clientIsGone() {}
}

/// A turn of which all is done but to begin it.
package protocol PreparedTurn: Sendable {
  /// As `ModelProvider.start`; once.
  func start(signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall
}

package protocol ModelProvider: Sendable {
  /// Does what `start` would do first, for a turn that will probably begin: nothing that anybody sees. Nil where that is little.
  /// - Throws: what `load` threw; then nothing is lost but the work.
  func prepare(_ request: ModelRequest) throws(StoreError) -> (any PreparedTurn)?
  /// Begins a turn. Signals may come from any thread, also before this returns; `finished` or `failed` is the last.
  func start(_ request: ModelRequest, signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall
}

extension ModelProvider {
  package func prepare(_ request: ModelRequest) throws(StoreError) -> (any PreparedTurn)? { nil }
}

/// Finds who answers for `provider:name`.
package protocol ModelCatalog: Sendable {
  /// - Parameters:
  ///   - hasTools: Whether the model will be offered tools.
  ///   - parent: What the client can be asked; nil when there is none.
  /// - Throws: `model.unknownProvider`, `model.missingKey`, `unsupportedCapability`, `model.unavailable` for a script that cannot be read, or
  ///   `invalidParams`; a pointer is a place in the agent.
  func provider(for agent: Agent, hasTools: Bool, parent: ParentAbilities?) throws(RuntimeError) -> any ModelProvider
}
