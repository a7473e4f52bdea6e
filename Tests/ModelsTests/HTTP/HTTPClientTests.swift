import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import Models

/// Requests that get their answer, against a server that says what it is told, byte for byte.
@Suite struct HTTPClientTests {
  private let client = HTTPClient.inside()

  @Test func `a request is sent as it was given, and its answer has a status, headers and a body`() throws {
    let requests = Monitor<[ReceivedRequest]>([])
    let server = try ScriptedServer { connection in
      guard let request = try connection.readRequest() else { return }
      requests.withLock { $0.append(request) }
      try connection.send(
        "HTTP/1.1 429 Slow Down\r\nContent-Length: 4\r\nRetry-After:  7 \r\nrequest-id:a\r\nX-Empty:\r\nretry-after: 9\r\n\r\nlate")
    }
    var request = HTTPRequest.post("http://\(server.host)/v1/messages?x=1", "{\"a\":")
    request.headers.append(("X-Api-Key", "sk-1"))
    request.headers.append(("X-Nothing", ""))
    request.body = HTTPBody([Bytes("{\"a\":"), Bytes(), Bytes("1}")])
    let recorder = client.send(request)
    #expect(recorder.answer == .whole("late", status: 429))
    let head = try #require(recorder.head)
    #expect(["RETRY-after", "Request-Id", "x-empty", "retry", "x", ""].map { head.first($0) } == ["7", "a", "", nil, nil, nil])
    #expect(
      requests.withLock { $0 } == [
        ReceivedRequest(
          head: """
            POST /v1/messages?x=1 HTTP/1.1\r
            Host: \(server.host)\r
            Accept: */*\r
            content-type: application/json\r
            X-Api-Key: sk-1\r
            X-Nothing:\r
            Content-Length: 7
            """, body: Array("{\"a\":1}".utf8))
      ])
  }

  @Test func `a request without a body is a GET`() throws {
    let server = try ScriptedServer { connection in
      guard let request = try connection.readRequest() else { return }
      try connection.answer(String(request.head.prefix { $0 != "\r\n" }))
    }
    let request = HTTPRequest(url: "http://\(server.host)/v1/models", method: .get, headers: [], body: .empty)
    #expect(client.send(request).answer == .whole("GET /v1/models HTTP/1.1"))
  }

  @Test func `the pieces of a body come before the next ones are sent`() throws {
    let gates = [Gate(), Gate()]
    let server = try ScriptedServer { connection in
      _ = try connection.readRequest()
      try connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n")
      gates[0].wait()
      try connection.send("3;ext=1\r\n 1\n\r")
      gates[1].wait()
      try connection.send("\n1\r\n\n\r\n0\r\nTrailer: 1\r\n\r\n")
      connection.waitForEnd()
    }
    let recorder = client.send(.post("http://\(server.host)/"))
    recorder.waitForBody("data:")
    gates[0].open()
    recorder.waitForBody("data: 1\n")
    gates[1].open()
    #expect(recorder.answer == .whole("data: 1\n\n"))
    #expect(recorder.head?.first("trailer") == nil)
  }

  @Test func `heads of interim answers count for nothing`() throws {
    let server = try ScriptedServer { connection in
      _ = try connection.readRequest()
      try connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
      try connection.answer("here", headers: "Kind: last\r\n")
    }
    let recorder = client.send(.post("http://\(server.host)/"))
    #expect(recorder.answer == .whole("here"))
    #expect(recorder.head == HTTPHead(status: 200, lines: Bytes("Kind: last\r\nContent-Length: 4\r\n")))
  }

  @Test func `a redirect is an answer and is not followed`() throws {
    let other = try ScriptedServer { _ in }
    let server = try ScriptedServer { connection in
      _ = try connection.readRequest()
      try connection.answer("moved", status: "307 Temporary Redirect", headers: "Location: http://\(other.host)/\r\n")
    }
    let recorder = client.send(.post("http://\(server.host)/"))
    #expect(recorder.answer == .whole("moved", status: 307))
    #expect(recorder.head?.first("location") == "http://\(other.host)/")
    #expect(other.connectionCount == 0)
  }

  @Test func `a body of several large parts arrives as one`() throws {
    let parts = (0..<4).map { part in
      let block = (0..<1024).map { UInt8(truncatingIfNeeded: $0 * 31 + $0 / 9 + part) }
      var bytes: [UInt8] = []
      for number in 0..<(5 << 10) {
        bytes += block
        bytes[bytes.count - 1] = UInt8(truncatingIfNeeded: number)
      }
      return bytes
    }
    let whole = parts[0] + parts[1] + parts[2] + parts[3]
    let server = try ScriptedServer { connection in
      while let request = try connection.readRequest() {
        try connection.answer(request.body == whole ? "the same" : "another of \(request.body.count) bytes")
      }
    }
    var request = HTTPRequest.post("http://\(server.host)/")
    request.body = HTTPBody([Bytes()] + parts.map { Bytes($0) } + [Bytes()])
    #expect(request.body.count == 20 << 20)
    #expect(client.send(request).answer == .whole("the same"))
  }

  @Test(arguments: [0, 1, RunningTransfer.wholeBodyBytes, RunningTransfer.wholeBodyBytes + 1, 1 << 20, 1 << 20 + 1])
  func `a body of any size is whole`(size: Int) throws {
    let body = [UInt8]((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) })
    let server = try ScriptedServer { connection in
      guard let request = try connection.readRequest() else { return }
      try connection.answer(request.body == body ? "the same" : "another of \(request.body.count) bytes")
    }
    var request = HTTPRequest.post("http://\(server.host)/")
    request.body = HTTPBody([Bytes(Array(body[..<(size / 3)])), Bytes(Array(body[(size / 3)...]))])
    #expect(client.send(request).answer == .whole("the same"))
  }

  @Test func `requests after one another do not see what was said of the one before`() throws {
    let server = try ScriptedServer { connection in
      while let request = try connection.readRequest() {
        let lines = request.head.split(separator: "\r\n")
        let own = lines.filter { !$0.hasPrefix("Host:") && !$0.hasPrefix("Accept:") && !$0.hasPrefix("Content-Length:") }
        let isWhole = request.body.allSatisfy { $0 == request.body.first }
        try connection.answer("\(own) \(isWhole ? "" : "torn ")\(request.body.first ?? 0) \(request.body.count)")
      }
    }
    let whole = RunningTransfer.wholeBodyBytes
    for (number, size) in [10, whole + 1, 3, 0, 200_000, whole, 2 << 20, 1, -1, 20, -1, whole + 1, 5, 5].enumerated() {
      let byte = UInt8(65 + number)
      let isGET = size < 0
      let path = number % 3 == 0 ? "/a" : "/b"
      let headers = number % 4 < 2 ? [("Content-Type", "text/x"), ("Number", "\(number / 4)")] : [("Content-Type", "text/y")]
      let body = HTTPBody([Bytes([UInt8](repeating: byte, count: max(0, size)))])
      let request = HTTPRequest(url: "http://\(server.host)\(path)", method: isGET ? .get : .post, headers: headers, body: body)
      let said = ["\(isGET ? "GET" : "POST") \(path) HTTP/1.1"] + headers.map { "\($0.0): \($0.1)" }
      #expect(client.send(request).answer == .whole("\(said) \(size > 0 ? byte : 0) \(max(0, size))"))
    }
    #expect(server.connectionCount == 1)
  }

  @Test func `200 requests are under way at the same time`() throws {
    let count = 200
    let arrived = Monitor(0)
    let server = try ScriptedServer { connection in
      guard let request = try connection.readRequest() else { return }
      arrived.update { $0 += 1 }
      // None is answered before all are there.
      let all: Bool? = arrived.wait(untilMilliseconds: Patience.deadline) { $0 == count ? true : nil }
      try connection.answer(all == true ? String(decoding: request.body, as: UTF8.self) : "alone")
    }
    let recorders = (0..<count).map { client.send(.post("http://\(server.host)/", "\($0)")) }
    #expect(recorders.map(\.answer) == (0..<count).map { .whole("\($0)") })
    #expect(server.connectionCount == count)
  }

  @Test func `each of many requests has its own end`() throws {
    let count = 100
    let arrived = Monitor(0)
    let server = try ScriptedServer { connection in
      guard let request = try connection.readRequest(), let number = Int(String(decoding: request.body, as: UTF8.self)) else { return }
      arrived.update { $0 += 1 }
      let all: Bool? = arrived.wait(untilMilliseconds: Patience.deadline) { $0 == count ? true : nil }
      guard all == true else { return }
      try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
      switch number % 4 {
      case 0: try connection.send("all.")
      case 1: try connection.send("cut")
      case 2: connection.waitForEnd()
      default:
        try connection.send("off")
        connection.waitForEnd()
      }
    }
    let client = client
    var recorders: [HTTPRecorder] = []
    var silent: [HTTPTransfer] = []
    for number in 0..<count {
      let recorder = HTTPRecorder()
      // A hundred connections at once may be slow, too.
      let deadlines = HTTPDeadlines(firstByteMilliseconds: 60_000, stallMilliseconds: number % 4 == 3 ? 200 : 60_000)
      let transfer = client.start(.post("http://\(server.host)/", "\(number)", deadlines: deadlines), recorder.handler)
      if number % 4 == 2 { silent.append(transfer) }
      recorders.append(recorder)
    }
    let ends: [HTTPAnswer] = [
      .whole("all."), .failed(.connectionLost, "\(server.host) broke off in the middle of its answer.", status: 200, body: "cut"),
      HTTPAnswer(status: 200),
      .failed(.timedOut(.stall), "\(server.host) stopped in the middle of its answer for 200 ms.", status: 200, body: "off"),
    ]
    for number in 0..<count where number % 4 != 2 { #expect(recorders[number].answer == ends[number % 4]) }
    for number in 0..<count where number % 4 == 2 { recorders[number].waitForHead() }
    for transfer in silent { transfer.cancel() }
    client.settle()
    for number in 0..<count where number % 4 == 2 { #expect(recorders[number].answerSoFar == ends[2]) }
  }

  @Test func `what is scheduled is called in the order of its times`() {
    let seen = Monitor<[String]>([])
    let client = client
    client.schedule(afterMilliseconds: 0) {
      client.schedule(afterMilliseconds: 400) { seen.update { $0.append("last") } }
      for name in ["first", "second", "third"] { client.schedule(afterMilliseconds: 1) { seen.update { $0.append(name) } } }
    }
    let all = seen.wait(untilMilliseconds: Patience.deadline) { $0.count == 4 ? $0 : nil }
    #expect(all == ["first", "second", "third", "last"])
  }
}
