package import AgentRuntime
package import JSON

/// A process' view of a `MemoryDisk`, with switches for what goes wrong.
package final class MemoryStore: RunStore, @unchecked Sendable {
  // Unchecked, because: a test drives all of its processes on one thread.

  /// What becomes of an append.
  package enum Fault: Sendable {
    /// It fails, and nothing is stored.
    case refused(StoreError)
    /// It is stored, but the answer is an error.
    case answerLost(StoreError)
  }

  package let disk: MemoryDisk
  package let owner: OwnerID
  /// For the next submits that have something to append, first come first.
  package var faults: [Fault] = []
  /// Every read fails with this while it is set.
  package var readFault: StoreError?
  /// Called before a submit is applied: what another process does there makes it a conflict.
  package var beforeSubmit: (([Append]) -> Void)?
  /// Called when a submit is applied, before the engine hears of it.
  package var afterSubmit: (([AppendResult]) -> Void)?
  package var afterDelete: (() -> Void)?
  /// Before another process is looked at.
  package var beforeLook: (() -> Void)?
  /// Reads return at most so many bytes of records, whatever they are asked for.
  package var portionBytes = Int.max
  /// How many documents were found by queries.
  package private(set) var documentsRead = 0
  /// How often something was read.
  package private(set) var readCount = 0
  package private(set) var blobBytesRead = 0
  /// Submits of this process that were applied.
  package private(set) var commitCount = 0
  /// How often the engine opened it again.
  package private(set) var reopenCount = 0
  package private(set) var isKilled = false
  /// Whether this process holds claims, as it says.
  package private(set) var keepsLease = false
  private var isClosed = false
  private var seenCommits: Int

  package init(disk: MemoryDisk = MemoryDisk()) {
    self.disk = disk
    owner = disk.open()
    seenCommits = disk.commits(besides: owner)
  }

  /// The process dies: its claims are free, and nothing that it does from now on counts.
  package func kill() {
    isKilled = true
    disk.close(owner)
  }

  private func check() throws(StoreError) {
    readCount += 1
    if isClosed { throw StoreError(.unavailable, "the store is closed") }
    if isKilled { throw StoreError(.unavailable, "the process is dead") }
    if let readFault { throw readFault }
  }

  // MARK: Appends

  package func submit(
    _ batch: [Append], meanwhile: (() -> Void)?, completion: @escaping @Sendable (Result<[AppendResult], StoreError>) -> Void
  ) {
    if batch.isEmpty { return completion(.success([])) }
    beforeSubmit?(batch)
    if isClosed || isKilled { return completion(.failure(StoreError(.unavailable, "the process is dead"))) }
    meanwhile?()
    let fault = faults.isEmpty ? nil : faults.removeFirst()
    if case .refused(let error) = fault { return completion(.failure(error)) }
    let results = disk.apply(batch)
    if results.contains(.appended) { disk.countCommit(by: owner) }
    commitCount += 1
    afterSubmit?(results)
    if isKilled { return completion(.failure(StoreError(.unavailable, "the process is dead"))) }
    if case .answerLost(let error) = fault { return completion(.failure(error)) }
    completion(.success(results))
  }

  // MARK: Processes

  package func isAlive(_ owner: OwnerID) -> Bool {
    if owner == self.owner { return disk.living.contains(owner) }
    beforeLook?()
    return leaseLeft(of: owner) != 0
  }
  package func leaseLeft(of owner: OwnerID) -> Int? { disk.leaseLeft(of: owner) }
  package func keepLease(_ isNeeded: Bool) {
    keepsLease = isNeeded
    disk.keepLease(isNeeded, of: owner)
  }

  package func changedByOthers() throws(StoreError) -> Bool {
    try check()
    let commits = disk.commits(besides: owner)
    defer { seenCommits = commits }
    return commits != seenCommits
  }

  package func reopen() throws(StoreError) {
    reopenCount += 1
    try check()
  }

  package func close() {
    isClosed = true
    disk.close(owner)
  }

  // MARK: Runs

  package func summary(of run: ULID) throws(StoreError) -> RunSummary? {
    try check()
    return disk.summary(of: run)
  }

  package func positions(of runs: [ULID]) throws(StoreError) -> [ULID: Int] {
    try check()
    var positions: [ULID: Int] = [:]
    for run in runs { positions[run] = disk.summary(of: run)?.lastPosition }
    return positions
  }

  package func run(withIdempotencyKey key: String) throws(StoreError) -> ULID? {
    try check()
    return disk.keys[key]
  }

  package func records(of run: ULID, after position: Int, maxBytes: Int) throws(StoreError) -> [LogRecord] {
    try check()
    let later = disk.records(of: run).drop { $0.position <= position }
    return later.portion(maxBytes: min(maxBytes, portionBytes)) { ($0.event?.count ?? 0) + ($0.hidden?.count ?? 0) }
  }

  package func events(of run: ULID, after sequence: Int, limit: Int, maxBytes: Int) throws(StoreError) -> [(sequence: Int, event: Bytes)] {
    try check()
    var events: [(sequence: Int, event: Bytes)] = []
    for record in disk.records(of: run) {
      if let number = record.sequence, number > sequence, let event = record.event { events.append((number, event)) }
    }
    return events.prefix(limit).portion(maxBytes: maxBytes) { $0.event.count }
  }

  package func runs(matching query: RunQuery) throws(StoreError) -> [RunSummary] {
    try check()
    let found = disk.runIDs.reversed().compactMap { disk.summary(of: $0) }.filter { $0.matches(query) }
    return Array(found.prefix(query.limit))
  }

  package func orphans() throws(StoreError) -> [ULID] {
    try check()
    return disk.runIDs.filter { runID in
      guard let row = disk.summary(of: runID), !row.status.hasEnded, row.owner != nil || row.status == .running else { return false }
      return !(row.owner.map { isAlive($0) } ?? false)
    }
  }

  package func delete(run: ULID) throws(StoreError) {
    try check()
    disk.delete(run)
    disk.countCommit(by: owner)
    afterDelete?()
  }

  // MARK: Blobs

  package func blob(_ id: ULID) throws(StoreError) -> (type: BlobType, bytes: Int)? {
    try check()
    guard let blob = disk.blobs[id], blob.isComplete else { return nil }
    return (blob.type, blob.value.count)
  }

  package func blobBytes(_ id: ULID, offset: Int, length: Int) throws(StoreError) -> Bytes {
    try check()
    guard let blob = disk.blobs[id], offset < blob.value.count else { return Bytes() }
    let end = min(blob.value.count, offset + length)
    blobBytesRead += end - offset
    return blob.value[offset..<end]
  }

  package func appendToBlob(_ id: ULID, type: BlobType, chunk: Bytes, last: Bool) throws(StoreError) -> Int {
    try check()
    var blob = disk.blobs[id] ?? MemoryDisk.Blob(type: type, value: Bytes(), isComplete: false)
    if blob.isComplete { throw StoreError(.unavailable, "the blob is complete") }
    var buffer = ByteBuffer(capacity: blob.value.count + chunk.count)
    buffer.append(blob.value)
    buffer.append(chunk)
    blob.value = buffer.finish()
    blob.isComplete = last
    disk.blobs[id] = blob
    disk.countCommit(by: owner)
    return blob.value.count
  }

  package func blobs(of run: ULID) throws(StoreError) -> [ULID] {
    try check()
    return disk.blobs(of: run).sorted()
  }

  // MARK: Documents

  package func documentKinds() throws(StoreError) -> [String] {
    try check()
    return disk.documentKinds
  }

  package func restore(_ document: Document) throws(StoreError) -> Bool {
    try check()
    return disk.restore(document)
  }

  package func document(_ kind: String, _ id: String) throws(StoreError) -> Document? {
    try check()
    return disk.document(kind, id)
  }

  package func documents(matching query: DocumentQuery) throws(StoreError) -> [Document] {
    try check()
    let found = disk.documents(matching: query)
    documentsRead += found.count
    return found
  }

  package func write(_ documents: [DocumentWrite]) throws(StoreError) -> Bool {
    try check()
    guard disk.fit(documents) else { return false }
    disk.write(documents)
    disk.countCommit(by: owner)
    return true
  }

  // MARK: Observers

  package func observe(_ run: ULID, _ wanted: Bool, after sequence: Int) throws(StoreError) {
    try check()
    disk.observe(run, wanted, after: sequence, by: owner)
  }

  package func observed(among runs: [ULID]) throws(StoreError) -> Set<ULID> {
    try check()
    return Set(runs.filter { disk.isObserved($0, besides: owner) })
  }

  package func publish(_ chunks: [LiveChunk]) throws(StoreError) {
    try check()
    for chunk in chunks { disk.publish(chunk, by: owner) }
  }

  package func liveChunks() throws(StoreError) -> [LiveChunk] {
    try check()
    return disk.takeChunks(for: owner)
  }
}

extension RunSummary {
  fileprivate func matches(_ query: RunQuery) -> Bool {
    if !query.statuses.isEmpty, !query.statuses.contains(status) { return false }
    if let session = query.sessionID, session != sessionID { return false }
    if let before = query.before, runID >= before { return false }
    return query.metadata.allSatisfy { name, text in metadata?[name]?.stringValue == text }
  }
}

extension Sequence {
  /// The first elements that fit in `maxBytes`, at least one if there is one.
  fileprivate func portion(maxBytes: Int, _ size: (Element) -> Int) -> [Element] {
    var portion: [Element] = []
    var bytes = 0
    for element in self {
      bytes += size(element)
      if bytes > maxBytes, !portion.isEmpty { break }
      portion.append(element)
    }
    return portion
  }
}
