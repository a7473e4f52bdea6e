package import JSON

/// Values that are stored once and read in pieces. All on the engine's thread.
extension RunEngine {
  package struct BlobPiece: Sendable {
    package var type: BlobType
    /// Where the piece begins; never inside a character.
    package var offset: Int
    /// Of the whole value.
    package var bytes: Int
    /// The inside of a JSON string.
    package var escaped: Bytes
    package var isLast: Bool
  }

  /// At most `length` bytes of a blob from `offset`: of a string's text, or of JSON text.
  /// - Throws: `blob.notFound`.
  package func readBlob(_ id: ULID, offset: Int, length: Int) throws(RuntimeError) -> BlobPiece {
    let (type, storedBytes) = try blob(id)
    switch type {
    case .string:
      return try read { () throws(StoreError) in
        let text = try blobText(id, storedBytes)
        let piece = try text.read(offset: offset, length: length)
        return BlobPiece(
          type: type, offset: piece.start, bytes: text.decodedBytes, escaped: piece.escaped,
          isLast: piece.start + piece.bytes >= text.decodedBytes)
      }
    case .json:
      let raw = try read { () throws(StoreError) in
        try store.blobBytes(id, offset: min(offset, storedBytes), length: min(length + 8, storedBytes - min(offset, storedBytes)))
      }
      let piece = raw.characters(atMost: length)
      let quoted = CarriedJSON(string: piece.string).bytes
      return BlobPiece(
        type: type, offset: min(offset, storedBytes), bytes: storedBytes, escaped: quoted[1..<quoted.count - 1],
        isLast: offset + piece.count >= storedBytes)
    }
  }

  private func blob(_ id: ULID) throws(RuntimeError) -> (type: BlobType, bytes: Int) {
    guard let found = try read({ () throws(StoreError) in try store.blob(id) }) else {
      throw RuntimeError(.blobNotFound, "there is no such blob")
    }
    return found
  }

  private func blobText(_ id: ULID, _ storedBytes: Int) throws(StoreError) -> BlobText {
    if let place = blobTexts.firstIndex(where: { $0.id == id && $0.storedBytes == storedBytes }) {
      blobTexts.append(blobTexts.remove(at: place))
    } else {
      if blobTexts.count >= 16 { blobTexts.removeFirst() }
      blobTexts.append(try BlobText(store: store, id: id, storedBytes: storedBytes))
    }
    return blobTexts[blobTexts.count - 1]
  }

  /// A blob that is complete, by reference.
  package func reference(to id: ULID) throws(RuntimeError) -> BlobReference {
    let (type, bytes) = try blob(id)
    return try read { () throws(StoreError) in
      let head = try store.blobBytes(id, offset: 0, length: min(bytes, 8 * BlobSpiller.previewCharacters))
      guard type == .string else { return BlobReference(id: id, type: type, bytes: bytes, preview: BlobSpiller.preview(head)) }
      let size = try blobText(id, bytes).decodedBytes
      return BlobReference(id: id, type: type, bytes: size, preview: BlobText.preview(head, isWhole: head.count == bytes))
    }
  }

  /// Adds a chunk of text (a JSON string) to a blob that a client builds; the first one says its type.
  /// - Returns: the bytes of the whole so far.
  ///
  /// - Parameter pointer: Where the chunk is given, or the blob named.
  /// - Throws: `invalidParams` for another type than the first chunk had, and when the last chunk does not make the whole JSON.
  package func writeBlob(
    _ id: ULID?, type: BlobType?, data: CarriedJSON, isLast: Bool, at pointer: String = "/data"
  ) throws(RuntimeError) -> (id: ULID, bytes: Int) {
    if let id, unfinishedBlobs[id] == nil { throw RuntimeError(.blobNotFound, "the blob is complete already") }
    let blobID = id ?? makeID()
    var blob = unfinishedBlobs[blobID] ?? UnfinishedBlob(type: type ?? .string)
    if let type, type != blob.type { throw .invalidParams("is not the type of the first chunk", at: "/type") }
    let chunk = blob.type == .string ? data.bytes[1..<data.bytes.count - 1] : Bytes(data.stringValue ?? "")
    let kind = blob.type
    let stored = try read { () throws(StoreError) in
      try store.appendToBlob(blobID, type: kind, chunk: chunk, last: isLast && kind == .string)
    }
    blob.bytes += kind == .string ? data.stringByteCount : chunk.count
    unfinishedBlobs[blobID] = blob
    guard isLast else { return (blobID, blob.bytes) }
    if kind == .json { try completeJSON(blobID, storedBytes: stored, at: pointer) }
    unfinishedBlobs[blobID] = nil
    guard kind == .string else { return (blobID, stored) }
    // A surrogate pair may have been cut between two chunks.
    return (blobID, try read { () throws(StoreError) in try BlobText(store: store, id: blobID, storedBytes: stored).decodedBytes })
  }

  /// Stores a value for the client alone: no run names it.
  package func storeLoose(_ value: CarriedJSON, previewCharacters: Int) throws(RuntimeError) -> BlobReference {
    let spiller = BlobSpiller(makeID: { [host] in host.newID() })
    let (reference, blob) = spiller.reference(to: value, previewCharacters: previewCharacters)
    _ = try read { () throws(StoreError) in try store.appendToBlob(blob.id, type: blob.type, chunk: blob.value, last: true) }
    return reference
  }

  private func completeJSON(_ id: ULID, storedBytes: Int, at pointer: String) throws(RuntimeError) {
    let whole = try read { () throws(StoreError) in try store.blobBytes(id, offset: 0, length: storedBytes) }
    do throws(JSONError) { _ = try CarriedJSON(validating: whole) } catch {
      throw .invalidParams("the chunks do not make JSON: \(error.message)", at: pointer)
    }
    _ = try read { () throws(StoreError) in try store.appendToBlob(id, type: .json, chunk: Bytes(), last: true) }
  }

  /// A blob that this connection builds is named in a result: that completes it, with or without a last chunk.
  /// - Throws: `invalidParams` when what is there is not JSON as it should be; `pointer` is where the blob is named.
  package func completeBlob(_ id: ULID, at pointer: String) throws(RuntimeError) {
    guard unfinishedBlobs[id] != nil else { return }
    _ = try writeBlob(id, type: nil, data: CarriedJSON(string: ""), isLast: true, at: pointer)
  }
}

/// A blob of which a client has written some chunks.
struct UnfinishedBlob {
  var type: BlobType
  /// Of its text so far.
  var bytes = 0
}

extension Bytes {
  /// The first `most` bytes at most, cut at a character's border.
  fileprivate func characters(atMost most: Int) -> Bytes {
    if count <= most { return self }
    var stop = max(0, most)
    while stop > 0, self[stop] & 0xC0 == 0x80 { stop -= 1 }
    if stop == 0 {
      stop = 1
      while stop < count, self[stop] & 0xC0 == 0x80 { stop += 1 }
    }
    return self[0..<stop]
  }
}
