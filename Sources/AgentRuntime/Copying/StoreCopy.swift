import JSON
import Synchronization

/// Copies runs and documents from one store to another: logs, rows, blobs and versions as they are, to the byte.
///
/// What is there already is compared and left alone; a run whose copy was cut off is gone on with. So a copy that was interrupted is simply made again.
package struct StoreCopy {
  /// What became of one thing.
  package enum Verdict: Sendable, Equatable {
    case copied
    /// The same was there, or a run that has gone on since.
    case present
    /// It was left out, for this reason.
    case refused(String)
  }

  /// So much of a log, or of a blob, goes in one transaction.
  private static let portionBytes = 4 << 20

  private let source: any RunStore
  private let destination: any RunStore

  package init(from source: any RunStore, to destination: any RunStore) {
    self.source = source
    self.destination = destination
  }

  /// All runs of the source, oldest first.
  package func runs() throws(StoreError) -> [ULID] {
    var found: [ULID] = []
    var query = RunQuery()
    query.limit = 1000
    while true {
      let page = try source.runs(matching: query)
      found += page.map(\.runID)
      guard page.count == query.limit, let last = page.last else { return found.reversed() }
      query.before = last.runID
    }
  }

  // MARK: Runs

  package func copy(run: ULID) throws(StoreError) -> Verdict {
    do throws(StoreError) { return try copyWhole(run) } catch {
      // What is damaged is one run's, and must not keep the others from being saved.
      guard error.code == .damaged else { throw error }
      return .refused(error.message)
    }
  }

  private func copyWhole(_ run: ULID) throws(StoreError) -> Verdict {
    guard let row = try source.summary(of: run) else { return .refused("it was deleted meanwhile") }
    if let owner = row.owner, source.isAlive(owner) { return .refused("a process drives it; end that, then copy again") }
    let there = try destination.summary(of: run)
    if let owner = there?.owner, destination.isAlive(owner) { return .refused("a process drives the copy that is there") }
    let common = min(there?.lastPosition ?? 0, row.lastPosition)
    guard try hasSameRecords(run, upTo: common) else { return .refused("another run with this id is there, or both have gone on since") }
    if common == row.lastPosition { return .present }
    return try append(row, after: common)
  }

  private func hasSameRecords(_ run: ULID, upTo end: Int) throws(StoreError) -> Bool {
    var position = 0
    while position < end {
      let ours = try source.records(of: run, after: position, maxBytes: Self.portionBytes).prefix(end - position)
      let theirs = try destination.records(of: run, after: position, maxBytes: Self.portionBytes)
      let count = min(ours.count, theirs.count)
      guard count > 0, ours.prefix(count).elementsEqual(theirs.prefix(count)) else { return false }
      position += count
    }
    return true
  }

  private func append(_ row: RunSummary, after position: Int) throws(StoreError) -> Verdict {
    var position = position
    let blobs = try source.blobs(of: row.runID)
    for blob in blobs { try copy(blob: blob) }
    var copied = Set(blobs)
    var sequence = try lastSequence(of: row.runID, upTo: position)
    while position < row.lastPosition {
      let records = Array(
        try source.records(of: row.runID, after: position, maxBytes: Self.portionBytes).prefix(row.lastPosition - position))
      guard let last = records.last else { return .refused("its log ends before its row says so") }
      sequence = records.last { $0.sequence != nil }?.sequence ?? sequence
      var summary = row
      summary.lastPosition = last.position
      summary.lastSequence = sequence
      // Version 0.1.0 noted as a run's only what the run had stored itself.
      let named = records.namedBlobs
      for blob in named.subtracting(copied).sorted() { try copy(blob: blob) }
      copied.formUnion(named)
      var append = Append(expectedPosition: position, summary: summary, records: records)
      append.adoptedBlobs = copied.sorted()
      switch try submit(append) {
      case .appended:
        position = last.position
        // Nobody waits for an answer meanwhile.
        if destination.isUntidy { destination.tidy() }
      case .keyTaken(let other): return .refused("run \(other) there has its idempotency key")
      case .conflict, .missing: return .refused("the copy changed meanwhile")
      }
    }
    return .copied
  }

  private func lastSequence(of run: ULID, upTo position: Int) throws(StoreError) -> Int {
    position == 0 ? 0 : try destination.summary(of: run)?.lastSequence ?? 0
  }

  private func submit(_ append: Append) throws(StoreError) -> AppendResult {
    let answer = StoreAnswer()
    destination.submit([append], meanwhile: nil) { result in answer.value.withLock { $0 = result } }
    guard let result = answer.value.withLock({ $0 }) else { preconditionFailure("the store did not complete on the caller's thread") }
    return try result.get()[0]
  }

  /// A blob stays without a run until the append that names it.
  private func copy(blob id: ULID) throws(StoreError) {
    guard let (type, bytes) = try source.blob(id), try destination.blob(id) == nil else { return }
    // Nothing more says how much of it a copy that was cut off has left.
    var offset = try destination.appendToBlob(id, type: type, chunk: Bytes(), last: bytes == 0)
    while offset < bytes {
      let chunk = try source.blobBytes(id, offset: offset, length: Self.portionBytes)
      if chunk.isEmpty { throw .missingPart(of: id) }
      offset = try destination.appendToBlob(id, type: type, chunk: chunk, last: offset + chunk.count == bytes)
    }
  }

  // MARK: Documents

  /// Agents, memory, sessions: each with what became of it.
  package func copyDocuments(_ told: (Document, Verdict) throws(StoreError) -> Void) throws(StoreError) {
    for kind in try source.documentKinds() {
      var query = DocumentQuery(kind: kind)
      while true {
        let page = try source.documents(matching: query)
        for document in page { try told(document, try copy(document)) }
        guard page.count == query.limit, let last = page.last else { break }
        query.after = last.id
      }
    }
  }

  private func copy(_ document: Document) throws(StoreError) -> Verdict {
    if try destination.restore(document) { return .copied }
    return try destination.document(document.kind, document.id) == document ? .present : .refused("another one is there")
  }
}
