import JSON
import JSONRPC
import POSIXSupport
import Testing

/// Requests of this side, and what can come of them.
struct OwnRequestTests {
  private func transcript(of answer: String, limits: PeerLimits = PeerLimits()) throws -> Transcript {
    try Transcript.of(#"{"method":"ask","id":1}"# + "\n" + answer + "\n" + #"{"id":2,"method":"echo"}"# + "\n", limits: limits)
  }

  private static let asked =
    #"{"jsonrpc":"2.0","id":"b-1","method":"question","params":{"token":"b-1"}}"# + "\n"
    + #"{"jsonrpc":"2.0","id":1,"result":{}}"# + "\n"
  private static let served = #"{"jsonrpc":"2.0","id":2,"result":{}}"# + "\n"

  @Test(arguments: [
    (#"{"jsonrpc":"2.0","id":"b-1","result":{"a":0.10}}"#, #"result {"a":0.10}"#),
    (#"{"result":null,"id":"b-1"}"#, "result null"),
    (#"{"id":"\u0062-1","result":7}"#, "result 7"),
    (#"{"id":"b-1","result":{"free":{"a":1,"a":2}}}"#, #"result {"free":{"a":1,"a":2}}"#),
    (#"{"id":"b-1","error":{"code":-5,"message":"no","data":{"a":1,"a":1}}}"#, #"error -5 no {"a":1,"a":1}"#),
  ])
  func `an answer reaches who asked`(answer: String, reply: String) throws {
    #expect(try transcript(of: answer) == Transcript(output: Self.asked + Self.served, log: ["reply \(reply)", "end of file"]))
  }

  @Test(arguments: [
    (#"{"id":"b-1","result":{"a":1,"a":1}}"#, "a member name is there twice at /result/a"),
    (#"{"id":"b-1","result":1,"error":{"code":1,"message":"x"}}"#, "it has both a result and an error"),
    (#"{"id":"b-1","error":"no"}"#, "its error is not an object"),
    (#"{"id":"b-1","error":{"message":"x"}}"#, "its error has no whole number as code"),
    (#"{"id":"b-1","error":{"code":1}}"#, "its error has no string as message"),
    (#"{"id":"b-1","error":null}"#, "its error is not an object"),
    (#"{"jsonrpc":"1.0","id":"b-1","result":1}"#, #"its jsonrpc is not "2.0""#),
    (#"{"id":"b-1"}"#, "it has neither a result nor an error"),
    (#"{"id":"b-1","result":tru}"#, "expected a value at line 1, column 22"),
    (#"{"id":"b-1","result":1} x"#, "something follows the value at line 1, column 25"),
    (#"{"id":"b-1","result":1,"result":1}"#, "a member name is there twice at line 1, column 24 at /result"),
    (#"{"id":"b-1","result":"#, "the text ends where a value should be at line 1, column 22"),
    (#"{"id":"b-1","resul"#, "the text ends inside a string at line 1, column 19"),
  ])
  func `a broken answer ends the request, and nothing is sent`(answer: String, reason: String) throws {
    let transcript = try transcript(of: answer)
    #expect(transcript.output == Self.asked + Self.served)
    #expect(transcript.log.count == 2)
    #expect(transcript.log.first?.hasPrefix("reply broken: \(reason)") == true, "\(transcript.log)")
  }

  @Test(arguments: [
    #"{"id":"b-1","result":"abc"#, #"{"id":"b-1","result":{"a":1}"#, #"{"id":"b-1","error":{"code":1,"#,
    #"{"id":"b-1","result":"\#(String(repeating: "x", count: 20_000))"#,
  ])
  func `an answer that ends with the input is none`(answer: String) throws {
    let ask = #"{"method":"ask","id":1}"#
    let closed = ["ignored: an answer that ends with the input", "end of file", "reply closed"]
    let limits = PeerLimits(maxMessageBytes: 10_000)
    #expect(try log(of: ask + "\n" + answer, .line, limits) == closed)
    let headed = { (text: String, length: Int) in "Content-Length: \(length)\r\n\r\n\(text)" }
    #expect(try log(of: headed(ask, ask.utf8.count) + headed(answer, answer.utf8.count + 10), .header, limits) == closed)
    // With its end it is an answer, if a broken one.
    #expect(try log(of: ask + "\n" + answer + "\n", .line, limits).first?.hasPrefix("reply broken: ") == true)
    let whole = headed(ask, ask.utf8.count) + headed(answer, answer.utf8.count)
    #expect(try log(of: whole, .header, limits).first?.hasPrefix("reply broken: ") == true)
  }

  @Test func `an answer that is whole but for its line end counts`() throws {
    #expect(
      try log(of: #"{"method":"ask","id":1}"# + "\n" + #"{"id":"b-1","result":0}"#, .line, PeerLimits())
        == ["reply result 0", "end of file"])
  }

  /// What the handler is told of an input that may end anywhere.
  private func log(of input: String, _ framing: Framing, _ limits: PeerLimits) throws -> [String] {
    let conversation = try Conversation(framing: framing, limits: limits)
    try conversation.send(input)
    try conversation.endInput()
    conversation.handler.wait("the end of the request") { $0.log.contains { $0.hasPrefix("reply ") } }
    return try conversation.finish().log
  }

  @Test func `an answer that is not UTF-8, too deep or too long is broken too`() throws {
    let start = Array((#"{"method":"ask","id":1}"# + "\n").utf8)
    let end = Array(("\n" + #"{"id":2,"method":"echo"}"# + "\n").utf8)
    let answers: [([UInt8], String)] = [
      (Array(#"{"result":""#.utf8) + [0xFF] + Array(#"","id":"b-1"}"#.utf8), "a byte that is not UTF-8 at line 1, column 12"),
      (Array(#"{"result":\#(String(repeating: "[", count: 600))\#(String(repeating: "]", count: 600)),"id":"b-1"}"#.utf8), "nested deeper"),
      (Array(#"{"result":"\#(String(repeating: "x", count: 20_000))","id":"b-1"}"#.utf8), "it is longer than 10000 bytes"),
      (Array(#"{"id":"b-1","result":"\#(String(repeating: "x", count: 20_000))"}"#.utf8), "it is longer than 10000 bytes"),
    ]
    for (answer, reason) in answers {
      let transcript = try Transcript.of(start + answer + end, limits: PeerLimits(maxMessageBytes: 10_000))
      #expect(transcript.output == Self.asked + Self.served)
      #expect(transcript.log.first?.hasPrefix("reply broken: \(reason)") == true, "\(transcript.log)")
    }
  }

  @Test(arguments: [
    #"{"id":"b-2","result":1}"#, #"{"id":1,"result":1}"#, #"{"id":"b-01","result":1}"#, #"{"id":"x","error":{"code":1,"message":""}}"#,
    #"{"id":"b-2","error":7}"#,
  ])
  func `an answer that nobody asked for is ignored`(answer: String) throws {
    let transcript = try transcript(of: answer + "\n" + #"{"id":"b-1","result":0}"#)
    #expect(
      transcript
        == Transcript(
          output: Self.asked + Self.served, log: ["ignored: an answer to no open request", "reply result 0", "end of file"]))
  }

  @Test func `an error without an id is never answered`() throws {
    let transcript = try transcript(
      of: #"{"id":null,"error":{"code":-32700,"message":"?"}}"# + "\n" + #"{"error":{"code":1,"message":"?"}}"# + "\n"
        + #"{"id":"b-1","result":0}"#)
    #expect(
      transcript
        == Transcript(
          output: Self.asked + Self.served,
          log: ["ignored: an error without an id", "ignored: an error without an id", "reply result 0", "end of file"]))
  }

  @Test func `a broken line that answers no request of this side is a parse error without id`() throws {
    let transcript = try transcript(
      of: #"{"id":1,"result":tru}"# + "\n" + #"{"id":"b-7","result":tru}"# + "\n" + #"{"id":"b-1","result":0}"#)
    #expect(
      transcript
        == Transcript(
          output: Self.asked
            + #"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error: expected a value at line 1, column 18"}}"# + "\n"
            + Self.served, log: ["ignored: a broken answer to no open request", "reply result 0", "end of file"]))
  }

  @Test func `the other side may use the same ids`() throws {
    let transcript = try transcript(of: #"{"id":"b-1","method":"echo"}"# + "\n" + #"{"id":"b-1","result":0}"#)
    #expect(
      transcript
        == Transcript(
          output: Self.asked + #"{"jsonrpc":"2.0","id":"b-1","result":{}}"# + "\n" + Self.served, log: ["reply result 0", "end of file"]))
  }

  @Test func `a second answer is ignored`() throws {
    let transcript = try transcript(of: #"{"id":"b-1","result":0}"# + "\n" + #"{"id":"b-1","result":1}"#)
    #expect(transcript.log == ["reply result 0", "ignored: an answer to no open request", "end of file"])
  }

  @Test func `an answer to a forgotten request is ignored`() throws {
    let conversation = try Conversation()
    let handler = conversation.handler
    let id = conversation.peer.request("question", { _ in .emptyObject }, reply: { _ in handler.note("replied") })
    #expect(conversation.peer.isOut(id))
    conversation.peer.forget(id)
    #expect(!conversation.peer.isOut(id))
    try conversation.send(#"{"id":"b-1","result":1}"# + "\n")
    #expect(try conversation.finish().log == ["ignored: an answer to no open request", "end of file"])
  }

  @Test func `when the input ends every open request is closed, and every later one`() throws {
    let conversation = try Conversation()
    let handler = conversation.handler
    for number in 1...3 {
      conversation.peer.request("question", { _ in .emptyObject }, reply: { handler.note("\(number) \(ScriptedHandler.text($0))") })
    }
    try conversation.send(#"{"id":"b-2","result":1}"#)
    try conversation.endInput()
    conversation.waitForLog("3 closed")
    let unsent = conversation.peer.request("question", { _ in .emptyObject }, reply: { handler.note("4 \(ScriptedHandler.text($0))") })
    #expect(!conversation.peer.isOut(unsent))
    conversation.waitForLog("4 closed")
    #expect(handler.log == ["2 result 1", "end of file", "1 closed", "3 closed", "4 closed"])
    // The last one was not even sent.
    #expect(try conversation.received().split(separator: "\n").count == 3)
  }
}
