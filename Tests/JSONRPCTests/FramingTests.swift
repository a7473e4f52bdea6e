import JSON
import JSONRPC
import POSIXSupport
import Testing

struct FramingTests {
  private static func framed(_ text: String) -> String { "Content-Length: \(text.utf8.count)\r\n\r\n\(text)" }
  private static let ping = #"{"id":1,"method":"echo"}"#
  private static let pong = #"{"jsonrpc":"2.0","id":1,"result":{}}"#
  private static func refusal(_ reason: String) -> String {
    #"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error: \#(reason)"}}"#
  }

  // MARK: Lines

  @Test(arguments: [
    "PING\n", "PING\r\n", "\u{FEFF}PING\n", "\u{FEFF}\nPING\n", "\n\r\n \t\nPING\n\n\n", "  PING  \n", "PING", "\u{FEFF}PING",
  ])
  func `line ends, blank lines and a leading mark make no difference`(pattern: String) throws {
    let input = pattern.split(separator: "PING", omittingEmptySubsequences: false).joined(separator: Self.ping)
    #expect(try Transcript.of(input).output == Self.pong + "\n")
    #expect(try Transcript.of(input, framing: .line).output == Self.pong + "\n")
  }

  @Test func `a blank line counts for nothing, however long`() throws {
    let blank = String(repeating: " \t", count: 300)
    let transcript = try Transcript.of(
      blank + "\n" + blank + "\r\n" + Self.ping + "\n" + blank + "\n" + blank + Self.ping + "\n" + blank,
      limits: PeerLimits(maxMessageBytes: 100))
    #expect(transcript.output == Self.pong + "\n" + Self.pong + "\n")
  }

  @Test func `a mark anywhere else is an error`() throws {
    let transcript = try Transcript.of(Self.ping + "\n\u{FEFF}" + Self.ping + "\n" + Self.ping + "\n")
    #expect(
      transcript.output == [Self.pong, Self.refusal("expected a value at line 1, column 1"), Self.pong, ""].joined(separator: "\n"))
  }

  @Test func `noise that begins like a header is a bad line, and the framing stays open`() throws {
    #expect(
      try Transcript.of("CRITICAL: none\n" + Self.ping + "\n").output
        == Self.refusal("expected a value at line 1, column 1") + "\n" + Self.pong + "\n")
    #expect(
      try Transcript.of("cat\r\n" + Self.framed(Self.ping)).output
        == Self.refusal("expected a value at line 1, column 1") + "\n" + Self.framed(Self.pong))
    #expect(try Transcript.of("Conte").output == Self.refusal("expected a value at line 1, column 1") + "\n")
    #expect(
      try Transcript.of("C" + String(repeating: "x", count: 9000) + "\n" + Self.ping).output
        == Self.refusal("expected a value at line 1, column 1") + "\n" + Self.pong + "\n")
  }

  @Test func `with line framing a header is a bad line`() throws {
    let transcript = try Transcript.of("Content-Length: 3\r\n\r\n" + Self.ping + "\n", framing: .line)
    #expect(transcript.output == Self.refusal("expected a value at line 1, column 1") + "\n" + Self.pong + "\n")
  }

  // MARK: Headers

  @Test(arguments: [
    "Content-Length: N\r\n\r\n", "content-length:N\r\n\r\n", "CONTENT-LENGTH: \t N \r\n\r\n", "Content-Length: N\n\n",
    "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: N\r\n\r\n",
    "Content-Length: N\r\nX-Other: a:b\r\n\r\n", "\r\n\r\nContent-Length: N\r\n\r\n", "\u{FEFF}Content-Length: N\r\n\r\n",
    "Content-Length: 3\r\nContent-Length: N\r\n\r\n", "Content-Length: 000N\r\n\r\n",
  ])
  func `a message with a header is answered with one`(header: String) throws {
    let message = header.split(separator: "N", omittingEmptySubsequences: false).joined(separator: String(Self.ping.utf8.count)) + Self.ping
    let input = header.hasPrefix("CONTENT") ? "CONTENT-LENGTH: \t \(Self.ping.utf8.count) \r\n\r\n" + Self.ping : message
    #expect(try Transcript.of(input + input.drop { $0 == "\u{FEFF}" }).output == Self.framed(Self.pong) + Self.framed(Self.pong))
  }

  @Test func `a framing that was asked for needs no detection`() throws {
    let transcript = try Transcript.of("X-First: 1\r\n" + Self.framed(Self.ping), framing: .header)
    #expect(transcript.output == Self.framed(Self.pong))
  }

  @Test func `a message may hold line breaks, its answer holds none`() throws {
    let text = "{\r\n\"id\": 1,\n\"method\": \"echo\",\n\"params\": {\n\"a\":\n1}\n}"
    #expect(
      try Transcript.of(Self.framed(text)).output == Self.framed(#"{"jsonrpc":"2.0","id":1,"result":{ "a": 1}}"#))
  }

  @Test func `lengths count bytes`() throws {
    let text = #"{"id":"ä€😀","method":"echo"}"#
    #expect(try Transcript.of(Self.framed(text)).output == Self.framed(#"{"jsonrpc":"2.0","id":"ä€😀","result":{}}"#))
  }

  @Test(arguments: [
    ("Content-Length: abc\r\n\r\n{}", "a Content-Length is not a number"),
    ("Content-Length: -1\r\n\r\n", "a Content-Length is not a number"),
    ("Content-Length:\r\n\r\n", "a Content-Length is not a number"),
    ("Content-Length: 12345678901234567890\r\n\r\n", "a Content-Length is not a number"),
    ("Content-Type: x\r\n\r\n{}", "a header has no Content-Length"),
    ("Content-Type: x\r\nwhat is this\r\n\r\n{}", "a header line has no name"),
    ("Content-Type: \(String(repeating: "x", count: 9000))\r\n\r\n", "a header line is longer than 8192 bytes"),
  ])
  func `a bad header is a parse error, and the next good one is found`(bad: String, reason: String) throws {
    let transcript = try Transcript.of(bad + Self.framed(Self.ping) + Self.framed(Self.ping), framing: .header)
    #expect(transcript.output == Self.framed(Self.refusal(reason)) + Self.framed(Self.pong) + Self.framed(Self.pong))
  }

  @Test func `a body longer than its length says costs an error, not the next message`() throws {
    let wrong = "Content-Length: \(Self.ping.utf8.count)\r\n\r\n\(Self.ping)}}"
    let transcript = try Transcript.of(wrong + Self.framed(Self.ping))
    #expect(transcript.output == Self.framed(Self.pong) + Self.framed(Self.refusal("a header line has no name")) + Self.framed(Self.pong))
  }

  @Test func `a body that is no message is refused, and the connection stays in step`() throws {
    let transcript = try Transcript.of(Self.framed("") + Self.framed("{]") + Self.framed(Self.ping))
    #expect(
      transcript.output
        == Self.framed(Self.refusal("the text ends where a value should be at line 1, column 1"))
        + Self.framed(Self.refusal("expected a member name in quotes at line 1, column 2")) + Self.framed(Self.pong))
  }

  @Test func `a body over the limit is skipped, to its id`() throws {
    let long = #"{"id":7,"method":"echo","params":{"a":"\#(String(repeating: "x", count: 20_000))"}}"#
    let transcript = try Transcript.of(Self.framed(long) + Self.framed(Self.ping), limits: PeerLimits(maxMessageBytes: 10_000))
    let refusal = #"{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"Invalid Request: the message is longer than 10000 bytes"}}"#
    #expect(transcript.output == Self.framed(refusal) + Self.framed(Self.pong))
  }

  @Test func `an input that ends within a header or a body is answered`() throws {
    #expect(
      try Transcript.of("Content-Length: 5\r\n").output == Self.framed(Self.refusal("the input ends within a header")))
    #expect(
      try Transcript.of("Content-Length: 50\r\n\r\n{\"id\":3,").output
        == Self.framed(
          #"{"jsonrpc":"2.0","id":3,"error":{"code":-32700,"message":"#
            + #""Parse error: the text ends where a member name in quotes should be at line 1, column 9"}}"#))
    #expect(try Transcript.of("Content-Length: 50\r\n\r\n" + Self.ping).output == Self.framed(Self.pong))
    #expect(try Transcript.of(Self.framed(Self.ping) + "\r\n").output == Self.framed(Self.pong))
  }

  // MARK: The framer alone

  /// Everything that comes out of `bytes`, given in pieces of that size.
  private static func frames(_ bytes: [UInt8], pieces size: Int, framing: Framing = .auto, limit: Int = 100) -> [Framer.Frame] {
    var framer = Framer(framing: framing, maxMessageBytes: limit)
    var frames: [Framer.Frame] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      framer.receive(Bytes(Array(rest.prefix(size))))
      rest = rest.dropFirst(size)
      while let frame = framer.next() { frames.append(frame) }
    }
    while let frame = framer.finish() { frames.append(frame) }
    return frames
  }

  @Test(arguments: 1...200) func `random input gives the same frames in pieces of any size`(seed: UInt64) {
    var random = SplitMix(state: seed)
    let words = [
      "Content-Length: 5\r\n\r\n", "content-length:", " 12", "\r\n", "\n", "{\"id\":1}", "C", "c", ":", " ", "\u{FEFF}", "abc", "\"", "{}",
      String(repeating: "y", count: 150), String(repeating: " ", count: 150), "\r", "Content-Type: z\r\n", "\0", "7",
    ]
    var text = ""
    for _ in 0..<40 { text += words[Int(random.next() % UInt64(words.count))] }
    for framing in Framing.allCases {
      let whole = Self.frames(Array(text.utf8), pieces: .max, framing: framing)
      for size in [1, 2, 3, 7, 64] {
        #expect(Self.frames(Array(text.utf8), pieces: size, framing: framing) == whole)
      }
    }
  }

  @Test func `large messages come out whole, whatever precedes and follows`() {
    let large = String(repeating: "x", count: 300_000)
    let small = String(repeating: "s", count: 10)
    let lines = [small, large, small, large, large, small]
    let text = Array(lines.joined(separator: "\n").utf8)
    for size in [1_000, 65_536, 200_000, 1 << 20] {
      let expected = lines.map { Framer.Frame.message(Bytes($0)) }
      #expect(Self.frames(text, pieces: size, limit: 1 << 20) == expected)
    }
  }
}

/// A generator that gives the same numbers for the same seed: https://prng.di.unimi.it/splitmix64.c
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
