package import AgentRuntime
import JSON

/// What all processes of a test have in common: the runs, the blobs, and who lives.
package final class MemoryDisk: @unchecked Sendable {
  // Unchecked, because: a test drives all of its processes on one thread.

  struct Run {
    var summary: RunSummary
    var records: [LogRecord] = []
  }

  struct Blob {
    var type: BlobType
    var value: Bytes
    var isComplete: Bool
    /// The runs that name it.
    var runs: Set<ULID> = []
  }

  var runs: [ULID: Run] = [:]
  var keys: [String: ULID] = [:]
  var blobs: [ULID: Blob] = [:]
  private var documents: [String: [String: Document]] = [:]
  private var lastOwner = 0
  private(set) var living: Set<OwnerID> = []
  /// Commits of each process.
  private(set) var commits: [OwnerID: Int] = [:]
  private var observers: [ULID: Set<OwnerID>] = [:]
  private var chunks: [OwnerID: [LiveChunk]] = [:]
  private var published: [(chunk: LiveChunk, by: OwnerID)] = []

  /// Living processes that hold claims, as they say.
  private var holders: Set<OwnerID> = []
  /// When the leases of frozen processes end.
  private var leaseEnds: [OwnerID: Int] = [:]
  /// On the monotonic clock.
  private let now: () -> Int

  package init(now: @escaping () -> Int = { 0 }) { self.now = now }

  /// The process shows no more that it is at work.
  package func freeze(_ owner: OwnerID) { leaseEnds[owner] = now() + Lease.milliseconds }
  package func thaw(_ owner: OwnerID) { leaseEnds[owner] = nil }

  func keepLease(_ isNeeded: Bool, of owner: OwnerID) {
    if isNeeded { holders.insert(owner) } else { holders.remove(owner) }
  }

  func leaseLeft(of owner: OwnerID) -> Int? {
    guard living.contains(owner), holders.contains(owner) else { return 0 }
    return leaseEnds[owner].map { max(0, $0 - now()) }
  }

  func open() -> OwnerID {
    lastOwner += 1
    let owner = OwnerID(number: lastOwner)
    living.insert(owner)
    return owner
  }

  package func close(_ owner: OwnerID) {
    living.remove(owner)
    chunks[owner] = nil
    for run in observers.keys { observers[run]?.remove(owner) }
  }

  func countCommit(by owner: OwnerID) { commits[owner, default: 0] += 1 }

  func commits(besides owner: OwnerID) -> Int {
    commits.reduce(0) { $0 + ($1.key == owner ? 0 : $1.value) }
  }

  // MARK: What a test looks at

  package func records(of run: ULID) -> [LogRecord] { runs[run]?.records ?? [] }
  package func summary(of run: ULID) -> RunSummary? { runs[run]?.summary }
  package var runIDs: [ULID] { runs.keys.sorted() }
  package var blobCount: Int { blobs.count }
  /// Those that go with the run, if no other one names them.
  package func blobs(of run: ULID) -> Set<ULID> { Set(blobs.filter { $0.value.runs.contains(run) }.keys) }

  // MARK: Appends

  func apply(_ batch: [Append]) -> [AppendResult] {
    var results: [AppendResult] = []
    for group in batch.groups {
      let before = (runs, keys, blobs, documents)
      let found = group.map { apply($0) }
      if group.count > 1, found.contains(where: { $0 != .appended }) {
        (runs, keys, blobs, documents) = before
        results += found.map { $0 == .appended ? .conflict : $0 }
      } else {
        results += found
      }
    }
    return results
  }

  private func apply(_ append: Append) -> AppendResult {
    let runID = append.summary.runID
    guard fit(append.documents) else { return .conflict }
    guard let run = runs[runID] else {
      guard append.expectedPosition == 0 else { return .missing }
      if let key = append.summary.idempotencyKey, let other = keys[key] { return .keyTaken(other) }
      store(append, in: Run(summary: append.summary))
      if let key = append.summary.idempotencyKey { keys[key] = runID }
      return .appended
    }
    guard run.summary.lastPosition == append.expectedPosition, run.summary.epoch == append.expectedEpoch ?? run.summary.epoch else {
      return .conflict
    }
    if !append.records.isEmpty { store(append, in: run) }
    return .appended
  }

  private func store(_ append: Append, in run: Run) {
    var run = run
    run.records += append.records
    run.summary = append.summary
    runs[append.summary.runID] = run
    for blob in append.blobs { blobs[blob.id] = Blob(type: blob.type, value: blob.value, isComplete: true, runs: [append.summary.runID]) }
    write(append.documents)
    for id in append.adoptedBlobs { blobs[id]?.runs.insert(append.summary.runID) }
  }

  func delete(_ runID: ULID) {
    guard let run = runs.removeValue(forKey: runID) else { return }
    if let key = run.summary.idempotencyKey { keys[key] = nil }
    for (id, blob) in blobs where blob.runs.contains(runID) {
      blobs[id]?.runs.remove(runID)
      if blobs[id]?.runs.isEmpty == true { blobs[id] = nil }
    }
  }

  // MARK: Documents

  func fit(_ writes: [DocumentWrite]) -> Bool {
    writes.allSatisfy { documents[$0.kind]?[$0.id]?.version ?? 0 == $0.expectedVersion }
  }

  func write(_ writes: [DocumentWrite]) {
    for write in writes {
      documents[write.kind, default: [:]][write.id] = write.json.map {
        Document(kind: write.kind, id: write.id, version: write.expectedVersion + 1, updatedAt: write.updatedAt, json: $0)
      }
    }
  }

  var documentKinds: [String] { documents.filter { !$0.value.isEmpty }.keys.sorted() }

  func restore(_ document: Document) -> Bool {
    guard documents[document.kind]?[document.id] == nil else { return false }
    documents[document.kind, default: [:]][document.id] = document
    return true
  }

  package func document(_ kind: String, _ id: String) -> Document? { documents[kind]?[id] }

  func documents(matching query: DocumentQuery) -> [Document] {
    func comesBefore(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
    let found = (documents[query.kind] ?? [:]).values.filter { document in
      guard document.id.utf8.starts(with: query.prefix.utf8) else { return false }
      guard let after = query.after else { return true }
      return query.isDescending ? comesBefore(document.id, after) : comesBefore(after, document.id)
    }
    let sorted = found.sorted { query.isDescending ? comesBefore($1.id, $0.id) : comesBefore($0.id, $1.id) }
    return Array(sorted.prefix(query.limit))
  }

  // MARK: Observers

  func observe(_ run: ULID, _ wanted: Bool, after sequence: Int, by owner: OwnerID) {
    guard wanted else {
      observers[run]?.remove(owner)
      return
    }
    guard observers[run, default: []].insert(owner).inserted else { return }
    let early = published.filter { $0.chunk.runID == run && $0.chunk.afterSequence > sequence && $0.by != owner }
    chunks[owner, default: []] += early.map(\.chunk)
  }

  func isObserved(_ run: ULID, besides owner: OwnerID) -> Bool {
    observers[run, default: []].contains { $0 != owner && living.contains($0) }
  }

  func publish(_ chunk: LiveChunk, by owner: OwnerID) {
    published.append((chunk, owner))
    for observer in observers[chunk.runID] ?? [] where observer != owner { chunks[observer, default: []].append(chunk) }
  }

  func takeChunks(for owner: OwnerID) -> [LiveChunk] { chunks.removeValue(forKey: owner) ?? [] }
}
