import JSON

/// Performing what the machines decided, and taking what comes of it.
extension RunEngine {
  func publish(_ runID: ULID, _ records: [LogRecord]) {
    guard let last = watched[runID] else { return }
    let events = records.compactMap { record -> PublishedEvent? in
      guard let sequence = record.sequence, let bytes = record.event, sequence > last else { return nil }
      return PublishedEvent(sequence: sequence, type: record.type, bytes: bytes)
    }
    show(runID, events)
  }

  func perform(_ effect: RunEffect, _ run: LiveRun) {
    switch effect {
    // When the process is about to end, who takes the run up asks the model.
    case .callModel(let messageID): if !isEnding { callModel(messageID, run) }
    case .abortModel:
      run.modelCall?.call.cancel()
      run.modelCall = nil
    case .runServerTool(let callID, let attempt): runServerTool(callID, attempt, run)
    case .stopServerTools:
      for running in run.runningTools.values { running.tool.stop() }
      run.runningTools = [:]
    case .invoke(let callID, let attempt): invoke(callID, attempt, run)
    case .cancelInvocations(let callID, let reason):
      stopTimer(of: callID, run)
      parent?.cancelInvocation(callID, reason: reason)
    case .closeInvocations(let callID):
      stopTimer(of: callID, run)
      run.outCalls.remove(callID)
      parent?.closeInvocations(of: callID)
    case .retryInvocation(let callID, let delay):
      stopTimer(of: callID, run)
      run.callTimers[callID] = after(milliseconds: delay) { [unowned self, weak run] in
        guard let run else { return }
        run.callTimers[callID] = nil
        input(run) { (machine) throws(RuntimeError) in machine.retryDue(callID) }
      }
    case .ask(let callID): ask(callID, run)
    case .withdraw(let callID, let reason): run.questions.removeValue(forKey: callID)?.exchange.cancel(reason: reason)
    case .log(let message): host.log(message)
    case .summarize(let messageID, let plan): if !isEnding { summarize(messageID, plan, run) }
    case .askServers: askServers(run)
    case .waitForPlace:
      if !run.waitsForPlace { placeQueue.append(run.runID) }
      run.waitsForPlace = true
    case .continueCalls: input(run) { (machine) throws(RuntimeError) in machine.advance(cause: .resume) }
    }
  }

  private func stopTimer(of callID: ULID, _ run: LiveRun) {
    if let timer = run.callTimers.removeValue(forKey: callID) { timers.cancel(timer) }
  }

  // MARK: What is reported

  /// Something a run's work reports, when the run is still here.
  func signal(_ runID: ULID, _ decide: @escaping (inout RunMachine) -> Void) {
    guard !isEnding, let run = live[runID] else { return }
    input(run) { (machine) throws(RuntimeError) in decide(&machine) }
  }

  // MARK: Server tools

  private func runServerTool(_ callID: ULID, _ attempt: Int, _ run: LiveRun) {
    let runID = run.runID
    guard let call = run.state.call(callID), let tool = call.tool else { return }
    let arguments: CarriedJSON
    do throws(StoreError) { arguments = try load(call.arguments) } catch {
      let result = ToolResult.failure("The arguments could not be read from the store: \(error.message)")
      return input(run) { (machine) throws(RuntimeError) in machine.serverToolFinished(callID, attempt: attempt, result) }
    }
    let completion: @Sendable (ToolResult) -> Void = { [host] result in
      host.post { engine in
        guard let run = engine.live[runID], run.runningTools[callID]?.attempt == attempt else { return }
        run.runningTools[callID] = nil
        engine.signal(runID) { machine in machine.serverToolFinished(callID, attempt: attempt, result) }
      }
    }
    let show = streamer(of: runID)
    if let route = tool.route {
      let call = MCPCall(
        runID: runID, callID: callID, route: route, name: tool.name, arguments: arguments, timeoutMilliseconds: tool.timeoutMs,
        meta: run.state.meta)
      let running = startServerCall(call, run, progress: { show(.toolProgress(callID: callID, $0)) }, completion: completion)
      run.runningTools[callID] = (attempt, running)
      return
    }
    let running = serverTools.start(
      ServerToolCall(runID: runID, callID: callID, tool: tool, arguments: arguments, attempt: attempt),
      progress: { stream, text in show(.toolProgress(callID: callID, Self.progress(stream, text))) }, completion: completion)
    run.runningTools[callID] = (attempt, running)
  }

  private static func progress(_ stream: String, _ text: String) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("stream", stream)
    writer.member("text", text)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  // MARK: tool.invoke

  private func invoke(_ callID: ULID, _ attempt: Int, _ run: LiveRun) {
    let runID = run.runID
    guard let parent, let call = run.state.call(callID), call.isPending else { return }
    let arguments: CarriedJSON
    do throws(StoreError) { arguments = try load(call.arguments) } catch {
      let words = "The arguments could not be read from the store: \(error.message)"
      return input(run) { (machine) throws(RuntimeError) in
        try machine.invocationAnswered(callID, attempt: attempt, .error(words, bytes: 0))
      }
    }
    let timeout = call.tool?.timeoutMs ?? run.state.agent.clientTools?.invokeTimeoutMs ?? 30000
    let invocation = ToolInvocation(
      runID: runID, sessionID: run.state.turn?.sessionID, callID: callID, name: call.name, arguments: arguments, attempt: attempt,
      timeoutMilliseconds: timeout,
      meta: run.state.meta, afterSequence: run.state.sequence)
    run.outCalls.insert(callID)
    parent.invoke(
      invocation,
      sent: { [host] in host.post { $0.startInvocationTimer(runID, callID, attempt, milliseconds: timeout) } },
      progress: { [host, show = streamer(of: runID)] params in
        show(.toolProgress(callID: callID, params))
        host.post { $0.startInvocationTimer(runID, callID, attempt, milliseconds: timeout) }
      },
      reply: { [host] reply in
        host.post { engine in engine.invocationReplied(runID, callID, attempt, reply) }
      })
  }

  /// (Re)starts the timeout of an attempt that is still the call's last. The timer of a call that waits for another attempt is that attempt's.
  private func startInvocationTimer(_ runID: ULID, _ callID: ULID, _ attempt: Int, milliseconds: Int) {
    guard let run = live[runID], let call = run.state.call(callID), call.isPending, call.attempt == attempt, call.sender == store.owner,
      !call.isDeferred, !call.isParked, !run.machine.beside.awaitingRetry.contains(callID)
    else { return }
    stopTimer(of: callID, run)
    run.callTimers[callID] = after(milliseconds: milliseconds) { [host, weak run, weak parent] in
      run?.callTimers[callID] = nil
      let isOver: @Sendable () -> Void = { host.post { $0.invocationTimedOut(runID, callID, attempt) } }
      // The process may have stood still: an answer that is there by now has come in time.
      if let parent { parent.afterPresentAnswers(isOver) } else { isOver() }
    }
  }

  private func invocationTimedOut(_ runID: ULID, _ callID: ULID, _ attempt: Int) {
    // Progress has come that gives it more time.
    guard let run = live[runID], run.callTimers[callID] == nil else { return }
    input(run) { (machine) throws(RuntimeError) in machine.invocationTimedOut(callID, attempt: attempt) }
  }

  private func invocationReplied(_ runID: ULID, _ callID: ULID, _ attempt: Int, _ reply: InvocationReply) {
    do throws(RuntimeError) {
      // One in memory may be behind the log: then the append conflicts, and it decides again.
      let run = if let known = live[runID] { known } else { try runOfLateAnswer(runID) }
      // The timer of a call that waits for another attempt is that attempt's.
      if let call = run.state.call(callID), call.attempt == attempt, !run.machine.beside.awaitingRetry.contains(callID) {
        stopTimer(of: callID, run)
      }
      input(run) { (machine) throws(RuntimeError) in
        try machine.invocationAnswered(callID, attempt: attempt, reply)
      } answered: { [host] _, error in
        if let error { host.log("a late answer to call \(callID) could not be compared with its result: \(error.message)") }
      }
    } catch { host.log("an answer to call \(callID) could not be kept: \(error.message)") }
  }

  /// A run that was out of memory goes on with the parent that answers a call of it.
  private func runOfLateAnswer(_ runID: ULID) throws(RuntimeError) -> LiveRun {
    let run = try run(runID)
    for run in run.tree.map({ Array($0.members.values) }) ?? [run] {
      run.machine.setParent(invokesHere: run.state.delivery == .invoke && parent?.answersInvocations == true, asksHere: true)
    }
    return run
  }

  // MARK: Deadline

  /// Keeps a timer for what is left of `deadlineMs` while this process drives the run.
  func armDeadline(_ run: LiveRun) {
    if let timer = run.deadlineTimer {
      timers.cancel(timer)
      run.deadlineTimer = nil
    }
    guard let most = run.state.limits.deadlineMs, run.isDriven(by: store.owner) else { return }
    let since = host.wallClock().milliseconds - run.state.drivenUntil.milliseconds
    let left = max(0, most - run.state.drivenMilliseconds - max(0, since))
    run.deadlineTimer = after(milliseconds: left) { [unowned self, weak run] in
      guard let run else { return }
      run.deadlineTimer = nil
      input(run) { (machine) throws(RuntimeError) in machine.deadlinePassed() }
    }
  }

  // MARK: Places

  /// Lets runs go on that waited because `maxConcurrentRuns` were driven.
  func givePlaces() {
    while !placeQueue.isEmpty, driven.count < limits.maxConcurrentRuns {
      guard let run = live[placeQueue.removeFirst()], run.waitsForPlace else { continue }
      run.waitsForPlace = false
      if run.state.hasBegun {
        input(run) { (machine) throws(RuntimeError) in machine.advance(cause: .submit) }
      } else {
        lookAfterQueued(run)
        // It may not be its turn any more.
        if !run.isDeciding { continue }
      }
      return
    }
  }

  // MARK: Foreign changes

  /// Another process has appended: what no longer holds here is ended.
  func reconcile(_ run: LiveRun) {
    let state = run.state
    if run.modelCall != nil, state.modelAtWork != run.modelCall?.messageID || state.owner != store.owner {
      run.modelCall?.call.cancel()
      run.modelCall = nil
      liveText.end(run.runID)
    }
    for (callID, running) in run.runningTools where state.call(callID)?.isPending != true || state.call(callID)?.sender != store.owner {
      running.tool.stop()
      run.runningTools[callID] = nil
    }
    for callID in run.outCalls where state.call(callID)?.isPending != true || state.call(callID)?.sender != store.owner {
      run.outCalls.remove(callID)
      stopTimer(of: callID, run)
      parent?.cancelInvocation(callID, reason: "answered elsewhere")
      parent?.closeInvocations(of: callID)
    }
    withdrawForeign(run)
    if let owner = state.owner, owner != store.owner, let last = watched[run.runID], !observing.contains(run.runID) {
      observe(run.runID, true, after: last)
    }
    if state.cancelRequest != nil, state.owner == nil || state.owner == store.owner, !state.status.hasEnded {
      let partial = run.modelCall?.partial.current
      input(run) { (machine) throws(RuntimeError) in machine.cancel(reason: machine.state.cancelRequest?.reason, partialText: partial) }
    } else if canGoOnHere(run) {
      // Another process has answered or approved a call that others had to wait for.
      input(run) { (machine) throws(RuntimeError) in machine.advance(cause: .submit) }
    }
  }
}
