package import AgentRuntime
package import JSON
import POSIXSupport

extension PostgresStore {
  private static let chunkBytes = 256 << 10

  private static let find = Query("SELECT type, bytes FROM footbridge.blobs WHERE id = $1 AND complete")
  /// From the chunk that holds the first byte on, behind the size of the whole. Where there is none, and the blob is, that is one row with NULL.
  private static let chunks = Query(
    """
    SELECT b.bytes, c.start, c.data FROM footbridge.blobs b LEFT JOIN footbridge.blob_chunks c ON c.blob_id = b.id AND c.start < $3
      AND c.start >= (SELECT max(start) FROM footbridge.blob_chunks WHERE blob_id = $1 AND start <= $2) WHERE b.id = $1 ORDER BY c.start
    """)
  private static let ofRun = Query("SELECT blob_id FROM footbridge.blob_uses WHERE run_id = $1 ORDER BY blob_id")
  private static let grow = Query("SELECT footbridge.append_to_blob_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")

  package func blob(_ id: ULID) throws(StoreError) -> (type: BlobType, bytes: Int)? {
    let answer = try perform(Self.find, [.id(id)])
    guard answer.count > 0, let type = BlobType(rawValue: answer.text(0, 0)) else { return nil }
    return (type, answer.int(0, 1))
  }

  package func blobBytes(_ id: ULID, offset: Int, length: Int) throws(StoreError) -> Bytes {
    let start = max(0, offset)
    let (sum, isTooFar) = start.addingReportingOverflow(max(0, length))
    let wanted = isTooFar ? Int.max : sum
    guard start < wanted else { return Bytes() }
    let answer = try perform(Self.chunks, [.id(id), .int(start), .int(wanted)])
    let end = min(wanted, answer.count > 0 ? answer.int(0, 0) : 0)
    guard start < end else { return Bytes() }
    var bytes = ByteBuffer(capacity: min(end - start, answer.count * Self.chunkBytes))
    for row in 0..<answer.count {
      guard let at = answer.optionalInt(row, 1) else { continue }
      unsafe answer.withBytes(row, 2) { raw in
        // Each chunk goes on where the last one ended; where one is missing nothing behind it counts.
        let first = start + bytes.count - at
        guard first >= 0, first < min(raw.count, end - at) else { return }
        unsafe bytes.append(UnsafeRawBufferPointer(rebasing: raw[first..<min(raw.count, end - at)]))
      }
    }
    guard bytes.count == end - start else { throw .missingPart(of: id) }
    return bytes.finish()
  }

  package func blobs(of run: ULID) throws(StoreError) -> [ULID] {
    let answer = try perform(Self.ofRun, [.id(run)])
    return (0..<answer.count).compactMap { answer.id($0, 0) }
  }

  package func appendToBlob(_ id: ULID, type: BlobType, chunk: Bytes, last: Bool) throws(StoreError) -> Int {
    let pieces = chunk.chunks(of: Self.chunkBytes)
    let answer = try write(
      Self.grow,
      [
        .id(id), .text(type.rawValue), .ints(pieces.map(\.start)), .byteStrings(pieces.map(\.bytes)), .int(chunk.count), .int(last ? 1 : 0),
      ])
    guard let size = answer.optionalInt(0, 0) else { throw StoreError(.unavailable, "blob \(id) is complete") }
    return size
  }

  // MARK: Clearing up

  private static let looseSeconds = 7 * 24 * 3600
  private static let sweepMilliseconds = 24 * 3_600_000

  private static let hasOldLoose = Query(
    "SELECT EXISTS (SELECT FROM footbridge.blobs WHERE loose_since < now() - make_interval(secs => $1::bigint))")
  private static let removeLoose = Query("SELECT footbridge.remove_loose_blobs_1($1, $2, $3, $4, $5, $6)")

  /// Once when it is first used, then every day.
  package var isUntidy: Bool { Clock.monotonicMilliseconds() >= sweepDue }

  /// Removes what clients built long ago and no run has named.
  package func tidy() {
    sweepDue = Clock.monotonicMilliseconds() + Self.sweepMilliseconds
    do throws(StoreError) {
      guard try perform(Self.hasOldLoose, [.int(Self.looseSeconds)]).bool(0, 0) else { return }
      while try write(Self.removeLoose, [.int(Self.looseSeconds)]).int(0, 0) == 1000 {}
    } catch {
      // Nobody waits for it; it is tried again another day.
    }
  }
}
