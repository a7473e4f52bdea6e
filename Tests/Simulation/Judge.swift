import AgentRuntime
import JSON
import TestSupport

/// What must hold of every log, checked at every append, and of what clients were told, checked when they were.
final class Judge {
  /// A run as its log says it.
  private(set) var states: [ULID: RunState] = [:]
  /// In the order in which they were created.
  private(set) var runs: [ULID] = []
  private var results: [ULID: ToolResult] = [:]
  /// Calls for which some client was told that its result was accepted.
  private var accepted: Set<ULID> = []
  /// Processes whose lease was over at some time: what they claimed could be taken.
  var lapsed: Set<OwnerID> = []
  /// Runs that some client has resumed: only then may a call go out again that is not idempotent.
  var resumed: Set<ULID> = []
  private(set) var violation: String?
  private(set) var commits = 0

  func fault(_ words: @autoclosure () -> String) { if violation == nil { violation = words() } }

  func name(_ run: ULID) -> String { runs.firstIndex(of: run).map { "run\($0)" } ?? "run?" }

  // MARK: Appends

  /// The store has taken `appends` of the process.
  /// - Returns: what was added, for the trace.
  func take(_ appends: [Append], by process: OwnerID) -> [String] {
    commits += 1
    return appends.map { append in
      let runID = append.summary.runID
      for record in append.records { take(record, of: runID, by: process) }
      if var row = states[runID]?.summary {
        // After its store has failed under it, a process does not count as the driver, whatever the log says.
        if append.summary.owner?.number == 0 {
          lapsed.insert(process)
          row.owner = append.summary.owner
        }
        if row != append.summary { fault("the row of \(name(runID)) is not what its log says") }
      }
      let types = append.records.map(\.type).joined(separator: " ")
      return "\(name(runID)) \(append.expectedPosition + 1)-\(append.summary.lastPosition) epoch \(append.summary.epoch): \(types)"
    }
  }

  private func take(_ record: LogRecord, of runID: ULID, by process: OwnerID) {
    do throws(RuntimeError) {
      let (event, time) = try RunEvent.decode(record)
      guard let before = states[runID] else {
        guard case .started(let beginning) = event, let time else { return fault("a log does not begin with run.started") }
        runs.append(runID)
        states[runID] = try RunState(runID: runID, start: beginning, at: time)
        return
      }
      if record.position != before.position + 1 { fault("position \(record.position) of \(name(runID)) comes after \(before.position)") }
      if let sequence = record.sequence, sequence != before.sequence + 1 {
        fault("seq \(sequence) of \(name(runID)) comes after \(before.sequence)")
      }
      check(event, in: before, by: process)
      // Taken out, so that it is not copied.
      states[runID] = nil
      var after = before
      try after.apply(event, at: time ?? before.updatedAt)
      states[runID] = after
    } catch { fault("a record of \(name(runID)) does not fold: \(error.message)") }
  }

  private func check(_ event: RunEvent, in state: RunState, by process: OwnerID) {
    let run = name(state.runID)
    if state.status.hasEnded {
      switch event {
      case .toolRejected, .rejectionCounted: return
      default: return fault("\(event.type) of \(run) after its end")
      }
    }
    switch event {
    case .modelStarted:
      mustDrive(event, state, process)
      if state.modelAtWork != nil { fault("a model call of \(run) began while another was at work") }
      if state.batch.pendingCount > 0 { fault("a model call of \(run) began while calls were open") }
    case .modelCompleted, .modelRetried, .answerRejected: mustDrive(event, state, process)
    case .toolStarted(let callID, let attempt, let sender): check(callID, attempt, sender, in: state, by: process)
    case .toolCompleted(let callID, let result):
      if results.updateValue(result, forKey: callID) != nil { fault("a call of \(run) was completed twice") }
      if state.call(callID)?.need == nil { mustNotInterfere(event, state, process) }
    case .resumed(_, let claim):
      if claim.owner != process || claim.epoch != state.epoch + 1 { fault("a claim of \(run) is not its writer's, or skips an epoch") }
      mustNotInterfere(event, state, process)
    case .paused, .ended: mustNotInterfere(event, state, process)
    default: break
    }
  }

  private func check(_ callID: ULID, _ attempt: Int, _ sender: OwnerID, in state: RunState, by process: OwnerID) {
    let run = name(state.runID)
    guard let call = state.call(callID), call.isPending else { return fault("a call of \(run) was sent that is not pending") }
    if sender != process { fault("a call of \(run) was sent in the name of another process") }
    if attempt != call.attempt + 1 { fault("attempt \(attempt) of a call of \(run) comes after \(call.attempt)") }
    if call.needsApproval { fault("a call of \(run) was sent without approval") }
    if call.target == .server {
      mustDrive(.toolStarted(callID: callID, attempt: attempt, sender: sender), state, process)
      if attempt > 1, call.tool?.isIdempotent != true { fault("a server call of \(run) that may not be repeated was") }
    } else if attempt > 1, call.tool?.isIdempotent != true, !resumed.contains(state.runID) {
      fault("a call of \(run) that may not be repeated was sent again unasked")
    }
  }

  private func mustDrive(_ event: RunEvent, _ state: RunState, _ process: OwnerID) {
    if state.owner != process { fault("\(event.type) of \(name(state.runID)) by a process that does not drive it") }
  }

  /// Only its driver ends or halts a run that is driven; anybody else must have seen the lease end, or the driver say that it is none any more.
  private func mustNotInterfere(_ event: RunEvent, _ state: RunState, _ process: OwnerID) {
    guard let owner = state.owner, owner != process, owner.number != 0, !lapsed.contains(owner) else { return }
    fault("\(event.type) of \(name(state.runID)) by a process while another drives it")
  }

  // MARK: What clients are told

  /// A submit was answered with these verdicts.
  func told(_ verdicts: Verdicts, of given: [String: ToolResult]) {
    for (text, verdict) in verdicts.list {
      guard let callID = ULID(text), let result = given[text], !result.deferred else { continue }
      let stored = results[callID]
      switch verdict {
      case .accepted:
        if stored != result { fault("a result was acknowledged that is not in the log") }
        if !accepted.insert(callID).inserted { fault("two results of one call were accepted") }
      case .duplicate: if stored != result { fault("a result is called a duplicate of another one") }
      case .conflict: if stored == nil { fault("a result conflicts with nothing") }
      default: break
      }
    }
  }

  /// A client was told how a run stands: it has ended in the log too, in the same way.
  func told(_ outcome: RunOutcome) {
    guard outcome.status.hasEnded, let state = states[outcome.runID] else { return }
    if state.status != outcome.status { fault("\(name(outcome.runID)) was said to be \(outcome.status), and is \(state.status)") }
  }

  // MARK: The end

  /// Everything has come to its end; `processes` are those that live.
  func close(_ world: VirtualWorld, living processes: [VirtualProcess]) {
    for (runID, state) in states.sorted(by: { $0.key < $1.key }) {
      if !state.status.hasEnded {
        let calls = state.batch.calls.filter(\.isPending).map { call in
          "\(call.name)#\(call.attempt)\(call.isParked ? " parked" : "")\(call.isDeferred ? " deferred" : "") of \(call.sender?.number ?? 0)"
        }
        fault(
          "\(name(runID)) does not end: \(state.status), driven by \(state.owner?.number ?? 0); pending: \(calls.joined(separator: ", "))")
      }
      if world.disk.records(of: runID).count != state.position { fault("the log of \(name(runID)) is not what was appended") }
      if state.batch.pendingCount > 0 { fault("\(name(runID)) ended with an open call") }
      if !world.disk.records(of: runID).namedBlobs.isSubset(of: world.disk.blobs(of: runID)) {
        fault("\(name(runID)) names a blob that is not there, or that goes with another run")
      }
    }
    for process in world.processes { sight(process, world) }
    sendings(world)
    for process in processes {
      if !process.engine.isIdle { fault("a process still drives or waits when all runs have ended") }
      if !process.parent.openQuestions.isEmpty { fault("a question is left open") }
    }
  }

  /// What a client saw live is the log, without gaps, byte for byte.
  private func sight(_ process: VirtualProcess, _ world: VirtualWorld) {
    for (runID, events) in process.parent.events {
      let logged = world.disk.records(of: runID).filter { $0.sequence != nil }
      for (index, event) in events.enumerated() {
        if index > 0, event.sequence != events[index - 1].sequence + 1 {
          fault(
            "the client of owner \(process.store.owner.number) saw seq \(event.sequence) of \(name(runID)) after \(events[index - 1].sequence)"
          )
        }
        guard event.sequence <= logged.count, logged[event.sequence - 1].event == event.bytes else {
          fault("a client saw what is not in the log of \(name(runID))")
          return
        }
      }
    }
  }

  private func sendings(_ world: VirtualWorld) {
    var sent: Set<String> = []
    var ran: Set<String> = []
    var once: Set<ULID> = []
    for process in world.processes {
      for invocation in process.parent.invocations.map(\.request) where !sent.insert("\(invocation.callID)#\(invocation.attempt)").inserted
      {
        fault("a call was sent twice with one attempt")
      }
      for call in process.tools.runs.map(\.call) {
        if !ran.insert("\(call.callID)#\(call.attempt)").inserted { fault("a server tool ran twice with one attempt") }
        if !call.tool.isIdempotent, !once.insert(call.callID).inserted { fault("a server tool that may not be repeated ran twice") }
      }
    }
  }
}
