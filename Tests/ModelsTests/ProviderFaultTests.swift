import JSON
import Testing

@testable import AgentRuntime
@testable import Models

/// What each fault means, and how long to wait for it to pass.
@Suite struct ProviderFaultTests {
  private func fault(_ status: Int, _ body: String, _ headers: String...) -> ProviderFault {
    ProviderFault(HTTPHead(status: status, lines: Bytes(headers.map { $0 + "\r\n" }.joined())), body: Bytes(body), now: 784_111_777_000)
  }

  @Test func `statuses`() {
    for status in [408, 409, 429, 500, 501, 502, 503, 504, 520, 529, 599] { #expect(fault(status, "").kind == .passing, "\(status)") }
    for status in [300, 301, 307, 400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 451] {
      #expect(fault(status, "").kind == .refused, "\(status)")
    }
    #expect(fault(302, "x", "location: https://evil").reason == "status 302: it redirects, which is not followed")
    for (status, kind) in [
      (401, ProviderFault.Kind.refused), (403, .refused), (407, .refused), (429, .passing), (502, .passing), (302, .refused),
    ] {
      #expect(ProviderFault(HTTPFailure(.proxyRefused(status: status), "m")).kind == kind, "\(status)")
    }
    #expect(fault(429, "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"pay\"}}").kind == .unavailable)
  }

  @Test(arguments: [
    ("{\"error\":{\"type\":\"t\",\"message\":\"m\"}}", "t: m"), ("{\"error\":{\"type\":\"t\",\"code\":\"c\",\"message\":\"m\"}}", "c: m"),
    ("{\"error\":{\"code\":400,\"message\":\"m\"}}", "m"), ("{\"error\":\"words\"}", "words"),
    ("{\"object\":\"error\",\"message\":\"m\",\"type\":\"T\",\"code\":400}", "T: m"),
    ("{\"detail\":\"d\"}", "d"), ("{\"detail\":[{\"msg\":\"d\",\"loc\":[\"body\",1]},{\"msg\":\"e\"}]}", "d (body.1); e"),
    (
      "{\"object\":\"error\",\"message\":{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"x\"],\"msg\":\"no extras\"}]},\"type\":\"t\",\"code\":null}",
      "t: no extras (body.x)"
    ),
    ("[{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID_ARGUMENT\"}}]", "INVALID_ARGUMENT: m"), ("[\"m\"]", "m"),
    ("{\"success\":false,\"errors\":[{\"code\":1000,\"message\":\"m\"}]}", "m"), ("{\"status\":\"error\",\"message\":\"m\"}", "m"),
    ("{\"error\":true,\"message\":\"m\"}", "m"), (String(repeating: "[", count: 100) + String(repeating: "]", count: 100), ""),
    ("{\"message\":\"m\"}", "m"), ("\"text\"", "text"),
    ("[]", ""), ("{}", ""), ("null", ""),
    ("{\"error\":{\"message\":null}}", ""), ("{\"error\":{\"message\":{\"a\":1},\"code\":400}}", ""), ("", ""),
    ("plain\n\n  words\u{0} ", "plain words"),
    (" <html>x</html>", "a page of HTML"),
  ])
  func `error bodies of any shape`(body: String, words: String) { #expect(ErrorText.clean(fault(418, body).words) == words) }

  @Test func `what is no text is not shown`() {
    let zipped: [UInt8] = [
      0x1F, 0x8B, 0x08, 0x00, 0x12, 0x9A, 0x6A, 0x00, 0x03, 0xAB, 0x56, 0x4A, 0x2D, 0x2A, 0xCA, 0x2F, 0x52, 0xB2, 0xAA,
    ]
    let fault = ProviderFault(HTTPHead(status: 400, lines: Bytes()), body: Bytes(zipped), now: 0)
    #expect(fault.reason == "status 400: something that is no text")
    // A few bytes of another encoding do not make it so.
    let latin = ProviderFault(
      HTTPHead(status: 400, lines: Bytes()), body: Bytes(Array("verweigert f".utf8) + [0xFC] + Array("r".utf8)), now: 0)
    #expect(latin.words == "verweigert f\u{FFFD}r")
  }

  @Test(arguments: [
    "prompt is too long: 210345 tokens > 200000 maximum", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "This model's maximum context length is 4096 tokens.", "Your input exceeds the context window of this model.",
    "the request exceeds the available context size. try increasing it", "Trying to keep the first 9 tokens when context the overflows.",
    "This model's maximum prompt length is 131072 but the request contains 200000 tokens.", "Requested input exceeded max context length",
    "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", "Inputs tokens + max_new_tokens must be <= 4096",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
  ])
  func `words for too much context`(message: String) {
    let body = "{\"error\":{\"message\":\(CarriedJSON(string: message).bytes.string)}}"
    #expect(fault(400, body).kind == .contextOverflow && fault(413, body).kind == .contextOverflow)
    #expect(fault(500, body).kind == .passing)
  }

  @Test func `too many bytes are too much context`() {
    let fault = fault(
      413, "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":\"Request exceeds the maximum size\"}}")
    #expect(fault.kind == .contextOverflow && fault.words == "request_too_large: Request exceeds the maximum size")
  }

  @Test func `a request id is taken from either header, or from the body`() {
    #expect(fault(400, "", "Request-Id: a").requestID == "a")
    #expect(fault(400, "", "X-Request-ID: b").requestID == "b")
    #expect(fault(400, "{\"request_id\":\"c\",\"error\":{}}").requestID == "c")
    #expect(fault(400, "").runFault("p", retries: 0).message == "p refused the request (status 400)")
  }

  @Test(
    arguments: [
      ("0", 0), ("7", 7000), ("1.5", 1500), ("0.0001", 1), ("-5", nil), ("soon", nil), ("", nil), ("99999999999999999999999", nil),
      ("1e3", nil), ("nan", nil), ("+5", nil),
      ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("Sun, 06 Nov 1994 08:49:40 GMT", 3000), ("Sunday, 06-Nov-94 08:50:37 GMT", 60000),
      ("Sun Nov  6 09:49:37 1994", 3_600_000),
      ("Tue, 01 Jan 1985 00:00:00 GMT", 0), ("Sun, 31 Foo 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 1994 28:49:37 GMT", nil),
    ] as [(String, Int?)])
  func `Retry-After as seconds and as dates`(value: String, wanted: Int?) {
    #expect(fault(429, "", "Retry-After: \(value)").retryAfterMilliseconds == wanted)
  }

  @Test func `dates count leap years`() {
    #expect(HTTPDate.milliseconds("Thu, 01 Jan 1970 00:00:00 GMT") == 0)
    #expect(HTTPDate.milliseconds("Tue, 29 Feb 2028 12:00:00 GMT") == 1_835_438_400_000)
    #expect(HTTPDate.milliseconds("Wed, 01 Mar 2028 00:00:00 GMT") == 1_835_481_600_000)
  }

  @Test func `waits double up to eight seconds, half of each is chance`() {
    func waits(_ random: Double) -> [RetryPolicy.Next] {
      let policy = RetryPolicy(maxRetries: 7, random: { random })
      return (0...7).map { policy.next(after: .passing("x"), retries: $0) }
    }
    #expect(waits(1) == [250, 500, 1000, 2000, 4000, 8000, 8000].map { .retry(afterMilliseconds: $0) } + [.giveUp(nil)])
    #expect(waits(0) == [125, 250, 500, 1000, 2000, 4000, 4000].map { .retry(afterMilliseconds: $0) } + [.giveUp(nil)])
  }

  @Test func `text from outside is one line of bounded length, without secrets`() {
    #expect(ErrorText.clean("\n a\t\tb\u{7}c \n") == "a b c")
    #expect(ErrorText.clean(String(repeating: "ü", count: 600)) == String(repeating: "ü", count: 500) + "…")
    #expect(ErrorText.redact("x k1 k1k2 k", ["k1", "", "k2"]) == "x [key] [key][key] k")
  }

  @Test(arguments: [
    // Alone, and before `:x`; after `Bearer `, `user:` and `k`.
    ("c2stc2VjcmV0LTEyMzQ1Njc4OTA=", "[key]"), ("c2stc2VjcmV0LTEyMzQ1Njc4OTA6eA==", "[key]6eA=="),
    ("QmVhcmVyIHNrLXNlY3JldC0xMjM0NTY3ODkw", "QmVhcmVyIH[key]"), ("QmVhcmVyIHNrLXNlY3JldC0xMjM0NTY3ODkwOng=", "QmVhcmVyIH[key]Ong="),
    ("dXNlcjpzay1zZWNyZXQtMTIzNDU2Nzg5MA==", "dXNlcjp[key]A=="), ("dXNlcjpzay1zZWNyZXQtMTIzNDU2Nzg5MDp4", "dXNlcjp[key]Dp4"),
    ("a3NrLXNlY3JldC0xMjM0NTY3ODkw", "a3[key]"),
  ])
  func `a secret is known in base64 wherever it stands in what is coded`(coded: String, wanted: String) {
    #expect(ErrorText.redact("Basic \(coded), no", ["sk-secret-1234567890"]) == "Basic \(wanted), no")
  }

  @Test func `base64 has two alphabets, and that of a few letters is no secret`() {
    let secret = "?>~~~????>>>"
    #expect(ErrorText.redact("Pz5+fn4/Pz8/Pj4+ Pz5-fn4_Pz8_Pj4- Pz5+fn4\\/Pz8%2FPj4+", [secret]) == "[key] [key] [key]")
    #expect(ErrorText.redact("YWI and YWI=", ["ab"]) == "YWI and YWI=")
  }

  @Test func `what a URL holds before its host is known in all its forms`() {
    #expect(URLCredentials.secrets(in: "https://me:pa%20ss@h/v1") == ["me:pa%20ss", "me:pa ss", "pa%20ss", "pa ss"])
    for url in ["http://token-1234@h:1", "http://token-1234:@h"] {
      #expect(URLCredentials.secrets(in: url) == ["token-1234", "token-1234"])
    }
    #expect(URLCredentials.secrets(in: "http://me:pass@h") == ["me:pass", "me:pass", "pass", "pass"])
    #expect(URLCredentials.secrets(in: "http://someone:pw@h") == ["someone:pw", "someone:pw"])
    for url in ["https://h/a@b", "h", "", "https://h?x=a:b@c", "https://@h", "http://me@h", "http://me:@h", "http://a:b@h"] {
      #expect(URLCredentials.secrets(in: url) == [])
    }
  }

  @Test(arguments: [
    #"sk/A\b%20=+"#, #"sk\/A\\b%20=+"#, #"sk%2FA%5Cb%2520%3D%2B"#, #"sk%2fA\b%2520%3d%2b"#, #"sk%252FA\b%20=%252B"#,
    #"sk\u002fA\u005Cb%20=\u002B"#, #"sk\\/A\\\\b%20=\\u002b"#, #"%73%6B/A\b%20=+"#,
  ])
  func `a secret is known in the spellings of JSON and URLs`(spelling: String) {
    let secret = #"sk/A\b%20=+"#
    #expect(ErrorText.redact("key '\(spelling)', \(spelling)", [secret]) == "key '[key]', [key]")
    #expect(ErrorText.redact(spelling.dropLast() + "!", [secret]) == spelling.dropLast() + "!")
    for end in 0..<spelling.utf8.count { #expect(ErrorText.redact(String(spelling.prefix(end)), [secret]) == spelling.prefix(end)) }
  }
}
