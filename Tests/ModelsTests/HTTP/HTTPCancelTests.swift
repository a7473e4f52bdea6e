import JSON
import POSIXSupport
import Testing

@testable import Models

/// Ends that the caller wants: of one request, and of the client.
@Suite struct HTTPCancelTests {
  /// Sends the beginning of an answer and waits; `ended` opens when the client hangs up.
  private func endless(_ ended: Gate) throws -> ScriptedServer {
    try ScriptedServer { connection in
      _ = try connection.readRequest()
      try connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
      connection.waitForEnd()
      ended.open()
    }
  }

  @Test func `a cancel from another thread ends the connection, and no event follows`() throws {
    let ended = Gate()
    let server = try endless(ended)
    let client = HTTPClient.inside()
    let recorder = HTTPRecorder()
    let transfer = client.start(.post("http://\(server.host)/"), recorder.handler)
    recorder.waitForBody("ab")
    transfer.cancel()
    transfer.cancel()
    ended.wait()
    client.settle()
    #expect(recorder.answerSoFar == HTTPAnswer(status: 200, body: "ab"))
  }

  @Test func `a cancel in a handler ends the connection, and no event follows`() throws {
    for atHead in [true, false] {
      let ended = Gate()
      let server = try endless(ended)
      let client = HTTPClient.inside()
      let recorder = HTTPRecorder()
      let own = Monitor<HTTPTransfer?>(nil)
      let record = recorder.handler
      // The transfer is known before the loop can call the handler, since both happen on the loop.
      client.schedule(afterMilliseconds: 0) {
        let transfer = client.start(.post("http://\(server.host)/")) { event in
          record(event)
          if case .head = event, !atHead { return }
          own.withLock { $0 }?.cancel()
        }
        own.withLock { $0 = transfer }
      }
      ended.wait()
      client.settle()
      #expect(recorder.answerSoFar == HTTPAnswer(status: 200, body: atHead ? "" : "ab"))
    }
  }

  @Test func `a handler can cancel another request, which then has no event`() throws {
    let ended = Gate()
    let server = try endless(ended)
    let second = try ScriptedServer { connection in
      _ = try connection.readRequest()
      try connection.answer("now")
    }
    let client = HTTPClient.inside()
    let (recorder, other) = (HTTPRecorder(), HTTPRecorder())
    let transfer = client.start(.post("http://\(server.host)/"), recorder.handler)
    recorder.waitForBody("ab")
    let record = other.handler
    client.start(.post("http://\(second.host)/")) { event in
      transfer.cancel()
      record(event)
    }
    #expect(other.answer == .whole("now"))
    ended.wait()
    client.settle()
    #expect(recorder.answerSoFar == HTTPAnswer(status: 200, body: "ab"))
  }

  @Test func `a request that is cancelled before it starts makes no connection`() throws {
    let server = try ScriptedServer { _ in }
    let client = HTTPClient.inside()
    let recorder = HTTPRecorder()
    let record = recorder.handler
    client.schedule(afterMilliseconds: 0) { client.start(.post("http://\(server.host)/"), record).cancel() }
    client.settle()
    client.settle()
    #expect(recorder.answerSoFar == HTTPAnswer())
    #expect(server.connectionCount == 0)
  }

  @Test func `a request can be made by the handler of another, and takes its connection`() throws {
    let server = try ScriptedServer { connection in
      var count = 0
      while try connection.readRequest() != nil {
        count += 1
        try connection.answer("\(connection.number).\(count)")
      }
    }
    let client = HTTPClient.inside()
    let (first, second) = (HTTPRecorder(), HTTPRecorder())
    let (recordFirst, recordSecond) = (first.handler, second.handler)
    let url = "http://\(server.host)/"
    client.start(.post(url)) { event in
      recordFirst(event)
      if event == .finished { client.start(.post(url), recordSecond) }
    }
    #expect([first.answer, second.answer] == [.whole("1.1"), .whole("1.2")])
  }

  @Test func `a closed client fails what is open, what waits and what comes`() throws {
    let ended = Gate()
    let server = try endless(ended)
    let client = HTTPClient.inside()
    let (open, called) = (client.send(.post("http://\(server.host)/")), Gate())
    open.waitForBody("ab")
    client.schedule(afterMilliseconds: 3_600_000) { called.open() }
    client.close()
    #expect(open.answer == .failed(.closed, "The bridge is ending.", status: 200, body: "ab"))
    called.wait()
    ended.wait()
    let late = HTTPRecorder()
    client.start(.post("http://\(server.host)/"), late.handler)
    // On this thread, so it is there already.
    #expect(late.answerSoFar == .failed(.closed, "The bridge is ending."))
    let again = Monitor(0)
    client.schedule(afterMilliseconds: 3_600_000) { again.withLock { $0 += 1 } }
    #expect(again.withLock { $0 } == 1)
  }

  @Test func `a handler can close the client`() throws {
    let ended = Gate()
    let server = try endless(ended)
    let client = HTTPClient.inside()
    let recorder = HTTPRecorder()
    let record = recorder.handler
    client.start(.post("http://\(server.host)/")) { event in
      record(event)
      if case .body = event { client.close() }
    }
    #expect(recorder.answer == .failed(.closed, "The bridge is ending.", status: 200, body: "ab"))
    ended.wait()
  }

  @Test func `a client that nobody holds ends its thread and its connections`() throws {
    let ended = Gate()
    let server = try endless(ended)
    let recorder = HTTPRecorder()
    do {
      let client = HTTPClient.inside()
      client.start(.post("http://\(server.host)/"), recorder.handler)
      recorder.waitForBody("ab")
    }
    #expect(recorder.answer.end == .failed(.closed))
    ended.wait()
  }
}
