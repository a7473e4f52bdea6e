package import AgentRuntime
import JSON

struct DocumentStatements {
  let one = Statement("SELECT \(columns) FROM documents WHERE kind = ? AND id = ?")
  let version = Statement("SELECT version FROM documents WHERE kind = ? AND id = ?")
  // Ids are compared as bytes. The second bound is what no id with the prefix reaches.
  let ascending = Statement("SELECT \(columns) FROM documents WHERE kind = ? AND id > ? AND id >= ? AND id < ? ORDER BY id LIMIT ?")
  let descending = Statement("SELECT \(columns) FROM documents WHERE kind = ? AND id < ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?")
  let kinds = Statement("SELECT DISTINCT kind FROM documents ORDER BY kind")
  let create = Statement("INSERT INTO documents (version, updated_at, json, kind, id) VALUES (?, ?, ?, ?, ?)")
  let update = Statement("UPDATE documents SET version = ?, updated_at = ?, json = ? WHERE kind = ? AND id = ?")
  let delete = Statement("DELETE FROM documents WHERE kind = ? AND id = ?")

  private static let columns = "id, version, updated_at, json"

  /// Behind every id: U+10FFFF is the last character there is.
  static let end = "\u{10FFFF}"
}

extension SQLiteStore {
  package func documentKinds() throws(StoreError) -> [String] {
    var rows = try ready().rows(documents.kinds)
    var kinds: [String] = []
    while try rows.next() { kinds.append(rows.text(0) ?? "") }
    return kinds
  }

  package func restore(_ document: Document) throws(StoreError) -> Bool {
    try write { (connection) throws(StoreError) in
      guard try connection.int(self.documents.version, .text(document.kind), .text(document.id)) == nil else { return false }
      try connection.run(
        self.documents.create, .int(document.version), .int(document.updatedAt.milliseconds), .bytes(document.json.bytes),
        .text(document.kind), .text(document.id))
      return true
    }
  }

  package func document(_ kind: String, _ id: String) throws(StoreError) -> Document? {
    var rows = try ready().rows(documents.one, .text(kind), .text(id))
    return try rows.next() ? try document(rows, kind) : nil
  }

  package func documents(matching query: DocumentQuery) throws(StoreError) -> [Document] {
    let connection = try ready()
    let from = query.after ?? (query.isDescending ? DocumentStatements.end : "")
    var rows = try connection.rows(
      query.isDescending ? documents.descending : documents.ascending, .text(query.kind), .text(from), .text(query.prefix),
      .text(query.prefix + DocumentStatements.end), .int(query.limit))
    var found: [Document] = []
    while try rows.next() { found.append(try document(rows, query.kind)) }
    return found
  }

  package func write(_ writes: [DocumentWrite]) throws(StoreError) -> Bool {
    try write { (connection) throws(StoreError) in
      guard try self.fit(writes, connection) else { return false }
      try self.apply(writes, connection)
      return true
    }
  }

  /// Whether each document still is what its change is a change of.
  func fit(_ writes: [DocumentWrite], _ connection: Connection) throws(StoreError) -> Bool {
    for write in writes where try connection.int(documents.version, .text(write.kind), .text(write.id)) ?? 0 != write.expectedVersion {
      return false
    }
    return true
  }

  func apply(_ writes: [DocumentWrite], _ connection: Connection) throws(StoreError) {
    for write in writes {
      guard let json = write.json else {
        try connection.run(documents.delete, .text(write.kind), .text(write.id))
        continue
      }
      try connection.run(
        write.expectedVersion == 0 ? documents.create : documents.update, .int(write.expectedVersion + 1),
        .int(write.updatedAt.milliseconds), .bytes(json.bytes), .text(write.kind), .text(write.id))
    }
  }

  private func document(_ rows: borrowing Rows, _ kind: String) throws(StoreError) -> Document {
    let id = rows.text(0) ?? ""
    return Document(
      kind: kind, id: id, version: rows.int(1), updatedAt: Timestamp(milliseconds: rows.int(2)),
      json: try CarriedJSON(stored: rows.bytes(3) ?? Bytes(), "\(kind) \(id) in \(path)"))
  }
}
