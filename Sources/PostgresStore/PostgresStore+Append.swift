package import AgentRuntime
import JSON

extension PostgresStore {
  private static let append = Query(
    "SELECT footbridge.append_1(" + (1...44).map { "$\($0)" }.joined(separator: ", ") + ")")

  package func submit(
    _ batch: [Append], meanwhile: (() -> Void)?, completion: @escaping @Sendable (Result<[AppendResult], StoreError>) -> Void
  ) {
    if batch.isEmpty { return completion(.success([])) }
    do throws(StoreError) { completion(.success(try append(batch, meanwhile: meanwhile))) } catch { completion(.failure(error)) }
  }

  private func append(_ batch: [Append], meanwhile: (() -> Void)?) throws(StoreError) -> [AppendResult] {
    var columns = AppendColumns()
    for append in batch { columns.add(append) }
    let answer = try write(Self.append, columns.arguments, meanwhile: meanwhile)
    let outcomes = answer.ints(0, 0)
    guard outcomes.count == batch.count else { throw StoreError(.unavailable, "\(target.name) gave an answer that makes no sense") }
    var results: [AppendResult] = []
    for (append, outcome) in zip(batch, outcomes) {
      switch outcome {
      case 0: results.append(.appended)
      case 2:
        let holder = try append.summary.idempotencyKey.flatMap { (key) throws(StoreError) in try run(withIdempotencyKey: key) }
        // It was deleted meanwhile: deciding again finds the key free.
        results.append(holder.map { .keyTaken($0) } ?? .conflict)
      case 3: results.append(.missing)
      default: results.append(.conflict)
      }
    }
    return results
  }

  package func write(_ documents: [DocumentWrite]) throws(StoreError) -> Bool {
    var columns = AppendColumns()
    columns.add(documents)
    return try write(Self.append, columns.arguments).ints(0, 0) == [0]
  }

  package func run(withIdempotencyKey key: String) throws(StoreError) -> ULID? {
    let answer = try perform(Self.withKey, [.bytes(Bytes(key))])
    return answer.count > 0 ? answer.id(0, 0) : nil
  }

  private static let withKey = Query(
    "SELECT run_id FROM footbridge.runs WHERE sha256(idempotency_key) = sha256($1) AND idempotency_key = $1 AND idempotency_key IS NOT NULL"
  )

  package func delete(run: ULID) throws(StoreError) {
    _ = try write(Self.delete, [.id(run)])
  }

  private static let delete = Query("SELECT footbridge.delete_1($1, $2, $3, $4, $5, $6)")
}

/// A batch, as the columns that `append_1` takes.
private struct AppendColumns {
  private static let chunkBytes = 256 << 10

  private var count = 0
  private var groups: [Int?] = []
  private var runs: [ULID?] = [], parents: [ULID?] = [], sessions: [ULID?] = []
  private var expected: [Int?] = [], expectedEpochs: [Int?] = [], positions: [Int?] = [], sequences: [Int?] = [], drivers: [Int?] = [],
    epochs: [Int?] = []
  private var updated: [Int?] = [], created: [Int?] = []
  private var statuses: [String?] = [], ended: [String?] = []
  private var agents: [Bytes?] = [], keys: [Bytes?] = [], metadata: [Bytes?] = []

  private var recordAppends: [Int?] = [], recordPositions: [Int?] = [], recordSequences: [Int?] = []
  private var recordTypes: [String?] = []
  private var events: [Bytes?] = [], hidden: [Bytes?] = []

  private var blobAppends: [Int?] = [], blobBytes: [Int?] = [], chunkAppends: [Int?] = [], chunkStarts: [Int?] = [], useAppends: [Int?] = []
  private var blobs: [ULID?] = [], chunkBlobs: [ULID?] = [], usedBlobs: [ULID?] = []
  private var blobTypes: [String?] = []
  private var chunks: [Bytes?] = []

  private var documentAppends: [Int?] = [], documentVersions: [Int?] = [], documentTimes: [Int?] = []
  private var kinds: [String?] = []
  private var documentIDs: [Bytes?] = [], documents: [Bytes?] = []

  mutating func add(_ append: Append) {
    add(append.summary, expected: append.expectedPosition, append.expectedEpoch, group: append.group)
    for record in append.records {
      recordAppends.append(count)
      recordPositions.append(record.position)
      recordSequences.append(record.sequence)
      recordTypes.append(record.type)
      events.append(record.event)
      hidden.append(record.hidden)
    }
    for blob in append.blobs { add(blob) }
    for blob in append.adoptedBlobs { use(blob) }
    addDocuments(append.documents)
  }

  /// Documents without a run.
  mutating func add(_ writes: [DocumentWrite]) {
    add(nil, expected: 0, nil, group: nil)
    addDocuments(writes)
  }

  private mutating func add(_ run: RunSummary?, expected position: Int, _ epoch: Int?, group: Int?) {
    count += 1
    groups.append(group)
    runs.append(run?.runID)
    expected.append(position)
    expectedEpochs.append(epoch)
    statuses.append(run?.status.rawValue)
    ended.append(run?.status.hasEnded == true ? run?.status.rawValue : nil)
    positions.append(run?.lastPosition)
    sequences.append(run?.lastSequence)
    drivers.append(run?.owner?.number)
    epochs.append(run?.epoch)
    updated.append(run?.updatedAt.milliseconds)
    created.append(run?.createdAt.milliseconds)
    parents.append(run?.parentRunID)
    sessions.append(run?.sessionID)
    agents.append(run?.agentID.map { Bytes($0) })
    keys.append(run?.idempotencyKey.map { Bytes($0) })
    metadata.append(run?.metadata?.bytes)
  }

  private mutating func add(_ blob: NewBlob) {
    blobAppends.append(count)
    blobs.append(blob.id)
    blobTypes.append(blob.type.rawValue)
    blobBytes.append(blob.value.count)
    for (start, chunk) in blob.value.chunks(of: Self.chunkBytes) {
      chunkAppends.append(count)
      chunkBlobs.append(blob.id)
      chunkStarts.append(start)
      chunks.append(chunk)
    }
    use(blob.id)
  }

  private mutating func use(_ blob: ULID) {
    useAppends.append(count)
    usedBlobs.append(blob)
  }

  private mutating func addDocuments(_ writes: [DocumentWrite]) {
    for write in writes {
      documentAppends.append(count)
      kinds.append(write.kind)
      documentIDs.append(Bytes(write.id))
      documentVersions.append(write.expectedVersion)
      documentTimes.append(write.updatedAt.milliseconds)
      documents.append(write.json?.bytes)
    }
  }

  var arguments: [Argument] {
    [
      .ids(runs), .ints(expected), .ints(expectedEpochs), .texts(statuses), .texts(ended), .ints(positions), .ints(sequences),
      .ints(drivers), .ints(epochs),
      .ints(updated), .ints(created), .ids(parents), .ids(sessions), .byteStrings(agents), .byteStrings(keys), .byteStrings(metadata),
      .ints(groups),
      .ints(recordAppends), .ints(recordPositions), .ints(recordSequences), .texts(recordTypes), .byteStrings(events), .byteStrings(hidden),
      .ints(blobAppends), .ids(blobs), .texts(blobTypes), .ints(blobBytes), .ints(chunkAppends), .ids(chunkBlobs), .ints(chunkStarts),
      .byteStrings(chunks), .ints(useAppends), .ids(usedBlobs),
      .ints(documentAppends), .texts(kinds), .byteStrings(documentIDs), .ints(documentVersions), .ints(documentTimes),
      .byteStrings(documents),
    ]
  }
}

extension Bytes {
  /// In pieces, each with where it begins.
  func chunks(of size: Int) -> [(start: Int, bytes: Bytes)] {
    stride(from: 0, to: count, by: size).map { ($0, self[$0..<Swift.min($0 + size, count)]) }
  }
}
