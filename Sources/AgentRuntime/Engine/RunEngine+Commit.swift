import JSON
import Synchronization

/// Making what was decided durable, and only then telling and doing it.
extension RunEngine {
  /// What a run decided since the last commit.
  private struct Decided {
    let run: LiveRun
    /// Those of a tree, neighbours with one number, are appended all or none.
    let unit: Int
    /// The epoch of the run after this.
    let epoch: Int
    let records: [LogRecord]
    let effects: [RunEffect]
    /// Its place in the batch; nil when it has nothing to append.
    var place: Int?
    /// They are answered when all of this is told and done.
    var inputs: [LiveRun.Input] = []
  }

  func commit() {
    while !dirty.isEmpty {
      settleTrees()
      let runs = dirty
      dirty = []
      var decided: [Decided] = []
      var appends: [Append] = []
      for (unit, run) in runs.enumerated() where run.isDirty {
        if let tree = run.tree { take(tree, unit, &decided, &appends) } else { take(run, unit, &decided, &appends) }
      }
      if !appends.isEmpty { keepLease() }
      let behind = extendedBranches
      extendedBranches = [:]
      switch submit(appends, meanwhile: preparation(of: decided, appends)) {
      case .success(let results): conclude(decided, results)
      case .failure(let error):
        knownBlockers = [:]
        for one in decided { forgetPreparedTurn(one.run) }
        // Of a tree none stays when one goes.
        for one in decided where one.place != nil {
          for run in one.run.tree.map({ Array($0.members.values) }) ?? [one.run] where live[run.runID] === run {
            storeFailed(run, error)
          }
        }
        conclude(decided.filter { $0.place == nil && live[$0.run.runID] === $0.run }, [])
      }
      if !freshBlobs.isEmpty { freshBlobs = [:] }
      for (branchID, starts) in behind { beginNext(starts[...], in: branchID) }
    }
  }

  /// The first of them that begins a run is of the next commit, and the others come behind it.
  private func beginNext(_ starts: ArraySlice<() -> Void>, in branchID: ULID) {
    var starts = starts
    // A turn whose place was taken may have come first.
    while extendedBranches[branchID] == nil, let start = starts.popFirst() { start() }
    extendedBranches[branchID]? += starts
  }

  private func settleTrees() {
    var settled: Set<ObjectIdentifier> = []
    for run in dirty {
      if run.tree == nil, run.state.hasPendingChildren { _ = RunTree(root: run) }
      guard let tree = run.tree, settled.insert(ObjectIdentifier(tree)).inserted else { continue }
      settle(tree)
    }
  }

  private func take(_ run: LiveRun, _ unit: Int, _ decided: inout [Decided], _ appends: inout [Append]) {
    run.isDirty = false
    let output = run.machine.takeOutput()
    var place: Int?
    if !output.records.isEmpty {
      var append = Append(expectedPosition: run.committed, summary: run.state.summary, records: output.records, blobs: output.blobs)
      append.expectedEpoch = run.committedEpoch
      // Also what another run has stored, or a client: neither a deletion there nor the clearing up of loose blobs may take it.
      append.adoptedBlobs = output.records.namedBlobs.subtracting(output.blobs.map(\.id)).sorted()
      append.documents = (run.committed == 0 ? run.firstDocuments : []) + output.documents
      place = appends.count
      if let other = run.restsOn {
        append.group = place
        var check = Append(expectedPosition: other.lastPosition, summary: other, records: [])
        (check.expectedEpoch, check.group) = (other.epoch, place)
        appends += [append, check]
      } else {
        appends.append(append)
      }
      for blob in output.blobs { freshBlobs[blob.id] = blob }
    }
    run.restsOn = nil
    decided.append(Decided(run: run, unit: unit, epoch: run.state.epoch, records: output.records, effects: output.effects, place: place))
  }

  /// Those of a tree that decided something, the lowest first. That rests on where the others stand.
  private func take(_ tree: RunTree, _ unit: Int, _ decided: inout [Decided], _ appends: inout [Append]) {
    tree.dropClaims()
    let (first, firstAppend) = (decided.count, appends.count)
    for run in tree.deciding { take(run, unit, &decided, &appends) }
    guard tree.members.count > 1, appends.count > firstAppend else { return }
    let places = Dictionary(uniqueKeysWithValues: (first..<decided.count).map { (decided[$0].run.runID, $0) })
    for run in tree.members.values {
      let index = places[run.runID]
      guard index.map({ decided[$0].place == nil }) ?? true, !run.state.status.hasEnded else { continue }
      if let index { decided[index].place = appends.count }
      var check = Append(expectedPosition: run.committed, summary: run.state.summary, records: [])
      check.expectedEpoch = run.committedEpoch
      appends.append(check)
    }
    for index in firstAppend..<appends.count { appends[index].group = firstAppend }
  }

  /// What can be done for the model turns that were decided while the store waits for its disk; nil when there is nothing.
  private func preparation(of decided: [Decided], _ appends: [Append]) -> (() -> Void)? {
    var turns: [(run: LiveRun, messageID: ULID)] = []
    for one in decided {
      // Large values take long, and the store is locked.
      guard let place = one.place, !one.run.needsNoPreparation, appends[place].blobs.isEmpty, appends[place].adoptedBlobs.isEmpty
      else { continue }
      for case .callModel(let messageID) in one.effects { turns.append((one.run, messageID)) }
    }
    return turns.isEmpty ? nil : { [self] in for turn in turns { prepareTurn(turn.messageID, turn.run) } }
  }

  private func submit(_ appends: [Append], meanwhile: (() -> Void)?) -> Result<[AppendResult], StoreError> {
    if appends.isEmpty { return .success([]) }
    let answer = StoreAnswer()
    store.submit(appends, meanwhile: meanwhile) { result in answer.value.withLock { $0 = result } }
    guard let result = answer.value.withLock({ $0 }) else { preconditionFailure("the store did not complete on the engine's thread") }
    return result
  }

  // MARK: What came of it

  private func conclude(_ decided: [Decided], _ results: [AppendResult]) {
    if !results.allSatisfy({ $0 == .appended }) || decided.contains(where: { !$0.run.isNewInQueue }) { knownBlockers = [:] }
    var durable: [Decided] = []
    for unit in Self.units(decided) {
      guard let refused = unit.lazy.compactMap({ $0.place.map { results[$0] } }).first(where: { $0 != .appended }) else {
        durable += unit
        continue
      }
      for one in unit { forgetPreparedTurn(one.run) }
      let first = unit[unit.startIndex].run
      if let tree = first.tree, tree.members.count > 1 { decideAgain(unit.map(\.run), in: tree) } else { refuse(first, refused) }
    }
    // What comes of one run may be the next one's input: that is not of this commit.
    for index in durable.indices {
      if let last = durable[index].records.last {
        durable[index].run.committed = last.position
        durable[index].run.committedEpoch = durable[index].epoch
      }
      durable[index].run.machine.outputIsDurable()
      swap(&durable[index].inputs, &durable[index].run.inputs)
    }
    for unit in Self.units(durable) { conclude(unit) }
  }

  private static func units(_ decided: [Decided]) -> [ArraySlice<Decided>] {
    decided.count == 1 ? [decided[...]] : decided.chunks { $0.unit == $1.unit }
  }

  /// Durable: tell, then act; of a tree all is told first, so that what a request announces is out before it in every run.
  private func conclude(_ unit: ArraySlice<Decided>) {
    let tell = { [self] in
      for one in unit {
        for input in one.inputs where input.error == nil { input.committed(one.run) }
        publish(one.run.runID, one.records)
      }
      for one in unit { for effect in one.effects { perform(effect, one.run) } }
    }
    // A request to the parent leaves in one write with the events that announce it. One to a model that is ready leaves before that write, since its
    // server works meanwhile.
    let isBrief = unit.contains { $0.run.preparedTurn?.turn != nil || $0.effects.contains(where: \.asksParent) }
    if let parent, isBrief { parent.together(tell) } else { tell() }
    var runs = unit.map(\.run)
    for one in unit {
      for input in one.inputs { input.answered(one.run, input.error) }
      lookAfter(one.run)
    }
    if let tree = runs.lazy.compactMap(\.tree).first {
      let others = tree.concerned(by: runs)
      for run in others { lookAfter(run) }
      runs += others
    }
    for run in runs { release(run) }
    givePlaces()
  }

  private func refuse(_ run: LiveRun, _ result: AppendResult) {
    switch result {
    case .appended: break
    case .conflict:
      guard run.committed == 0, let placeWasTaken = run.placeWasTaken else { return decideAgain([run]) }
      live[run.runID] = nil
      driven.remove(run.runID)
      run.inputs = []
      placeWasTaken()
    case .keyTaken(let other):
      live[run.runID] = nil
      driven.remove(run.runID)
      var error = RuntimeError(.runIdempotencyConflict, "another run was started with this idempotency key")
      error.details = [("runId", CarriedJSON(string: other.text))]
      for input in run.inputs { input.answered(run, error) }
    case .missing: drop(run, RuntimeError(.runNotFound, "the run was deleted"))
    }
  }

  /// The log moved on under us: read it anew and decide on that. Of a tree all logs are read before any run decides.
  private func decideAgain(_ runs: [LiveRun], in tree: RunTree? = nil) {
    var runs = runs
    do throws(RuntimeError) { if let tree { runs = RunTree.sorted(runs + (try moved(in: tree, besides: runs))).reversed() } } catch {
      for run in tree.map({ Array($0.members.values) }) ?? runs { drop(run, error) }
      return
    }
    for run in runs {
      // One that was to begin is begun again, if it is still wanted.
      guard run.committed > 0 else {
        live[run.runID] = nil
        run.tree?.remove(run)
        continue
      }
      do throws(RuntimeError) { try readAnew(run) } catch { drop(run, error) }
    }
    do throws(RuntimeError) {
      if let tree {
        let known = runs.filter { $0.tree === tree }
        for run in known { tree.note(run) }
        try bringChildren(of: known, in: tree)
      }
    } catch {
      for run in runs where live[run.runID] === run { drop(run, error) }
    }
    for run in runs where live[run.runID] === run {
      reconcile(run)
      for index in run.inputs.indices {
        // A copy: to decide, other runs may be looked at, and they at whether this one is deciding.
        var input = run.inputs[index]
        decide(run, &input)
        if index < run.inputs.count { run.inputs[index] = input }
      }
      markDirty(run)
    }
  }

  /// Those that decided nothing, and whose logs are not what they were.
  private func moved(in tree: RunTree, besides runs: [LiveRun]) throws(RuntimeError) -> [LiveRun] {
    var others = tree.members
    for run in runs { others[run.runID] = nil }
    let positions = try read { () throws(StoreError) in try store.positions(of: Array(others.keys)) }
    return others.values.filter { positions[$0.runID] != $0.committed }
  }

  private func readAnew(_ run: LiveRun) throws(RuntimeError) {
    let before = run.committed
    guard let (state, position, records) = try load(run.runID, keepingAfter: before, disowning: run.loadedAt) else {
      throw RuntimeError(.runNotFound, "the run was deleted")
    }
    run.machine = try run.machine.anew(state, after: records)
    (run.committed, run.committedEpoch) = (position, state.epoch)
    run.idleConnectionChanges = 0
    publish(run.runID, records)
  }
}

extension Array {
  /// Neighbours that belong together.
  fileprivate func chunks(_ belong: (Element, Element) -> Bool) -> [ArraySlice<Element>] {
    var chunks: [ArraySlice<Element>] = []
    var start = startIndex
    while start < endIndex {
      var end = start + 1
      while end < endIndex, belong(self[start], self[end]) { end += 1 }
      chunks.append(self[start..<end])
      start = end
    }
    return chunks
  }
}

/// What a submit was answered with, by the time it returns.
final class StoreAnswer: Sendable {
  let value = Mutex<Result<[AppendResult], StoreError>?>(nil)
}
