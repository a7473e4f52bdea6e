import JSON

/// Hands out a body's parts one after the other, and can start again.
struct BodyReader {
  private let parts: [Bytes]
  private var part = 0
  private var offset = 0

  init(_ body: HTTPBody) { parts = body.parts }

  /// Fills the room as far as the body goes; says how much that was.
  mutating func read(into room: UnsafeMutableRawBufferPointer) -> Int {
    var filled = 0
    while filled < room.count, part < parts.count {
      let count = min(parts[part].count - offset, room.count - filled)
      unsafe parts[part].withUnsafeBytes { bytes in
        unsafe UnsafeMutableRawBufferPointer(rebasing: room[filled..<(filled + count)])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)]))
      }
      filled += count
      offset += count
      if offset == parts[part].count { (part, offset) = (part + 1, 0) }
    }
    return filled
  }

  /// Goes to a place counted from the beginning; false when there is no such place.
  mutating func seek(to place: Int) -> Bool {
    (part, offset) = (0, place)
    while part < parts.count, offset >= parts[part].count {
      offset -= parts[part].count
      part += 1
    }
    return offset == 0 || part < parts.count
  }
}
