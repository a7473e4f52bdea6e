package import AgentRuntime
import JSON

extension SQLiteStore {
  package func runs(matching query: RunQuery) throws(StoreError) -> [RunSummary] {
    guard query.limit > 0 else { return [] }
    let connection = try ready()
    // One snapshot: a run that ends between two of the lists is in exactly one of them.
    #if FOOTBRIDGE_BROKEN
      try connection.commitLate()
    #endif
    try connection.execute("BEGIN", doing: "reading")
    defer { connection.rollBack() }
    var found: [RunSummary] = []
    for list in lists(for: query) { found += try runs(in: list, matching: query, connection) }
    found.sort { $0.runID > $1.runID }
    return Array(found.prefix(query.limit))
  }

  /// A list of runs that an index has in order of their ids.
  private struct List {
    /// What stands after FROM.
    var source: String
    /// The run's id, as the index has it.
    var order = "run_id"
    var condition: String
    var values: [SQLValue] = []

    init(index: String, condition: String, values: [SQLValue] = []) {
      (source, self.condition, self.values) = ("runs INDEXED BY \(index)", condition, values)
    }

    /// The runs whose metadata has such a member.
    init(_ key: (name: Bytes, value: Bytes), condition: String, values: [SQLValue]) {
      (source, order) = ("run_metadata CROSS JOIN runs ON run_id = run", "run")
      self.condition = "name = ? AND value = ?" + condition
      self.values = [.bytes(key.name), .bytes(key.value)] + values
    }
  }

  /// What the index of metadata has of a run's.
  static func metadataKeys(of metadata: CarriedJSON?) -> [(name: Bytes, value: Bytes)] {
    var keys: [(name: Bytes, value: Bytes)] = []
    metadata?.forEachMember { name, value in if let value = value.stringValue { keys.append(metadataKey(name.text, value)) } }
    return keys
  }

  private static func metadataKey(_ name: String, _ value: String) -> (name: Bytes, value: Bytes) {
    func beginning(_ text: String) -> Bytes {
      let bytes = Bytes(text)
      return bytes[0..<min(bytes.count, Schema.metadataBytes)]
    }
    return (beginning(name), beginning(value))
  }

  /// Together all runs that match, so that a rare status is found without looking at the runs of the common ones.
  private func lists(for query: RunQuery) -> [List] {
    let statuses = Set(query.statuses)
    // The longest value is the one that the fewest runs are likely to have. Of the runs that are active there are few anyway.
    let member = query.metadata.max { ($0.value.utf8.count, $0.key) < ($1.value.utf8.count, $1.key) }
    if let member, statuses.isEmpty || statuses.contains(where: \.hasEnded) {
      let words = Self.condition(statuses)
      let ofSession = query.sessionID.map { SQLValue.id($0) }
      return [
        List(
          Self.metadataKey(member.key, member.value), condition: words.text + (ofSession == nil ? "" : " AND session_id = ?"),
          values: words.values + [ofSession].compactMap { $0 })
      ]
    }
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
      condition += " AND \(list.order) < ?"
      values.append(.id(before))
    }
    // Only to leave most rows out; an expression of SQLite may not have a thousand parts.
    for value in query.metadata.values.prefix(50) {
      // Leaves out what cannot match before anything is parsed: a string stands in JSON as it is, or there is a backslash.
      condition += " AND (instr(metadata, x'5C') OR instr(metadata, ?))"
      values.append(.bytes(Bytes(value)))
    }
    let statement = Statement(
      "SELECT \(RunStatements.columns) FROM \(list.source) WHERE \(condition) ORDER BY \(list.order) DESC")
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
