import JSON
import Testing

@Suite struct `Escaping while reading` {
  /// What an escaper hands out in rooms of that size, after so many bytes were skipped.
  private func read(_ text: Bytes, room: Int, skipping skipped: Int = 0) -> Bytes {
    var escaper = StringEscaper(text)
    if skipped > 0 { escaper.skip(skipped) }
    var all = ByteBuffer()
    while !escaper.isAtEnd {
      var written = 0
      _ = unsafe all.withUnsafeFreeSpace(room) { free in
        unsafe written = escaper.read(into: UnsafeMutableRawBufferPointer(rebasing: free[..<room]))
        return written
      }
      if written == 0 { break }
    }
    return all.finish()
  }

  private func escaped(_ text: Bytes) -> Bytes {
    let quoted = CarriedJSON(string: text.string).bytes
    return quoted[1..<quoted.count - 1]
  }

  private static let texts: [Bytes] = {
    var random = Random(11)
    let pieces = [
      "\"", "\\", "\n", "\t", "\u{8}", "\u{C}", "\r", "\u{0}", "\u{1F}", "\u{7F}", "é", "中", "😀", "a", "12345", "plain text that is long ",
    ]
    var texts = [
      "", "\"", "\\\"", String(repeating: "\u{1}", count: 300), String(repeating: "\"", count: 300), String(repeating: "x", count: 300),
    ]
    for number in 0..<200 {
      // Few of the pieces, so that there are texts with quotes alone, with controls alone, and with neither.
      let few = (0..<1 + number % 5).map { _ in pieces.randomElement(using: &random)! }
      texts.append((0..<number).map { _ in few.randomElement(using: &random)! }.joined())
    }
    return texts.map { Bytes($0) }
  }()

  @Test func `is the same whatever the rooms`() {
    for text in Self.texts {
      let whole = escaped(text)
      for room in [1, 2, 5, 7, 31, 199, 200, 201, 512, 1 << 20] { #expect(read(text, room: room) == whole, "\(text.string) by \(room)") }
    }
  }

  @Test func `begins wherever it is told to`() {
    for text in Self.texts {
      let whole = escaped(text)
      for start in Set([0, 1, 2, 3, whole.count / 3, whole.count / 2, whole.count - 1, whole.count]) where (0...whole.count).contains(start)
      {
        #expect(read(text, room: 64, skipping: start) == whole[start..<whole.count], "\(text.string) from \(start)")
      }
    }
    let long = Bytes(String(repeating: "a \"quoted\" line\n", count: 10_000))
    let whole = escaped(long)
    for start in [1, 16_383, 16_384, 16_385, 100_000, whole.count - 1] {
      #expect(read(long, room: 4096, skipping: start) == whole[start..<whole.count], "from \(start)")
    }
  }

  @Test func `is as long as is counted`() {
    for text in Self.texts { #expect(text.escapedCount == escaped(text).count, "\(text.string)") }
    // Around the places where the sums of the count are gathered.
    for count in [8159, 8160, 8161, 8192, 16_320, 16_321] {
      for text in [
        String(repeating: "\"", count: count), String(repeating: "x", count: count), String(repeating: "x", count: count) + "\n\u{1}",
      ] {
        #expect(Bytes(text).escapedCount == escaped(Bytes(text)).count, "\(count)")
      }
    }
  }

  @Test func `is appended to a buffer`() {
    for text in Self.texts {
      var buffer = ByteBuffer(capacity: 1)
      buffer.append("[" as StaticString)
      buffer.append(escaping: text, count: text.escapedCount)
      buffer.append("]" as StaticString)
      #expect(buffer.finish() == Bytes("[\(escaped(text).string)]"))
    }
  }
}
