import JSON

/// Asking a run's model for a turn.
extension RunEngine {
  func callModel(_ messageID: ULID, _ run: LiveRun) {
    let prepared = run.preparedTurn
    run.preparedTurn = nil
    // Of a tree, a cancel of the same commit may have ended the turn before it began.
    guard run.state.modelAtWork == messageID else { return }
    let turn: any PreparedTurn
    do throws(RuntimeError) {
      if let prepared, prepared.messageID == messageID, let ready = prepared.turn {
        turn = ready
      } else {
        turn = try modelTurn(messageID, run, load: loader)
      }
    } catch {
      let fault = RunFault(error.kind == .internalError ? error.kind : .modelUnavailable, error.message, retryable: true)
      return input(run) { (machine) throws(RuntimeError) in machine.modelFailed(messageID, fault) }
    }
    let runID = run.runID
    let partial = PartialText()
    let show = streamer(of: runID)
    let call = turn.start { [host, liveText] signal in
      switch signal {
      case .text(let text): if partial.append(text) { show(.text(messageID: messageID, text)) }
      case .reasoning(let text): if !partial.isFrozen { show(.reasoning(messageID: messageID, text)) }
      case .retried(let attempt, let reason, let delay):
        partial.clear()
        liveText.begin(runID)
        host.post { engine in
          engine.flushLiveText()
          engine.signal(runID) { machine in
            machine.modelRetried(messageID, attempt: attempt, reason: reason, retryAfterMilliseconds: delay)
          }
          engine.liveText.pass(runID)
        }
      case .finished(let turn): host.post { $0.modelEnded(runID, messageID) { machine in machine.modelFinished(messageID, turn) } }
      case .failed(let fault): host.post { $0.modelEnded(runID, messageID) { machine in machine.modelFailed(messageID, fault) } }
      }
    }
    run.modelCall = (messageID, call, partial)
  }

  private func modelTurn(
    _ messageID: ULID, _ run: LiveRun, load: @escaping @Sendable (StoredValue) throws(StoreError) -> CarriedJSON
  ) throws(RuntimeError) -> UnpreparedTurn {
    let state = run.state
    // First, since it may give the run another cache.
    let transcript = try shownTranscript(run)
    let system = try read { () throws(StoreError) in try systemPrompt(of: state) }
    let provider = try models.provider(for: state.agent, hasTools: state.mayHaveTools, parent: parent?.abilities)
    let request = ModelRequest(
      runID: run.runID, messageID: messageID, sequence: state.sequence, turn: state.modelTurns, agent: state.agent, system: system,
      transcript: transcript, tools: state.tools, cache: run.modelCache, parent: parent, load: load, schedule: scheduler)
    return UnpreparedTurn(provider: provider, request: request)
  }

  /// A turn that its provider does all of when it begins.
  private struct UnpreparedTurn: PreparedTurn {
    let provider: any ModelProvider
    var request: ModelRequest

    func start(signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall { provider.start(request, signal: signal) }
  }

  // MARK: Before it is time

  /// So few entries are new to a turn that is worth preparing: the store is locked meanwhile.
  private static let mostPrepared = 16

  /// Makes a turn ready that begins when what was decided with it is in the log, which is being written: without a look into the store, and
  /// so that `forgetPreparedTurn` can take it back.
  func prepareTurn(_ messageID: ULID, _ run: LiveRun) {
    let known = run.modelCache.entryCount
    guard run.state.modelAtWork == messageID, !readsMemory(run.state), isShownInMemory(run, newSince: known, atMost: Self.mostPrepared)
    else {
      return
    }
    run.preparedTurn = (messageID, nil, known)
    // What fails here is tried again, and told, when it is time.
    guard var turn = try? modelTurn(messageID, run, load: { [freshBlobs] (value) throws(StoreError) in try value.inMemory(freshBlobs) })
    else {
      return
    }
    do throws(StoreError) {
      run.preparedTurn?.turn = try turn.provider.prepare(turn.request)
      run.needsNoPreparation = run.preparedTurn?.turn == nil
    } catch {}
    if run.preparedTurn?.turn == nil {
      turn.request.load = loader
      run.preparedTurn?.turn = turn
    }
  }

  /// What was decided with it has not come into the log.
  func forgetPreparedTurn(_ run: LiveRun) {
    guard let prepared = run.preparedTurn else { return }
    run.preparedTurn = nil
    run.shown = nil
    run.modelCache.cut(to: prepared.known)
  }

  // MARK: While it lasts

  /// Calls back after a while, in a turn of its own: what was decided before is in the log and told by then.
  var scheduler: @Sendable (_ milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> Void {
    { [host] milliseconds, body in
      host.post { engine in _ = engine.after(milliseconds: milliseconds) { host.post { _ in body() } } }
    }
  }

  /// Shows what is streamed to the client here and to observers elsewhere; from any thread.
  func streamer(of runID: ULID) -> @Sendable (StreamedDelta) -> Void {
    { [weak parent, liveText] delta in
      parent?.stream(runID, delta)
      liveText.append(runID, delta)
    }
  }

  func modelEnded(_ runID: ULID, _ messageID: ULID, _ decide: @escaping (inout RunMachine) -> Void) {
    guard let run = live[runID], run.modelCall?.messageID == messageID else { return }
    // A cancel by the run above keeps the text so far.
    catchUp(run)
    run.modelCall = nil
    flushLiveText()
    liveText.end(runID)
    signal(runID, decide)
  }
}

extension StoredValue {
  /// The value, when it need not be read from the store.
  fileprivate func inMemory(_ blobs: [ULID: NewBlob]) throws(StoreError) -> CarriedJSON {
    guard case .blob(let reference) = self else { return wire }
    guard let blob = blobs[reference.id] else { throw StoreError(.unavailable, "it is in the store") }
    return blob.json
  }
}
