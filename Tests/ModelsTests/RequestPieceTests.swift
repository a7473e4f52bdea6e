import AgentRuntime
import JSON
import Testing

@testable import Models

@Suite struct `Pieces of a request` {
  /// JSON that is long enough to be escaped while it is sent.
  private static let rows = Bytes(
    "[" + (0..<2000).map { #"{"id":\#($0),"name":"Zoë \"Z\" 😀","note":null}"# }.joined(separator: ",\n") + "]")

  private func escaped(_ text: Bytes) -> Bytes {
    let quoted = CarriedJSON(string: text.string).bytes
    return quoted[1..<quoted.count - 1]
  }

  private func text(_ json: Bytes, maxBytes: Int) throws -> ShownContent {
    var result = ToolResult()
    result.structuredContent = .inline(try CarriedJSON(validating: json))
    var reader = ContentReader(takes: { _ in nil }, load: { (value) throws(StoreError) in value.wire })
    return try reader.content(of: result, maxBytes: maxBytes)
  }

  @Test func `hold a large text without its escapes, and say how long it is with them`() {
    let piece = RequestPiece.escaping(Self.rows)
    #expect(piece == .unescaped(Self.rows, count: escaped(Self.rows).count))
    #expect([piece].joined == escaped(Self.rows))
    #expect([.plain(Bytes("a")), piece, .plain(Bytes("b"))].joined == Bytes("a\(escaped(Self.rows).string)b"))
    let small = Self.rows[0..<1000]
    #expect(RequestPiece.escaping(small) == .plain(escaped(small)))
    let plain = Bytes(String(repeating: "7", count: 100_000))
    #expect(RequestPiece.escaping(plain) == .plain(plain))
  }

  @Test(arguments: [0, 1, 2, 18, 19, 20, 21, 22, 23, 24, 31_000, 40_000, 40_001, 40_002, 40_003, 80_000])
  func `are cut where the escaped text would be`(maxBytes: Int) throws {
    let content = try text(Self.rows, maxBytes: maxBytes)
    var expected = ShownContent()
    expected.add(text: [escaped(Self.rows)])
    expected.cut(to: maxBytes)
    #expect(content.text.joined == expected.text.joined)
  }

  @Test func `are not cut when there is room for all`() throws {
    let content = try text(Self.rows, maxBytes: Self.rows.count)
    #expect(content.text == [.unescaped(Self.rows, count: escaped(Self.rows).count)])
    #expect(!content.withoutBlankText.blocks.isEmpty)
  }

  @Test(arguments: [1, 2, 7, 200, 4096, 1 << 20])
  func `are read in rooms of any size, and from any place again`(room: Int) {
    let body = HTTPBody([.plain(Bytes("{\"a\":\"")), .escaping(Self.rows), .plain(Bytes()), .escaping(Self.rows), .plain(Bytes("\"}"))])
    let whole = body.parts.joined
    #expect(body.count == whole.count)
    let border = 6 + escaped(Self.rows).count
    for place in [0, 1, 5, 6, 7, 8, 20_000, border - 1, border, border + 1, whole.count - 3, whole.count - 2, whole.count - 1] {
      var reader = BodyReader(body)
      _ = read(&reader, room: 1000, most: 3000)
      let isThere = reader.seek(to: place)
      #expect(isThere)
      #expect(read(&reader, room: room, most: .max) == whole[place..<whole.count], "from \(place)")
    }
    var reader = BodyReader(body)
    let places = [whole.count, whole.count + 1].map { reader.seek(to: $0) }
    #expect(places == [true, false])
  }

  private func read(_ reader: inout BodyReader, room: Int, most: Int) -> Bytes {
    var all = ByteBuffer()
    while all.count < most {
      let count = unsafe all.withUnsafeFreeSpace(room) { free in
        unsafe reader.read(into: UnsafeMutableRawBufferPointer(rebasing: free[..<room]))
      }
      if count == 0 { break }
    }
    return all.finish()
  }
}
