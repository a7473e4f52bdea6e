import JSON
import JSONRPC
import POSIXSupport
import Testing

/// Each bad line gets its one answer, and the next message is served as if nothing had happened.
struct BadInputTests {
  private static let after = #"{"jsonrpc":"2.0","id":"after","result":{}}"# + "\n"

  private func answer(to line: [UInt8], limits: PeerLimits = PeerLimits(), bytewise: Bool = true) throws -> (id: String, code: Int) {
    let input = line + Array("\n{\"id\":\"after\",\"method\":\"echo\"}\n".utf8)
    let transcript: Transcript
    if bytewise {
      transcript = try Transcript.of(input, limits: limits)
    } else {
      let conversation = try Conversation(limits: limits)
      try conversation.send(input)
      transcript = try conversation.finish()
    }
    #expect(transcript.log == ["end of file"])
    let lines = transcript.output.split(separator: "\n", omittingEmptySubsequences: false)
    try #require(lines.count == 3)
    #expect(lines[1] == Self.after.dropLast() && lines[2] == "")
    let message = try CarriedJSON(validating: Bytes(String(lines[0])))
    return (message["id"]?.bytes.string ?? "-", message["error"]?["code"]?.intValue ?? 0)
  }

  @Test(arguments: [
    ("{", "null"), ("}", "null"), ("nonsense", "null"), ("{\"id\":1", "null"), ("{\"id\":1,", "1"), ("[", "null"),
    ("[{\"id\":1,\"method\":\"echo\"}", "null"),
    (#"{"id":1,"method":"echo"} x"#, "1"), (#"{"id":1,"method":"echo"}{"id":2,"method":"echo"}"#, "null"),
    (#"{"id":1,"method":"echo",}"#, "1"), (#"{"id":1,,"method":"echo"}"#, "1"), (#"{"id":1 "method":"echo"}"#, "1"),
    (#"{"method":"echo","params":{"id":1},"id":01}"#, "null"), (#"{"method":"echo","params":{"id":1}"#, "null"),
    (#"{"method":"echo","params":{"a":tru},"id":5}"#, "5"), (#"{"method":"echo","params":["],"id":5}"#, "null"),
    (#"{"method":"echo","params":{"a":"\x"},"id":"i\u0064"}"#, #""i\u0064""#), (#"{"id":{"id":1},"method":}"#, "null"),
    (#"{"id":1,"id":1,"method":"echo"}"#, "1"), (#"{"id":1,"id":2,"method":"echo"}"#, "null"),
    (#"{"id":1,"method":"echo","method":"echo"}"#, "1"), (#"{"id":1,"method":"echo","params":{"a":1,"a":1}}"#, "1"),
    (#"{"id":1,"method":"echo","params":{"a":[{"b":1,"\u0062":1}]}}"#, "1"), (#"{"method":"note","params":{"a":1,"a":1}}"#, "null"),
    ("{\"id\":1,\"method\":\"echo\",\"params\":{\"a\":\"\u{1}\"}}", "1"), (#"{"id":1,"method":"echo","params":{"a":1,{"id":2}}"#, "1"),
    (#"{"id":null,"method":"echo","params":x}"#, "null"), (#"{"id":[1],"method":"echo","params":x}"#, "null"),
  ])
  func `what is not JSON, or repeats a name, is a parse error`(line: String, id: String) throws {
    let answer = try answer(to: Array(line.utf8))
    #expect(answer == (id, -32700))
  }

  @Test(
    arguments: [
      [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0x80],
    ] as [[UInt8]])
  func `what is not UTF-8 is a parse error`(bytes: [UInt8]) throws {
    let line = Array(#"{"method":"echo","params":{"a":""#.utf8) + bytes + Array(#""},"id":5}"#.utf8)
    let answer = try answer(to: line)
    #expect(answer == ("5", -32700))
  }

  @Test func `a NUL byte is a parse error`() throws {
    let answer = try answer(to: Array(#"{"id":7,"method":"echo","params":{"a":1"#.utf8) + [0] + Array("}}".utf8))
    #expect(answer == ("7", -32700))
  }

  @Test func `deep nesting is too large, to its id`() throws {
    let deep = String(repeating: "[", count: 100_000)
    let both = deep + String(repeating: "]", count: 100_000)
    let answers = [
      try answer(to: Array(deep.utf8), bytewise: false),
      try answer(to: Array(both.utf8), bytewise: false),
      try answer(to: Array(#"{"id":1,"method":"echo","params":{"a":\#(both)}}"#.utf8), bytewise: false),
      try answer(to: Array(#"{"id":1,"method":"echo","params":{"free":\#(both)}}"#.utf8), bytewise: false),
      try answer(to: Array(#"{"params":{"a":\#(deep)},"id":1}"#.utf8), bytewise: false),
    ]
    #expect(answers.map(\.id) == ["null", "null", "1", "1", "null"])
    #expect(answers.map(\.code) == [-32600, -32600, -32600, -32600, -32600])
  }

  @Test func `nesting up to the limit passes`() throws {
    // The message and its params are two levels.
    let inner = String(repeating: "[", count: 510) + String(repeating: "]", count: 510)
    let transcript = try Transcript.of(#"{"id":1,"method":"echo","params":{"a":\#(inner)}}"# + "\n")
    #expect(transcript.output == #"{"jsonrpc":"2.0","id":1,"result":{"a":\#(inner)}}"# + "\n")
    let answer = try answer(to: Array(#"{"id":1,"method":"echo","params":{"a":[\#(inner)]}}"#.utf8))
    #expect(answer == ("1", -32600))
  }

  @Test func `a million elements are too many, unless they are only carried`() throws {
    let million = "[" + String(repeating: "0,", count: 999_999) + "0]"
    let answers = [
      try answer(to: Array(million.utf8), bytewise: false),
      try answer(to: Array(#"{"id":1,"method":"echo","params":{"a":\#(million)}}"#.utf8), bytewise: false),
    ]
    #expect(answers.map(\.id) == ["null", "1"])
    #expect(answers.map(\.code) == [-32600, -32600])

    let conversation = try Conversation()
    try conversation.send(#"{"id":1,"method":"echo","params":{"free":\#(million)}}"# + "\n")
    #expect(try conversation.lines(1) == [#"{"jsonrpc":"2.0","id":1,"result":{"free":\#(million)}}"#])
  }

  @Test func `many unknown members do not take long`() throws {
    let members = (0..<200_000).map { "\"m\($0)\":0" }.joined(separator: ",")
    let conversation = try Conversation()
    try conversation.send("{\(members),\"id\":1,\"method\":\"echo\"}\n")
    #expect(try conversation.lines(1) == [#"{"jsonrpc":"2.0","id":1,"result":{}}"#])
  }

  @Test func `many ids in a broken line do not take long`() throws {
    let ids = (0..<400_000).map { "\"id\":\($0)" }.joined(separator: ",")
    let answer = try answer(to: Array("{\(ids)}".utf8), bytewise: false)
    #expect(answer == ("null", -32700))
  }

  @Test func `carried places may repeat names`() throws {
    let transcript = try Transcript.of(#"{"id":1,"method":"echo","params":{"free":{"a":1,"a":2}}}"# + "\n")
    #expect(transcript.output == #"{"jsonrpc":"2.0","id":1,"result":{"free":{"a":1,"a":2}}}"# + "\n")
  }

  @Test func `half a message at the end is answered, a whole one without newline is served`() throws {
    #expect(
      try Transcript.of(#"{"id":1,"method":"echo","par"#)
        == Transcript(
          output:
            #"{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"Parse error: the text ends inside a string at line 1, column 29"}}"#
            + "\n", log: ["end of file"]))
    #expect(
      try Transcript.of(#"{"id":1,"method":"echo"}"#)
        == Transcript(output: #"{"jsonrpc":"2.0","id":1,"result":{}}"# + "\n", log: ["end of file"]))
    #expect(try Transcript.of("") == Transcript(output: "", log: ["end of file"]))
    #expect(try Transcript.of(" \r\n\n \t ") == Transcript(output: "", log: ["end of file"]))
  }

  // MARK: Longer than the limit

  private static let small = PeerLimits(maxMessageBytes: 20_000)
  private static let filler = String(repeating: "x", count: 30_000)

  @Test(arguments: [
    (#"{"id":1,"method":"echo","params":{"a":"FILL"}}"#, "1"),
    (#"{"method":"echo","params":{"a":"FILL"},"id":"x\"y"}"#, #""x\"y""#),
    (#"{"method":"echo","params":{"a":"FILL"}, "id" : 1.5 , "x":{"id":[2]}, "y":"}" }"#, "1.5"),
    (#"{"method":"echo","params":{"a":"FILL","id":7}}"#, "null"),
    (#"{"id":1,"params":{"a":"FILL"},"id":2}"#, "null"),
    (#"{"id":1,"params":{"a":"FILL"},"id":1}"#, "1"),
    (#"{"params":{"a":"FILL"},"id":{"id":1}}"#, "null"),
    (#"[{"id":1,"method":"echo","params":{"a":"FILL"}}]"#, "null"),
    (#"{"a":"FILL","id":1,"b":"FILL"}"#, "null"),
    (#""FILL""#, "null"),
    ("FILL", "null"),
    (#"{"id":1}FILL{"id":2}"#, "1"),
    (#"{"id":1,"method":"echo","params":{"a":"FILL"}} {"id":2}"#, "null"),
  ])
  func `a message over the limit is too large, to its id where one end shows it`(pattern: String, id: String) throws {
    let line = pattern.split(separator: "FILL", omittingEmptySubsequences: false).joined(separator: Self.filler)
    let answer = try answer(to: Array(line.utf8), limits: Self.small)
    #expect(answer == (id, -32600))
  }

  @Test(arguments: [0, 1, 2]) func `the limit counts the bytes of the message without its line end`(excess: Int) throws {
    let limit = 200
    let start = #"{"id":1,"method":"echo","params":{"a":""#
    let line = start + String(repeating: "x", count: limit + excess - start.count - 3) + #""}}"#
    for ending in ["\n", "\r\n"] {
      let transcript = try Transcript.of(line + ending, limits: PeerLimits(maxMessageBytes: limit))
      #expect(transcript.output.contains(#""result""#) == (excess == 0))
      #expect(transcript.output.contains(#"{"jsonrpc":"2.0","id":1,"#))
    }
  }

  @Test(arguments: [Framing.line, .header]) func `an overlong message is not held`(framing: Framing) {
    var framer = Framer(framing: framing, maxMessageBytes: 1 << 20)
    if framing == .header { framer.receive(Bytes("Content-Length: \(64 << 20)\r\n\r\n")) }
    let piece = Bytes([UInt8](repeating: 0x78, count: 64 << 10))
    var largest = 0
    for _ in 0..<1023 {
      framer.receive(piece)
      #expect(framer.next() == nil)
      largest = max(largest, framer.capacity)
    }
    framer.receive(framing == .line ? Bytes("\n") : piece)
    let end = piece[0..<4096]
    #expect(framer.next() == .overlong(head: end, tail: end, isComplete: true))
    #expect(largest <= 4 << 20)
  }
}
