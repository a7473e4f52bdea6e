import JSON

/// Hands out a body's parts one after the other, and can start again.
struct BodyReader {
  private let parts: [RequestPiece]
  private var part = 0
  /// In a part that is sent as it stands.
  private var offset = 0
  /// Of a part that is escaped, once it is begun.
  private var escaper: StringEscaper?

  init(_ body: HTTPBody) { parts = body.parts }

  /// Fills the room as far as the body goes; says how much that was.
  mutating func read(into room: UnsafeMutableRawBufferPointer) -> Int {
    var filled = 0
    while filled < room.count, part < parts.count {
      let left = unsafe UnsafeMutableRawBufferPointer(rebasing: room[filled...])
      switch parts[part] {
      case .plain(let bytes): filled += unsafe read(bytes, into: left)
      case .unescaped(let text, _): filled += unsafe escape(text, into: left)
      }
    }
    return filled
  }

  private mutating func read(_ source: Bytes, into room: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(source.count - offset, room.count)
    unsafe source.withUnsafeBytes { bytes in
      unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<count])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]))
    }
    offset += count
    if offset == source.count { (part, offset) = (part + 1, 0) }
    return count
  }

  private mutating func escape(_ text: Bytes, into room: UnsafeMutableRawBufferPointer) -> Int {
    var escaper = self.escaper ?? StringEscaper(text)
    let count = unsafe escaper.read(into: room)
    self.escaper = escaper.isAtEnd ? nil : escaper
    if escaper.isAtEnd { part += 1 }
    return count
  }

  /// Goes to a place counted from the beginning; false when there is no such place.
  mutating func seek(to place: Int) -> Bool {
    (part, offset, escaper) = (0, place, nil)
    while part < parts.count, offset >= parts[part].count {
      offset -= parts[part].count
      part += 1
    }
    if part < parts.count, offset > 0, case .unescaped(let text, _) = parts[part] {
      var escaper = StringEscaper(text)
      escaper.skip(offset)
      (self.escaper, offset) = (escaper, 0)
    }
    return offset == 0 || part < parts.count
  }
}
