import JSON

/// The turns of a branch that wait, as far as this process remembers them.
extension RunEngine {
  /// Branches of which something is remembered. What is forgotten is found again in the store.
  private static let mostQueues = 256
  /// What is remembered of links (`taker`); they do not change.
  private static let mostLinks = 65_536

  /// How far a turn is, and whether that can be believed for good: what was decided here may come out otherwise.
  struct TurnProgress {
    var hasBegun: Bool
    var hasEnded: Bool
    var isCertain: Bool
  }

  /// Has the queue of the branch know all turns before one, which may still be to be made.
  func followQueue(before turn: TurnPlace) throws(RuntimeError) {
    let known = queues[turn.branchID]
    if let known, known.end >= turn.number { return }
    var earlier = EarlierTurns(turn)
    var runs: [ULID] = []
    var isComplete = false
    while !isComplete, turn.number - runs.count > known?.end ?? 0, let runID = try earlier.next(self) {
      runs.append(runID)
      if let found = try progress(of: runID), found.hasBegun, found.isCertain { isComplete = true }
    }
    let first = turn.number - runs.count
    var queue = BranchQueue(first: first)
    if !isComplete, let known, known.end == first { queue = known }
    for runID in runs.reversed() { queue.add(runID) }
    queues[turn.branchID] = queue
  }

  /// The same for all turns of a branch.
  func followQueue(of branch: Branch) throws(RuntimeError) { try followQueue(before: branch.next) }

  /// A turn that was made here is in the log.
  func queueHasGrown(by run: LiveRun, _ concurrency: MessageConcurrency) {
    guard let turn = run.state.turn, queues[turn.branchID]?.end == turn.number else { return }
    queues[turn.branchID]?.add(run.runID, takes: concurrency.supersedes || concurrency == .merge)
  }

  /// How far a turn of the queue is, noting what will stay so; nil for a run that was deleted.
  func progress(of turn: BranchQueue.Turn, in branchID: ULID) throws(RuntimeError) -> TurnProgress? {
    guard let found = try progress(of: turn.runID) else {
      queues[branchID]?.wasDeleted(turn)
      return nil
    }
    if found.isCertain, found.hasBegun { queues[branchID]?.hasBegun(turn) }
    if found.isCertain, found.hasEnded { queues[branchID]?.hasEnded(turn) }
    return found
  }

  /// The turns before one that may have to end before it begins, the nearest first.
  ///
  /// - Parameter body: Returns false when it need not see more.
  func forEachOpen(before turn: TurnPlace, _ body: (BranchQueue.Turn) throws(RuntimeError) -> Bool) throws(RuntimeError) {
    try followQueue(before: turn)
    var number = turn.number
    // What is found out on the way is noted in the very list.
    while let next = BranchQueue.last(of: queues[turn.branchID]?.open ?? [], before: number) {
      number = next.number
      guard try body(next) else { return }
    }
  }

  /// The nearest turn behind one that may have been waiting for its end; nil when a later one has begun, or there is none.
  ///
  /// The queue may have been forgotten, and this turn be one of long ago: then a look at the next one mostly is enough.
  func firstOpen(behind turn: TurnPlace) throws(RuntimeError) -> BranchQueue.Turn? {
    if queues[turn.branchID]?.end ?? 0 <= turn.number {
      guard let next = try turnRun(turn.branchID, turn.number + 1) else { return nil }
      if let found = try progress(of: next), found.hasBegun, found.hasEnded { return nil }
    }
    let id = Branch.documentID(turn.sessionID, turn.branchID)
    // Gone with its session, and nothing waits in it.
    guard let document = try read({ () throws(StoreError) in try store.document(Branch.kind, id) }) else { return nil }
    try followQueue(of: try Branch(document))
    return nextOpen(behind: turn.number, in: turn.branchID)
  }

  func nextOpen(behind number: Int, in branchID: ULID) -> BranchQueue.Turn? {
    BranchQueue.first(of: queues[branchID]?.open ?? [], after: number)
  }

  /// Before which turn of a branch the last one is that can have left something to the next: those behind it wait, or have ended without beginning.
  func endOfBegun(in branch: Branch) throws(RuntimeError) -> Int {
    try followQueue(of: branch)
    var front = queues[branch.branchID]?.open.first
    while let turn = front, turn.number < branch.turns {
      let found = try progress(of: turn, in: branch.branchID)
      if let found, !found.hasEnded {
        // Nothing behind it has begun as long as it is there, unless it was passed on.
        if found.hasBegun, found.isCertain { return turn.number + 1 }
        if try glance(turn.runID).mergedInto == nil { break }
      }
      front = nextOpen(behind: turn.number, in: branch.branchID)
    }
    return min(branch.turns, queues[branch.branchID]?.left ?? 0)
  }

  /// Between turns of the engine: nobody looks through what is forgotten.
  func forgetOldQueues() {
    if queues.count > Self.mostQueues { queues = [:] }
    if links.count > Self.mostLinks { links = [:] }
  }

  /// The blockers that were found out are to be found out again, if another process may have changed something since.
  func forgetBlockersIfChanged() {
    if knownBlockers.isEmpty { return }
    do throws(StoreError) {
      // A look that comes later would not be told.
      if isTicking, try store.changedByOthersSoFar() { looksAgain = true } else if isTicking { return }
    } catch { host.log("the store could not be asked for changes: \(error.message)") }
    knownBlockers = [:]
  }
}
