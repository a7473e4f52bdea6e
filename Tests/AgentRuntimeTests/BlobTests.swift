import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Texts that the store keeps as they were escaped, read by offsets of what they say.
@Suite struct BlobTextTests {
  private static let id = ULID(high: 5, low: 5)

  /// Every kind of escape, and characters of one to four bytes: as they are written, and how many bytes of text that is.
  private static let characters: [(written: String, bytes: Int)] = [
    ("a", 1), (#"\n"#, 1), (#"\""#, 1), (#"\\"#, 1), (#"\/"#, 1), (#"\u0041"#, 1), (#"\u0000"#, 1), ("é", 2), (#"\u00e9"#, 2), ("€", 3),
    (#"\u20AC"#, 3), ("😀", 4), (#"\ud83d\ude00"#, 4), (#"\ud800"#, 3), ("z", 1), (#"\udc00"#, 3), ("b", 1), (#"\ud83d"#, 3),
    (#"\u0041"#, 1), ("ß", 2),
  ]

  private static func store(_ written: String) throws -> MemoryStore {
    let store = MemoryStore()
    _ = try store.appendToBlob(id, type: .string, chunk: Bytes(written), last: true)
    return store
  }

  /// Where each character begins, in bytes of text, and the end.
  private static var borders: [Int] {
    var borders = [0]
    for character in characters { borders.append(borders[borders.count - 1] + character.bytes) }
    return borders
  }

  @Test func `every offset and length gives whole characters, from the one that holds the offset`() throws {
    let written = Self.characters.map(\.written)
    let store = try Self.store(written.joined())
    let text = try BlobText(store: store, id: Self.id, storedBytes: written.joined().utf8.count)
    let borders = Self.borders
    let end = borders[borders.count - 1]
    #expect(text.decodedBytes == end)
    for offset in 0..<end {
      let first = borders.lastIndex { $0 <= offset } ?? 0
      for length in 0...end + 2 {
        // As many characters as end within the length, and one at least.
        var last = first
        while last < written.count, borders[last + 1] - borders[first] <= length { last += 1 }
        last = max(last, first + 1)
        let piece = try text.read(offset: offset, length: length)
        let expected = written[first..<last].joined()
        guard piece.escaped.string == expected, piece.start == borders[first], piece.bytes == borders[last] - borders[first] else {
          Issue.record(
            "\(length) bytes from \(offset): \(piece.escaped.string) from \(piece.start), not \(expected) from \(borders[first])")
          return
        }
      }
    }
    for offset in [end, end + 1, .max / 8] {
      let piece = try text.read(offset: offset, length: 10)
      #expect(piece.escaped.isEmpty && piece.start == end && piece.bytes == 0)
    }
  }

  @Test("pieces that are read one after the other make the whole", arguments: [1, 2, 3, 5, 7, 1000, 65_536, 1 << 20])
  func joined(length: Int) throws {
    let count = length < 100 ? 10 : 60_000
    let written = String(repeating: Self.characters.map(\.written).joined(), count: count)
    let store = try Self.store(written)
    let text = try BlobText(store: store, id: Self.id, storedBytes: written.utf8.count)
    #expect(text.decodedBytes == Self.borders[Self.borders.count - 1] * count)
    var offset = 0
    var whole = ByteBuffer(capacity: written.utf8.count)
    while offset < text.decodedBytes {
      let piece = try text.read(offset: offset, length: length)
      guard piece.start == offset, piece.bytes > 0 else {
        Issue.record("at \(offset): \(piece.start), \(piece.bytes)")
        return
      }
      whole.append(piece.escaped)
      offset += piece.bytes
    }
    #expect(whole.finish() == Bytes(written))
  }

  @Test("a part of a long text is what it is of a short one, wherever it begins", arguments: [1, 40, 3000, 70_000])
  func parts(length: Int) throws {
    let written = Self.characters.map(\.written)
    let count = 30_000
    let store = try Self.store(String(repeating: written.joined(), count: count))
    let text = try BlobText(store: store, id: Self.id, storedBytes: written.joined().utf8.count * count)
    let borders = Self.borders
    let round = borders[borders.count - 1]
    /// The place of the character that holds the byte at `offset`, counted from the first of the text.
    func place(_ offset: Int) -> Int { offset / round * written.count + borders.lastIndex { $0 <= offset % round }! }
    func start(_ place: Int) -> Int { place / written.count * round + borders[place % written.count] }
    var chance = Chance(UInt64(length))
    for _ in 0..<300 {
      let offset = chance.below(round * count)
      let first = place(offset)
      let end = min(start(first) + length, round * count)
      let last = max(end == round * count ? written.count * count : place(end), first + 1)
      let piece = try text.read(offset: offset, length: length)
      let expected = (first..<last).map { written[$0 % written.count] }.joined()
      guard piece.escaped.string == expected, piece.start == start(first), piece.bytes == start(last) - start(first) else {
        Issue.record("\(length) bytes from \(offset): \(piece.bytes) bytes from \(piece.start)")
        return
      }
    }
  }

  @Test("to read a text in parts reads about what there is of it", arguments: ["x", #"\n"#, #"\u0001"#])
  func cost(character: String) throws {
    let written = String(repeating: character, count: 3 << 20)
    let stored = written.utf8.count
    let store = try Self.store(written)
    let text = try BlobText(store: store, id: Self.id, storedBytes: stored)
    #expect(store.blobBytesRead < stored + 1000)
    var offset = 0
    while offset < text.decodedBytes { offset += try text.read(offset: offset, length: 1 << 16).bytes }
    #expect(offset == text.decodedBytes && store.blobBytesRead < 4 * stored)
  }

  @Test func `a stored text that is no inside of a JSON string is still read to its end`() throws {
    let store = try Self.store(#"broken \"#)
    let text = try BlobText(store: store, id: Self.id, storedBytes: 8)
    #expect(text.decodedBytes == 8)
  }
}

/// Values that are stored once, and what clients read and write of them.
@Suite struct BlobTests {
  private let world = VirtualWorld()
  private let process: VirtualProcess

  init() { process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")])) }

  private var engine: RunEngine { process.engine }

  @Test func `a value over 64 KiB is stored once, and the model and the parent see it whole`() throws {
    let long = String(repeating: "x", count: 65_537)
    process.parent.answer = { _ in .text(long) }
    let answer = process.start(long, startParams(tools: [clientTool("a", #""maxResultBytes":100000"#)]))
    let run = try #require(answer.runID)
    #expect(process.model.shown.last == ["user: \(long)", "assistant:  a{}", "a: \(long)"])
    #expect(world.disk.blobCount == 2)
    #expect(world.disk.records(of: run).allSatisfy { ($0.event?.count ?? 0) < 4096 })
    process.act { #expect((try? $0.delete(run)) != nil) }
    #expect(world.disk.blobCount == 0)
  }

  @Test func `a value of 64 KiB is not`() throws {
    _ = process.start(String(repeating: "x", count: 65_536), startParams())
    #expect(world.disk.blobCount == 0)
  }

  @Test func `a long list of messages stays a list of messages for the model`() throws {
    let long = String(repeating: "y", count: 70_000)
    let input = json(
      #"[{"role":"user","content":"one"},{"role":"assistant","content":"\#(long)"},{"role":"user","content":[{"type":"text","text":"\#(long)"},{"type":"text","text":"two"}]}]"#
    )
    _ = process.start(input, startParams())
    #expect(process.model.shown.first == ["user: one", "said: \(long)", "user: \(long)\ntwo"])
    #expect(world.disk.blobCount == 2)
  }

  @Test(
    "a value that holds a member $blob is stored as a blob, so that none is literal",
    arguments: [
      #"{"$blob":"01ARZ3NDEKTSV4RRFFQ69G5FAV","type":"string","bytes":1,"preview":""}"#, #"{"a":[{"$blob":1}]}"#, #"{"\u0024blob":1}"#,
    ])
  func literal(value: String) throws {
    process.parent.answer = { _ in .result(.structured(value), bytes: 1) }
    let run = try #require(process.start("hi", startParams(tools: [clientTool("a")])).runID)
    #expect(process.model.shown.last?.last == "a: \(value)")
    let event = try #require(world.disk.records(of: run).first { $0.type == "tool.completed" }?.event)
    let reference = try #require(CarriedJSON(trusted: event)["data"]?["structuredContent"].flatMap(BlobReference.init(wire:)))
    #expect(reference.type == .json && reference.bytes == value.utf8.count)
    #expect(
      try engine.readBlob(reference.id, offset: 0, length: 1000).escaped.string
        == CarriedJSON(string: value).bytes.string.dropFirst().dropLast())
  }

  @Test func `a JSON blob is read at character borders`() throws {
    let (id, bytes) = try engine.writeBlob(nil, type: .json, data: CarriedJSON(string: #"{"é":"😀"}"#), isLast: true)
    #expect(bytes == 13)
    var offset = 0
    var whole = ""
    while offset < bytes {
      let piece = try engine.readBlob(id, offset: offset, length: 3)
      #expect(piece.offset == offset && piece.bytes == bytes)
      let text = try #require(CarriedJSON(quoting: piece.escaped).stringValue)
      whole += text
      offset += text.utf8.count
      #expect(piece.isLast == (offset == bytes))
    }
    #expect(whole == #"{"é":"😀"}"#)
  }

  @Test func `a client builds a blob from chunks, also from halves of a character`() throws {
    let (id, first) = try engine.writeBlob(nil, type: .string, data: json(#""a\ud83d""#), isLast: false)
    #expect(first == 4)
    #expect(refusal { () throws(RuntimeError) in _ = try engine.readBlob(id, offset: 0, length: 1) } == "blob.notFound -")
    #expect(
      refusal { () throws(RuntimeError) in _ = try engine.writeBlob(id, type: .json, data: json(#""""#), isLast: false) }
        == "invalidParams /type")
    let (_, whole) = try engine.writeBlob(id, type: nil, data: json(#""\ude00b""#), isLast: true)
    #expect(whole == 6)
    #expect(try engine.readBlob(id, offset: 0, length: 100).escaped.string == #"a\ud83d\ude00b"#)
    #expect(
      refusal { () throws(RuntimeError) in _ = try engine.writeBlob(id, type: nil, data: json(#""x""#), isLast: true) } == "blob.notFound -"
    )
    #expect(try engine.reference(to: id).bytes == 6)
    #expect(try engine.reference(to: id).wire["preview"]?.stringValue == "a😀b")
  }

  @Test func `chunks that do not make JSON are refused, and no blob is made`() throws {
    let (id, _) = try engine.writeBlob(nil, type: .json, data: json(#""{\"a\":""#), isLast: false)
    #expect(
      refusal { () throws(RuntimeError) in _ = try engine.writeBlob(id, type: nil, data: json(#""}""#), isLast: true) }
        == "invalidParams /data")
    #expect(refusal { () throws(RuntimeError) in _ = try engine.readBlob(id, offset: 0, length: 1) } == "blob.notFound -")
  }
}
