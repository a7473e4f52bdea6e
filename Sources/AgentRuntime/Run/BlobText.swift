import JSON

/// The text of a string blob, which the store keeps as it was escaped in JSON: offsets and lengths here are in UTF-8 bytes of the text.
struct BlobText {
  private static let pieceBytes = 1 << 20

  let store: any RunStore
  let id: ULID
  let storedBytes: Int
  let decodedBytes: Int
  /// How many escaped bytes there are before every full piece of stored bytes, counted as text: to find an offset without reading all.
  private var borders: [(stored: Int, decoded: Int)] = []

  init(store: any RunStore, id: ULID, storedBytes: Int) throws(StoreError) {
    self.store = store
    self.id = id
    self.storedBytes = storedBytes
    var stored = 0
    var decoded = 0
    while stored < storedBytes {
      borders.append((stored, decoded))
      let piece = try store.blobBytes(id, offset: stored, length: Self.pieceBytes + 16)
      var walk = EscapeWalk()
      walk.advance(over: piece, encodedLimit: stored + piece.count == storedBytes ? .max : Self.pieceBytes)
      // What is no inside of a JSON string counts as it is, so that this ends.
      if walk.encoded == 0 {
        decodedBytes = decoded + storedBytes - stored
        return
      }
      stored += walk.encoded
      decoded += walk.decoded
    }
    decodedBytes = decoded
  }

  /// The escaped text at `offset`: at most `length` bytes of text, but at least a character, cut at character borders.
  ///
  /// `start` is where it really begins: an offset inside a character goes back to that character's.
  func read(offset: Int, length: Int) throws(StoreError) -> (escaped: Bytes, start: Int, bytes: Int) {
    guard offset < decodedBytes, let border = borders.last(where: { $0.decoded <= offset }) else { return (Bytes(), decodedBytes, 0) }
    // No text is longer escaped than six times its bytes.
    let window = min(storedBytes - border.stored, (offset - border.decoded + length + 8) * 6 + 16)
    let piece = try store.blobBytes(id, offset: border.stored, length: window)
    var walk = EscapeWalk()
    walk.advance(over: piece, decodedLimit: offset - border.decoded)
    let from = walk
    walk.advance(over: piece, decodedLimit: from.decoded + max(1, length))
    if walk.encoded == from.encoded { walk.advance(over: piece, decodedLimit: from.decoded + 1, overshooting: true) }
    return (piece[from.encoded..<walk.encoded], border.decoded + from.decoded, walk.decoded - from.decoded)
  }

  /// The first characters of a text, of which `head` is the escaped beginning.
  static func preview(_ head: Bytes, isWhole: Bool) -> String {
    var walk = EscapeWalk()
    walk.advance(over: head, encodedLimit: isWhole ? .max : max(0, head.count - 16))
    return CarriedJSON(quoting: head[0..<walk.encoded]).stringPrefix(characters: BlobSpiller.previewCharacters)
  }
}
