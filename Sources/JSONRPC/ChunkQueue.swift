import JSON

/// Bytes in line to be written, with a count of those that answer a request.
struct ChunkQueue {
  private struct Chunk {
    var bytes: Bytes
    let isResponse: Bool
  }

  /// The chunks before `first` are gone.
  private var chunks: [Chunk] = []
  private var first = 0
  private(set) var byteCount = 0
  private(set) var responseBytes = 0

  var isEmpty: Bool { byteCount == 0 }

  mutating func append(_ bytes: Bytes, isResponse: Bool) {
    guard !bytes.isEmpty else { return }
    chunks.append(Chunk(bytes: bytes, isResponse: isResponse))
    byteCount += bytes.count
    if isResponse { responseBytes += bytes.count }
  }

  /// The bytes that come next: part of the first chunk, or several small ones joined.
  func peek(atMost limit: Int) -> Bytes {
    let bytes = chunks[first].bytes
    if bytes.count >= limit { return bytes[0..<limit] }
    if chunks.count == first + 1 { return bytes }
    var buffer = ByteBuffer(capacity: min(limit, byteCount))
    for chunk in chunks[first...] {
      let room = limit - buffer.count
      if room == 0 { break }
      buffer.append(chunk.bytes.count <= room ? chunk.bytes : chunk.bytes[0..<room])
    }
    return buffer.finish()
  }

  mutating func removeFirst(_ count: Int) {
    var count = count
    while count > 0, first < chunks.count {
      let chunk = chunks[first]
      let part = min(count, chunk.bytes.count)
      byteCount -= part
      if chunk.isResponse { responseBytes -= part }
      count -= part
      if part < chunk.bytes.count {
        chunks[first].bytes = chunk.bytes[part..<chunk.bytes.count]
      } else {
        // The memory is given up at once, the place later.
        chunks[first].bytes = Bytes()
        first += 1
      }
    }
    if first == chunks.count {
      chunks.removeAll(keepingCapacity: chunks.capacity <= 1024)
      first = 0
    } else if first >= 1024, first * 2 >= chunks.count {
      chunks.removeFirst(first)
      first = 0
    }
  }

  mutating func removeAll() { self = ChunkQueue() }
}
