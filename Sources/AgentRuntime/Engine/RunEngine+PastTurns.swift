import JSON

/// Reading what the turns of a branch have said: from chapters where there are some, else from the logs of the runs.
extension RunEngine {
  private static let chaptersAtOnce = 32

  /// Consecutive turns of a branch.
  func pastTurns(of branch: Branch, from first: Int, to end: Int) throws(RuntimeError) -> [PastTurn] {
    let branchID = branch.branchID
    var turns: [PastTurn] = []
    if first >= end { return turns }
    try forEachChapter(of: branch, from: first, to: end) { (chapter) throws(RuntimeError) in
      let number = first + turns.count
      if chapter.first > number { turns += try loggedTurns(of: branchID, from: number, to: min(chapter.first, end)) }
      // Turns that are missing altogether: what comes after them cannot be counted on.
      guard first + turns.count >= min(chapter.first, end) else { return }
      for (runID, past) in chapter.turns.dropFirst(first + turns.count - chapter.first).prefix(end - first - turns.count) {
        var turn: PastTurn
        let number = first + turns.count
        if let past { turn = past } else { turn = try loggedTurn(runID) { () throws(RuntimeError) in try turnDocument(branchID, number) } }
        turn.isInChapter = true
        turns.append(turn)
      }
    }
    return turns + (try loggedTurns(of: branchID, from: first + turns.count, to: end))
  }

  private func loggedTurns(of branchID: ULID, from first: Int, to end: Int) throws(RuntimeError) -> [PastTurn] {
    var turns: [PastTurn] = []
    for document in try turnDocuments(of: branchID, from: first, to: end) {
      turns.append(
        try loggedTurn(document.runID) { () throws(RuntimeError) in
          // It may have been deleted since the document was read.
          if document.remains == nil { return try turnDocument(branchID, document.number) }
          return document
        })
    }
    return turns
  }

  /// Of a run that was deleted, what its turn's document says.
  private func loggedTurn(_ runID: ULID, document: () throws(RuntimeError) -> TurnDocument?) throws(RuntimeError) -> PastTurn {
    if let state = try stored(runID) { return PastTurn(of: state) }
    return PastTurn(runID: runID, try document()?.remains ?? TurnRemains())
  }

  /// Those that reach into the range, in their order.
  private func forEachChapter(
    of branch: Branch, from first: Int, to end: Int, _ body: (Chapter) throws(RuntimeError) -> Void
  ) throws(RuntimeError) {
    let branchID = branch.branchID
    if let document = try chapterDocument(of: branchID, atOrBefore: first) {
      for chapter in try chapters([document], of: branch) where chapter.end > first { try body(chapter) }
    }
    var query = DocumentQuery(
      kind: Chapter.kind, prefix: branchID.text + "/", after: TurnDocument.documentID(branchID, first), limit: Self.chaptersAtOnce)
    while true {
      let page = query
      let documents = try read { () throws(StoreError) in try store.documents(matching: page) }
      for chapter in try chapters(documents, of: branch) {
        guard chapter.first < end else { return }
        try body(chapter)
      }
      guard documents.count == query.limit else { return }
      query.after = documents.last?.id
    }
  }

  /// What is to be believed of the documents: one that repeats what a deleted run said is removed, as whoever deleted that may have died too soon to
  /// do so. It is made again, without that, from the logs.
  private func chapters(_ documents: [Document], of branch: Branch) throws(RuntimeError) -> [Chapter] {
    let chapters = documents.compactMap { document in Chapter(document).map { (document, $0) } }
    // Mostly nothing was ever deleted, and nobody need look.
    if branch.deletions == 0 { return chapters.map(\.1) }
    let repeated = chapters.flatMap { $0.1.repeatedRuns }
    let there = try read { () throws(StoreError) in try store.positions(of: repeated) }
    var believed: [Chapter] = []
    for (document, chapter) in chapters {
      if chapter.repeatedRuns.allSatisfy({ there[$0] != nil }) { believed.append(chapter) } else { try remove(chapter: document) }
    }
    return believed
  }

  private func remove(chapter document: Document) throws(RuntimeError) {
    let removal = DocumentWrite(
      kind: Chapter.kind, id: document.id, expectedVersion: document.version, json: nil, updatedAt: host.wallClock())
    // Another process may have removed it first.
    _ = try read { () throws(StoreError) in try store.write([removal]) }
  }

  private func chapterDocument(of branchID: ULID, atOrBefore number: Int) throws(RuntimeError) -> Document? {
    let query = DocumentQuery(
      kind: Chapter.kind, prefix: branchID.text + "/", after: TurnDocument.documentID(branchID, number + 1), isDescending: true, limit: 1)
    return try read { () throws(StoreError) in try store.documents(matching: query) }.first
  }

  // MARK: Chapters

  /// Puts down what is not in a chapter yet and is enough for one, some time later: nothing waits for it.
  ///
  /// - Parameters:
  ///   - branch: As it was before the first of the turns was read.
  ///   - turns: Consecutive turns of the branch up to `end`.
  /// - Returns: those at the end that are not enough.
  func keepChapters(of branch: Branch, _ turns: [PastTurn], to end: Int) -> [PastTurn] {
    var writes: [DocumentWrite] = []
    var open: [PastTurn] = []
    var weight = 0
    let now = host.wallClock()
    for (index, turn) in turns.enumerated() {
      func close() {
        if !open.isEmpty { writes.append(Chapter.creation(branch.branchID, first: end - turns.count + index - open.count, open, at: now)) }
        (open, weight) = ([], 0)
      }
      if turn.isInChapter {
        close()
        continue
      }
      guard turn.isOver else { break }
      if weight >= Chapter.size { close() }
      open.append(turn)
      weight += Chapter.weight(of: turn)
    }
    if weight >= Chapter.size {
      writes.append(Chapter.creation(branch.branchID, first: end - open.count, open, at: now))
      open = []
    }
    if !writes.isEmpty, !isEnding { writeSoon(writes, of: branch) }
    return open
  }

  private func writeSoon(_ chapters: [DocumentWrite], of branch: Branch) {
    _ = after(milliseconds: 0) { [unowned self] in
      // A turn that is on its way to the branch would find its place taken.
      if extendedBranches[branch.branchID] != nil { return writeSoon(chapters, of: branch) }
      do throws(RuntimeError) { try write(chapters, of: branch) } catch {
        host.log("chapters of branch \(branch.branchID) could not be written: \(error.message)")
      }
    }
  }

  /// Together with the branch as it is, so that no run is deleted in between: what has repeated its messages is looked for when that is counted.
  private func write(_ chapters: [DocumentWrite], of branch: Branch) throws(RuntimeError) {
    let id = Branch.documentID(branch.sessionID, branch.branchID)
    var lastVersion = 0
    while true {
      guard let document = try read({ () throws(StoreError) in try store.document(Branch.kind, id) }) else { return }
      let now = try Branch(document)
      // A run was deleted, perhaps one of these; or the branch is as it was, so another process has written one of the chapters first: the same, then.
      guard now.deletions == branch.deletions, now.version != lastVersion else { return }
      let writes = [now.write(at: host.wallClock())] + chapters
      if try read({ () throws(StoreError) in try store.write(writes) }) { return }
      lastVersion = now.version
    }
  }

  /// Of a run that is deleted: what repeats its messages goes.
  func removeChapters(with turn: TurnPlace) throws(RuntimeError) {
    while let document = try chapterDocument(of: turn.branchID, atOrBefore: turn.number), Chapter(document)?.end ?? .max > turn.number {
      try remove(chapter: document)
    }
  }
}
