package import JSON

/// One entry of a run's log.
///
/// A record with a `sequence` is an event of the wire. One without is the runtime's own (a claim, a call that was deferred): it takes part in the
/// fold and in the compare-and-swap by `position`, and no client sees it.
package struct LogRecord: Sendable, Equatable {
  /// From 1, without gaps, over all records of a run.
  package var position: Int
  /// From 1, without gaps, over the events of a run.
  package var sequence: Int?
  package var type: String
  /// The exact `params` of the `run.event` notification; nil for the runtime's own records.
  package var event: Bytes?
  /// A JSON object that only the runtime reads.
  package var hidden: Bytes?

  package init(position: Int, sequence: Int?, type: String, event: Bytes?, hidden: Bytes?) {
    self.position = position
    self.sequence = sequence
    self.type = type
    self.event = event
    self.hidden = hidden
  }
}

/// What lists and claims need of a run without its log; written anew with every append.
package struct RunSummary: Sendable, Equatable {
  package var runID: ULID
  package var parentRunID: ULID?
  package var sessionID: ULID?
  /// A stored agent, or a file of `--agents`.
  package var agentID: String?
  package var status: RunStatus
  package var lastPosition: Int
  package var lastSequence: Int
  /// The process that drives the run; nil when nobody does. Whether it lives is `RunStore.isAlive`.
  package var owner: OwnerID?
  /// Grows by one with every claim.
  package var epoch: Int
  package var createdAt: Timestamp
  package var updatedAt: Timestamp
  /// An object of strings.
  package var metadata: CarriedJSON?
  /// Unique in the store.
  package var idempotencyKey: String?

  package init(runID: ULID, status: RunStatus, createdAt: Timestamp) {
    self.runID = runID
    self.status = status
    lastPosition = 0
    lastSequence = 0
    epoch = 0
    self.createdAt = createdAt
    updatedAt = createdAt
  }
}

/// How long claims last of a process that does not show that it is at work.
package enum Lease {
  /// A process that dies is noticed at once on the same machine; one that is frozen, or on another machine, within this time.
  package static let milliseconds = 10_000
}

/// A process that has the store open.
package struct OwnerID: Sendable, Hashable {
  package let number: Int
  package init(number: Int) { self.number = number }

  /// No process has this one.
  static let departed = OwnerID(number: 0)
}

package enum BlobType: String, Sendable { case string, json }

/// A value that is stored once and named in events. For a string, `value` is the inside of the JSON string as it was escaped on the wire.
package struct NewBlob: Sendable, Equatable {
  package var id: ULID
  package var type: BlobType
  package var value: Bytes

  package init(id: ULID, type: BlobType, value: Bytes) {
    self.id = id
    self.type = type
    self.value = value
  }
}

/// Records to add to one run's log, if the log still ends where the writer thinks.
///
/// Without records it is a check only: that the log still ends there.
package struct Append: Sendable {
  /// Neighbours in a batch with the same number are made all or none: the runs of a tree are decided together.
  package var group: Int?
  /// The position the log must end at; 0 creates the run.
  package var expectedPosition: Int
  /// The epoch that the run must have; nil when the caller does not mind. A driver that was fenced out fails here even where positions agree.
  package var expectedEpoch: Int?
  /// The run's row after the append.
  package var summary: RunSummary
  package var records: [LogRecord]
  package var blobs: [NewBlob]
  /// Blobs that a client has built, or that are of other runs, which this run now names. One that is not there is passed over.
  package var adoptedBlobs: [ULID] = []
  /// Changed in the same transaction; one that does not fit makes the append a conflict.
  package var documents: [DocumentWrite] = []

  package init(expectedPosition: Int, summary: RunSummary, records: [LogRecord], blobs: [NewBlob] = []) {
    self.expectedPosition = expectedPosition
    self.summary = summary
    self.records = records
    self.blobs = blobs
  }
}

extension [Append] {
  /// What is made all or none, in order.
  package var groups: [ArraySlice<Append>] {
    var groups: [ArraySlice<Append>] = []
    var start = startIndex
    while start < endIndex {
      var end = start + 1
      while end < endIndex, let group = self[start].group, self[end].group == group { end += 1 }
      groups.append(self[start..<end])
      start = end
    }
    return groups
  }
}

package enum AppendResult: Sendable, Equatable {
  case appended
  /// The log ends elsewhere, or another append of the group could not be made: load what is new and decide again.
  case conflict
  /// A run with this idempotency key exists; nothing was created.
  case keyTaken(ULID)
  /// The run was deleted.
  case missing
}

package struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
  /// `damaged`: what was asked for is not what was written, of one run or document; the store works.
  package enum Code: Sendable { case unavailable, full, newer, damaged }
  package var code: Code
  /// What failed and where; names the file, never a value.
  package var message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { message }
}

package struct RunQuery: Sendable {
  package var statuses: [RunStatus] = []
  package var sessionID: ULID?
  /// Members that the run's metadata must have, with these values.
  package var metadata: [String: String] = [:]
  /// Only runs older than this one (ids sort by creation).
  package var before: ULID?
  package var limit = 50
  package init() {}
}

/// Streamed text on its way to observers in other processes; never part of the log.
package struct LiveChunk: Sendable, Equatable {
  package var runID: ULID
  /// The exact `params` of the ephemeral `run.event` notification.
  package var event: Bytes
  /// The sequence of the event after which it was streamed: it comes before the next one.
  package var afterSequence: Int

  package init(runID: ULID, event: Bytes, afterSequence: Int = 0) {
    self.runID = runID
    self.event = event
    self.afterSequence = afterSequence
  }
}

/// The durable truth. All calls come from one thread at a time, the engine's, which the store may block.
package protocol RunStore: AnyObject, Sendable {
  /// This process, as claims name it.
  var owner: OwnerID { get }

  /// Whether what the process behind `owner` claims counts: it has the store open, and its lease is not over. True for this one.
  func isAlive(_ owner: OwnerID) -> Bool

  /// Milliseconds until the claims of a process are free if it shows no more that it is at work; nil when that cannot be said.
  func leaseLeft(of owner: OwnerID) -> Int?

  /// Whether claims of this process are in the log, or about to be: from then on, and before this returns, it shows others that it is at work.
  /// While it keeps no lease, what the log says that it claims need not count.
  func keepLease(_ isNeeded: Bool)

  /// True when another process has committed since the last call. Costs microseconds.
  func changedByOthers() throws(StoreError) -> Bool

  /// The same, and nothing that another process was told is in the store is missed, even if that takes a question to a server.
  func changedByOthersSoFar() throws(StoreError) -> Bool

  /// Applies every append in one transaction and calls `completion` with one result each, in order, when all of it is synced.
  /// An append that conflicts changes nothing and hinders only those of its group. On failure nothing of the batch is there.
  ///
  /// - Parameter meanwhile: Called at most once, before this returns, at a time when the store only waits. It must not use the store, and cannot know
  ///   what becomes of the batch.
  func submit(_ batch: [Append], meanwhile: (() -> Void)?, completion: @escaping @Sendable (Result<[AppendResult], StoreError>) -> Void)

  /// A commit left work for later that nobody waits for; `tidy` does it, and may take long.
  var isUntidy: Bool { get }
  func tidy()

  func summary(of run: ULID) throws(StoreError) -> RunSummary?

  /// Last position of each run that exists, for those given.
  func positions(of runs: [ULID]) throws(StoreError) -> [ULID: Int]

  func run(withIdempotencyKey key: String) throws(StoreError) -> ULID?

  /// Records after `position`, oldest first: as many as fit in about `maxBytes`, at least one if there is one.
  func records(of run: ULID, after position: Int, maxBytes: Int) throws(StoreError) -> [LogRecord]

  /// The event bytes with a sequence above `sequence`, oldest first: at most `limit`, and as many as fit in about `maxBytes`, at least one.
  func events(of run: ULID, after sequence: Int, limit: Int, maxBytes: Int) throws(StoreError) -> [(sequence: Int, event: Bytes)]

  /// Newest first.
  func runs(matching query: RunQuery) throws(StoreError) -> [RunSummary]

  /// Runs with an owner, or with status `running`, that are not driven by a living process.
  func orphans() throws(StoreError) -> [ULID]

  /// Deletes the run, its log and its blobs.
  func delete(run: ULID) throws(StoreError)

  // Blobs. Those of an append belong to its run; those written by a client belong to nobody until an append names them (`adopt`).

  /// Type and size in bytes, of a blob that is complete.
  func blob(_ id: ULID) throws(StoreError) -> (type: BlobType, bytes: Int)?

  /// At most `length` bytes from `offset`.
  func blobBytes(_ id: ULID, offset: Int, length: Int) throws(StoreError) -> Bytes

  /// Adds a chunk to a blob that a client builds (the first one creates it); returns the size so far. `last` completes it.
  func appendToBlob(_ id: ULID, type: BlobType, chunk: Bytes, last: Bool) throws(StoreError) -> Int

  /// The blobs that are of the run, or that it names.
  func blobs(of run: ULID) throws(StoreError) -> [ULID]

  // Documents.

  /// The kinds that there are.
  func documentKinds() throws(StoreError) -> [String]

  /// Puts a document there as it is, with its version and time.
  /// - Returns: false, and nothing is changed, when there is one.
  func restore(_ document: Document) throws(StoreError) -> Bool

  func document(_ kind: String, _ id: String) throws(StoreError) -> Document?

  func documents(matching query: DocumentQuery) throws(StoreError) -> [Document]

  /// Applies all of them in one transaction, synced, or nothing when one does not fit.
  /// - Returns: whether they were applied.
  func write(_ documents: [DocumentWrite]) throws(StoreError) -> Bool

  // Observers in other processes.

  /// Declares (or ends) that this process wants the streamed text of a run that another one drives.
  ///
  /// - Parameter sequence: chunks that are there already count too, if they were streamed after a later event than this one; `.max` for none.
  func observe(_ run: ULID, _ wanted: Bool, after sequence: Int) throws(StoreError)

  /// Which of `runs` have an observer in another living process.
  func observed(among runs: [ULID]) throws(StoreError) -> Set<ULID>

  /// Makes chunks visible to observers; not durable.
  func publish(_ chunks: [LiveChunk]) throws(StoreError)

  /// The chunks of the observed runs that came since the last call, each run's in the order in which they were published.
  func liveChunks() throws(StoreError) -> [LiveChunk]

  /// Opens the store again after a failure that closed it to use; does nothing when it is usable.
  func reopen() throws(StoreError)

  /// Checkpoints and closes; the owner's claims are free afterwards.
  func close()
}

extension RunStore {
  package func changedByOthersSoFar() throws(StoreError) -> Bool { try changedByOthers() }
  package var isUntidy: Bool { false }
  package func tidy() {}

  /// From now on.
  package func observe(_ run: ULID, _ wanted: Bool) throws(StoreError) { try observe(run, wanted, after: .max) }
}
