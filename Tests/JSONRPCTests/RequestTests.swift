import JSON
import JSONRPC
import POSIXSupport
import Testing

struct RequestTests {
  @Test(arguments: [
    ("1", "1"), ("-0", "-0"), ("1.50", "1.50"), ("1e400", "1e400"), ("12345678901234567890123", "12345678901234567890123"),
    (#""a""#, #""a""#), (#""""#, #""""#), (#""\u0061\ud800 \/""#, #""\u0061\ud800 \/""#), (#""b-1""#, #""b-1""#),
  ])
  func `an id comes back as it was written`(id: String, expected: String) throws {
    let transcript = try Transcript.of(#"{"jsonrpc":"2.0","id":\#(id),"method":"echo","params":{"x":0.10}}"# + "\n")
    #expect(transcript == Transcript(output: #"{"jsonrpc":"2.0","id":\#(expected),"result":{"x":0.10}}"# + "\n", log: ["end of file"]))
  }

  @Test(arguments: ["null", "true", "{}", "[1]"])
  func `what cannot be an id is refused without one`(id: String) throws {
    let transcript = try Transcript.of(#"{"jsonrpc":"2.0","id":\#(id),"method":"echo"}"# + "\n")
    #expect(
      transcript.output
        == #"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request: the id must be a string or a number"}}"# + "\n")
  }

  @Test func `an id in flight is refused, and free again once it is answered`() throws {
    let transcript = try Transcript.of(
      """
      {"id":1,"method":"hold"}
      {"id":1,"method":"echo"}
      {"id":"1","method":"echo"}
      {"id":1.0,"method":"echo"}
      {"method":"release"}
      {"id":1,"method":"echo"}

      """)
    #expect(
      transcript.output == """
        {"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid Request: the id is in flight"}}
        {"jsonrpc":"2.0","id":"1","result":{}}
        {"jsonrpc":"2.0","id":1.0,"result":{}}
        {"jsonrpc":"2.0","id":1,"result":null}
        {"jsonrpc":"2.0","id":1,"result":{}}

        """)
  }

  @Test func `two spellings of one string are one id, two strings that only look alike are two`() throws {
    let transcript = try Transcript.of(
      #"""
      {"id":"a","method":"hold"}
      {"id":"\u0061","method":"echo"}
      {"id":"\u00e9","method":"hold"}
      {"id":"e\u0301","method":"echo"}
      {"id":"\ud800","method":"hold"}
      {"id":"\ud801","method":"echo"}
      {"method":"release"}

      """#)
    #expect(
      transcript.output == #"""
        {"jsonrpc":"2.0","id":"\u0061","error":{"code":-32600,"message":"Invalid Request: the id is in flight"}}
        {"jsonrpc":"2.0","id":"e\u0301","result":{}}
        {"jsonrpc":"2.0","id":"\ud801","result":{}}
        {"jsonrpc":"2.0","id":"a","result":null}
        {"jsonrpc":"2.0","id":"\u00e9","result":null}
        {"jsonrpc":"2.0","id":"\ud800","result":null}

        """#)
  }

  @Test func `params are an object or absent`() throws {
    let transcript = try Transcript.of(
      """
      {"id":1,"method":"echo","params":null}
      {"id":2,"method":"echo","params":[]}
      {"id":3,"method":"echo","params":"x"}
      {"id":4,"method":"echo","params":7}
      {"id":5,"method":"nothing","params":[]}
      {"id":6,"method":"nothing"}
      {"method":"nothing","params":[]}
      {"method":"note","params":[]}
      {"method":"note","params":null}
      {"method":"note","params":{"a":1}}

      """)
    let invalid = #""error":{"code":-32602,"message":"Invalid params: params must be an object"}"#
    let unknown = #""error":{"code":-32601,"message":"Method not found"}"#
    #expect(
      transcript
        == Transcript(
          output: """
            {"jsonrpc":"2.0","id":1,"result":{}}
            {"jsonrpc":"2.0","id":2,\(invalid)}
            {"jsonrpc":"2.0","id":3,\(invalid)}
            {"jsonrpc":"2.0","id":4,\(invalid)}
            {"jsonrpc":"2.0","id":5,\(unknown)}
            {"jsonrpc":"2.0","id":6,\(unknown)}

            """,
          log: [
            "ignored: a notification of an unknown method", "ignored: a notification whose params are not an object", "note -",
            #"note {"a":1}"#, "end of file",
          ]))
  }

  @Test func `the envelope may come in any order, with members nobody knows, and without a version`() throws {
    let transcript = try Transcript.of(
      #"{"params":{"a":[1, 2]},"x":{"method":"hold"},"method":"echo","jsonrpc":"2.0","id":3}"# + "\n"
        + #" { "id" : 4 , "meth\u006fd" : "ec\u0068o" } "# + "\n")
    #expect(
      transcript.output == """
        {"jsonrpc":"2.0","id":3,"result":{"a":[1, 2]}}
        {"jsonrpc":"2.0","id":4,"result":{}}

        """)
  }

  @Test func `what has the wrong shape is refused to its id`() throws {
    let transcript = try Transcript.of(
      """
      {"jsonrpc":"1.0","id":1,"method":"echo"}
      {"jsonrpc":2.0,"id":2,"method":"echo"}
      {"id":3,"method":["echo"]}
      {"id":4}
      {"method":7}
      {}
      7
      "echo"
      {"result":1}

      """)
    func refusal(_ id: String, _ reason: String) -> String {
      #"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32600,"message":"Invalid Request: \#(reason)"}}"#
    }
    #expect(
      transcript.output.split(separator: "\n").map(String.init) == [
        refusal("1", #"jsonrpc must be \"2.0\""#), refusal("2", #"jsonrpc must be \"2.0\""#), refusal("3", "the method must be a string"),
        refusal("4", "there is no method"), refusal("null", "the method must be a string"), refusal("null", "there is no method"),
        refusal("null", "a message must be an object"), refusal("null", "a message must be an object"),
        refusal("null", "a result needs an id"),
      ])
  }

  @Test func `a request that nobody keeps is answered with an internal error`() throws {
    let transcript = try Transcript.of(#"{"id":1,"method":"drop"}"# + "\n" + #"{"id":1,"method":"echo"}"# + "\n")
    #expect(
      transcript.output == """
        {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Internal error: the request was dropped"}}
        {"jsonrpc":"2.0","id":1,"result":{}}

        """)
  }

  @Test func `a request is answered once`() throws {
    let conversation = try Conversation()
    try conversation.send(#"{"id":1,"method":"hold"}"# + "\n")
    let request = try conversation.handler.held(1)[0]
    #expect(
      [request.isAnswered, request.succeed(.null), request.succeed(.null), request.fail(RPCError(code: 1, message: "x"))] == [
        false, true, false, false,
      ])
    #expect(request.isAnswered)
    request.cancel()
    #expect(try conversation.received() == #"{"jsonrpc":"2.0","id":1,"result":null}"# + "\n")
  }

  @Test func `a cancel right behind the request finds it`() throws {
    let transcript = try Transcript.of(
      """
      {"id":1,"method":"hold"}
      {"method":"cancel","params":{"id":1}}
      {"method":"cancel","params":{"id":1}}
      {"method":"cancel","params":{"id":9}}
      {"id":2,"method":"echo"}

      """)
    #expect(
      transcript.output == """
        {"jsonrpc":"2.0","id":1,"error":{"code":-32800,"message":"cancelled"}}
        {"jsonrpc":"2.0","id":2,"result":{}}

        """)
  }

  @Test func `who learns of a cancel late is told at once`() throws {
    let conversation = try Conversation()
    try conversation.send(#"{"id":1,"method":"hold"}"# + "\n")
    let request = try conversation.handler.held(1)[0]
    request.onCancel { _ in }
    request.cancel(reason: "enough")
    #expect(request.isCancelled && !request.isAnswered)
    request.onCancel { [weak request] reason in request?.succeed(reason.map { CarriedJSON(string: $0) } ?? .null) }
    #expect(request.isAnswered)
    #expect(try conversation.received() == #"{"jsonrpc":"2.0","id":1,"result":"enough"}"# + "\n")
  }

  @Test func `a request that was kept for its cancel, and then let go, is answered`() throws {
    let conversation = try Conversation()
    try conversation.send(#"{"id":1,"method":"hold"}"# + "\n")
    _ = try conversation.handler.held(1)
    conversation.handler.state.withLock { $0.held = [] }
    #expect(
      try conversation.lines(1) == [
        #"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Internal error: the request was dropped"}}"#
      ])
  }

  @Test func `open requests are known until they are answered`() throws {
    let conversation = try Conversation()
    try conversation.send(#"{"id":1,"method":"hold"}"# + "\n" + #"{"id":"x","method":"hold"}"# + "\n")
    let held = try conversation.handler.held(2)
    #expect(Set(conversation.peer.openRequests.map(\.id)) == [.number(1), .string("x")])
    held[0].succeed(.null)
    #expect(conversation.peer.openRequests.map(\.id) == [.string("x")])
    #expect(conversation.peer.openRequest(.number(1)) == nil)
    #expect(conversation.peer.openRequest(.string("x")) === held[1])
  }

  @Test func `an answer is one line whatever it carries`() throws {
    let conversation = try Conversation()
    try conversation.send(#"{"id":1,"method":"hold"}"# + "\n")
    let request = try conversation.handler.held(1)[0]
    request.succeed(CarriedJSON(trusted: Bytes("{\r\n  \"a\": [1,\n2]\r\n}")))
    #expect(try conversation.received() == #"{"jsonrpc":"2.0","id":1,"result":{    "a": [1, 2]  }}"# + "\n")
  }
}
