package import JSON

/// An event on its way to a client: `bytes` is the exact `params` of `run.event`.
package struct PublishedEvent: Sendable, Equatable {
  package var sequence: Int
  package var type: String
  package var bytes: Bytes
}

/// A `tool.invoke` that is to go out.
package struct ToolInvocation: Sendable {
  package var runID: ULID
  package var sessionID: ULID?
  package var callID: ULID
  package var name: String
  package var arguments: CarriedJSON
  package var attempt: Int
  package var timeoutMilliseconds: Int
  /// `_meta` of the `run.start`.
  package var meta: CarriedJSON?
  /// The event that must be on the wire before it.
  package var afterSequence: Int
}

/// What a parent said to an invocation.
package enum InvocationReply: Sendable {
  case result(ToolResult, bytes: Int)
  /// A JSON-RPC error, or an answer that cannot be used: what to tell the model.
  case error(String, bytes: Int)
}

/// What a client declared that it can be asked.
package struct ParentAbilities: Sendable, Equatable {
  package var approvals = false
  package var elicitation = false
  package var sampling = false
  /// `sampling/createMessage` with `tools`.
  package var samplingTools = false
  package init() {}
}

/// A request to the client that is no `tool.invoke`.
package struct ParentRequest: Sendable {
  package enum Method: Sendable { case createMessage, approval, elicitation }

  package var method: Method
  package var runID: ULID
  /// An object; `_meta` stands in it already.
  package var params: CarriedJSON
  /// The `_meta.progressToken` in `params`, when there is one.
  package var progressToken: String?
  /// The event that must be on the wire before it.
  package var afterSequence: Int
  /// What in the result is only carried.
  package var carrying: CarriedPaths

  package init(
    _ method: Method, runID: ULID, params: CarriedJSON, progressToken: String? = nil, afterSequence: Int, carrying: CarriedPaths = .none
  ) {
    self.method = method
    self.runID = runID
    self.params = params
    self.progressToken = progressToken
    self.afterSequence = afterSequence
    self.carrying = carrying
  }
}

package enum ParentReply: Sendable {
  case result(CarriedJSON)
  case error(code: Int, message: String)
  /// An answer that cannot be read, in words.
  case broken(String)
}

/// A request that is out.
package protocol ParentExchange: AnyObject, Sendable {
  /// Tells the parent that the answer is no longer wanted, and forgets it: `reply` is not called any more.
  func cancel(reason: String)
}

/// The client on the other end of stdin and stdout. All calls come from the engine's thread, except `stream`.
package protocol Parent: AnyObject, Sendable {
  /// Declared `tools`, and still there.
  var answersInvocations: Bool { get }

  /// Events that are in the store, in order.
  func publish(_ run: ULID, _ events: [PublishedEvent])

  /// An ephemeral event; from any thread. `message` names the text it belongs to, so that a slow client gets it in larger pieces.
  func stream(_ run: ULID, _ delta: StreamedDelta)

  /// Streamed text from the process that drives a run which this client watches.
  func streamForeign(_ chunk: LiveChunk)

  /// Carries out `body`; what it sends leaves together when it returns.
  func together(_ body: () -> Void)

  /// Sends `tool.invoke` when the events before it are out, unless `cancelInvocation` or `closeInvocations` comes first; `sent` is called when it
  /// is written, `reply` at most once.
  func invoke(
    _ invocation: ToolInvocation, sent: @escaping @Sendable () -> Void, progress: @escaping @Sendable (CarriedJSON) -> Void,
    reply: @escaping @Sendable (InvocationReply) -> Void)

  /// Tells the parent that an answer is no longer wanted. A late one is still reported to `reply`.
  func cancelInvocation(_ callID: ULID, reason: String)

  /// The call has its result, or waits without the parent. A late answer is still reported to `reply`, for as long as its request is remembered.
  func closeInvocations(of callID: ULID)

  /// Calls `body`, on any thread, when the answers that have come by now have been reported.
  func afterPresentAnswers(_ body: @escaping @Sendable () -> Void)

  /// A run that it sees has called a sub-agent, whose run this is; it may not be in the store yet.
  func childBegan(_ child: ULID, of run: ULID, in engine: RunEngine)

  /// The name that it gave itself.
  var name: String? { get }

  /// What it can be asked besides; nothing when it is gone.
  var abilities: ParentAbilities { get }

  /// Sends a request when the events before it are out. `reply` comes once, on any thread, and never when the client is gone.
  func ask(
    _ request: ParentRequest, progress: @escaping @Sendable (CarriedJSON) -> Void, reply: @escaping @Sendable (ParentReply) -> Void
  ) -> any ParentExchange
}

extension Parent {
  package var name: String? { nil }
  package func together(_ body: () -> Void) { body() }
  package func afterPresentAnswers(_ body: @escaping @Sendable () -> Void) { body() }
  package func childBegan(_ child: ULID, of run: ULID, in engine: RunEngine) {}
}
