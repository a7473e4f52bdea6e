package import AgentRuntime
import JSON

extension SQLiteStore {
  package func runs(matching query: RunQuery) throws(StoreError) -> [RunSummary] {
    guard query.limit > 0 else { return [] }
    let connection = try ready()
    // One snapshot: a run that ends between two of the lists is in exactly one of them.
    try connection.execute("BEGIN", doing: "reading")
    defer { connection.rollBack() }
    var found: [RunSummary] = []
    for list in lists(for: query) { found += try runs(in: list, matching: query, connection) }
    found.sort { $0.runID > $1.runID }
    return Array(found.prefix(query.limit))
  }

  /// A list of runs that an index has in order of their ids.
  private struct List {
    var index: String
    var condition: String
    var values: [SQLValue] = []
  }

  /// Together all runs that match, so that a rare status is found without looking at the runs of the common ones.
  private func lists(for query: RunQuery) -> [List] {
    let statuses = Set(query.statuses)
    if let session = query.sessionID {
      let words = Self.condition(statuses)
      return [List(index: "runs_by_session", condition: "session_id = ?" + words.text, values: [.id(session)] + words.values)]
    }
    if statuses.isEmpty { return [List(index: "runs_by_id", condition: "1")] }
    var lists: [List] = []
    let active = statuses.filter { !$0.hasEnded }
    if !active.isEmpty {
      let words = Self.condition(active)
      lists.append(List(index: "active_runs", condition: "ended = 0" + words.text, values: words.values))
    }
    for status in statuses where status.hasEnded {
      lists.append(List(index: "ended_runs", condition: "ended = 1 AND status = ?", values: [.text(status.rawValue)]))
    }
    return lists
  }

  private static func condition(_ statuses: Set<RunStatus>) -> (text: String, values: [SQLValue]) {
    guard !statuses.isEmpty else { return ("", []) }
    let marks = Array(repeating: "?", count: statuses.count).joined(separator: ", ")
    return (" AND status IN (\(marks))", statuses.map { .text($0.rawValue) })
  }

  private func runs(in list: List, matching query: RunQuery, _ connection: Connection) throws(StoreError) -> [RunSummary] {
    var condition = list.condition
    var values = list.values
    if let before = query.before {
      condition += " AND run_id < ?"
      values.append(.id(before))
    }
    for value in query.metadata.values {
      // Leaves out what cannot match before anything is parsed: a string stands in JSON as it is, or there is a backslash.
      condition += " AND (instr(metadata, x'5C') OR instr(metadata, ?))"
      values.append(.bytes(Bytes(value)))
    }
    let statement = Statement(
      "SELECT \(RunStatements.columns) FROM runs INDEXED BY \(list.index) WHERE \(condition) ORDER BY run_id DESC")
    defer { connection.forget(statement) }
    var rows = try connection.rows(statement, values)
    var found: [RunSummary] = []
    while found.count < query.limit, try rows.next() {
      let run = try summary(rows)
      if run.hasMetadata(query.metadata) { found.append(run) }
    }
    return found
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
