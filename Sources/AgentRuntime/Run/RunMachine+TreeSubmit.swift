import JSON

/// A submit to a run whose sub-agents wait for something too: judged and taken as a whole, over every log that it touches.
extension RunMachine {
  /// - Parameters:
  ///   - machines: The run that is submitted to, then the runs below it, those that have ended among them: they may have the duplicates.
  ///   - mayGoOn: Called before anything is taken, when a run is to go on here; throws what keeps this bridge from that.
  ///   - goesOn: Set when a run goes on, or a call goes out, so that the runs above have this parent from here on.
  /// - Throws: as `submit`; nothing is claimed then.
  static func submit(
    _ submission: Submission, to machines: inout [RunMachine], mayGoOn: () throws(RuntimeError) -> Void, goesOn: inout Bool
  ) throws(RuntimeError) -> Verdicts {
    var expired: [Int] = []
    for index in machines.indices where machines[index].denyExpired() { expired.append(index) }
    defer { for index in expired { machines[index].goOnAfterExpiry() } }
    let parts = split(submission, over: machines)
    var judged: [JudgedSubmission] = []
    for (index, part) in parts.enumerated() { judged.append(try machines[index].judge(part)) }
    let whole = JudgedSubmission(judged, parts, of: submission)
    if whole.saysNothingNew { return whole.verdicts }
    if machines[0].state.status.hasEnded || machines[0].state.cancelRequest != nil {
      throw machines[0].refuseEnded(submission, whole.verdicts)
    }
    if submission.isPartial {
      for (index, part) in parts.enumerated() { machines[index].keepEvidence(part, judged[index].verdicts) }
    } else {
      if whole.has(.conflict) {
        for (index, part) in parts.enumerated() { machines[index].keepEvidence(part, judged[index].verdicts, only: .conflict) }
        throw machines[0].refusal(.runAlreadyClaimed, "what is stored for this call says something else", whole.verdicts)
      }
      let awaited = machines.flatMap { $0.state.status.hasEnded ? [] : $0.state.awaitedCalls }
      if awaited.isEmpty {
        for (index, part) in parts.enumerated() { machines[index].keepEvidence(part, judged[index].verdicts, only: .unknown) }
        throw machines[0].refusal(.runNotWaiting, "the run has no pending call", whole.verdicts)
      }
      try machines[0].checkExact(submission, whole, awaited: awaited)
      if let problem = whole.problem {
        throw machines[0].refusal(.invalidParams, problem.words, whole.verdicts, at: problem.pointer)
      }
    }
    var consequence = Consequence()
    for (index, part) in parts.enumerated() {
      let own = machines[index].consequence(of: judged[index], part)
      consequence.goesOn = consequence.goesOn || own.goesOn
      consequence.opensCall = consequence.opensCall || own.opensCall
    }
    if consequence.goesOn {
      for machine in machines where !machine.state.status.hasEnded { try machine.context.checkDrivable(machine.state) }
      try mayGoOn()
    }
    try machines[0].replaceTools(submission)
    if consequence.goesOn || consequence.opensCall {
      goesOn = true
      for index in machines.indices { machines[index].adopt(delivery: submission.delivery, canInvoke: submission.canInvoke) }
    }
    take(judged, &machines)
    return whole.verdicts
  }

  /// The lowest first: what a run comes to wait for, and lists, is what those below it have come to by this.
  private static func take(_ judged: [JudgedSubmission], _ machines: inout [RunMachine]) {
    let below = Shared<[ULID: RunState]>([:])
    var changed: [ULID: [RunMachine]] = [:]
    for index in machines.indices.reversed() {
      let before = machines[index].state.position
      let known = machines[index].context.child
      machines[index].context.child = { runID in below.value[runID] ?? known(runID) }
      machines[index].hear(of: changed[machines[index].state.runID] ?? [], goesOn: judged[index].isEmpty)
      machines[index].take(judged[index])
      machines[index].context.child = known
      let state = machines[index].state
      below.value[state.runID] = state
      if let parent = state.parent?.runID, state.position != before { changed[parent, default: []].append(machines[index]) }
    }
  }

  /// Takes what those below it have come to by a submit.
  /// - Parameter goesOn: False when its own part of the submit has it go on, or say what it waits for.
  private mutating func hear(of children: [RunMachine], goesOn: Bool) {
    // Whoever drives the tree sees it for himself.
    if children.isEmpty || isDrivenElsewhere { return }
    for child in children {
      if child.state.status == .running, child.state.owner == context.own { context.hasPlace = true }
      childChanged(child.state, goesOn: false) { (value) throws(StoreError) in try child.load(value) }
    }
    if goesOn { goOnWhereDrivable(cause: .submit) }
  }

  /// Each entry for the run that has its call; what none has for the first.
  private static func split(_ submission: Submission, over machines: [RunMachine]) -> [Submission] {
    // What is pending is what a submit names, as a rule; the rest is looked for.
    var awaiting: [ULID: Int] = [:]
    for index in machines.indices { for call in machines[index].state.awaitedCalls { awaiting[call.callID] = index } }
    func place(_ text: String) -> Int {
      guard let callID = ULID(text) else { return 0 }
      return awaiting[callID] ?? machines.firstIndex { $0.state.knows(callID) } ?? 0
    }
    var none = submission
    if none.results != nil { none.results = [] }
    if none.approvals != nil { none.approvals = [] }
    if none.inputs != nil { none.inputs = [] }
    var parts = Array(repeating: none, count: machines.count)
    for given in submission.results ?? [] { parts[place(given.callID)].results?.append(given) }
    for given in submission.approvals ?? [] { parts[place(given.callID)].approvals?.append(given) }
    for given in submission.inputs ?? [] { parts[place(given.callID)].inputs?.append(given) }
    return parts
  }
}

extension RunState {
  func knows(_ callID: ULID) -> Bool {
    call(callID) != nil || resultSequences[callID] != nil || decisionSequences[callID] != nil || answerSequences[callID] != nil
  }
}

extension JudgedSubmission {
  /// All parts of a submit together.
  fileprivate init(_ judged: [JudgedSubmission], _ parts: [Submission], of whole: Submission) {
    self.init()
    for (judged, part) in zip(judged, parts) {
      for (callID, verdict) in judged.verdicts.list { verdicts.set(callID, verdict) }
      results += judged.results
      approvals += judged.approvals
      inputs += judged.inputs
      doubles += judged.doubles
      if problem == nil { problem = judged.problem.map { (whole.pointer(for: $0.pointer, in: part), $0.words) } }
    }
  }
}

extension Submission {
  private func callIDs(_ kind: Substring) -> [String] {
    switch kind {
    case "results": (results ?? []).map(\.callID)
    case "approvals": (approvals ?? []).map(\.callID)
    default: (inputs ?? []).map(\.callID)
    }
  }

  /// Where in the whole of it a place in a part is: `/approvals/0/arguments` may be its `/approvals/2/arguments`.
  fileprivate func pointer(for pointer: String, in part: Submission) -> String {
    let steps = pointer.split(separator: "/")
    guard steps.count > 1, let index = Int(steps[1]), part.callIDs(steps[0]).indices.contains(index),
      let place = callIDs(steps[0]).firstIndex(of: part.callIDs(steps[0])[index])
    else { return pointer }
    return "/" + ([String(steps[0]), String(place)] + steps.dropFirst(2).map(String.init)).joined(separator: "/")
  }
}
