package import AgentRuntime
package import JSON

extension PostgresStore {
  /// The records that a portion may have, with the bytes up to and with each, behind where the log ends. Lengths are known without reading what is
  /// stored out of line. Where there is none, and the run is, that is one row with NULL.
  private static func portion(_ columns: String, of condition: String, size: String, limit: String) -> Query {
    Query(
      """
      SELECT r.last_position, \(columns) FROM footbridge.runs r LEFT JOIN (SELECT * FROM (
        SELECT *, sum(\(size)) OVER (ORDER BY position) AS total, row_number() OVER (ORDER BY position) AS place FROM (
          SELECT position, sequence, type, event, hidden FROM footbridge.log WHERE run_id = $1 AND position > $2 AND \(condition)
          ORDER BY position LIMIT \(limit)) AS first) AS counted
      WHERE total <= $3 OR place = 1) AS found ON true WHERE r.run_id = $1 ORDER BY position
      """)
  }

  private static let records = portion(
    "position, sequence, type, event, hidden", of: "true", size: "coalesce(octet_length(event), 0) + coalesce(octet_length(hidden), 0)",
    limit: "2000")
  /// A record's sequence is at most its position.
  private static let events = portion(
    "sequence, event", of: "sequence > $2", size: "coalesce(octet_length(event), 0)", limit: "least($4, 2000)")

  package func records(of run: ULID, after position: Int, maxBytes: Int) throws(StoreError) -> [LogRecord] {
    let answer = try perform(Self.records, [.id(run), .int(max(0, position)), .int(maxBytes)])
    guard answer.count > 0 else { return [] }
    let records = (0..<answer.count).compactMap { row -> LogRecord? in
      guard let position = answer.optionalInt(row, 1) else { return nil }
      return LogRecord(
        position: position, sequence: answer.optionalInt(row, 2), type: answer.text(row, 3), event: answer.bytes(row, 4),
        hidden: answer.bytes(row, 5))
    }
    return try records.checked(of: run, after: max(0, position), lastPosition: answer.int(0, 0))
  }

  package func events(
    of run: ULID, after sequence: Int, limit: Int, maxBytes: Int
  ) throws(StoreError) -> [(sequence: Int, event: Bytes)] {
    guard limit > 0 else { return [] }
    let answer = try perform(Self.events, [.id(run), .int(max(0, sequence)), .int(maxBytes), .int(limit)])
    let count = answer.count == 1 && answer.isNull(0, 1) ? 0 : answer.count
    return try (0..<count).map { row throws(StoreError) in
      let sequence = answer.int(row, 1)
      return (sequence, try CarriedJSON(stored: answer.bytes(row, 2) ?? Bytes(), "event \(sequence) of run \(run)").bytes)
    }
  }
}
