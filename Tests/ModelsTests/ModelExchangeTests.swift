import JSON
import Synchronization
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// The course of a turn over HTTP: attempts, waits, ends.
@Suite struct ModelExchangeTests {
  private let http = ScriptedHTTP()
  private let seen = SignalRecorder()
  private let call: any ModelCall

  init() throws {
    let agent = try Sample.agent("openai:m")
    let provider = try Sample.providers(http).provider(for: agent, hasTools: false, parent: nil)
    call = provider.start(Sample.request(agent, [Sample.user("Hi")], schedule: http.wait), signal: seen.signal)
  }

  private let answer = "data: {\"choices\":[{\"delta\":{\"content\":\"Here.\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
  private let half = "data: {\"choices\":[{\"delta\":{\"content\":\"Half\"}}]}\n\n"

  @Test func `an answer is given as it comes, and its connection is left to end by itself`() {
    http.answer(.stream, .body(half))
    #expect(seen.lines == ["text Half"])
    http.answer(.body(answer))
    #expect(seen.lines == ["text Half", "text Here.", "finished end_turn \"HalfHere.\" [] 0/0"])
    #expect(!http.sent[0].exchange.isCancelled)
    http.answer(.body("data: {\"error\":\"late\"}\n\n"), .finished)
    #expect(seen.lines.count == 3)
    #expect(http.waits == [5000])
    http.passTime()
    #expect(http.sent[0].exchange.isCancelled)
  }

  @Test func `a fault is told, waited for, and tried again with the same bytes`() {
    http.answer(.stream, .body(half), .failed(HTTPFailure(.connectionLost, "h broke")))
    #expect(seen.lines == ["text Half", "retried 1 in 250: h broke"])
    #expect(http.sent.count == 1 && http.waits == [250])
    http.passTime()
    http.answer(.stream, .body(answer))
    #expect(seen.lines.dropFirst(2) == ["text Here.", "finished end_turn \"Here.\" [] 0/0"])
    #expect(http.sent[0].request.body == http.sent[1].request.body)
  }

  @Test func `events of an attempt that is over are late`() {
    http.answer(.failed(HTTPFailure(.connectionLost, "h broke")))
    http.passTime()
    http.sent[0].handler(.stream)
    http.sent[0].handler(.body(answer))
    #expect(seen.lines == ["retried 1 in 250: h broke"])
    http.answer(.stream, .body(answer))
    #expect(seen.lines.count == 3)
  }

  @Test func `after four retries the model is unavailable`() {
    for _ in 0..<5 {
      http.answer(
        .head(529, "request-id: req_1"), .body("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}"),
        .finished)
      http.passTime()
    }
    let reason = "status 529: overloaded_error: Overloaded (request id req_1)"
    #expect(
      seen.lines == [
        "retried 1 in 250: \(reason)", "retried 2 in 500: \(reason)", "retried 3 in 1000: \(reason)", "retried 4 in 2000: \(reason)",
        "failed model.unavailable retryable: openai is unavailable after 4 retries: \(reason)",
      ])
    #expect(http.sent.count == 5)
  }

  @Test func `what the provider asks to wait is waited, up to ten minutes`() {
    http.answer(.head(429, "retry-after: 3"), .finished)
    #expect(http.waits == [3000])
    http.passTime()
    http.answer(.head(429, "retry-after-ms: 12.5", "retry-after: 3"), .finished)
    #expect(http.waits == [13])
    http.passTime()
    http.answer(.head(429, "retry-after: 601"), .finished)
    #expect(
      seen.lines.last
        == "failed model.unavailable retryable: openai is unavailable after 2 retries: status 429; it asks to wait for 601 seconds")
    #expect(http.waits == [])
  }

  @Test func `a refusal ends the run at once, with the provider's words and its id`() {
    http.answer(
      .head(400, "x-request-id: req_7"), .body("{\"error\":{\"message\":\"because\",\"type\":\"invalid_request_error\"}}"), .finished)
    #expect(
      seen.lines == ["failed model.rejected: openai refused the request (status 400): invalid_request_error: because (request id req_7)"])
    #expect(http.waits == [])
  }

  @Test func `too much context has a kind of its own`() {
    http.answer(.head(400), .body("{\"error\":{\"message\":\"This model's maximum context length is 5\"}}"), .finished)
    #expect(
      seen.lines == ["failed model.contextOverflow: openai refused the request (status 400): This model's maximum context length is 5"])
  }

  @Test func `no message has the key, wherever the server puts it`() throws {
    for event in [
      HTTPEvent.body("{\"error\":{\"message\":\"wrong: key-of-it, 'key-of-it'\",\"code\":\"key-of-it\"}}"), .body("plain key-of-it"),
      .body("<p>key-of-it</p>"),
    ] {
      let http = ScriptedHTTP()
      let seen = SignalRecorder()
      let agent = try Sample.agent("openai:m")
      _ = try Sample.providers(http).provider(for: agent, hasTools: false, parent: nil).start(
        Sample.request(agent, [], schedule: http.wait), signal: seen.signal)
      http.answer(.head(500, "x-request-id: req-key-of-it"), event, .finished)
      http.passTime()
      http.answer(.head(401, "x-request-id: req-key-of-it"), event, .finished)
      #expect(seen.lines.count == 2)
      #expect(!seen.lines.joined().contains("key-of-it"), "\(seen.lines)")
      #expect(seen.lines[1].contains("req-[key]"))
    }
  }

  @Test func `what is too short to be a key is no secret`() throws {
    let http = ScriptedHTTP()
    let seen = SignalRecorder()
    let agent = try Sample.agent("openai:m")
    _ = try Sample.providers(http, ["OPENAI_API_KEY": "none"]).provider(for: agent, hasTools: false, parent: nil).start(
      Sample.request(agent, [], schedule: http.wait), signal: seen.signal)
    http.answer(.head(404), .body("none of the models is named nonexistent"), .finished)
    #expect(seen.lines == ["failed model.rejected: openai refused the request (status 404): none of the models is named nonexistent"])
  }

  @Test func `no message has the credentials of a base URL or a proxy, as they stand or in base64`() throws {
    let http = ScriptedHTTP()
    let seen = SignalRecorder()
    let agent = try Sample.agent("openai:m")
    let environment = ["OPENAI_BASE_URL": "http://me:pa%20ssword@h/v1", "http_proxy": "http://you:hidden-word@proxy"]
    _ = try Sample.providers(http, environment).provider(for: agent, hasTools: false, parent: nil).start(
      Sample.request(agent, [], schedule: http.wait), signal: seen.signal)
    // me:pa ssword, you:hidden-word, Bearer key-of-it
    http.answer(.head(401), .body("bWU6cGEgc3N3b3Jk 'pa ssword' pa%20ssword eW91OmhpZGRlbi13b3Jk hidden-word"), .finished)
    #expect(seen.lines == ["failed model.rejected: openai refused the request (status 401): [key] '[key]' [key] [key] [key]"])
  }

  @Test func `a status counts also when its body is cut`() throws {
    let lost = HTTPEvent.failed(HTTPFailure(.connectionLost, "h broke off"))
    for (events, wanted) in [
      (
        [.head(401), .body("{\"error\":{\"message\":\"bad key\"}}"), lost],
        "failed model.rejected: openai refused the request (status 401): bad key"
      ),
      ([.head(401), lost], "failed model.rejected: openai refused the request (status 401)"),
      ([.head(407), .body("who are"), lost], "failed model.rejected: openai refused the request (status 407): who are"),
      (
        [.head(413), .body("{\"error\":{\"type\":\"request_too_large\"}}"), lost],
        "failed model.contextOverflow: openai refused the request (status 413): request_too_large"
      ),
      (
        [.head(400), .failed(HTTPFailure(.timedOut(.stall), "h stopped"))], "failed model.rejected: openai refused the request (status 400)"
      ),
      ([.head(429, "retry-after: 3"), .body("slo"), lost], "retried 1 in 3000: status 429: slo"),
      ([.head(503), lost], "retried 1 in 250: status 503"),
      ([.stream, .body(half), lost], "retried 1 in 250: h broke off"),
      (
        [.head(401), .failed(HTTPFailure(.closed, "the end"))], "failed model.unavailable retryable: openai is unavailable: the end"
      ),
    ] as [([HTTPEvent], String)] {
      let other = try ModelExchangeTests()
      for event in events { other.http.answer(event) }
      #expect(other.seen.lines.last == wanted)
    }
  }

  @Test func `a key at the place where a message is cut leaves no part of itself`() throws {
    for before in 490...502 {
      let other = try ModelExchangeTests()
      other.http.answer(.head(400), .body(String(repeating: "x", count: before) + "key-of-it and more"), .finished)
      #expect(!other.seen.lines[0].contains("xk"), "\(before)")
    }
  }

  @Test func `of a long error no more than the beginning is read or told`() {
    http.answer(.head(400))
    for _ in 0..<100 { http.answer(.body(String(repeating: "no ", count: 1000))) }
    #expect(seen.lines.count == 1)
    #expect(http.sent[0].exchange.isCancelled)
    #expect(
      seen.lines[0].hasPrefix("failed model.rejected: openai refused the request (status 400): no no") && seen.lines[0].utf8.count < 600)
  }

  @Test func `nothing follows a cancel: in the middle, in a wait, before an answer`() throws {
    http.answer(.stream, .body(half))
    call.cancel()
    #expect(http.sent[0].exchange.isCancelled)
    http.answer(.body(answer), .finished)
    #expect(seen.lines == ["text Half"])

    let other = try ModelExchangeTests()
    other.http.answer(.head(500), .finished)
    other.call.cancel()
    other.http.passTime()
    #expect(other.http.sent.count == 1 && other.seen.lines == ["retried 1 in 250: status 500"])
  }

  @Test func `a call waits between its attempts, and at no other time`() {
    #expect(!call.isWaiting)
    http.answer(.stream, .body(half))
    #expect(!call.isWaiting)
    http.answer(.failed(HTTPFailure(.connectionLost, "h broke")))
    #expect(call.isWaiting)
    http.passTime()
    #expect(!call.isWaiting && http.sent.count == 2)
    http.answer(.head(500), .finished)
    #expect(call.isWaiting)
    call.cancel()
    http.passTime()
    #expect(!call.isWaiting && http.sent.count == 2)
  }

  @Test func `a cancel from within a signal is the last word`() throws {
    let box = Box<(any ModelCall)?>(nil)
    let seen = SignalRecorder()
    let http = ScriptedHTTP()
    let agent = try Sample.agent("openai:m")
    box.value = try Sample.providers(http).provider(for: agent, hasTools: false, parent: nil).start(Sample.request(agent, [])) { signal in
      seen.signal(signal)
      box.value?.cancel()
    }
    http.answer(.stream, .body(half + answer))
    #expect(seen.lines == ["text Half"])
  }

  @Test func `what no retry can help is not retried`() throws {
    for (kind, wanted) in [
      (HTTPFailure.Kind.libraryMissing, "failed model.unavailable retryable: openai is unavailable: words"),
      (.closed, "failed model.unavailable retryable: openai is unavailable: words"),
      (.tooLarge, "failed model.invalidOutput: openai's answer cannot be taken: words"),
    ] {
      let other = try ModelExchangeTests()
      other.http.answer(.failed(HTTPFailure(kind, "words")))
      #expect(other.seen.lines == [wanted])
    }
    for kind in [HTTPFailure.Kind.couldNotConnect, .connectionLost, .timedOut(.stall), .tls, .other] {
      let other = try ModelExchangeTests()
      other.http.answer(.failed(HTTPFailure(kind, "words")))
      #expect(other.seen.lines == ["retried 1 in 250: words"])
    }
  }

  @Test func `an answer that is compressed is refused at once, by the name of its coding`() throws {
    http.answer(.head(200, "Content-Type: text/event-stream", "Content-Encoding: GZip"), .body("\u{1F}\u{8B}"))
    #expect(
      seen.lines == [
        "failed model.invalidOutput: openai's answer cannot be taken: it is compressed (Content-Encoding: GZip), which was not asked for"
      ])
    #expect(http.sent[0].exchange.isCancelled && http.waits == [])

    let other = try ModelExchangeTests()
    other.http.answer(.head(400, "content-encoding: identity, br"), .body("\u{1}\u{2}"), .finished)
    #expect(
      other.seen.lines == [
        "failed model.rejected: openai refused the request (status 400): it is compressed (Content-Encoding: br), which was not asked for"
      ])

    let plain = try ModelExchangeTests()
    plain.http.answer(.head(200, "content-encoding: identity"), .body(answer))
    #expect(plain.seen.lines.last == "finished end_turn \"Here.\" [] 0/0")
  }

  @Test func `a store that fails ends the turn before it is asked, and a key that is gone before that`() throws {
    let http = ScriptedHTTP()
    let keys = Box<[String: String]>(["OPENAI_API_KEY": "k"])
    let models = ModelProviders(allowsScripts: false, environment: { keys.value[$0] }, version: "9", http: http)
    let agent = try Sample.agent("openai:m")
    let provider = try models.provider(for: agent, hasTools: false, parent: nil)
    let seen = SignalRecorder()
    let blob = StoredValue.blob(BlobReference(id: Sample.callA, type: .string, bytes: 9, preview: ""))
    _ = provider.start(
      Sample.request(agent, [.user([.text(blob)])], load: { _ throws(StoreError) in throw StoreError(.unavailable, "the disk is gone") }),
      signal: seen.signal)
    #expect(seen.lines == ["failed store.unavailable retryable: the disk is gone"])
    keys.value = [:]
    let error = #expect(throws: RuntimeError.self) { try models.provider(for: agent, hasTools: false, parent: nil) }
    #expect(error?.kind == .modelMissingKey)
    #expect(error?.message == "OPENAI_API_KEY is not set in the bridge's environment")
    #expect(http.sent.isEmpty)
  }

  @Test func `a turn that is prepared asks nobody until it is begun, and then the same`() throws {
    let http = ScriptedHTTP()
    let models = ModelProviders(allowsScripts: false, environment: { $0 == "OPENAI_API_KEY" ? "k" : nil }, version: "9", http: http)
    let agent = try Sample.agent("openai:m")
    let provider = try models.provider(for: agent, hasTools: false, parent: nil)
    let seen = SignalRecorder()
    let prepared = try #require(try provider.prepare(Sample.request(agent, [Sample.user("x")])))
    #expect(http.sent.isEmpty)
    _ = prepared.start(signal: seen.signal)
    _ = provider.start(Sample.request(agent, [Sample.user("x")]), signal: seen.signal)
    #expect(http.sent.count == 2)
    #expect(http.sent[0].request.body.parts.joined == http.sent[1].request.body.parts.joined)
    #expect(http.sent[0].request.url == http.sent[1].request.url)
  }

  @Test func `what was made of a transcript before a value could not be read is kept`() throws {
    let agent = try Sample.agent("openai:m")
    let provider = try ModelProviders(
      allowsScripts: false, environment: { $0 == "OPENAI_API_KEY" ? "k" : nil }, version: "9", http: ScriptedHTTP()
    ).provider(for: agent, hasTools: false, parent: nil)
    let cache = ModelCache()
    let blob = StoredValue.blob(BlobReference(id: Sample.callA, type: .string, bytes: 9, preview: ""))
    var request = Sample.request(
      agent, [Sample.user("x"), .user([.text(blob)]), Sample.user("y")],
      load: { (value) throws(StoreError) in
        if case .blob = value { throw StoreError(.unavailable, "no") }
        return value.wire
      })
    request.cache = cache
    #expect(throws: StoreError.self) { try provider.prepare(request) }
    #expect(cache.content.withLock { $0?.entryCount } == 1)
  }
}
