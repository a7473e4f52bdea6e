import JSON

extension RunEngine {
  /// What a run's model would be shown less; nil when it cannot be said or nothing can be left out.
  func compactionPlan(of state: RunState) -> Compaction? {
    guard let run = live[state.runID] else { return nil }
    let question = state.input.entries.last { $0.isUser }
    do throws(RuntimeError) {
      let shown = try shownMessages(run, state)
      return Compaction.plan(for: shown.entries, question: question).map(shown.counted)
    } catch {
      host.log("the messages of run \(state.runID) could not be read: \(error.message)")
      return nil
    }
  }

  /// Has the run's own model say what the messages come to that are to go.
  func summarize(_ messageID: ULID, _ plan: Compaction, _ run: LiveRun) {
    let runID = run.runID
    let answer: @Sendable (CarriedJSON?, Usage) -> Void = { [host] summary, usage in
      host.post { engine in
        engine.modelEnded(runID, messageID) { machine in machine.summarized(messageID, plan, summary: summary, usage: usage) }
      }
    }
    let provider: any ModelProvider
    var entries: [TranscriptEntry]
    do throws(RuntimeError) {
      let shown = try shownMessages(run, run.state)
      entries = shown.range(of: plan).map { Array(shown.entries[$0]) } ?? []
      provider = try models.provider(for: run.state.agent, hasTools: false, parent: parent?.abilities)
    } catch {
      host.log("the messages of run \(runID) could not be summarised: \(error.message)")
      return input(run) { (machine) throws(RuntimeError) in machine.summarized(messageID, plan, summary: nil, usage: Usage()) }
    }
    // A model answers a user; what it is asked comes after whole calls with their results.
    entries.append(.user([.text(.inline(CarriedJSON(string: Self.summaryRequest)))]))
    if case .assistant? = entries.first { entries.insert(.user([.text(.inline(CarriedJSON(string: Self.beginning)))]), at: 0) }
    var request = ModelRequest(
      runID: runID, messageID: messageID, turn: run.state.modelTurns, agent: run.state.agent.withoutProviderTools,
      system: [run.state.agent.instructions].compactMap { $0 }, transcript: entries, tools: [], parent: parent,
      load: { [store] (value) throws(StoreError) in try store.load(value) },
      schedule: scheduler)
    request.isAside = true
    let call = provider.start(request) { [host] signal in
      switch signal {
      case .finished(let turn):
        if !turn.isSummary { host.log("the messages of run \(runID) could not be summarised: the model gave no summary") }
        var usage = turn.usage
        (usage.modelCalls, usage.toolCalls) = (1, 0)
        answer(turn.isSummary ? turn.text : nil, usage)
      case .failed(let fault):
        host.log("the messages of run \(runID) could not be summarised: \(fault.message)")
        answer(nil, Usage())
      case .retried: host.post { engine in engine.signal(runID) { machine in machine.summaryRetried(messageID) } }
      case .text, .reasoning: break
      }
    }
    run.modelCall = (messageID, call, PartialText())
  }

  private static let summaryRequest = """
    Summarise the conversation above for yourself, so that you can go on without it: what was asked, what was done and found, what is decided, \
    what is open, and every name, number and id that may be needed. Answer with nothing but the summary.
    """

  private static let beginning = "(The conversation begins before this.)"
}

extension ModelTurn {
  /// Whether its text can stand for the messages that it was asked about.
  fileprivate var isSummary: Bool {
    calls.isEmpty && stopReason != "refusal" && text.stringValue?.unicodeScalars.allSatisfy(\.properties.isWhitespace) == false
  }
}
