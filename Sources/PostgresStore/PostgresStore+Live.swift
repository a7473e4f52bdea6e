package import AgentRuntime
import JSON
import POSIXSupport

/// Streamed text between processes: rows of a table that is not logged, told of by NOTIFY. A payload holds less than 8,000 bytes, so the text itself goes
/// by the table, which works through a pooler too.
extension PostgresStore {
  /// Who observes is read anew after so long.
  private static let observersMilliseconds = 200

  private static let observe = Query("SELECT footbridge.observe_1($1, $2, $3, $4, $5, $6)")
  private static let observers = Query("SELECT run_id, owner FROM footbridge.observers WHERE owner <> $1")
  private static let newest = Query("SELECT coalesce(max(number), 0) FROM footbridge.live_text WHERE run_id = $1 AND after <= $2")
  private static let publish = Query("SELECT footbridge.publish_1($1, $2, $3, $4)")
  private static let chunks = Query(
    """
    SELECT l.run_id, l.number, l.after, l.event FROM unnest($1, $2) AS w (run, last)
      JOIN footbridge.live_text l ON l.run_id = w.run AND l.number > w.last WHERE l.owner <> $3 ORDER BY l.number
    """)

  package func observe(_ run: ULID, _ isWanted: Bool, after sequence: Int) throws(StoreError) {
    guard isWanted != (wanted[run] != nil) else { return }
    wanted[run] = isWanted ? try perform(Self.newest, [.id(run), .int(sequence)]).int(0, 0) : nil
    _ = try write(Self.observe, [.ids(Array(wanted.keys))])
  }

  package func observed(among runs: [ULID]) throws(StoreError) -> Set<ULID> {
    let now = Clock.monotonicMilliseconds()
    if now >= observersDue {
      let answer = try perform(Self.observers, [.int(owner.number)])
      otherObservers = (0..<answer.count).compactMap { row in answer.id(row, 0).map { ($0, OwnerID(number: answer.int(row, 1))) } }
      observersDue = now + Self.observersMilliseconds
    }
    if otherObservers.isEmpty { return [] }
    let asked = Set(runs)
    return Set(otherObservers.lazy.filter { asked.contains($0.run) && self.isAlive($0.owner) }.map(\.run))
  }

  package func publish(_ chunks: [LiveChunk]) throws(StoreError) {
    let observed = try observed(among: chunks.map(\.runID))
    let wanted = chunks.filter { observed.contains($0.runID) }
    if wanted.isEmpty { return }
    _ = try perform(
      Self.publish, [.int(owner.number), .ids(wanted.map(\.runID)), .ints(wanted.map(\.afterSequence)), .byteStrings(wanted.map(\.event))])
    watch.wrote(.text)
  }

  package func liveChunks() throws(StoreError) -> [LiveChunk] {
    guard !wanted.isEmpty else { return [] }
    if declaresAgain {
      _ = try write(Self.observe, [.ids(Array(wanted.keys))])
      declaresAgain = false
    }
    let answer = try perform(Self.chunks, [.ids(Array(wanted.keys)), .ints(Array(wanted.values)), .int(owner.number)])
    var found: [LiveChunk] = []
    for row in 0..<answer.count {
      guard let run = answer.id(row, 0), let event = answer.bytes(row, 3) else { continue }
      wanted[run] = answer.int(row, 1)
      found.append(LiveChunk(runID: run, event: event, afterSequence: answer.int(row, 2)))
    }
    return found
  }
}
