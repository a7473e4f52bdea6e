package import AgentRuntime
import JSON

extension PostgresStore {
  private static let columns = "id, version, updated_at, json"
  private static let one = Query("SELECT \(columns) FROM footbridge.documents WHERE kind = $1 AND id = $2")
  // Ids are compared as bytes; $4 is what no id with the prefix reaches.
  private static let ascending = Query(
    "SELECT \(columns) FROM footbridge.documents WHERE kind = $1 AND id > $2 AND id >= $3 AND id < $4 ORDER BY id LIMIT $5")
  private static let descending = Query(
    "SELECT \(columns) FROM footbridge.documents WHERE kind = $1 AND id < $2 AND id >= $3 AND id < $4 ORDER BY id DESC LIMIT $5")
  private static let kinds = Query("SELECT DISTINCT kind FROM footbridge.documents ORDER BY kind")
  /// Synced, as every write, also where the role or the database are set to something else.
  private static let add = Query(
    """
    INSERT INTO footbridge.documents (kind, id, version, updated_at, json) SELECT $1, $2, $3, $4, $5 FROM (
        SELECT set_config('synchronous_commit', CASE word WHEN 'off' THEN 'on' ELSE word END, true)
        FROM current_setting('synchronous_commit') AS s (word)) AS synced
      ON CONFLICT DO NOTHING RETURNING version
    """)
  /// Behind every id: no UTF-8 begins with this byte.
  private static let end = Bytes([0xFF])

  package func documentKinds() throws(StoreError) -> [String] {
    let answer = try perform(Self.kinds)
    return (0..<answer.count).map { answer.text($0, 0) }
  }

  package func restore(_ document: Document) throws(StoreError) -> Bool {
    let answer = try perform(
      Self.add,
      [
        .text(document.kind), .bytes(Bytes(document.id)), .int(document.version), .int(document.updatedAt.milliseconds),
        .bytes(document.json.bytes),
      ])
    return answer.count > 0
  }

  package func document(_ kind: String, _ id: String) throws(StoreError) -> Document? {
    let answer = try perform(Self.one, [.text(kind), .bytes(Bytes(id))])
    return answer.count > 0 ? try document(answer, 0, kind) : nil
  }

  package func documents(matching query: DocumentQuery) throws(StoreError) -> [Document] {
    let from = query.after.map { Bytes($0) } ?? (query.isDescending ? Self.end : Bytes())
    var end = ByteBuffer()
    end.append(query.prefix)
    end.append(Self.end)
    let answer = try perform(
      query.isDescending ? Self.descending : Self.ascending,
      [.text(query.kind), .bytes(from), .bytes(Bytes(query.prefix)), .bytes(end.finish()), .int(query.limit)])
    return try (0..<answer.count).map { row throws(StoreError) in try document(answer, row, query.kind) }
  }

  private func document(_ answer: Answer, _ row: Int, _ kind: String) throws(StoreError) -> Document {
    let id = answer.bytes(row, 0)?.string ?? ""
    return Document(
      kind: kind, id: id, version: answer.int(row, 1), updatedAt: Timestamp(milliseconds: answer.int(row, 2)),
      json: try CarriedJSON(stored: answer.bytes(row, 3) ?? Bytes(), "\(kind) \(id)"))
  }
}
