import JSON

/// Runs with sub-agents: how what happens to one of them reaches the others.
///
/// Before anything of a tree is appended, each run is told what has become of those below it, and acts on what has become of the one above. What they
/// decide is one group of appends, and the runs of the tree that decided nothing are checked with it: a tree is never decided on a state that was not.
extension RunEngine {
  // MARK: In memory

  /// Brings the other runs of a run's tree into memory.
  func assemble(around run: LiveRun) throws(RuntimeError) {
    guard run.tree == nil, !run.state.status.hasEnded, run.state.parent != nil || run.state.hasPendingChildren else { return }
    var path = [run]
    while let link = path[0].state.parent {
      // A run whose parent was deleted is nobody's.
      guard let above = try bring(link.runID) else { break }
      path.insert(above, at: 0)
      if above.tree != nil { break }
    }
    let tree = path[0].tree ?? RunTree(root: path[0])
    for run in path where run.tree == nil { tree.add(run) }
    try bringChildren(of: path, in: tree)
    // Named in this turn.
    beginChildren(of: run, in: tree)
  }

  /// Those of pending calls, and theirs; one that is not in the store has not begun.
  func bringChildren(of runs: [LiveRun], in tree: RunTree) throws(RuntimeError) {
    var queue = runs
    while let run = queue.popLast() {
      for childID in run.state.pendingChildren where tree.members[childID] == nil {
        guard let child = try bring(childID) else { continue }
        tree.add(child)
        queue.append(child)
      }
    }
  }

  private func bring(_ runID: ULID) throws(RuntimeError) -> LiveRun? {
    if let run = live[runID] { return run }
    guard let (state, position, _) = try load(runID) else { return nil }
    let run = LiveRun(machine: RunMachine(state: state, context: context(for: runID, invokesHere: false)), committed: position)
    (run.loadedAt, run.committedEpoch) = (position, state.epoch)
    live[runID] = run
    wakeChildTimers(of: run)
    return run
  }

  /// Lets go of a run that nothing needs any more; of those of a tree only when nothing needs any of them.
  func release(_ run: LiveRun) {
    guard let tree = run.tree else {
      if !run.isNeeded(by: store.owner), live[run.runID] === run { forget(run) }
      return
    }
    if run.state.status.hasEnded, run !== tree.root, !tree.isWanted(run), !run.isDeciding {
      tree.remove(run)
      release(run)
    }
    if tree.members.count == 1, tree.root.tree != nil, !tree.root.state.hasPendingChildren {
      tree.remove(tree.root)
      return release(tree.root)
    }
    guard !tree.isNeeded(by: store.owner) else { return }
    for member in tree.members.values { forget(member) }
  }

  private func forget(_ run: LiveRun) {
    live[run.runID] = nil
    run.tree?.remove(run)
    keepChildTimers(of: run)
    stopWork(run)
  }

  // MARK: Deciding together

  /// Gives the machine what it needs to decide now.
  func prepare(_ run: LiveRun) {
    run.machine.context.now = host.wallClock()
    run.machine.context.hasPlace = driven.count < limits.maxConcurrentRuns
    if !run.state.hasBegun { run.machine.context.mayBegin = mayBegin(run) }
    run.machine.context.abilities = parent?.abilities ?? ParentAbilities()
    run.machine.context.parentName = parent?.name
    run.machine.context.roomBelow = limits.maxTreeRuns - (run.tree?.size ?? 1)
    guard let tree = run.tree else { return }
    // By what is noted: the root's machine may be deciding.
    if let root = tree.root.notes.bearing, root.status == .running, root.owner == store.owner { run.machine.context.hasPlace = true }
    if run !== tree.root { run.machine.context.tree = place(below: tree.parent(of: run), besides: run.notes.sum, in: tree) }
  }

  /// - Parameter used: What the run itself has used, with those below it.
  private func place(below run: LiveRun?, besides used: Tally, in tree: RunTree) -> TreePlace {
    var place = TreePlace(rootOwner: tree.root.notes.bearing?.owner)
    var above = run
    while let here = above {
      let limits = here.notes.limits
      if limits.maxToolCalls != nil || limits.maxTotalTokens != nil {
        let others = here.notes.sum - used
        place.budgets.append(TreePlace.Budget(limits: limits, tokensOfOthers: others.tokens, toolCallsOfOthers: others.toolCalls))
      }
      above = tree.parent(of: here)
    }
    return place
  }

  /// Has what was decided in a tree reach all of it that it concerns.
  func settle(_ tree: RunTree) {
    var seen: [LiveRun] = []
    let isDrivenElsewhere = isDrivenElsewhere(tree)
    // Each round is one step up or down; more than there are runs and calls is a fault, which must not hang the engine.
    for _ in 0..<10_000 {
      let runs = tree.takeUnsettled()
      if runs.isEmpty {
        tree.namedHaveBegun()
        #if DEBUG
          checkRest(of: tree)
        #endif
        // Should the driver die, it is for this process to tell what it has done meanwhile.
        return tree.putBack(seen)
      }
      if isDrivenElsewhere { seen += runs }
      var levels = TreeLevels(runs)
      for depth in levels.indices.reversed() {
        for run in levels[depth].reversed() where tellParent(of: run, in: tree) { levels.add(tree.parent(of: run)) }
      }
      for depth in levels.indices {
        for run in levels[depth] {
          _ = follow(run, in: tree)
          if tree.leads(run) { for child in run.notes.below.values { levels.add(child) } }
          beginChildren(of: run, in: tree)
        }
      }
    }
    host.log("the runs below run \(tree.root.runID) do not come to rest")
    tree.putBack(seen)
  }

  #if DEBUG
    /// To ask all runs must come to nothing more than to ask those that the tree has noted.
    private func checkRest(of tree: RunTree) {
      let before = tree.members.mapValues(\.state.position)
      for run in tree.fromTheLeaves { _ = tellParent(of: run, in: tree) }
      for run in tree.fromTheRoot {
        _ = follow(run, in: tree)
        beginChildren(of: run, in: tree)
      }
      let after = tree.members.mapValues(\.state.position)
      precondition(before == after, "a tree of runs was taken for settled: run \(tree.root.runID)")
    }
  #endif

  /// A tree has one driver, the root's.
  func isDrivenElsewhere(_ tree: RunTree) -> Bool {
    guard let owner = tree.root.state.owner else { return false }
    return owner != store.owner && isAlive(owner)
  }

  /// Has the machine decide by `body`; true when it decided something.
  private func decide(_ run: LiveRun, _ body: (inout RunMachine) -> Void) -> Bool {
    let before = (position: run.state.position, effects: run.machine.effects.count)
    prepare(run)
    body(&run.machine)
    countDriven(run)
    let hasDecided = run.state.position != before.position
    // What was decided before is marked already, and to mark it again would be news of which nothing comes.
    if hasDecided || run.machine.effects.count != before.effects { markDirty(run) }
    return hasDecided
  }

  private func tellParent(of run: LiveRun, in tree: RunTree) -> Bool {
    guard tree.isWanted(run), let above = tree.parent(of: run) else { return false }
    // Whoever drives the tree sees it for himself.
    if isDrivenElsewhere(tree) { return false }
    let goesOn = !isEnding && (above.isDriven(by: store.owner) || (try? checkDrivable(above.state)) != nil)
    return decide(above) { machine in
      machine.childChanged(run.state, goesOn: goesOn) { (value) throws(StoreError) in try run.machine.load(value) }
    }
  }

  /// What becomes of a run by what became of the one above it.
  private func follow(_ run: LiveRun, in tree: RunTree) -> Bool {
    guard run !== tree.root, !run.state.status.hasEnded else { return false }
    guard tree.isWanted(run), let above = tree.parent(of: run) else { return cancelUnwanted(run, in: tree) }
    if isEnding { return false }
    if above.state.status == .paused, run.state.status != .paused { return decide(run) { $0.suspend() } }
    if above.state.pauseRequested, !run.state.pauseRequested, run.state.status != .paused { return decide(run) { $0.pause() } }
    let isDrivenHere = tree.root.isDriven(by: store.owner)
    // What others have stored is for the driver to act on, also for one that has just come to wait.
    guard isDrivenHere || tree.root.state.status.isWaiting else { return false }
    let isLeft = isDrivenHere && run.state.status == .running && run.state.owner != store.owner
    let canGoOn = isDrivenHere && run.state.status.isWaiting && run.state.hasWork
    return isLeft || canGoOn || run.machine.waitsOtherwise ? decide(run) { $0.followRoot() } : false
  }

  /// The run above has ended, or has the call's result.
  private func cancelUnwanted(_ run: LiveRun, in tree: RunTree) -> Bool {
    // Whoever drives the tree has done it, in the same transaction.
    if isDrivenElsewhere(tree) { return false }
    let reason = tree.parent(of: run)?.state.end?.reason ?? "the run that it worked for needs it no more"
    let partial = run.modelCall?.partial.freeze()
    return decide(run) { $0.cancel(reason: reason, partialText: partial) }
  }

  /// Before a run decides on what came in: what was decided in its tree in this turn reaches as much of it as may not come later.
  func catchUp(_ run: LiveRun) {
    beginNamed(around: run)
    guard let tree = run.tree else { return }
    var path: [LiveRun] = []
    var place: LiveRun? = run
    while let here = place, here !== tree.root {
      path.append(here)
      place = tree.parent(of: here)
    }
    // What one does whose result nobody waits for any more would be in no sum of usage: that was made when the run above decided.
    for member in path.reversed() where !member.state.status.hasEnded && !tree.isWanted(member) { _ = cancelUnwanted(member, in: tree) }
  }

  // MARK: Beginning

  /// The log of the run above names those below it: they are begun before anything ends it, so that each of them is there.
  private func beginNamed(around run: LiveRun) {
    guard let tree = run.tree else {
      if run.isDriven(by: store.owner), run.state.hasPendingChildren { beginChildren(of: run, in: RunTree(root: run)) }
      return
    }
    guard tree.hasUnbegun else { return }
    for member in tree.unsettledRuns { beginChildren(of: member, in: tree) }
    tree.namedHaveBegun()
  }

  private func beginChildren(of run: LiveRun, in tree: RunTree) {
    guard run.isDriven(by: store.owner), !isEnding else { return }
    let missing = run.state.batch.filter { call in call.child.map { tree.members[$0] == nil } ?? false }
    for call in missing { beginChild(of: call, run, tree) }
  }

  /// The parent's log has its id, or gets it in the same transaction.
  private func beginChild(of call: Call, _ run: LiveRun, _ tree: RunTree) {
    guard let childID = call.child, let tool = call.tool else { return }
    do throws(RuntimeError) {
      let beginning = try beginning(of: tool)
      let arguments: CarriedJSON
      do throws(StoreError) { arguments = try run.machine.load(call.arguments) } catch { throw RuntimeError(error) }
      var context = context(for: childID, invokesHere: run.machine.context.invokesHere)
      context.asksHere = run.machine.context.asksHere
      context.abilities = parent?.abilities ?? ParentAbilities()
      context.parentName = parent?.name
      context.hasPlace = true
      context.tree = place(below: run, besides: Tally(), in: tree)
      let link = ParentLink(runID: run.runID, callID: call.callID, depth: (run.state.parent?.depth ?? 0) + 1)
      let machine = try RunMachine(
        runID: childID, input: SubAgent.input(of: arguments, for: tool), params: beginning.params, meta: run.state.meta,
        delivery: run.state.delivery, warnings: beginning.warnings, storedAgent: beginning.agent, parent: link, context: context)
      let child = LiveRun(machine: machine, committed: 0)
      live[childID] = child
      tree.add(child)
      markDirty(child)
    } catch {
      let why = error.message
      _ = decide(run) { $0.childRefused(call.callID, why) }
    }
  }

  struct ChildBeginning {
    var params: CarriedJSON
    var agent: AgentUse?
    var warnings: [String]
  }

  /// What the run of a sub-agent begins with, now.
  /// - Throws: `agent.notFound`; what keeps this bridge from running it.
  private func beginning(of tool: Tool) throws(RuntimeError) -> ChildBeginning {
    guard let subAgent = SubAgent(tool) else { throw RuntimeError(.internalError, "'\(tool.name)' is no sub-agent") }
    let params = subAgent.params(for: tool)
    guard case .stored(let agentID) = subAgent else { return ChildBeginning(params: params, agent: nil, warnings: []) }
    let agent = try agentInUse(agentID)
    let admission = try RunAdmission(params: params, agent: agent.json)
    try checkSchemas(ofParams: params, agent: agent.json)
    return ChildBeginning(params: params, agent: agent.use, warnings: admission.warnings)
  }

  /// Why a sub-agent cannot be begun here; nil when it can.
  func problem(ofSubAgent tool: Tool) -> String? {
    do throws(RuntimeError) {
      let beginning = try beginning(of: tool)
      let agent = try RunParams(reading: beginning.params, agent: beginning.agent?.json).agent
      try checkDrivable(agent, at: "")
      return nil
    } catch { return error.message }
  }
}

/// Runs of a tree by how deep they stand, siblings by age; more can be added on the way.
private struct TreeLevels {
  private var levels: [[ULID: LiveRun]] = []

  init(_ runs: [LiveRun]) { for run in runs { add(run) } }

  var indices: Range<Int> { 0..<SubAgent.mostDepth + 2 }

  mutating func add(_ run: LiveRun?) {
    guard let run else { return }
    while levels.count <= run.depth { levels.append([:]) }
    levels[run.depth][run.runID] = run
  }

  subscript(_ depth: Int) -> [LiveRun] { depth < levels.count ? RunTree.sorted(levels[depth].values) : [] }
}
