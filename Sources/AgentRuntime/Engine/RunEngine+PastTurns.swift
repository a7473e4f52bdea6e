import JSON

/// Reading what the turns of a branch have said: from chapters where there are some, else from the logs of the runs.
extension RunEngine {
  private static let chaptersAtOnce = 32

  /// Consecutive turns of a branch.
  func pastTurns(of branchID: ULID, from first: Int, to end: Int) throws(RuntimeError) -> [PastTurn] {
    var turns: [PastTurn] = []
    if first >= end { return turns }
    try forEachChapter(of: branchID, from: first, to: end) { (chapter) throws(RuntimeError) in
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
    of branchID: ULID, from first: Int, to end: Int, _ body: (Chapter) throws(RuntimeError) -> Void
  ) throws(RuntimeError) {
    if let document = try chapterDocument(of: branchID, atOrBefore: first), let chapter = Chapter(document), chapter.end > first {
      try body(chapter)
    }
    var query = DocumentQuery(
      kind: Chapter.kind, prefix: branchID.text + "/", after: TurnDocument.documentID(branchID, first), limit: Self.chaptersAtOnce)
    while true {
      let page = query
      let documents = try read { () throws(StoreError) in try store.documents(matching: page) }
      for document in documents {
        guard let chapter = Chapter(document) else { continue }
        guard chapter.first < end else { return }
        try body(chapter)
      }
      guard documents.count == query.limit else { return }
      query.after = documents.last?.id
    }
  }

  private func chapterDocument(of branchID: ULID, atOrBefore number: Int) throws(RuntimeError) -> Document? {
    let query = DocumentQuery(
      kind: Chapter.kind, prefix: branchID.text + "/", after: TurnDocument.documentID(branchID, number + 1), isDescending: true, limit: 1)
    return try read { () throws(StoreError) in try store.documents(matching: query) }.first
  }

  // MARK: Chapters

  /// Puts down what is not in a chapter yet and is enough for one, some time later: nothing waits for it.
  ///
  /// - Parameter turns: Consecutive turns of the branch up to `end`.
  /// - Returns: those at the end that are not enough.
  func keepChapters(of branchID: ULID, _ turns: [PastTurn], to end: Int) -> [PastTurn] {
    var writes: [DocumentWrite] = []
    var open: [PastTurn] = []
    var weight = 0
    let now = host.wallClock()
    for (index, turn) in turns.enumerated() {
      func close() {
        if !open.isEmpty { writes.append(Chapter.creation(branchID, first: end - turns.count + index - open.count, open, at: now)) }
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
      writes.append(Chapter.creation(branchID, first: end - open.count, open, at: now))
      open = []
    }
    if !writes.isEmpty, !isEnding {
      _ = after(milliseconds: 0) { [unowned self] in
        // Another process may have written one of them first: the same, then.
        do throws(StoreError) { _ = try store.write(writes) } catch {
          host.log("chapters of branch \(branchID) could not be written: \(error.message)")
        }
      }
    }
    return open
  }

  /// Before a run is deleted: what repeats its messages goes.
  func removeChapters(with turn: TurnPlace) throws(RuntimeError) {
    let now = host.wallClock()
    while let document = try chapterDocument(of: turn.branchID, atOrBefore: turn.number), Chapter(document)?.end ?? .max > turn.number {
      let removal = DocumentWrite(
        kind: Chapter.kind, id: document.id, expectedVersion: document.version, json: nil, updatedAt: now)
      _ = try read { () throws(StoreError) in try store.write([removal]) }
    }
  }
}
