/// What a machine knows that its log does not say, and that decisions change: which calls go out again, which parent is asked.
///
/// What was decided and then refused by the store is decided again from what this was when the log last took something: a call that went out in vain
/// still has to.
struct BesideTheLog: Sendable, Equatable {
  /// Calls that this process sends, or asks for, again as soon as there is room: those that `run.resume` named.
  var toResend: Set<ULID> = []
  /// Calls whose last attempt timed out and that are to be sent once more.
  var awaitingRetry: Set<ULID> = []
  /// The agent's MCP servers are asked what they offer, for the turn that is next; and they have answered.
  var isAskingServers = false
  var hasHeardServers = false
  /// As in `MachineContext`.
  var invokesHere: Bool
  var asksHere: Bool

  init(_ context: MachineContext) {
    invokesHere = context.invokesHere
    asksHere = context.asksHere
  }
}
