import JSON

/// The text of a string blob, which the store keeps as it was escaped in JSON: offsets and lengths here are in UTF-8 bytes of the text.
struct BlobText {
  private static let pieceBytes = 1 << 20
  /// More are not kept of one text, so that those of a very long one lie farther apart.
  private static let mostBorders = 4096
  /// No escape is longer, nor a character: what is nearer to the end of what was read may go on behind it.
  private static let longestEscape = 12

  let store: any RunStore
  let id: ULID
  let storedBytes: Int
  let decodedBytes: Int
  /// How many bytes of text there are before some places in what is stored: to find an offset without reading all that is before it.
  private var borders: [(stored: Int, decoded: Int)] = []

  init(store: any RunStore, id: ULID, storedBytes: Int) throws(StoreError) {
    self.store = store
    self.id = id
    self.storedBytes = storedBytes
    let step = max(1 << 16, storedBytes / Self.mostBorders + 1)
    var stored = 0
    var decoded = 0
    while stored < storedBytes {
      let piece = try store.blobBytes(id, offset: stored, length: Self.pieceBytes + Self.longestEscape)
      let limit = stored + piece.count == storedBytes ? piece.count : Self.pieceBytes
      var walk = EscapeWalk()
      while walk.encoded < limit {
        let before = walk.encoded
        let border = borders.last?.stored ?? -step
        if stored + before - border >= step { borders.append((stored + before, decoded + walk.decoded)) }
        walk.advance(over: piece, encodedLimit: min(limit, before + step))
        if walk.encoded == before { break }
      }
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
    guard offset < decodedBytes, let border = border(before: offset) else { return (Bytes(), decodedBytes, 0) }
    let skipped = offset - border.decoded
    let wanted = skipped + min(max(1, length), decodedBytes - offset)
    // As if the whole were escaped alike; where it is escaped more, more is read.
    var window = Int(Double(wanted) * 1.125 * Double(storedBytes) / Double(decodedBytes)) + 64
    while true {
      let piece = try store.blobBytes(id, offset: border.stored, length: min(window, storedBytes - border.stored))
      let isToEnd = window >= storedBytes - border.stored
      let limit = isToEnd ? Int.max : piece.count - Self.longestEscape
      var walk = EscapeWalk()
      walk.advance(over: piece, decodedLimit: skipped, encodedLimit: limit)
      let from = walk
      walk.advance(over: piece, decodedLimit: from.decoded + max(1, length), encodedLimit: limit)
      if walk.encoded == from.encoded {
        walk.advance(over: piece, decodedLimit: from.decoded + 1, encodedLimit: limit, overshooting: true)
      }
      if isToEnd || walk.encoded < limit {
        return (piece[from.encoded..<walk.encoded], border.decoded + from.decoded, walk.decoded - from.decoded)
      }
      window *= 2
    }
  }

  /// The last of the borders that is not behind `offset`.
  private func border(before offset: Int) -> (stored: Int, decoded: Int)? {
    var (low, high) = (0, borders.count)
    while low < high {
      let middle = (low + high) / 2
      if borders[middle].decoded <= offset { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : borders[low - 1]
  }

  /// The first characters of a text, of which `head` is the escaped beginning.
  static func preview(_ head: Bytes, isWhole: Bool) -> String {
    var walk = EscapeWalk()
    walk.advance(over: head, encodedLimit: isWhole ? .max : max(0, head.count - 16))
    return CarriedJSON(quoting: head[0..<walk.encoded]).stringPrefix(characters: BlobSpiller.previewCharacters)
  }
}
