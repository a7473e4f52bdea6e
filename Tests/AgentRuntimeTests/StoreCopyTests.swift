import AgentRuntime
import JSON
import TestSupport
import Testing

private typealias T = StoreTrial

@Suite struct StoreCopyTests {
  private let source = MemoryStore()
  private let destination = MemoryStore()
  private var copy: StoreCopy { StoreCopy(from: source, to: destination) }

  /// A run with a big log, a blob of its own, and one that it shares.
  private func makeRuns() throws -> [RunSummary] {
    let trial = StoreTrial(store: source)
    _ = try source.appendToBlob(T.id(50), type: .json, chunk: T.pattern(9 << 20), last: true)
    var summaries = (1...3).map { T.summary($0, status: .waitingClientTool) }
    for at in summaries.indices {
      summaries[at].idempotencyKey = "key \(at)"
      var records: [LogRecord] = []
      for position in 1...9 {
        let isEvent = position % 3 != 0
        let event = T.pattern(700_000, seed: at * 100 + position)
        records.append(
          LogRecord(
            position: position, sequence: isEvent ? position - position / 3 : nil, type: "t", event: isEvent ? event : nil, hidden: event))
      }
      var append = T.append(
        records, to: &summaries[at], blobs: [NewBlob(id: T.id(UInt64(60 + at)), type: .string, value: T.pattern(10, seed: at))])
      append.adoptedBlobs = [T.id(50)]
      #expect(try trial.append(append) == .appended)
    }
    return summaries
  }

  private func expectSame(_ summary: RunSummary) throws {
    #expect(try destination.summary(of: summary.runID) == summary)
    #expect(destination.disk.records(of: summary.runID) == source.disk.records(of: summary.runID))
    #expect(try destination.blobs(of: summary.runID) == source.blobs(of: summary.runID))
    for id in try source.blobs(of: summary.runID) {
      let size = try #require(try source.blob(id)).bytes
      #expect(try destination.blobBytes(id, offset: 0, length: size) == source.blobBytes(id, offset: 0, length: size))
    }
  }

  @Test func `runs are copied oldest first, with rows, logs and blobs as they are, and then are there`() throws {
    let summaries = try makeRuns()
    #expect(try copy.runs() == summaries.map(\.runID))
    for summary in summaries { #expect(try copy.copy(run: summary.runID) == .copied) }
    for summary in summaries { try expectSame(summary) }
    for summary in summaries { #expect(try copy.copy(run: summary.runID) == .present) }
    #expect(try destination.run(withIdempotencyKey: "key 1") == summaries[1].runID)
  }

  @Test func `a copy that was cut off at any commit is gone on with`() throws {
    let summaries = try makeRuns()
    let cut = StoreError(.unavailable, "cut")
    destination.faults = [.refused(cut)]
    #expect(throws: cut) { try copy.copy(run: summaries[0].runID) }
    destination.faults = [.answerLost(cut)]
    #expect(throws: cut) { try copy.copy(run: summaries[0].runID) }
    #expect(try destination.summary(of: summaries[0].runID)?.lastPosition ?? 0 < 9)
    #expect(try copy.copy(run: summaries[0].runID) == .copied)
    try expectSame(summaries[0])
  }

  @Test func `a blob that a log names comes along, also where nothing else says whose it is`() throws {
    _ = try source.appendToBlob(T.id(50), type: .string, chunk: Bytes("text"), last: true)
    var summary = T.summary(1, status: .waitingClientTool)
    let record = T.event(1, 1, #"{"data":{"$blob":"\#(T.id(50))","type":"string","bytes":4,"preview":"text"}}"#)
    #expect(try StoreTrial(store: source).append(T.append([record], to: &summary)) == .appended)
    #expect(try copy.copy(run: summary.runID) == .copied)
    #expect(try destination.blobBytes(T.id(50), offset: 0, length: 9) == Bytes("text"))
    #expect(try destination.blobs(of: summary.runID) == [T.id(50)])
  }

  @Test func `half a blob is gone on with`() throws {
    let summaries = try makeRuns()
    _ = try destination.appendToBlob(T.id(50), type: .json, chunk: T.pattern(9 << 20)[0..<12_345], last: false)
    #expect(try copy.copy(run: summaries[2].runID) == .copied)
    try expectSame(summaries[2])
  }

  @Test func `a run that has gone on in the source is added to, one that has gone on in the destination stays`() throws {
    var summary = try makeRuns()[0]
    #expect(try copy.copy(run: summary.runID) == .copied)
    let before = summary
    try StoreTrial(store: source).change(&summary)
    #expect(try copy.copy(run: summary.runID) == .copied)
    try expectSame(summary)
    let back = StoreCopy(from: destination, to: MemoryStore(disk: source.disk))
    var more = summary
    try StoreTrial(store: destination).change(&more)
    #expect(try copy.copy(run: summary.runID) == .present)
    #expect(try destination.summary(of: summary.runID) == more)
    #expect(try back.copy(run: summary.runID) == .copied)
    #expect(before.lastPosition + 2 == more.lastPosition)
  }

  @Test func `a run that differs, is driven, or whose key is taken is left out and named`() throws {
    var summaries = try makeRuns()
    try StoreTrial(store: destination).create(1)
    #expect(try copy.copy(run: summaries[0].runID) == .refused("another run with this id is there, or both have gone on since"))
    try StoreTrial(store: destination).create(9) { $0.idempotencyKey = "key 1" }
    #expect(try copy.copy(run: summaries[1].runID) == .refused("run \(T.id(9)) there has its idempotency key"))
    summaries[2].owner = source.owner
    try StoreTrial(store: source).change(&summaries[2])
    #expect(try copy.copy(run: summaries[2].runID) == .refused("a process drives it; end that, then copy again"))
    source.disk.close(source.owner)
    #expect(try copy.copy(run: summaries[2].runID) == .copied)
  }

  @Test func `documents keep their versions and times, and another one is not overwritten`() throws {
    let time = Timestamp(milliseconds: 1_700_000_000_123)
    var documents = (1...250).map {
      Document(kind: $0 % 2 == 0 ? "agent" : "session", id: "d\($0)", version: $0, updatedAt: time, json: CarriedJSON(trusted: Bytes("{}")))
    }
    for document in documents { #expect(try source.restore(document)) }
    documents[0].version = 99
    #expect(try destination.restore(documents[0]))
    #expect(try destination.restore(documents[1]))
    var told: [String: StoreCopy.Verdict] = [:]
    try copy.copyDocuments { document, verdict in told[document.id] = verdict }
    #expect(told.count == 250)
    #expect(told["d1"] == .refused("another one is there"))
    #expect(told["d2"] == .present)
    #expect(told.values.count { $0 == .copied } == 248)
    for document in documents { #expect(try destination.document(document.kind, document.id) == document) }
  }
}
