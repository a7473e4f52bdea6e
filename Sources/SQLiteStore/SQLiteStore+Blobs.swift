package import AgentRuntime
import CSQLite
package import JSON

struct BlobStatements {
  let find = Statement("SELECT number, type, bytes, complete, run_number FROM blobs WHERE id = ?")
  let create = Statement("INSERT INTO blobs (id, run_number, type, bytes, complete, created_at) VALUES (?, ?, ?, ?, ?, ?)")
  let grow = Statement("UPDATE blobs SET bytes = ?, complete = ? WHERE number = ?")
  let chunk = Statement("INSERT INTO blob_chunks (key, data) VALUES (?, ?)")
  /// From the chunk that holds the first byte on.
  let chunks = Statement(
    """
    SELECT key, data FROM blob_chunks WHERE key >= (SELECT key FROM blob_chunks WHERE key <= ?1 ORDER BY key DESC LIMIT 1) AND key < ?2 ORDER BY key
    """)
  let adopt = Statement("UPDATE blobs SET run_number = ? WHERE number = ?")
  let use = Statement("INSERT OR IGNORE INTO blob_uses (run_number, blob_number) VALUES (?, ?)")
  let forgetUses = Statement("DELETE FROM blob_uses WHERE run_number = ?")
  let ofRun = Statement("SELECT number FROM blobs WHERE run_number = ?")
  let named = Statement(
    """
    SELECT b.id FROM blobs b JOIN runs r ON r.run_id = ?1 WHERE b.run_number = r.number
    UNION SELECT b.id FROM blob_uses u JOIN runs r ON r.run_id = ?1 AND u.run_number = r.number JOIN blobs b ON b.number = u.blob_number ORDER BY 1
    """)
  let nextUser = Statement("SELECT run_number FROM blob_uses WHERE blob_number = ? LIMIT 1")
  let forgetUse = Statement("DELETE FROM blob_uses WHERE run_number = ? AND blob_number = ?")
  let loose = Statement("SELECT number FROM blobs WHERE run_number IS NULL AND created_at < ?")
  let delete = Statement("DELETE FROM blobs WHERE number = ?")
  let deleteChunks = Statement("DELETE FROM blob_chunks WHERE key >= ? AND key < ?")
}

/// The place of a row in `blob_chunks`: 27 bits of blob number, 36 of the offset of its first byte.
enum BlobKey {
  static let lastBlob = 1 << 27 - 1
  static let offsets = 1 << 36

  static func first(of blob: Int) -> Int { blob << 36 }
  /// The first place of the next blob. A number that only a damaged row can have must not end the process.
  static func end(of blob: Int) -> Int { first(of: blob &+ 1) }
}

extension SQLiteStore {
  private static let chunkBytes = 256 << 10

  private struct Found {
    var number: Int
    var type: BlobType
    var bytes: Int
    var isComplete: Bool
    var run: Int?
  }

  private func find(_ id: ULID, _ connection: Connection) throws(StoreError) -> Found? {
    var rows = try connection.rows(blobs.find, .id(id))
    guard try rows.next(), let type = BlobType(rawValue: rows.text(1) ?? "") else { return nil }
    let found = Found(number: rows.int(0), type: type, bytes: rows.int(2), isComplete: rows.int(3) != 0, run: rows.optionalInt(4))
    guard 1...BlobKey.lastBlob ~= found.number, 0..<BlobKey.offsets ~= found.bytes else {
      throw StoreError(.damaged, "the row of blob \(id) in \(path) is damaged")
    }
    return found
  }

  package func blob(_ id: ULID) throws(StoreError) -> (type: BlobType, bytes: Int)? {
    guard let blob = try find(id, ready()), blob.isComplete else { return nil }
    return (blob.type, blob.bytes)
  }

  package func blobBytes(_ id: ULID, offset: Int, length: Int) throws(StoreError) -> Bytes {
    let connection = try ready()
    guard let blob = try find(id, connection) else { return Bytes() }
    let start = min(max(0, offset), blob.bytes)
    let end = start + min(max(0, length), blob.bytes - start)
    guard start < end else { return Bytes() }
    let base = BlobKey.first(of: blob.number)
    var bytes = ByteBuffer(capacity: end - start)
    var rows = try connection.rows(blobs.chunks, .int(base + start), .int(base + end))
    while try rows.next() {
      // Below 0 in a chunk of another blob, which is found where the first one is missing.
      let at = rows.int(0) - base
      unsafe rows.withBytes(1) { raw in
        // Each chunk goes on where the last one ended; where one is missing nothing behind it counts.
        let first = start + bytes.count - at
        guard first >= 0, first < min(raw.count, end - at) else { return }
        unsafe bytes.append(UnsafeRawBufferPointer(rebasing: raw[first..<min(raw.count, end - at)]))
      }
    }
    if bytes.count == end - start { return bytes.finish() }
    // Another process may have deleted the blob between the two queries.
    guard try find(id, connection) != nil else { return Bytes() }
    throw .missingPart(of: id)
  }

  package func blobs(of run: ULID) throws(StoreError) -> [ULID] {
    var rows = try ready().rows(blobs.named, .id(run))
    var found: [ULID] = []
    while try rows.next() { if let id = rows.ulid(0) { found.append(id) } }
    return found
  }

  package func appendToBlob(_ id: ULID, type: BlobType, chunk: Bytes, last: Bool) throws(StoreError) -> Int {
    let isBig = chunk.count >= 1 << 20
    let size = try write(isBig: isBig) { (connection) throws(StoreError) in
      var blob = try self.find(id, connection)
      if blob == nil {
        try connection.run(
          self.blobs.create, .id(id), .null, .text(type.rawValue), .int(0), .int(0), .int(self.wallClock()))
        blob = Found(number: try self.newBlobNumber(connection), type: type, bytes: 0, isComplete: false, run: nil)
      }
      guard let blob, !blob.isComplete else { throw StoreError(.unavailable, "blob \(id) is complete") }
      let size = blob.bytes + chunk.count
      guard size < BlobKey.offsets else { throw StoreError(.full, "blob \(id) would have more than \(BlobKey.offsets) bytes") }
      try self.insertChunks(chunk, of: blob.number, from: blob.bytes, connection)
      try connection.run(self.blobs.grow, .int(size), .int(last ? 1 : 0), .int(blob.number))
      return size
    }
    return size
  }

  private func newBlobNumber(_ connection: Connection) throws(StoreError) -> Int {
    let number = connection.lastInsertedRow
    guard number <= BlobKey.lastBlob else { throw StoreError(.full, "\(path) has \(BlobKey.lastBlob) blobs, the most a store can have") }
    return number
  }

  private func insertChunks(_ value: Bytes, of blob: Int, from offset: Int, _ connection: Connection) throws(StoreError) {
    var start = 0
    while start < value.count {
      let end = min(start + Self.chunkBytes, value.count)
      try connection.run(blobs.chunk, .int(BlobKey.first(of: blob) + offset + start), .bytes(value[start..<end]))
      start = end
    }
  }

  /// A blob of an append.
  func insert(_ blob: NewBlob, _ run: Int, _ connection: Connection) throws(StoreError) {
    try connection.run(
      blobs.create, .id(blob.id), .int(run), .text(blob.type.rawValue), .int(blob.value.count), .int(1), .int(wallClock()))
    try insertChunks(blob.value, of: newBlobNumber(connection), from: 0, connection)
  }

  /// Makes the run one of those that name the blob; the last of them takes it along when it is deleted.
  func adopt(_ id: ULID, _ run: Int, _ connection: Connection) throws(StoreError) {
    guard let blob = try find(id, connection) else { return }
    if blob.run == nil {
      try connection.run(blobs.adopt, .int(run), .int(blob.number))
    } else if blob.run != run {
      try connection.run(blobs.use, .int(run), .int(blob.number))
    }
  }

  func deleteBlobs(of run: Int, _ connection: Connection) throws(StoreError) {
    try connection.run(blobs.forgetUses, .int(run))
    for blob in try numbers(blobs.ofRun, .int(run), connection) {
      if let heir = try connection.int(blobs.nextUser, .int(blob)) {
        try connection.run(blobs.forgetUse, .int(heir), .int(blob))
        try connection.run(blobs.adopt, .int(heir), .int(blob))
      } else {
        try deleteBlob(blob, connection)
      }
    }
  }

  private func deleteBlob(_ number: Int, _ connection: Connection) throws(StoreError) {
    try connection.run(blobs.deleteChunks, .int(BlobKey.first(of: number)), .int(BlobKey.end(of: number)))
    try connection.run(blobs.delete, .int(number))
  }

  /// Blobs that a client built and no run ever named. The caller holds the write lock.
  func removeLooseBlobs(olderThanMilliseconds age: Int, _ connection: Connection) throws(StoreError) {
    let loose = try numbers(blobs.loose, .int(wallClock() - age), connection)
    if loose.isEmpty { return }
    try connection.transaction(isBig: true) { (connection) throws(StoreError) in
      for blob in loose { try self.deleteBlob(blob, connection) }
    }
    connection.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
  }

  private func numbers(_ statement: Statement, _ value: SQLValue, _ connection: Connection) throws(StoreError) -> [Int] {
    var rows = try connection.rows(statement, value)
    var numbers: [Int] = []
    while try rows.next() { numbers.append(rows.int(0)) }
    return numbers
  }
}
