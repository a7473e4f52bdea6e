import JSON

/// Asking the parent: `approval.request` and `elicitation/create`.
extension RunEngine {
  func ask(_ callID: ULID, _ run: LiveRun) {
    let runID = run.runID
    guard let parent, let call = run.state.call(callID), call.need == .approval || call.need == .input else { return }
    let request: ParentRequest
    do throws(RuntimeError) { request = try self.request(about: call, run) } catch {
      let words = "what is asked could not be read from the store: \(error.message)"
      return input(run) { (machine) throws(RuntimeError) in machine.parentAnswered(callID, .broken(words)) }
    }
    run.lastQuestion += 1
    let number = run.lastQuestion
    let exchange = parent.ask(
      request, progress: { _ in }, reply: { [host] reply in host.post { $0.answered(runID, callID, number, reply) } })
    run.questions.removeValue(forKey: callID)?.exchange.cancel(reason: "asked again")
    run.questions[callID] = (number, exchange)
  }

  private func answered(_ runID: ULID, _ callID: ULID, _ number: Int, _ reply: ParentReply) {
    // What was taken back meanwhile is answered elsewhere.
    guard let run = live[runID], run.questions[callID]?.number == number else { return }
    run.questions[callID] = nil
    input(run) { (machine) throws(RuntimeError) in machine.parentAnswered(callID, reply) }
  }

  private func request(about call: Call, _ run: LiveRun) throws(RuntimeError) -> ParentRequest {
    var writer = JSONWriter(capacity: 512)
    writer.beginObject()
    if call.need == .input {
      let question = try run.machine.question(of: call)
      writer.member("message", question.message)
      writer.member("requestedSchema", question.schema)
      writer.key("_meta")
      writer.beginObject()
      writer.member("runId", run.runID.text)
      writer.member("callId", call.callID.text)
      Self.write(run.state.meta, besides: ["runId", "callId", "progressToken"], to: &writer)
      writer.endObject()
      writer.endObject()
      return ParentRequest(
        .elicitation, runID: run.runID, params: CarriedJSON(trusted: writer.finish()), afterSequence: run.state.sequence,
        carrying: InputAnswer.carriedPaths)
    }
    let arguments = try read { () throws(StoreError) in try load(call.arguments) }
    writer.member("runId", run.runID.text)
    writer.member("callId", call.callID.text)
    writer.member("name", call.name)
    writer.member("target", call.target.rawValue)
    writer.member("arguments", arguments)
    writer.member("description", call.tool?.description ?? "")
    writer.member("expiresAt", ifPresent: call.expiresAt?.text)
    if let meta = run.state.meta {
      writer.key("_meta")
      writer.beginObject()
      Self.write(meta, besides: ["progressToken"], to: &writer)
      writer.endObject()
    }
    writer.endObject()
    return ParentRequest(
      .approval, runID: run.runID, params: CarriedJSON(trusted: writer.finish()), afterSequence: run.state.sequence,
      carrying: ApprovalAnswer.carriedPaths)
  }

  static func write(_ meta: CarriedJSON?, besides left: Set<String>, to writer: inout JSONWriter) {
    meta?.forEachMember { name, value in
      if left.contains(name.text) { return }
      writer.key(name)
      writer.value(value)
    }
  }

  /// Takes back what is asked here about calls that somebody else has settled, or taken to another parent.
  func withdrawForeign(_ run: LiveRun) {
    for (callID, question) in run.questions {
      let call = run.state.call(callID)
      let isOurs = call?.sender == store.owner && call?.isParked == false && !run.state.status.hasEnded
      if isOurs, call?.need == .approval || call?.need == .input { continue }
      run.questions[callID] = nil
      question.exchange.cancel(reason: "answered elsewhere")
    }
  }

  /// Whether something that others did lets the run do more in this process, which drives it or has its parent.
  func canGoOnHere(_ run: LiveRun) -> Bool {
    let state = run.state
    if run.isDriven(by: store.owner) {
      return !state.serverCallsToBegin(by: store.owner).isEmpty || state.batch.contains { state.standingDecision(for: $0) != nil }
    }
    guard state.status.isWaiting else { return false }
    if let tree = run.tree, run !== tree.root, tree.root.isDriven(by: store.owner) { return state.hasWork }
    let sendsHere = run.machine.sendsHere
    return (sendsHere && state.batch.tally.unsent > 0)
      || ((sendsHere || run.machine.context.asksHere) && state.hasWork)
  }

  /// Keeps a timer for the approval that is the next to come too late.
  func armExpiry(_ run: LiveRun) {
    if let timer = run.expiryTimer {
      timers.cancel(timer)
      run.expiryTimer = nil
    }
    guard run.state.batch.tally.expiring > 0, !run.state.status.hasEnded, !isEnding else { return }
    let state = run.state
    var next: Int?
    for call in state.awaitedCalls {
      guard let expiresAt = call.expiresAt else { continue }
      var delay = expiresAt.milliseconds - host.wallClock().milliseconds
      // The process whose parent is asked comes first.
      if call.sender != store.owner, state.isOpen(call, isAlive: { isAlive($0) }) { delay += RunMachine.askerMilliseconds }
      next = min(next ?? .max, max(1, delay))
    }
    guard let next else { return }
    run.expiryTimer = after(milliseconds: next) { [unowned self, weak run] in
      guard let run else { return }
      run.expiryTimer = nil
      input(run) { (machine) throws(RuntimeError) in machine.approvalsDue() }
    }
  }
}
