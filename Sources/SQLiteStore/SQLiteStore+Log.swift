package import AgentRuntime
package import JSON

extension SQLiteStore {
  package func records(of run: ULID, after position: Int, maxBytes: Int) throws(StoreError) -> [LogRecord] {
    let connection = try ready()
    guard let (number, lastPosition) = try end(of: run, connection) else { return [] }
    let after = max(0, position)
    let records = try records(of: run, number, after: after, maxBytes: maxBytes, connection)
    // Another process may have deleted the run between the two queries.
    if records.isEmpty, after < lastPosition, try end(of: run, connection) == nil { return [] }
    return try records.checked(of: run, after: after, lastPosition: lastPosition)
  }

  private func records(
    of run: ULID, _ number: Int, after position: Int, maxBytes: Int, _ connection: Connection
  ) throws(StoreError) -> [LogRecord] {
    var rows = try connection.rows(
      runs.records, .int(LogKey(run: number, position: position + 1).value), .int(LogKey.end(of: number)))
    var records: [LogRecord] = []
    var bytes = 0
    while try rows.next() {
      let key = rows.int(0)
      let (event, hidden) = (rows.bytes(3), rows.bytes(4))
      let isFirst = LogKey.isFirstPiece(key)
      let size = (event.map { isFirst ? PackedEvent.size($0) : $0.count } ?? 0) + (hidden?.count ?? 0)
      if isFirst {
        if bytes >= maxBytes, !records.isEmpty { break }
        records.append(
          LogRecord(
            position: LogKey.position(key), sequence: rows.optionalInt(1), type: rows.text(2) ?? "", event: event, hidden: hidden))
      } else if !records.isEmpty {
        records[records.count - 1].event.join(event)
        records[records.count - 1].hidden.join(hidden)
      }
      bytes += size
    }
    if bytes > maxBytes, records.count > 1 { records.removeLast() }
    for index in records.indices {
      if let stored = records[index].event, let sequence = records[index].sequence {
        records[index].event = PackedEvent.unpack(stored, run: run, sequence: sequence, type: records[index].type)
      }
    }
    return records
  }

  package func events(
    of run: ULID, after sequence: Int, limit: Int, maxBytes: Int
  ) throws(StoreError) -> [(sequence: Int, event: Bytes)] {
    let connection = try ready()
    guard limit > 0, let number = try number(of: run, connection) else { return [] }
    // A record's sequence is at most its position, so all that is asked for lies behind this key; what is skipped there are the runtime's own records.
    var rows = try connection.rows(
      runs.events, .int(LogKey(run: number, position: max(0, sequence) + 1).value), .int(LogKey.end(of: number)))
    var events: [(sequence: Int, event: Bytes)] = []
    var types: [String] = []
    var bytes = 0
    var isWanted = false
    while try rows.next() {
      if LogKey.isFirstPiece(rows.int(0)) {
        let found = rows.optionalInt(1) ?? 0
        isWanted = found > sequence
        guard isWanted else { continue }
        if events.count == limit || (bytes >= maxBytes && !events.isEmpty) { break }
        let event = rows.bytes(2) ?? Bytes()
        events.append((found, event))
        types.append(rows.text(3) ?? "")
        bytes += PackedEvent.size(event)
      } else if isWanted, let more = rows.bytes(2) {
        events[events.count - 1].event.join(more)
        bytes += more.count
      }
    }
    if bytes > maxBytes, events.count > 1 { events.removeLast() }
    for index in events.indices {
      let event = PackedEvent.unpack(events[index].event, run: run, sequence: events[index].sequence, type: types[index])
      events[index].event = try CarriedJSON(stored: event, "event \(events[index].sequence) of run \(run)").bytes
    }
    return events
  }

  /// The number of the run and where its log ends.
  private func end(of run: ULID, _ connection: Connection) throws(StoreError) -> (number: Int, lastPosition: Int)? {
    var rows = try connection.rows(runs.end, .id(run))
    return try rows.next() ? (rows.int(0), rows.int(1)) : nil
  }

  func number(of run: ULID, _ connection: Connection) throws(StoreError) -> Int? {
    try connection.int(runs.number, .id(run))
  }
}

extension Bytes {
  /// Adds the next piece of a record; pieces are few and small.
  fileprivate mutating func join(_ more: Bytes) {
    var joined = ByteBuffer(capacity: count + more.count)
    joined.append(self)
    joined.append(more)
    self = joined.finish()
  }
}

extension Bytes? {
  fileprivate mutating func join(_ more: Bytes?) {
    if let more { self?.join(more) }
  }
}
