import JSON
import Testing

@testable import Models

/// Server-sent events, as the standard has them, in every way a stream can be cut.
@Suite struct SSEParserTests {
  /// What a stream gives when it comes in these pieces.
  struct Reading: Equatable {
    var events: [String] = []
    var isCut = false
    var error: String?
  }

  private func read(_ pieces: [[UInt8]], maxEventBytes: Int = 1000) -> Reading {
    var parser = SSEParser(maxEventBytes: maxEventBytes)
    var reading = Reading()
    do throws(SSEError) {
      for piece in pieces {
        parser.feed(Bytes(piece))
        while let event = try parser.next() { reading.events.append("\(event.name)=\(event.data.string)") }
      }
    } catch { reading.error = error.message }
    reading.isCut = parser.finish()
    return reading
  }

  private func read(_ text: String, maxEventBytes: Int = 1000) -> Reading { read([Array(text.utf8)], maxEventBytes: maxEventBytes) }

  /// All line ends, comments, unknown fields, names that stay and go, data without colon, with one and two spaces, joined, empty, multibyte.
  private static let nasty =
    "\u{FEFF}: hello\n\nevent: a\r\ndata: one\r\n\r\ndata:two\rdata:  three\r\rdata\n\ndata:\ndata\n\nevent: lost\n\nid: 7\nretry: 1\ndata: é\n:\n"
    + "data:{\"x\":\"y: z\"}\n\r\nevent:b\nevent\ndata: four\n\nevent: a\nother\ndatax: 1\ndata : 2\n data: 3\nevent:  b \ndata: \u{FEFF}5\n\n\n\r\rdata: cut\n"

  private static let nastyEvents = [
    "a=one", "message=two\n three", "message=", "message=\n", "message=é\n{\"x\":\"y: z\"}", "message=four", " b =\u{FEFF}5",
  ]

  @Test func `a stream is read by the rules of the standard`() {
    #expect(read(Self.nasty) == Reading(events: Self.nastyEvents, isCut: true))
  }

  @Test func `an error beside data is an event`() {
    #expect(
      read("error: {\"x\":1}\n\ndata: one\n\nerror:[2]\r\n\r\nerror: words\nerror:\nerror\n\n")
        == Reading(events: ["error={\"x\":1}", "message=one", "error=[2]"], isCut: false))
  }

  @Test func `where a stream is cut makes no difference`() {
    let bytes = Array(Self.nasty.utf8)
    let expected = Reading(events: Self.nastyEvents, isCut: true)
    #expect(read(bytes.map { [$0] }) == expected)
    for first in 0...bytes.count {
      #expect(read([Array(bytes[..<first]), Array(bytes[first...])]) == expected, "cut at \(first)")
      for second in first...bytes.count {
        let pieces = [Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])]
        if read(pieces) != expected {
          Issue.record("cut at \(first) and \(second): \(read(pieces))")
          return
        }
      }
    }
  }

  @Test func `every beginning of a stream gives a beginning of its events`() {
    let bytes = Array(Self.nasty.utf8)
    for end in 0...bytes.count {
      let whole = read([Array(bytes[..<end])])
      #expect(whole == read(bytes[..<end].map { [$0] }), "ends at \(end)")
      #expect(whole.events == Array(Self.nastyEvents.prefix(whole.events.count)), "ends at \(end)")
    }
  }

  @Test(arguments: [
    ("", false), ("data: x\n\n", false), ("data: x\n", true), ("data: x", true), ("d", true), ("event: x\n", true), ("event: x\n\n", false),
    (": x\n", false), ("id: 1\n", false), ("data: x\r\n\r", false), ("data: x\r", true), ("data\n", true), ("\n\r\n", false),
  ])
  func `a reader is told whether something was left`(stream: (text: String, isCut: Bool)) {
    #expect(read(stream.text).isCut == stream.isCut)
  }

  @Test func `an event is there with the carriage return that ends it`() throws {
    var parser = SSEParser()
    parser.feed(Bytes("data: x\r\r"))
    #expect(try parser.next() == SSEEvent(name: "message", data: Bytes("x")))
  }

  @Test func `pieces may be fed before the last one was read`() throws {
    var parser = SSEParser()
    for piece in ["data: 1\n\nda", "ta: 2\r", "\n\r\nev", "ent: x\ndata: 3\n\n"] { parser.feed(Bytes(piece)) }
    var seen: [SSEEvent] = []
    while let event = try parser.next() { seen.append(event) }
    #expect(seen == [("message", "1"), ("message", "2"), ("x", "3")].map { SSEEvent(name: $0.0, data: Bytes($0.1)) })
  }

  @Test func `an event has a bound, however it is made`() {
    let refused = Reading(isCut: true, error: "An event of the stream is larger than 20 bytes.")
    let line = String(repeating: "x", count: 15)
    #expect(read("data:\(line)\n\n", maxEventBytes: 20) == Reading(events: ["message=\(line)"]))
    #expect(read("data:\(line)x\n\n", maxEventBytes: 20) == refused)
    #expect(read(Array("data:\(line)x".utf8).map { [$0] }, maxEventBytes: 20) == refused)
    #expect(read(":\(line)xxxxx", maxEventBytes: 20) == refused)
    #expect(read("data:1234567890\ndata:123456789\n\n", maxEventBytes: 20) == Reading(events: ["message=1234567890\n123456789"]))
    #expect(read("data:1234567890\ndata:1234567890\n\n", maxEventBytes: 20) == refused)
    #expect(read(String(repeating: "data\n", count: 22), maxEventBytes: 20) == refused)
    // Many small ones are no large one.
    #expect(read(String(repeating: "data:1\n\n", count: 100), maxEventBytes: 20).events.count == 100)
  }

  @Test func `a large event in small pieces is whole`() throws {
    let text = String(repeating: "0123456789abcdef", count: 1 << 16)
    let stream = Array("event: big\ndata: \(text)\n\n".utf8)
    var parser = SSEParser()
    var seen: [SSEEvent] = []
    var at = 0
    while at < stream.count {
      let end = min(at + 16_384, stream.count)
      parser.feed(Bytes(Array(stream[at..<end])))
      while let event = try parser.next() { seen.append(event) }
      at = end
    }
    #expect(seen == [SSEEvent(name: "big", data: Bytes(text))])
  }
}
