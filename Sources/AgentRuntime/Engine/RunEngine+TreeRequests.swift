import JSON

/// Requests about a run that has others below or above it.
extension RunEngine {
  /// Gives the run, and those below it, what is submitted.
  func submit(_ submission: Submission, to run: LiveRun, _ machine: inout RunMachine) throws(RuntimeError) -> Verdicts {
    let below = run.tree?.below(run) ?? []
    let ended = try endedRuns(below: machine.state, named: submission, besides: below)
    if below.isEmpty, ended.isEmpty { return try machine.submit(submission) }
    for run in below { prepare(run) }
    var machines = [machine] + below.map(\.machine) + ended
    var goesOn = false
    defer {
      machine = machines[0]
      for (index, run) in below.enumerated() {
        run.machine = machines[index + 1]
        if run.machine.hasOutput { markDirty(run) }
      }
    }
    let taken = Set([run.runID] + below.map(\.runID))
    let above = run.tree?.fromTheRoot.filter { !taken.contains($0.runID) } ?? []
    let verdicts = try RunMachine.submit(
      submission, to: &machines,
      mayGoOn: { () throws(RuntimeError) in for member in above { try checkDrivable(member.state) } }, goesOn: &goesOn)
    if goesOn {
      for member in above {
        prepare(member)
        member.machine.adopt(delivery: submission.delivery, canInvoke: submission.canInvoke)
        if member.machine.hasOutput { markDirty(member) }
      }
    }
    return verdicts
  }

  /// Runs below that have ended and have calls that a submit names: it may be one that was answered and comes again.
  private func endedRuns(
    below state: RunState, named submission: Submission, besides living: [LiveRun]
  ) throws(RuntimeError) -> [RunMachine] {
    if state.children.isEmpty { return [] }
    let texts =
      (submission.results ?? []).map(\.callID) + (submission.approvals ?? []).map(\.callID) + (submission.inputs ?? []).map(\.callID)
    var unknown = Set(texts.compactMap { ULID($0) }.filter { !state.knows($0) })
    for run in living {
      if unknown.isEmpty { return [] }
      // What is pending is what a submit names, as a rule.
      for call in run.state.awaitedCalls { unknown.remove(call.callID) }
    }
    for run in living where !unknown.isEmpty { unknown = unknown.filter { !run.state.knows($0) } }
    var found: [RunMachine] = []
    var queue = state.children + living.flatMap(\.state.children)
    let known = Set(living.map(\.runID))
    var next = 0
    while !unknown.isEmpty, next < queue.count {
      let runID = queue[next]
      next += 1
      guard !known.contains(runID), let child = below(runID) else { continue }
      queue += child.children
      guard child.status.hasEnded, unknown.contains(where: { child.knows($0) }) else { continue }
      unknown = unknown.filter { !child.knows($0) }
      found.append(RunMachine(state: child, context: context(for: runID, invokesHere: false)))
    }
    return found
  }

  /// Takes up the tree of a run; limits are the run's own. `machine` is the root's.
  func resume(_ run: LiveRun, _ resumption: RunMachine.Resumption, _ machine: inout RunMachine) throws(RuntimeError) {
    guard let tree = run.tree else { return try machine.resume(resumption) }
    let below = tree.fromTheRoot.filter { $0 !== tree.root && !$0.state.status.hasEnded }
    if !machine.isDrivenElsewhere { for member in below { try checkDrivable(member.state) } }
    try machine.checkResumable()
    if run === tree.root {
      machine.reconfigure(by: resumption)
      tree.note(run, machine.state)
    } else if !run.state.status.hasEnded {
      prepare(run)
      run.machine.reconfigure(by: resumption)
      markDirty(run)
    }
    var others = resumption
    others.limits = nil
    // By the limits that are given now.
    for member in below { prepare(member) }
    // The lowest first: a run whose sub-agent is paused would pause again.
    for member in below.reversed() {
      member.machine.context.hasPlace = true
      try member.machine.resume(others)
      if member.machine.hasOutput { markDirty(member) }
      let read: (StoredValue) throws(StoreError) -> CarriedJSON = { (value) throws(StoreError) in try member.machine.load(value) }
      if let above = tree.parent(of: member), above !== tree.root {
        above.machine.childChanged(member.state, goesOn: false, load: read)
      } else {
        machine.childChanged(member.state, goesOn: false, load: read)
      }
    }
    try machine.resume(others)
  }
}
