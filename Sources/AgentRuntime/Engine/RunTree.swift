/// A run with the runs of its sub-agents, as far as they have not ended: decided together, and appended all or none. Only the engine's thread touches it.
///
/// All of them are in memory, or none is. A run without sub-agents has no tree. What the runs are asked about each other while they decide is noted here
/// after each change (`note`), so that one more decision costs what it changes and not what the tree has.
final class RunTree {
  /// What its tree knows of a run.
  struct Notes {
    fileprivate(set) var limits = Limits()
    fileprivate(set) var bearing: Bearing?
    /// What its run has used by itself, and with those below it that are not part of that yet.
    fileprivate var own = Tally()
    fileprivate(set) var sum = Tally()
    /// The run above has it in its sum.
    fileprivate var isCounted = false
    /// What those below it were last settled by.
    fileprivate var settled: Bearing?
    fileprivate var children = 0
    fileprivate var pendingCalls = 0
    fileprivate(set) var below: [ULID: LiveRun] = [:]
  }

  /// What the runs below a run go by.
  struct Bearing: Equatable {
    var status: RunStatus
    var owner: OwnerID?
    var isToPause: Bool

    init(_ state: borrowing RunState) {
      status = state.status
      owner = state.owner
      isToPause = state.pauseRequested
    }
  }

  let root: LiveRun
  private(set) var members: [ULID: LiveRun] = [:]
  /// Documents that a run changes with its next append. All are appended together, and a document has one next version.
  private var claims: [String: ULID] = [:]
  /// What has changed since the tree was settled.
  private var unsettled: [ULID: LiveRun] = [:]
  private var settledRoot: Bearing?
  private var concludedRoot: Bearing?
  /// Runs that were named since then and are not begun yet.
  private var unbegun = 0
  /// One that needed the tree in memory, when it was last asked.
  private weak var needy: LiveRun?

  init(root: LiveRun) {
    self.root = root
    add(root)
  }

  /// After the run above it.
  func add(_ run: LiveRun) {
    members[run.runID] = run
    run.tree = self
    run.notes = Notes()
    run.notes.children = run.state.children.count
    note(run)
    guard let above = parent(of: run) else { return }
    above.notes.below[run.runID] = run
    setCounted(run, isWanted(run))
  }

  func remove(_ run: LiveRun) {
    setCounted(run, false)
    parent(of: run)?.notes.below[run.runID] = nil
    for child in run.notes.below.values {
      child.notes.isCounted = false
      unsettled[child.runID] = child
    }
    members[run.runID] = nil
    unsettled[run.runID] = nil
    run.notes = Notes()
    run.tree = nil
  }

  // MARK: Keeping up

  func note(_ run: LiveRun) { note(run, run.state) }

  /// To be called after every change of a member's state, which is given by itself while its machine still decides.
  func note(_ run: LiveRun, _ state: borrowing RunState) {
    unsettled[run.runID] = run
    unbegun += max(0, state.children.count - run.notes.children)
    run.notes.children = state.children.count
    run.notes.limits = state.limits
    run.notes.bearing = Bearing(state)
    let own = Tally(state.usage)
    let difference = own - run.notes.own
    run.notes.own = own
    add(difference, to: run)
    // What those have used whose calls have their results is part of its own by now, or never will be.
    guard state.batch.pendingCount != run.notes.pendingCalls else { return }
    run.notes.pendingCalls = state.batch.pendingCount
    for child in run.notes.below.values {
      guard let link = child.link else { continue }
      setCounted(child, state.batch.isPending(link.callID) && !state.status.hasEnded)
    }
  }

  private func setCounted(_ run: LiveRun, _ isCounted: Bool) {
    guard run.notes.isCounted != isCounted, let above = parent(of: run) else { return }
    run.notes.isCounted = isCounted
    unsettled[run.runID] = run
    add(isCounted ? run.notes.sum : Tally() - run.notes.sum, to: above)
  }

  private func add(_ difference: Tally, to run: LiveRun) {
    if difference == Tally() { return }
    var place: LiveRun? = run
    while let here = place {
      here.notes.sum = here.notes.sum + difference
      place = here.notes.isCounted ? parent(of: here) : nil
    }
  }

  // MARK: Settling

  /// The runs that what has changed since the last time may concern; empty when nothing has.
  func takeUnsettled() -> [LiveRun] {
    if unsettled.isEmpty { return [] }
    defer { unsettled = [:] }
    if settledRoot != root.notes.bearing {
      settledRoot = root.notes.bearing
      for run in members.values { run.notes.settled = run.notes.bearing }
      return Array(members.values)
    }
    var runs = unsettled
    for run in unsettled.values where run.notes.settled != run.notes.bearing {
      run.notes.settled = run.notes.bearing
      for child in run.notes.below.values { runs[child.runID] = child }
    }
    return Array(runs.values)
  }

  /// They concern somebody else first.
  func putBack(_ runs: [LiveRun]) {
    for run in runs where run.tree === self { unsettled[run.runID] = run }
  }

  /// Whether those below a run may have to follow it.
  func leads(_ run: LiveRun) -> Bool { run.notes.settled != run.notes.bearing }

  /// Those that what has changed since the last time may concern, without what follows from that.
  var unsettledRuns: [LiveRun] { Self.sorted(unsettled.values) }

  var hasUnbegun: Bool { unbegun > 0 }

  /// What was named has begun, or has its result.
  func namedHaveBegun() { unbegun = 0 }

  /// How many runs it has, or will have when those that are named begin.
  var size: Int { members.count + unbegun }

  // MARK: Committing

  /// Those that decided something, the lowest first.
  var deciding: [LiveRun] { Self.sorted(members.values.filter { $0.isDirty || $0.machine.hasOutput }).reversed() }

  /// Where one stands and what another lists do not fit together until what was decided is in all of their logs.
  var isDeciding: Bool { members.values.contains(where: \.isDeciding) }

  /// Besides these, the runs for which it may matter what they have decided.
  func concerned(by runs: [LiveRun]) -> [LiveRun] {
    let known = Set(runs.map(\.runID))
    defer { concludedRoot = root.notes.bearing }
    if concludedRoot != root.notes.bearing { return members.values.filter { !known.contains($0.runID) } }
    var found: [ULID: LiveRun] = [:]
    for run in members.values where !run.waiters.isEmpty { found[run.runID] = run }
    for run in runs {
      var place = parent(of: run)
      while let here = place, found[here.runID] == nil || known.contains(here.runID) {
        if !known.contains(here.runID) { found[here.runID] = here }
        place = parent(of: here)
      }
    }
    return found.values.filter { !known.contains($0.runID) }
  }

  /// Whether one of them has to be in memory.
  func isNeeded(by owner: OwnerID) -> Bool {
    for run in [needy, root] { if let run, run.tree === self, run.isNeeded(by: owner) { return true } }
    needy = members.values.first { $0.isNeeded(by: owner) }
    return needy != nil
  }

  func claim(_ kind: String, _ id: String, for runID: ULID) -> Bool {
    let name = kind + "/" + id
    if let owner = claims[name], owner != runID { return false }
    claims[name] = runID
    return true
  }

  func dropClaims() { claims = [:] }

  // MARK: Who stands where

  /// The root first; siblings by age.
  var fromTheRoot: [LiveRun] { Self.sorted(members.values) }

  var fromTheLeaves: [LiveRun] { fromTheRoot.reversed() }

  static func sorted(_ runs: some Sequence<LiveRun>) -> [LiveRun] {
    runs.sorted { $0.depth == $1.depth ? $0.runID < $1.runID : $0.depth < $1.depth }
  }

  /// The runs below a run, the highest first.
  func below(_ run: LiveRun) -> [LiveRun] {
    var found = Array(run.notes.below.values)
    var next = 0
    while next < found.count {
      found += found[next].notes.below.values
      next += 1
    }
    return Self.sorted(found)
  }

  func parent(of run: LiveRun) -> LiveRun? { run.link.flatMap { members[$0.runID] } }

  /// Whether the run that made the call still waits for this one.
  func isWanted(_ run: LiveRun) -> Bool {
    guard let link = run.link, let parent = members[link.runID], !parent.state.status.hasEnded else { return false }
    return parent.state.batch.isPending(link.callID)
  }
}

/// Sums of what runs have used, which can be taken apart again whatever a model says that it used: tokens are in two parts that do not overflow.
struct Tally: Equatable {
  private var high = 0
  private var low = 0
  private(set) var toolCalls = 0

  init() {}

  init(_ usage: Usage) {
    high = usage.totalTokens >> 32
    low = usage.totalTokens & 0xffff_ffff
    toolCalls = usage.toolCalls
  }

  var tokens: Int {
    let carried = high + low >> 32
    return carried > Int.max >> 32 ? .max : max(0, carried << 32 | low & 0xffff_ffff)
  }

  static func + (a: Tally, b: Tally) -> Tally {
    var sum = a
    sum.high += b.high
    sum.low += b.low
    sum.toolCalls += b.toolCalls
    return sum
  }

  static func - (a: Tally, b: Tally) -> Tally {
    var difference = a
    difference.high -= b.high
    difference.low -= b.low
    difference.toolCalls -= b.toolCalls
    return difference
  }
}
