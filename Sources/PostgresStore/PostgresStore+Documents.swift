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
  /// Behind every id: no UTF-8 begins with this byte.
  private static let end = Bytes([0xFF])

  package func document(_ kind: String, _ id: String) throws(StoreError) -> Document? {
    let answer = try perform(Self.one, [.text(kind), .bytes(Bytes(id))])
    return answer.count > 0 ? document(answer, 0, kind) : nil
  }

  package func documents(matching query: DocumentQuery) throws(StoreError) -> [Document] {
    let from = query.after.map { Bytes($0) } ?? (query.isDescending ? Self.end : Bytes())
    var end = ByteBuffer()
    end.append(query.prefix)
    end.append(Self.end)
    let answer = try perform(
      query.isDescending ? Self.descending : Self.ascending,
      [.text(query.kind), .bytes(from), .bytes(Bytes(query.prefix)), .bytes(end.finish()), .int(query.limit)])
    return (0..<answer.count).map { document(answer, $0, query.kind) }
  }

  private func document(_ answer: Answer, _ row: Int, _ kind: String) -> Document {
    Document(
      kind: kind, id: answer.bytes(row, 0)?.string ?? "", version: answer.int(row, 1),
      updatedAt: Timestamp(milliseconds: answer.int(row, 2)),
      json: CarriedJSON(trusted: answer.bytes(row, 3) ?? Bytes()))
  }
}
