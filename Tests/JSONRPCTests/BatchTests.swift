import JSON
import JSONRPC
import POSIXSupport
import Testing

struct BatchTests {
  @Test func `a batch is answered by one array when the last response is there`() throws {
    let transcript = try Transcript.of(
      """
      [{"id":1,"method":"hold"},{"method":"note"},{"id":2,"method":"echo","params":{"a":1}},{"id":3,"method":"nothing"}]
      {"id":4,"method":"echo"}
      {"method":"release"}

      """)
    #expect(
      transcript
        == Transcript(
          output: """
            {"jsonrpc":"2.0","id":4,"result":{}}
            [{"jsonrpc":"2.0","id":2,"result":{"a":1}},{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"Method not found"}},\
            {"jsonrpc":"2.0","id":1,"result":null}]

            """, log: ["note -", "end of file"]))
  }

  @Test func `a batch is answered by several arrays when the other side cannot read one`() throws {
    let conversation = try Conversation()
    conversation.peer.longestLine = 150
    try conversation.send("[" + (1...5).map { "{\"id\":\($0),\"method\":\"echo\"}" }.joined(separator: ",") + "]\n")
    let responses = (1...5).map { "{\"jsonrpc\":\"2.0\",\"id\":\($0),\"result\":{}}" }
    let lines = try conversation.lines(2)
    #expect(lines == ["[\(responses[0]),\(responses[1]),\(responses[2])]", "[\(responses[3]),\(responses[4])]"])
  }

  @Test func `an id that leaves no room for an answer is refused`() throws {
    let conversation = try Conversation()
    conversation.peer.longestLine = 200
    let fitting = String(repeating: "a", count: 48)
    try conversation.send("{\"id\":\"\(fitting)\",\"method\":\"echo\"}\n{\"id\":\"\(fitting)b\",\"method\":\"echo\"}\n")
    #expect(
      try conversation.lines(2) == [
        #"{"jsonrpc":"2.0","id":"\#(fitting)","result":{}}"#,
        #"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request: the id is too long to be answered"}}"#,
      ])
  }

  @Test func `an empty batch is an invalid request, one of notifications gets no answer`() throws {
    let transcript = try Transcript.of("[]\n[ ]\n[{\"method\":\"note\"},{\"method\":\"nothing\"}]\n")
    let refusal = #"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request: the batch is empty"}}"#
    #expect(
      transcript
        == Transcript(
          output: refusal + "\n" + refusal + "\n",
          log: ["note -", "ignored: a notification of an unknown method", "end of file"]))
  }

  @Test func `garbage in a batch is refused one by one`() throws {
    let transcript = try Transcript.of(#"[1,null,[],{},{"id":5},{"id":6,"id":6},{"id":7,"method":"echo"}]"# + "\n")
    func refusal(_ reason: String, id: String = "null") -> String {
      #"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32600,"message":"Invalid Request: \#(reason)"}}"#
    }
    let expected = [
      refusal("a message must be an object"), refusal("a message must be an object"), refusal("a message must be an object"),
      refusal("there is no method"), refusal("there is no method", id: "5"),
      #"{"jsonrpc":"2.0","id":6,"error":{"code":-32700,"message":"Parse error: a member name is there twice at line 1, column 9 at /id"}}"#,
      #"{"jsonrpc":"2.0","id":7,"result":{}}"#,
    ]
    #expect(transcript.output == "[" + expected.joined(separator: ",") + "]\n")
  }

  @Test func `an id twice in a batch is refused the second time`() throws {
    let transcript = try Transcript.of(#"[{"id":1,"method":"hold"},{"id":1,"method":"echo"}]"# + "\n" + #"{"method":"release"}"# + "\n")
    #expect(
      transcript.output
        == #"[{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid Request: the id is in flight"}},"#
        + #"{"jsonrpc":"2.0","id":1,"result":null}]"# + "\n")
  }

  @Test func `an id of a batch is in flight until the batch is answered`() throws {
    let transcript = try Transcript.of(
      """
      [{"id":1,"method":"hold"},{"id":2,"method":"echo"},{"id":3,"method":"nothing"},{"id":2,"method":"echo"}]
      {"id":2,"method":"echo"}
      [{"id":3,"method":"echo"}]
      {"method":"release"}
      {"id":2,"method":"echo"}
      {"id":3,"method":"echo"}

      """)
    func refused(_ id: Int) -> String {
      #"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32600,"message":"Invalid Request: the id is in flight"}}"#
    }
    func echoed(_ id: Int) -> String { #"{"jsonrpc":"2.0","id":\#(id),"result":{}}"# }
    #expect(
      transcript.output
        == """
        \(refused(2))
        [\(refused(3))]
        [\(echoed(2)),{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"Method not found"}},\(refused(2)),\
        {"jsonrpc":"2.0","id":1,"result":null}]
        \(echoed(2))
        \(echoed(3))

        """)
  }

  @Test func `answers in a batch find their requests`() throws {
    let transcript = try Transcript.of(
      """
      {"id":1,"method":"ask"}
      {"id":2,"method":"ask"}
      [{"id":"b-2","result":{}},{"id":"b-1","error":{"code":3,"message":"no"}},{"id":3,"method":"echo"}]

      """)
    #expect(
      transcript
        == Transcript(
          output: """
            {"jsonrpc":"2.0","id":"b-1","method":"question","params":{"token":"b-1"}}
            {"jsonrpc":"2.0","id":1,"result":{}}
            {"jsonrpc":"2.0","id":"b-2","method":"question","params":{"token":"b-2"}}
            {"jsonrpc":"2.0","id":2,"result":{}}
            [{"jsonrpc":"2.0","id":3,"result":{}}]

            """, log: ["reply result {}", "reply error 3 no -", "end of file"]))
  }

  @Test func `a batch that is still open when the input ends is answered`() throws {
    let conversation = try Conversation()
    try conversation.send(#"[{"id":1,"method":"hold"},{"id":2,"method":"hold"}]"# + "\n")
    let held = try conversation.handler.held(2)
    try conversation.endInput()
    conversation.waitForEnd()
    held[1].succeed(.null)
    #expect(try conversation.received() == "")
    held[0].succeed(.emptyObject)
    #expect(try conversation.received() == #"[{"jsonrpc":"2.0","id":2,"result":null},{"jsonrpc":"2.0","id":1,"result":{}}]"# + "\n")
  }

  @Test func `a request of a batch can be cancelled`() throws {
    let transcript = try Transcript.of(
      #"[{"id":1,"method":"hold"},{"method":"cancel","params":{"id":1}},{"id":2,"method":"echo"}]"# + "\n")
    #expect(
      transcript.output
        == #"[{"jsonrpc":"2.0","id":1,"error":{"code":-32800,"message":"cancelled"}},{"jsonrpc":"2.0","id":2,"result":{}}]"# + "\n")
  }
}
