import JSON

/// What the turns of a branch have said so far, kept in memory for the branches used last.
///
/// A turn adds its messages when it ends, so that the next one in this process costs no reading, whatever the length of the conversation.
struct BranchHistory {
  /// As it was before the first of this was read.
  var branch: Branch
  /// The turns before this one are in `messages`.
  var turns: Int
  var messages = ShownMessages()
  /// How many entries there were before the first turn, and after each; nil when some of them were compacted.
  var ends: [Int]? = [0]
  /// The last turns, as far as no chapter has them.
  var loose: [PastTurn] = []
  /// What a provider has made of the messages.
  var cache = ModelCache()

  /// Nothing of the branch's own turns is in it yet.
  init(beginning branch: Branch) {
    self.branch = branch
    turns = branch.isCleared ? branch.clearedTurns : 0
  }

  func isOf(_ other: Branch) -> Bool {
    branch.branchID == other.branchID && branch.clearedTurns == other.clearedTurns && branch.isCleared == other.isCleared
      && branch.deletions == other.deletions
  }

  /// Takes a turn that the branch has from the one that it leaves, with what stands there for what is not shown any more.
  mutating func share(_ turn: PastTurn, upTo most: Int = .max, _ compactions: [Compaction]) {
    messages.entries += turn.entries.prefix(most)
    messages.append(missing: min(turn.missing, most))
    for compaction in compactions { messages.apply(compaction) }
  }

  mutating func add(_ turn: PastTurn) {
    share(turn, turn.compactions)
    // What the provider has made is of other messages now.
    if !turn.compactions.isEmpty { cache = ModelCache() }
    noteEnd(of: turn)
  }

  /// The messages have grown by the turn's.
  mutating func noteEnd(of turn: PastTurn) {
    turns += 1
    if turn.compactions.isEmpty { ends?.append(messages.entries.count) } else { ends = nil }
  }

  /// How many of the entries a branch shares that leaves this one there; nil when that cannot be said.
  func count(upTo base: Branch.Base) -> Int? {
    guard let ends, messages.gaps.isEmpty, base.turns <= turns else { return nil }
    let place = ends.count - 1 - (turns - base.turns)
    guard place > 0, ends[place - 1] + base.entries <= ends[place] else { return nil }
    return ends[place - 1] + base.entries
  }
}

extension RunEngine {
  private static let rememberedBranches = 16

  /// The messages that a model is shown: those of the session before the run, and the run's own.
  func shownTranscript(_ run: LiveRun) throws(RuntimeError) -> [TranscriptEntry] { try shownTranscript(run, run.state) }

  /// - Parameter state: The run's. While its machine decides, that must not be read from the run itself.
  func shownTranscript(_ run: LiveRun, _ state: RunState) throws(RuntimeError) -> [TranscriptEntry] {
    if state.turn == nil, state.compactions.isEmpty { return state.transcript }
    return try shownMessages(run, state).entries
  }

  func shownMessages(_ run: LiveRun, _ state: RunState) throws(RuntimeError) -> ShownMessages {
    if state.turn == nil, state.compactions.isEmpty { return ShownMessages(state.transcript) }
    if run.shown == nil {
      if let turn = state.turn {
        let history = try history(before: turn)
        run.shown = (history.messages, 0, 0)
        // One of its own: what is made of the run's messages is not of those that other turns are shown behind the same ones.
        run.modelCache = history.cache.prefix(history.messages.entries.count)
      } else {
        run.shown = (ShownMessages(), 0, 0)
      }
    }
    guard var shown = run.shown else { return ShownMessages(state.transcript) }
    run.shown = nil
    shown.messages.entries += state.transcript.dropFirst(shown.own)
    shown.own = state.transcript.count
    for compaction in state.compactions.dropFirst(shown.compactions) {
      shown.messages.apply(compaction)
      // What the provider has made of the messages is of others now.
      run.modelCache = ModelCache()
    }
    shown.compactions = state.compactions.count
    run.shown = shown
    return shown.messages
  }

  /// Whether `shownTranscript` needs nothing but what is in memory, and only a few entries of it are new.
  func isShownInMemory(_ run: LiveRun, newSince known: Int, atMost most: Int) -> Bool {
    let state = run.state
    if state.turn == nil, state.compactions.isEmpty { return state.transcript.count - known <= most }
    guard let shown = run.shown, shown.compactions == state.compactions.count else { return false }
    return shown.messages.entries.count + state.transcript.count - shown.own - known <= most
  }

  private func history(before turn: TurnPlace) throws(RuntimeError) -> BranchHistory {
    let branch = try branch(turn.branchID, of: turn.sessionID)
    var history =
      if let known = histories.first(where: { $0.isOf(branch) && $0.turns <= turn.number }) { known } else { try beginning(of: branch) }
    let turns = try pastTurns(of: branch, from: history.turns, to: turn.number)
    for turn in turns { history.add(turn) }
    history.loose = keepChapters(of: branch, history.loose + turns, to: history.turns)
    remember(history)
    return history
  }

  /// What a branch shares with the one that it leaves.
  private func beginning(of branch: Branch) throws(RuntimeError) -> BranchHistory {
    var history = BranchHistory(beginning: branch)
    guard !branch.isCleared, let base = branch.base else { return history }
    let parent = try self.branch(base.branchID, of: branch.sessionID)
    if let known = histories.first(where: { $0.isOf(parent) }), let count = known.count(upTo: base) {
      history.messages.entries = Array(known.messages.entries.prefix(count))
      history.cache = known.cache.prefix(count)
      // It is in use as well.
      remember(known)
    } else {
      for span in try spans(of: base, in: branch.sessionID) {
        let turns = try pastTurns(of: span.branch, from: span.turns.lowerBound, to: span.turns.upperBound)
        _ = keepChapters(of: span.branch, turns, to: span.turns.lowerBound + turns.count)
        for turn in turns.dropLast() { history.share(turn, turn.compactions) }
        guard let last = turns.last else { continue }
        let place = (span.branch.branchID, span.turns.lowerBound + turns.count - 1)
        history.share(last, upTo: span.lastEntries ?? .max, try compactions(of: last, at: place, upTo: span.lastEntries))
      }
    }
    history.ends = [history.messages.entries.count]
    return history
  }

  /// Those that a turn had made when it had so many messages.
  private func compactions(
    of turn: PastTurn, at place: (branchID: ULID, number: Int), upTo entries: Int?
  ) throws(RuntimeError) -> [Compaction] {
    guard let entries, !turn.compactions.isEmpty else { return turn.compactions }
    if let state = try stored(turn.runID, upTo: entries) { return state.compactions }
    return try turnDocument(place.branchID, place.number)?.remains?.compactions(after: entries) ?? []
  }

  /// Turns of one branch that are in sight from another one, or from itself.
  struct Span {
    var branch: Branch
    var turns: Range<Int>
    /// How many messages of the last turn, when not all.
    var lastEntries: Int?
  }

  /// What is in sight of a branch, oldest first.
  func spans(of branch: Branch) throws(RuntimeError) -> [Span] {
    let first = branch.isCleared ? branch.clearedTurns : 0
    let own = first < branch.turns ? [Span(branch: branch, turns: first..<branch.turns)] : []
    guard !branch.isCleared, let base = branch.base else { return own }
    return try spans(of: base, in: branch.sessionID) + own
  }

  private func spans(of base: Branch.Base, in sessionID: ULID) throws(RuntimeError) -> [Span] {
    var parent = try branch(base.branchID, of: sessionID)
    parent.turns = base.turns
    var spans = try spans(of: parent)
    if !spans.isEmpty { spans[spans.count - 1].lastEntries = base.entries }
    return spans
  }

  func turnDocument(_ branchID: ULID, _ number: Int) throws(RuntimeError) -> TurnDocument? {
    let id = TurnDocument.documentID(branchID, number)
    guard let document = try read({ () throws(StoreError) in try store.document(TurnDocument.kind, id) }) else { return nil }
    return try TurnDocument(document)
  }

  func turnRuns(of branchID: ULID, from first: Int, to end: Int) throws(RuntimeError) -> [ULID] {
    try turnDocuments(of: branchID, from: first, to: end).map(\.runID)
  }

  func turnDocuments(of branchID: ULID, from first: Int, to end: Int) throws(RuntimeError) -> [TurnDocument] {
    var turns: [TurnDocument] = []
    var query = DocumentQuery(kind: TurnDocument.kind, prefix: branchID.text + "/", limit: 1000)
    query.after = first == 0 ? nil : TurnDocument.documentID(branchID, first - 1)
    while first + turns.count < end {
      query.limit = min(1000, end - first - turns.count)
      let page = query
      let documents = try read { () throws(StoreError) in try store.documents(matching: page) }
      if documents.isEmpty { break }
      for document in documents { if let turn = try TurnDocument(document) { turns.append(turn) } }
      query.after = documents.last?.id
    }
    return turns
  }

  /// Nothing for a run that was deleted.
  func sessionEntries(of runID: ULID) throws(RuntimeError) -> [TranscriptEntry] {
    try stored(runID)?.sessionEntries ?? []
  }

  /// Takes the messages of a turn that has ended.
  func rememberHistory(of run: LiveRun) {
    guard let turn = run.state.turn, var history = histories.first(where: { $0.branch.branchID == turn.branchID }),
      history.turns == turn.number
    else { return }
    let past = PastTurn(of: run.state)
    if let shown = run.shown, shown.compactions == run.state.compactions.count, !run.state.transcript.isEmpty {
      history.messages = shown.messages
      history.messages.entries += run.state.transcript.dropFirst(shown.own)
      history.cache = run.modelCache
      history.noteEnd(of: past)
    } else {
      history.add(past)
    }
    run.shown = nil
    history.loose = keepChapters(of: history.branch, history.loose + [past], to: history.turns)
    remember(history)
  }

  private func remember(_ history: BranchHistory) {
    histories.removeAll { $0.branch.branchID == history.branch.branchID }
    histories.append(history)
    if histories.count > Self.rememberedBranches { histories.removeFirst() }
  }
}
