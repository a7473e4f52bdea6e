import AgentRuntime
import BridgeProtocol
import BridgeService
import JSON
import JSONRPC
import Testing

@Suite struct ErrorTests {
  @Test func `the table of errors is that of Schemas/errors.json`() throws {
    let schema = try #require(try Tree.json("Schemas/errors.json")["kinds"]).elements.map { entry in
      "\(entry["kind"]?.stringValue ?? "") \(entry["code"]?.intValue ?? 0) \(entry["retryable"]?.boolValue ?? false)"
    }
    #expect(ErrorCodes.all.map { "\($0.kind) \($0.code) \($0.isRetryable)" } == schema)
    #expect(Set(ErrorCodes.all.map(\.kind)).count == schema.count)
    #expect(Set(ErrorCodes.all.map(\.code)).count == schema.count)
  }

  @Test func `every kind of error that the sources name is in the table`() throws {
    let known = Set(ErrorCodes.all.map(\.kind))
    var seen: Set<String> = []
    for file in Tree.swiftFiles(under: "Sources") {
      let text = try Tree.text(file)
      // Both ways to name one: a constant of `Kind`, and a kind made on the spot.
      var kinds = text.literals(after: "RuntimeError.Kind(\"")
      if file.hasSuffix("/RuntimeError.swift") { kinds += text.literals(after: "= Self(\"") }
      for kind in kinds {
        #expect(known.contains(kind), "\(file) names the kind '\(kind)', which Sources/BridgeProtocol/ErrorCodes.swift does not have")
        seen.insert(kind)
      }
    }
    #expect(seen.count > 20)
  }

  @Test(
    "an error says its kind, whether trying again helps, and what else there is",
    arguments: [
      (RuntimeError(.runNotFound, "gone"), 1001, "gone", #"{"kind":"run.notFound","retryable":false}"#),
      (
        RuntimeError(.overloaded, "full", retryAfterMilliseconds: 5), 1034, "full",
        #"{"kind":"overloaded","retryable":true,"retryAfterMs":5}"#
      ),
      (
        .invalidParams("is required", at: "/agent/model"), -32602, "/agent/model: is required",
        #"{"kind":"invalidParams","retryable":false,"pointer":"/agent/model"}"#
      ),
      (
        .invalidParams("must be an object", at: ""), -32602, "must be an object",
        #"{"kind":"invalidParams","retryable":false,"pointer":""}"#
      ),
      (RuntimeError(.invalidParams, "odd"), -32602, "odd", #"{"kind":"invalidParams","retryable":false,"pointer":""}"#),
      (
        RuntimeError(.toolInvalidSchema, "bad", pointer: "/a"), 1017, "/a: bad",
        #"{"kind":"tool.invalidSchema","retryable":false,"pointer":"/a"}"#
      ),
      (RuntimeError(RuntimeError.Kind("no.such"), "?"), -32603, "?", #"{"kind":"internalError","retryable":false}"#),
    ])
  func mapping(error: RuntimeError, code: Int, message: String, data: String) {
    let mapped = ErrorMapping.rpcError(error)
    #expect(mapped == RPCError(code: code, message: message, data: CarriedJSON(trusted: Bytes(data))))
  }

  @Test func `details stand beside the kind`() {
    var error = RuntimeError(.runInvalidToolResults, "no")
    error.details = [("missing", CarriedJSON(trusted: Bytes("[1]"))), ("a\"b", .null)]
    #expect(
      ErrorMapping.rpcError(error).data?.bytes.string == #"{"kind":"run.invalidToolResults","retryable":false,"missing":[1],"a\"b":null}"#)
    let run = ULID(high: 0, low: 1)
    #expect(
      ErrorMapping.cancelled(run: run)
        == RPCError(
          code: -32800, message: "the request was cancelled",
          data: CarriedJSON(trusted: Bytes(#"{"kind":"cancelled","retryable":false,"runId":"\#(run.text)"}"#))))
    #expect(ErrorMapping.cancelled().data?["runId"] == nil)
  }

  @Test func `a long error is cut, but keeps its code and kind`() throws {
    let long = String(repeating: "m\"\u{1}", count: 3000)
    var error = RuntimeError.invalidParams("is \(long) no more", at: "/metadata/\(long)/x")
    error.details = [
      ("tool", CarriedJSON(string: long)), ("missing", CarriedJSON(trusted: Bytes("[\"\(String(repeating: "x", count: 5000))\"]"))),
    ]
    let whole = ErrorMapping.rpcError(error)
    for bytes in [700, 2000, 4000] {
      let cut = ErrorMapping.peerErrors.shortened(whole, bytes)
      #expect(cut.json.bytes.count <= bytes)
      #expect(cut.code == -32602)
      #expect(cut.message.hasPrefix("/metadata/m") && cut.message.hasSuffix(" no more"))
      #expect(cut.data?["kind"]?.stringValue == "invalidParams")
      #expect(cut.data?["pointer"]?.stringValue == "/metadata")
      #expect(cut.data?["missing"] == nil)
    }
    let short = ErrorMapping.rpcError(.invalidParams("is required", at: "/agent"))
    #expect(ErrorMapping.peerErrors.shortened(short, 4000) == short)
  }

  @Test func `the peer's own errors have kinds too`() {
    let errors = ErrorMapping.peerErrors
    let kinds = [
      errors.parseError(JSONError(.syntax, "x")), errors.tooLarge("x"), errors.invalidRequest("x"), errors.invalidParams("x", "/a"),
      errors.methodNotFound("x"), errors.internalError("x"),
    ].map { "\($0.code) \($0.data?["kind"]?.stringValue ?? "")" }
    #expect(
      kinds == [
        "-32700 parseError", "1033 message.tooLarge", "-32600 invalidRequest", "-32602 invalidParams", "-32601 methodNotFound",
        "-32603 internalError",
      ])
  }
}

extension String {
  /// The string literals that begin with what ends `marker`.
  fileprivate func literals(after marker: String) -> [String] {
    var found: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: marker) {
      rest = rest[range.upperBound...]
      if let end = rest.firstIndex(of: "\"") { found.append(String(rest[..<end])) }
    }
    return found
  }
}
