/// A run with the runs of its sub-agents, as far as they have not ended: decided together, and appended all or none. Only the engine's thread touches it.
///
/// All of them are in memory, or none is. A run without sub-agents has no tree.
final class RunTree {
  let root: LiveRun
  private(set) var members: [ULID: LiveRun] = [:]
  /// Documents that a run changes with its next append. All are appended together, and a document has one next version.
  private var claims: [String: ULID] = [:]

  init(root: LiveRun) {
    self.root = root
    add(root)
  }

  func add(_ run: LiveRun) {
    members[run.runID] = run
    run.tree = self
  }

  func remove(_ run: LiveRun) {
    members[run.runID] = nil
    run.tree = nil
  }

  /// Where one stands and what another lists do not fit together until what was decided is in all of their logs.
  var isDeciding: Bool { members.values.contains(where: \.isDeciding) }

  func claim(_ kind: String, _ id: String, for runID: ULID) -> Bool {
    let name = kind + "/" + id
    if let owner = claims[name], owner != runID { return false }
    claims[name] = runID
    return true
  }

  func dropClaims() { claims = [:] }

  /// The root first; siblings by age.
  var fromTheRoot: [LiveRun] {
    members.values.sorted { a, b in
      let depths = (a.link?.depth ?? 0, b.link?.depth ?? 0)
      return depths.0 == depths.1 ? a.runID < b.runID : depths.0 < depths.1
    }
  }

  var fromTheLeaves: [LiveRun] { fromTheRoot.reversed() }

  /// The run and those below it, it first.
  func subtree(of run: LiveRun) -> [LiveRun] {
    fromTheRoot.filter { member in
      var place: LiveRun? = member
      while let here = place {
        if here === run { return true }
        place = parent(of: here)
      }
      return false
    }
  }

  func parent(of run: LiveRun) -> LiveRun? { run.link.flatMap { members[$0.runID] } }

  /// Whether the run that made the call still waits for this one.
  func isWanted(_ run: LiveRun) -> Bool {
    guard let link = run.link, let parent = members[link.runID], !parent.state.status.hasEnded else { return false }
    return parent.state.call(link.callID)?.isPending == true
  }
}
