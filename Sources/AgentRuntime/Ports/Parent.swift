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

  /// Sends `tool.invoke` when the events before it are out; `sent` is called when it is written, `reply` once, unless `closeInvocation` came first.
  func invoke(
    _ invocation: ToolInvocation, sent: @escaping @Sendable () -> Void, progress: @escaping @Sendable (CarriedJSON) -> Void,
    reply: @escaping @Sendable (InvocationReply) -> Void)

  /// Tells the parent that an answer is no longer wanted. A late one is still reported to `reply`.
  func cancelInvocation(_ callID: ULID, reason: String)

  /// Forgets the requests of a call: later answers are nobody's.
  func closeInvocations(of callID: ULID)
}
