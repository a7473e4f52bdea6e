import JSON

/// How the run of a sub-agent stands with the runs above it, as far as its decisions need it.
package struct TreePlace: Sendable {
  /// Who drives the root, and with it the tree.
  package var rootOwner: OwnerID?
  /// The limits of the runs above, the nearest first.
  package var budgets: [Budget] = []

  package struct Budget: Sendable {
    package var limits: Limits
    /// By that run and all below it, but for the run that decides and those below that.
    package var tokensOfOthers: Int
    package var toolCallsOfOthers: Int
  }
}

extension RunState {
  /// What the run and its sub-agents have used.
  package func usage(with child: (ULID) -> RunState?) -> Usage {
    var sum = usage
    for childID in pendingChildren { if let state = child(childID) { sum += state.usage(with: child) } }
    return sum
  }

  /// The runs that answer pending calls.
  package var pendingChildren: [ULID] { hasPendingChildren ? batch.calls.compactMap { $0.isPending ? $0.child : nil } : [] }
  package var hasPendingChildren: Bool { batch.contains { $0.child != nil } }

  /// Server calls that are to be begun now, in order: one that must be alone waits until nothing else runs, and then nothing else is begun.
  /// Sub-agents that wait count as running, and client calls that are out. A call that a dead process had begun is begun again.
  func serverCallsToBegin(by own: OwnerID?) -> [Call] {
    if batch.tally.forServer == 0 { return [] }
    let mayBegin = batch.contains { $0.isForServer && $0.child == nil && ($0.attempt == 0 || $0.sender != own || own == nil) }
    guard mayBegin else { return [] }
    let pending = pendingServerCalls
    let running =
      pending.filter { $0.child != nil || ($0.attempt > 0 && $0.sender == own && own != nil) }
      + pendingClientCalls.filter { $0.attempt > 0 && !$0.isParked && !$0.isDeferred }
    var isAlone = running.contains { $0.tool?.runsAlone == true }
    var count = running.count
    var chosen: [Call] = []
    for call in pending where call.child == nil && (call.attempt == 0 || call.sender != own || own == nil) {
      let alone = call.tool?.runsAlone == true
      if isAlone || (alone && count > 0) { break }
      isAlone = alone
      count += 1
      chosen.append(call)
    }
    return chosen
  }

  /// Why the run does not work; nil when it does, or could.
  var halt: ChildHalt? {
    if status == .paused { return ChildHalt(status: .paused, fault: fault) }
    return shownStatus.isWaiting ? ChildHalt(status: status) : nil
  }
}

/// Calls of sub-agents. Each is answered by a run of its own, whose settling is an input here.
extension RunMachine {
  /// - Returns: false when it cannot be begun; it has its result then.
  mutating func beginChild(of call: Call, _ tool: Tool) -> Bool {
    let problem = context.roomBelow > 0 ? context.subAgentProblem(tool) : "there are as many runs as a tree of sub-agents can have at once"
    if let problem {
      complete(call.callID, .failure("The sub-agent '\(tool.name)' could not be started: \(problem)."))
      return false
    }
    context.roomBelow -= 1
    append(.childNamed(callID: call.callID, child: context.makeID()))
    append(.toolStarted(callID: call.callID, attempt: call.attempt + 1, sender: context.own))
    return true
  }

  /// Takes what has become of the run that answers a call. `load` reads what that run has stored, or is about to store.
  /// - Parameter goesOn: False at the end of the process: what is known is kept, and nothing is begun.
  mutating func childChanged(
    _ child: RunState, goesOn: Bool = true, load: (StoredValue) throws(StoreError) -> CarriedJSON
  ) {
    guard !state.status.hasEnded, let callID = child.parent?.callID, let call = state.call(callID), call.isPending,
      call.child == child.runID
    else { return }
    if child.status.hasEnded {
      complete(callID, checked(result(of: child, call, load), of: call.tool))
    } else if call.halt != child.halt {
      append(.childMoved(callID: callID, halt: child.halt))
    } else if child.owner != context.own || child.status != .running || (state.status == .running && state.owner == context.own) {
      return
    }
    guard goesOn else { return }
    // Who drives a run of the tree drives the tree: there is a place for it.
    if child.status == .running, child.owner == context.own { context.hasPlace = true }
    advance(cause: child.lastCause)
  }

  private func result(of child: RunState, _ call: Call, _ load: (StoredValue) throws(StoreError) -> CarriedJSON) -> ToolResult {
    switch child.status {
    case .success:
      do throws(StoreError) {
        var result = ToolResult()
        // Copied: a run may be deleted without those below it, and the other way round.
        result.content = [.text(.inline(try load(child.end?.answer ?? .inline(CarriedJSON(string: "")))))]
        result.isPlainText = true
        if let structured = child.end?.structuredAnswer { result.structuredContent = .inline(try load(structured)) }
        return result
      } catch { return .failure("The answer of the sub-agent '\(call.name)' could not be read from the store: \(error.message)") }
    case .maxIterations: return .failure("The sub-agent '\(call.name)' reached its limit of model turns before it had an answer.")
    case .cancelled:
      let reason = child.end?.reason.map { ": \($0)" } ?? "."
      return .failure("The sub-agent '\(call.name)' was cancelled\(reason)")
    default:
      let why = child.end?.fault.map { ": \($0.message) (\($0.kind.name))" } ?? "."
      return .failure("The sub-agent '\(call.name)' ended with an error\(why)")
    }
  }

  /// The run that was to answer a call could not be begun after all.
  mutating func childRefused(_ callID: ULID, _ why: String) {
    guard let call = state.call(callID), call.isPending else { return }
    complete(callID, .failure("The sub-agent '\(call.name)' could not be started: \(why)."))
    advance(cause: .resume)
  }

  /// The time of the call is over; its run is cancelled, as that of any call that has its result.
  mutating func childTimedOut(_ callID: ULID) {
    guard !state.status.hasEnded, !isDrivenElsewhere, let call = state.call(callID), call.isPending else { return }
    timeOut(call)
    goOnWhereDrivable(cause: .resume)
  }

  /// The same for all calls whose time is over by now: done by whoever touches the run, before anything else.
  /// - Parameter goesOn: False when the caller has the run go on.
  mutating func childrenDue(goesOn: Bool) {
    guard !state.status.hasEnded, !isDrivenElsewhere else { return }
    let calls = state.batch.filter { [now = context.now] in $0.isOverdue(at: now) }
    for call in calls { timeOut(call) }
    if goesOn, !calls.isEmpty { goOnWhereDrivable(cause: .resume) }
  }

  private mutating func timeOut(_ call: Call) {
    complete(call.callID, .failure("The sub-agent '\(call.name)' did not answer within \(call.tool?.timeoutMs ?? 0) ms and was cancelled."))
  }

  // MARK: For the run of a sub-agent

  /// Goes on with the driver of the tree: after a crash of the one before, or with results that somebody else has stored.
  mutating func followRoot() {
    guard !state.status.hasEnded, state.status != .paused, !isDrivenElsewhere else { return }
    context.hasPlace = true
    if state.status == .running { drive(cause: .recovery) }
    advance(cause: state.status == .running ? .recovery : .submit)
  }

  /// A run above it was paused in the middle of its work.
  mutating func suspend() {
    guard !state.status.hasEnded, state.status != .paused else { return }
    if state.modelAtWork != nil { perform(.abortModel) }
    perform(.stopServerTools)
    append(.paused(status: .paused, fault: nil))
  }

  /// From here on, client calls and questions go to this process' parent, as far as it takes them.
  mutating func adopt(delivery wanted: Delivery?, canInvoke: Bool) {
    guard !state.status.hasEnded else { return }
    if let wanted, wanted != state.delivery { append(.reconfigured(limits: nil, delivery: wanted)) }
    invokeHere(canInvoke)
    context.asksHere = true
  }

  /// Client calls go to the parent here from now on, if it takes them, and no longer to the one that has taken them over.
  mutating func invokeHere(_ canInvoke: Bool) {
    context.invokesHere = canInvoke && state.delivery == .invoke
    guard context.invokesHere, let taker = state.callTaker, taker != context.own else { return }
    append(.reconfigured(limits: nil, delivery: nil, taker: context.own))
  }
}
