import JSON

/// What the turns of a branch have said so far, kept in memory for the branches used last.
///
/// A turn adds its messages when it ends, so that the next one in this process costs no reading, whatever the length of the conversation.
struct BranchHistory {
  var branchID: ULID
  /// The turns before this one are in `entries`.
  var turns: Int
  var clearedTurns: Int
  var isCleared: Bool
  var entries: [TranscriptEntry]
  /// What a provider has made of `entries`.
  var cache: ModelCache
}

extension RunEngine {
  private static let rememberedBranches = 16

  /// The messages that a model is shown: those of the session before the run, and the run's own.
  func shownTranscript(_ run: LiveRun) throws(RuntimeError) -> [TranscriptEntry] {
    if run.state.turn == nil, run.state.compactions.isEmpty { return run.state.transcript }
    if run.shown == nil {
      if let turn = run.state.turn {
        let history = try history(before: turn)
        run.shown = (history.entries, 0, 0)
        run.modelCache = history.cache
      } else {
        run.shown = ([], 0, 0)
      }
    }
    guard var shown = run.shown else { return run.state.transcript }
    run.shown = nil
    shown.entries += run.state.transcript.dropFirst(shown.own)
    shown.own = run.state.transcript.count
    for compaction in run.state.compactions.dropFirst(shown.compactions) {
      compaction.apply(to: &shown.entries)
      // What the provider has made of the messages is of others now.
      run.modelCache = ModelCache()
    }
    shown.compactions = run.state.compactions.count
    run.shown = shown
    return shown.entries
  }

  private func history(before turn: TurnPlace) throws(RuntimeError) -> BranchHistory {
    let branch = try branch(turn.branchID, of: turn.sessionID)
    var history: BranchHistory
    if let known = histories.first(where: {
      $0.branchID == turn.branchID && $0.turns <= turn.number && $0.clearedTurns == branch.clearedTurns && $0.isCleared == branch.isCleared
    }) {
      history = known
    } else {
      history = BranchHistory(
        branchID: turn.branchID, turns: branch.isCleared ? branch.clearedTurns : 0, clearedTurns: branch.clearedTurns,
        isCleared: branch.isCleared, entries: [], cache: ModelCache())
      if !branch.isCleared, let base = branch.base { history.entries = try entries(of: base, in: branch.sessionID) }
    }
    for runID in try turnRuns(of: turn.branchID, from: history.turns, to: turn.number) {
      guard let state = try sessionState(of: runID) else { continue }
      history.entries += state.sessionEntries
      for compaction in state.compactions { compaction.apply(to: &history.entries) }
    }
    history.turns = max(history.turns, turn.number)
    remember(history)
    return history
  }

  /// What a branch shares with the one that it leaves.
  private func entries(of base: Branch.Base, in sessionID: ULID) throws(RuntimeError) -> [TranscriptEntry] {
    var entries: [TranscriptEntry] = []
    for (runID, count) in try runs(of: base, in: sessionID) { entries += try sessionEntries(of: runID).prefix(count ?? .max) }
    return entries
  }

  /// The runs of a branch that are in sight, with how many of their messages, when not all.
  func runs(of branch: Branch) throws(RuntimeError) -> [(runID: ULID, entries: Int?)] {
    var runs: [(runID: ULID, entries: Int?)] = []
    if !branch.isCleared, let base = branch.base { runs = try self.runs(of: base, in: branch.sessionID) }
    let own = try turnRuns(of: branch.branchID, from: branch.isCleared ? branch.clearedTurns : 0, to: branch.turns)
    return runs + own.map { ($0, nil) }
  }

  private func runs(of base: Branch.Base, in sessionID: ULID) throws(RuntimeError) -> [(runID: ULID, entries: Int?)] {
    var parent = try branch(base.branchID, of: sessionID)
    parent.turns = base.turns
    var runs = try runs(of: parent)
    if !runs.isEmpty { runs[runs.count - 1].entries = base.entries }
    return runs
  }

  func turnRuns(of branchID: ULID, from first: Int, to end: Int) throws(RuntimeError) -> [ULID] {
    var runs: [ULID] = []
    var query = DocumentQuery(kind: TurnDocument.kind, prefix: branchID.text + "/", limit: 1000)
    query.after = first == 0 ? nil : TurnDocument.documentID(branchID, first - 1)
    while first + runs.count < end {
      query.limit = min(1000, end - first - runs.count)
      let page = query
      let documents = try read { () throws(StoreError) in try store.documents(matching: page) }
      if documents.isEmpty { break }
      runs += documents.compactMap { TurnDocument($0)?.runID }
      query.after = documents.last?.id
    }
    return runs
  }

  /// Nothing for a run that was deleted.
  func sessionEntries(of runID: ULID) throws(RuntimeError) -> [TranscriptEntry] { try sessionState(of: runID)?.sessionEntries ?? [] }

  private func sessionState(of runID: ULID) throws(RuntimeError) -> RunState? {
    if let run = live[runID] { return run.state }
    return try load(runID)?.state
  }

  /// Takes the messages of a turn that has ended.
  func rememberHistory(of run: LiveRun) {
    guard let turn = run.state.turn, var history = histories.first(where: { $0.branchID == turn.branchID }), history.turns == turn.number
    else { return }
    if let shown = run.shown, shown.compactions == run.state.compactions.count, !run.state.transcript.isEmpty {
      history.entries = shown.entries + run.state.transcript.dropFirst(shown.own)
      history.cache = run.modelCache
    } else {
      history.entries += run.state.sessionEntries
      for compaction in run.state.compactions { compaction.apply(to: &history.entries) }
      if !run.state.compactions.isEmpty { history.cache = ModelCache() }
    }
    run.shown = nil
    history.turns += 1
    remember(history)
  }

  private func remember(_ history: BranchHistory) {
    histories.removeAll { $0.branchID == history.branchID }
    histories.append(history)
    if histories.count > Self.rememberedBranches { histories.removeFirst() }
  }
}
