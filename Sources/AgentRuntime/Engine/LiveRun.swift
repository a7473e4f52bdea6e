import Synchronization

/// A run that this process has in memory: because it drives it, has its calls out, or somebody waits for it. Only the engine's thread touches it.
final class LiveRun {
  /// One thing to decide, kept until its records are in the log: a conflict means deciding again on what the log then says.
  struct Input {
    var decide: (inout RunMachine) throws(RuntimeError) -> Void
    /// When durable, before its events are published.
    var committed: (LiveRun) -> Void
    /// When published; with the error that `decide` threw, or the store's.
    var answered: (LiveRun, RuntimeError?) -> Void
    var error: RuntimeError?
  }

  struct Waiter {
    enum Condition { case settled, paused, ended }
    var token: WaitToken
    var condition: Condition
    var verdicts: Verdicts?
    var timer: Timers.Token?
    var reply: RunReply
  }

  let runID: ULID
  var machine: RunMachine
  /// As in its state; here, because it can be asked for while the machine decides.
  let link: ParentLink?
  /// With the runs of its sub-agents, or of the agent whose sub-agent it is.
  var tree: RunTree?
  /// What that tree knows of it.
  var notes = RunTree.Notes()
  /// The last position that is in the log.
  var committed: Int
  /// The epoch there.
  var committedEpoch = 0
  /// The last position when it was brought into memory; 0 for a run that began here.
  var loadedAt = 0
  var inputs: [Input] = []
  var isDirty = false
  var waiters: [Waiter] = []

  /// What the provider has made of the transcript so far.
  var modelCache = ModelCache()
  /// The messages of the turns before this one in its session, then its own as far as a model has been shown them.
  var shown: (messages: ShownMessages, own: Int, compactions: Int)?
  /// A turn that begins when what was decided with it is in the log, if it could be prepared, and of how many entries the cache knew before.
  var preparedTurn: (messageID: ULID, turn: (any PreparedTurn)?, known: Int)?
  /// Its provider has said that there is nothing to prepare.
  var needsNoPreparation = false
  /// Changes of the connection up to this one made no difference to its toolbox, so its log says nothing of them.
  var idleConnectionChanges = 0
  /// What follows from its end in its session is done.
  var turnIsOver = false
  /// Another run that must not have gone on for what was decided to hold.
  var restsOn: RunSummary?
  /// A new run: changes of the session that are made with its first record.
  var firstDocuments: [DocumentWrite] = []
  /// Called when those did not fit, instead of giving the run up.
  var placeWasTaken: (() -> Void)?
  /// This bridge cannot carry it on.
  var couldNotBegin = false
  /// Waits for the quiet after which it begins.
  var quietTimer: Timers.Token?
  var modelCall: (messageID: ULID, call: any ModelCall, partial: PartialText)?
  /// By call. An attempt that was stopped may still tell its end when the next one runs.
  var runningTools: [ULID: (attempt: Int, tool: any RunningTool)] = [:]
  /// Its hold on the agent's MCP servers, from when they are first needed.
  var servers: HeldServers?
  /// Whether a server may ask the run's model, once and for all.
  var samplingDecisions: [String: ApprovalAnswer] = [:]
  /// Calls whose request is with the parent or on its way there.
  var outCalls: Set<ULID> = []
  /// What the parent is asked about calls: approvals and questions that are with it, or on their way there.
  var questions: [ULID: (number: Int, exchange: any ParentExchange)] = [:]
  var lastQuestion = 0
  /// When the next approval comes too late.
  var expiryTimer: Timers.Token?
  /// Timers of calls that are out or wait for another attempt.
  var callTimers: [ULID: Timers.Token] = [:]
  /// Those of calls of sub-agents.
  var childTimers: [ULID: Timers.Token] = [:]
  var deadlineTimer: Timers.Token?
  /// Continues as soon as fewer runs are driven.
  var waitsForPlace = false

  init(machine: RunMachine, committed: Int) {
    runID = machine.state.runID
    link = machine.state.parent
    self.machine = machine
    self.committed = committed
  }

  /// Lent, not copied: it has many parts.
  var state: RunState { _read { yield machine.state } }

  /// How many runs stand above it.
  var depth: Int { link?.depth ?? 0 }

  /// It has ended or is paused: it waits neither for a place nor for quiet any more.
  var isOver: Bool { state.status.hasEnded || state.status == .paused }

  func isDriven(by owner: OwnerID) -> Bool { state.status == .running && state.owner == owner }

  /// Not in the log yet, and to wait behind others, for whom that changes nothing.
  var isNewInQueue: Bool { committed == 0 && !state.hasBegun }

  /// Something was decided, or is to be, that is not in the log yet.
  var isDeciding: Bool { isDirty || !inputs.isEmpty }

  /// All that the run says here is in the log. What is on its way there may still be refused.
  var isInLog: Bool { !isDeciding && state.position == committed }

  /// Whether anything in this process still needs the run in memory.
  func isNeeded(by owner: OwnerID) -> Bool {
    isDeciding || !waiters.isEmpty || modelCall != nil || !runningTools.isEmpty || !callTimers.isEmpty || !questions.isEmpty
      || waitsForPlace || isDriven(by: owner) || quietTimer != nil || (!state.hasBegun && !state.status.hasEnded && state.creator == owner)
      || (!state.status.hasEnded && (state.callTaker == owner || hasAsked(owner)))
  }

  private func hasAsked(_ owner: OwnerID) -> Bool { state.batch.contains { $0.need != nil && $0.sender == owner && !$0.isParked } }
}

/// The streamed text of a message so far; written by the provider's thread, read when the run is cancelled.
final class PartialText: Sendable {
  private let content = Mutex((text: "", isFrozen: false))

  /// - Returns: false when the text is closed: then nothing of it may be shown.
  func append(_ more: String) -> Bool {
    content.withLock { content in
      if !content.isFrozen { content.text += more }
      return !content.isFrozen
    }
  }

  func clear() { content.withLock { $0.text = "" } }

  var current: String { content.withLock { $0.text } }
  var isFrozen: Bool { content.withLock { $0.isFrozen } }

  /// The text as it is shown, and stays.
  func freeze() -> String {
    content.withLock { content in
      content.isFrozen = true
      return content.text
    }
  }
}

/// Names one wait, so that it can be ended.
package typealias WaitToken = Int

/// What a request about a run is answered with.
package struct RunAnswer: Sendable {
  package var outcome: RunOutcome
  package var verdicts: Verdicts?
  /// What in the request was not taken as written, in words that begin with its pointer.
  package var warnings: [String] = []
}

extension Result<RunAnswer, RuntimeError> {
  package func noting(_ warnings: [String]) -> Self {
    map { answer in
      var answer = answer
      answer.warnings += warnings
      return answer
    }
  }
}

/// Called on the engine's thread.
package typealias RunReply = (Result<RunAnswer, RuntimeError>) -> Void
