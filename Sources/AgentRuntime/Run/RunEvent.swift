package import JSON

/// One thing that happened to a run. The log is a list of these; `RunState` is their fold.
///
/// The first group stands on the wire as `run.event`; the second is the runtime's own.
package enum RunEvent: Sendable, Equatable {
  case started(RunBeginning)
  case modelStarted(messageID: ULID, continuation: Bool)
  case modelRetried(messageID: ULID, attempt: Int, reason: String, retryAfterMilliseconds: Int)
  case modelCompleted(ModelMessage)
  /// One an attempt. `sender` is the process whose parent was asked, or which runs the tool.
  case toolStarted(callID: ULID, attempt: Int, sender: OwnerID)
  case toolCompleted(callID: ULID, result: ToolResult)
  case toolRejected(callID: String, verdict: Verdict, bytes: Int)
  /// A waiting status, or `paused` with what stopped it (nil: the user).
  case paused(status: RunStatus, fault: RunFault?)
  /// Work goes on, driven by `claim.owner`.
  case resumed(cause: ResumeCause, claim: Claim)
  /// A call may not be dispatched before somebody approves it. `asker` is the process whose parent is asked; nil when nobody can be.
  case approvalRequested(callID: ULID, expiresAt: Timestamp?, asker: OwnerID?)
  case approvalDecided(callID: ULID, ApprovalDecision)
  /// `message` is a JSON string, `schema` the form of the answer.
  case inputRequested(callID: ULID, message: StoredValue, schema: StoredValue, asker: OwnerID?)
  /// After `cancel` the question is still open.
  case inputAnswered(callID: ULID, InputGiven)
  case noteAdded(text: StoredValue)
  case limitWarning(limit: String, used: Int, maximum: Int)
  /// Other plain tools of the run, from its next model turn on: a JSON array as it was given.
  case toolsChanged(CarriedJSON)
  /// Registrations came or went while the run was under way: the whole toolbox as it is now, and how many changes are in it.
  case toolboxChanged(CarriedJSON, TakenChanges)
  /// Toolkits that are new to the run.
  case toolkitsRegistered([String])
  /// A call expanded a toolkit, or activated a skill of it.
  case toolkitExpanded(toolkit: String, skill: String?)
  /// By the result of a call; without one, by `run.start` or the session, and the toolbox has it already.
  case augmentationApplied(callID: ULID?, Augmentation?, SharedContext)
  /// Another state or context came from the session while the run was under way: the whole toolbox as it is now, and how many changes are in it.
  case sharedChanged(CarriedJSON, TakenChanges, SharedContext)
  case ended(RunEnd)

  /// Changes of registrations came that left the toolbox as it was.
  case changesTaken(TakenChanges)
  case callDeferred(callID: ULID)
  case callParked(callID: ULID)
  /// An approval or an answer is asked for again, of this process' parent.
  case callAsked(callID: ULID, asker: OwnerID)
  /// What earlier turns of the session decided for all calls of a tool.
  case decisionsTaken([StandingDecision])
  /// The parent had no usable answer to what it was asked: somebody else has to give it.
  case callUnanswered(callID: ULID, reason: String)
  /// From here on: other limits, another door for client calls, or the parent of process `taker` is the one they go to.
  case reconfigured(limits: CarriedJSON?, delivery: Delivery?, taker: OwnerID? = nil)
  /// Process `owner`, whose store had failed under the run, is not at work on it any more.
  case claimDropped(owner: OwnerID)
  case pauseRequested
  /// A refused result beyond those that are kept as `toolRejected`.
  case rejectionCounted
  case cancelRequested(reason: String?)
  /// The final answer did not fit `outputSchema`: the model is told and asked again.
  case answerRejected(reason: String)
  /// The input of a queued run became part of another one's turn.
  case merged(into: ULID)
  /// A turn that was paused before it began waits again.
  case requeued
  /// The run that is to answer a call of a sub-agent; before its `toolStarted`.
  case childNamed(callID: ULID, child: ULID)
  /// That run has come to wait or pause; nil: it is at work again.
  case childMoved(callID: ULID, halt: ChildHalt?)
  /// What that run has used, before the result of the call.
  case childEnded(callID: ULID, usage: Usage)
  /// Older messages are not shown any more. `usage`: what their summary cost.
  case compacted(Compaction, usage: Usage)
  /// An MCP server had the run's model answer something: what that cost.
  case sampled(Usage)
}

package enum Delivery: String, Sendable, Codable { case invoke, pause }

package enum ResumeCause: String, Sendable { case submit, invoke, approval, input, resume, recovery }

package enum Verdict: String, Sendable { case accepted, duplicate, conflict, unknown, terminal, invalid }

/// Who drives, since when.
package struct Claim: Sendable, Equatable {
  package var owner: OwnerID
  package var epoch: Int
}

/// The beginning of a run: what it was asked, and all that it needs to go on anywhere.
package struct RunBeginning: Sendable, Equatable {
  package var input: RunInput
  /// The params of `run.start` without the input and without what only concerns the asking connection.
  package var params: CarriedJSON
  /// `_meta` of the request, carried through to `tool.invoke`.
  package var meta: CarriedJSON?
  package var delivery: Delivery
  package var claim: Claim
  package var warnings: [String]
  /// What the run may call and its model is told, when that is more than the params say.
  package var toolbox: CarriedJSON?
  /// How many changes of registrations are in it.
  package var changes = TakenChanges()
  /// Nil for a run outside sessions.
  package var turn: TurnPlace?
  /// It waits for the turn before it; the claim then only says who made it.
  package var isQueued = false
  /// The agent, when it was named by an id.
  package var storedAgent: AgentUse?
  /// Of a sub-agent's run.
  package var parent: ParentLink?
}

/// How many changes of registrations a run has taken; those that come later are still to be.
package struct TakenChanges: Sendable, Equatable {
  /// Of its session.
  package var session = 0
  /// Of the connection that began it: that of the process that made the run.
  package var connection = 0

  package init(session: Int = 0, connection: Int = 0) {
    self.session = session
    self.connection = connection
  }
}

/// An answer to a question, as the log has it.
package struct InputGiven: Sendable, Equatable {
  package var action: InputAnswer.Action
  package var by: ApprovalDecision.Door
  /// The name that the answering client gave itself.
  package var client: String?
  package var content: StoredValue?
}

/// A finished turn of the model.
package struct ModelMessage: Sendable, Equatable {
  package struct Call: Sendable, Equatable {
    package var callID: ULID
    package var name: String
    /// The arguments as JSON; text that is no JSON stands as a string.
    package var arguments: StoredValue
    /// Why the call is not dispatched; nil for a good one.
    package var refusal: String?
  }

  package var messageID: ULID
  /// A JSON string.
  package var text: StoredValue
  package var calls: [Call]
  package var usage: Usage
  package var stopReason: String
  /// As in `ModelTurn`.
  package var providerData: CarriedJSON?
}

package struct RunEnd: Sendable, Equatable {
  package var status: RunStatus
  package var stopReason: String?
  package var answer: StoredValue?
  package var structuredAnswer: StoredValue?
  package var fault: RunFault?
  /// The run whose turn took this one's input.
  package var mergedInto: ULID?
  /// Of a cancel.
  package var reason: String?
  package var partialText: StoredValue?
  /// Of a run that was to be merged: it was cancelled before there was a turn with its input, and leaves nothing in the conversation.
  package var isWithdrawn = false

  package init(_ status: RunStatus) { self.status = status }
}
