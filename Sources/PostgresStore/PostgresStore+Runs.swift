package import AgentRuntime
import JSON

extension PostgresStore {
  private static let columns = """
    run_id, status, last_position, last_sequence, owner, epoch, updated_at, created_at, parent_run_id, session_id, agent_id, idempotency_key, metadata
    """
  private static let summary = Query("SELECT \(columns) FROM footbridge.runs WHERE run_id = $1")
  private static let positions = Query("SELECT run_id, last_position FROM footbridge.runs WHERE run_id = ANY ($1)")
  private static let driven = Query(
    "SELECT run_id, owner FROM footbridge.runs WHERE ended IS NULL AND (owner IS NOT NULL OR status = 'running') ORDER BY run_id")

  package func summary(of run: ULID) throws(StoreError) -> RunSummary? {
    let answer = try perform(Self.summary, [.id(run)])
    return answer.count > 0 ? try summary(answer, 0) : nil
  }

  package func positions(of runs: [ULID]) throws(StoreError) -> [ULID: Int] {
    if runs.isEmpty { return [:] }
    let answer = try perform(Self.positions, [.ids(runs)])
    var positions: [ULID: Int] = [:]
    for row in 0..<answer.count {
      if let run = answer.id(row, 0) { positions[run] = answer.int(row, 1) }
    }
    return positions
  }

  /// Queued runs wait for another one and waiting ones for a client: neither is an orphan unless a dead process still claims it.
  package func orphans() throws(StoreError) -> [ULID] {
    let answer = try perform(Self.driven)
    var orphans: [ULID] = []
    for row in 0..<answer.count {
      if let owner = answer.optionalInt(row, 1), isAlive(OwnerID(number: owner)) { continue }
      if let run = answer.id(row, 0) { orphans.append(run) }
    }
    return orphans
  }

  // MARK: Lists

  package func runs(matching query: RunQuery) throws(StoreError) -> [RunSummary] {
    var found: [RunSummary] = []
    var page = query
    // What metadata excludes is left out here, so that a page may come out too short.
    while found.count < query.limit {
      let rows = try rows(matching: page)
      found += rows.lazy.filter { $0.hasMetadata(query.metadata) }.prefix(query.limit - found.count)
      guard rows.count == page.limit, let last = rows.last else { break }
      page.before = last.runID
    }
    return found
  }

  private func rows(matching query: RunQuery) throws(StoreError) -> [RunSummary] {
    var list = RunListText(columns: Self.columns)
    let statement = list.statement(for: query)
    let answer = try perform(statement.query, statement.arguments, isNamed: false)
    var found: [RunSummary] = []
    for row in 0..<answer.count { found.append(try summary(answer, row)) }
    return found
  }

  /// The run in a row of `columns`.
  private func summary(_ answer: Answer, _ row: Int) throws(StoreError) -> RunSummary {
    guard let id = answer.id(row, 0), let status = RunStatus(rawValue: answer.text(row, 1)) else {
      throw StoreError(.newer, "\(target.name) has a run with a status that this program does not know; use a newer one")
    }
    var summary = RunSummary(runID: id, status: status, createdAt: Timestamp(milliseconds: answer.int(row, 7)))
    summary.lastPosition = answer.int(row, 2)
    summary.lastSequence = answer.int(row, 3)
    summary.owner = answer.optionalInt(row, 4).map { OwnerID(number: $0) }
    summary.epoch = answer.int(row, 5)
    summary.updatedAt = Timestamp(milliseconds: answer.int(row, 6))
    summary.parentRunID = answer.id(row, 8)
    summary.sessionID = answer.id(row, 9)
    summary.agentID = answer.bytes(row, 10)?.string
    summary.idempotencyKey = answer.bytes(row, 11)?.string
    summary.metadata = try answer.bytes(row, 12).map { bytes throws(StoreError) in
      try CarriedJSON(stored: bytes, "the metadata of run \(id)")
    }
    return summary
  }
}

/// The text of a query for runs: lists that an index has in order of their ids, together all runs that match, so that a rare status is found without
/// looking at the runs of the common ones.
private struct RunListText {
  let columns: String
  private var arguments: [Argument] = []

  init(columns: String) { self.columns = columns }

  mutating func statement(for query: RunQuery) -> Statement {
    let statuses = Set(query.statuses)
    let active = statuses.filter { !$0.hasEnded }
    var conditions: [String] = []
    if let session = query.sessionID {
      let words = statuses.isEmpty ? "" : " AND status = ANY (\(mark(.texts(statuses.map(\.rawValue)))))"
      conditions.append("session_id = \(mark(.id(session)))" + words)
    } else if statuses.isEmpty {
      conditions.append("true")
    } else {
      if !active.isEmpty { conditions.append("ended IS NULL AND status = ANY (\(mark(.texts(active.map(\.rawValue)))))") }
      for status in statuses.subtracting(active) { conditions.append("ended = \(mark(.text(status.rawValue)))") }
    }
    var common = ""
    if let before = query.before { common += " AND run_id < \(mark(.id(before)))" }
    for value in query.metadata.values {
      // Leaves out what cannot match before anything is parsed: a string stands in JSON as it is, or there is a backslash.
      common += " AND (position('\\x5c'::bytea IN metadata) > 0 OR position(\(mark(.bytes(Bytes(value)))) IN metadata) > 0)"
    }
    let limit = mark(.int(query.limit))
    let lists = conditions.map {
      "(SELECT \(columns) FROM footbridge.runs WHERE \($0)\(common) ORDER BY run_id DESC LIMIT \(limit))"
    }
    let text = "SELECT \(columns) FROM (\(lists.joined(separator: " UNION ALL "))) AS found ORDER BY run_id DESC LIMIT \(limit)"
    return Statement(query: Query(text), arguments: arguments)
  }

  private mutating func mark(_ argument: Argument) -> String {
    arguments.append(argument)
    return "$\(arguments.count)"
  }
}

extension RunSummary {
  fileprivate func hasMetadata(_ wanted: [String: String]) -> Bool {
    wanted.allSatisfy { name, value in
      guard let text = metadata?[name]?.stringValue else { return false }
      return text.utf8.elementsEqual(value.utf8)
    }
  }
}
