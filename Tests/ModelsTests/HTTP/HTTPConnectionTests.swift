import AgentRuntime
import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import Models

/// Which connection a request takes, and what happens when that is dead.
@Suite struct HTTPConnectionTests {
  private let client = HTTPClient.inside()

  @Test func `a connection is used again`() throws {
    let server = try ScriptedServer { connection in
      var count = 0
      while try connection.readRequest() != nil {
        count += 1
        try connection.answer("\(connection.number).\(count)")
      }
    }
    let answers = (0..<3).map { _ in client.answer("http://\(server.host)/") }
    #expect(answers == [.whole("1.1"), .whole("1.2"), .whole("1.3")])
  }

  /// One that keeps its connections open, and counts those that the client has closed.
  private func patient(_ count: Int) throws -> (server: ScriptedServer, closed: Monitor<Int>) {
    let (arrived, closed) = (Monitor(0), Monitor(0))
    let server = try ScriptedServer { connection in
      _ = try connection.readRequest()
      arrived.update { $0 += 1 }
      let all: Bool? = arrived.wait(untilMilliseconds: Patience.deadline) { $0 >= count ? true : nil }
      try connection.answer(all == true ? "\(connection.number)" : "alone")
      connection.waitForEnd()
      closed.update { $0 += 1 }
    }
    return (server, closed)
  }

  @Test func `of many connections few are kept`() throws {
    let (server, closed) = try patient(12)
    var network = NetworkSettings { _ in nil }
    network.keptConnections = 4
    let client = HTTPClient(network, load: CurlMulti.load)
    let answers = (0..<12).map { _ in client.send(.post("http://\(server.host)/")) }.map { Int($0.answer.body) ?? 0 }
    #expect(answers.sorted() == Array(1...12))
    let enough: Bool? = closed.wait(untilMilliseconds: Patience.deadline) { $0 >= 8 ? true : nil }
    #expect(enough == true)
    client.settle()
    #expect(closed.withLock { $0 } < 12)
  }

  @Test func `a connection that is not used for long is closed, though no request comes`() throws {
    let (server, closed) = try patient(1)
    var network = NetworkSettings { _ in nil }
    network.idleSeconds = 0
    let client = HTTPClient(network, load: CurlMulti.load)
    #expect(client.answer("http://\(server.host)/") == .whole("1"))
    let all: Bool? = closed.wait(untilMilliseconds: Patience.deadline) { $0 == 1 ? true : nil }
    #expect(all == true)
    #expect(client.answer("http://\(server.host)/") == .whole("2"))
  }

  /// Answers one request on its first connection, and for the next one sends only `words`; answers on later connections.
  private func hangingUp(saying words: String) throws -> (server: ScriptedServer, bodies: Monitor<[Int]>) {
    let bodies = Monitor<[Int]>([])
    let server = try ScriptedServer { connection in
      var count = 0
      while let request = try connection.readRequest() {
        count += 1
        bodies.withLock { $0.append(request.body.count) }
        if connection.number == 1, count == 2 { return try connection.send(words) }
        try connection.answer("\(connection.number).\(count)")
      }
    }
    return (server, bodies)
  }

  @Test(arguments: [100, 3 << 20])
  func `a request on an old connection that breaks without a word is sent again on a new one`(size: Int) throws {
    let (server, bodies) = try hangingUp(saying: "")
    #expect(client.answer("http://\(server.host)/") == .whole("1.1"))
    var request = HTTPRequest.post("http://\(server.host)/")
    request.body = HTTPBody([Bytes([UInt8](repeating: 0x20, count: size / 2)), Bytes([UInt8](repeating: 0x20, count: size / 2))])
    #expect(client.send(request).answer == .whole("2.1"))
    #expect(bodies.withLock { $0 } == [2, size, size])
  }

  @Test func `a text that is escaped on the way is so again when it is sent again`() throws {
    let text = Bytes(String(repeating: "{\"a\":\"b\"}\n", count: 300_000))
    let whole = CarriedJSON(string: text.string).bytes
    let server = try ScriptedServer { connection in
      var count = 0
      while let request = try connection.readRequest() {
        count += 1
        if connection.number == 1, count == 2 { return }
        try connection.answer(Bytes(request.body) == whole ? "the same" : "another of \(request.body.count) bytes")
      }
    }
    var request = HTTPRequest.post("http://\(server.host)/")
    request.body = HTTPBody([.plain(Bytes("\"")), .escaping(text), .plain(Bytes("\""))])
    #expect(client.send(request).answer == .whole("the same"))
    #expect(client.send(request).answer == .whole("the same"))
    #expect(server.connectionCount == 2)
  }

  @Test(arguments: [100, 3 << 20], ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"])
  func `a request whose answer began is not sent again`(size: Int, words: String) throws {
    let (server, bodies) = try hangingUp(saying: words)
    #expect(client.answer("http://\(server.host)/") == .whole("1.1"))
    var request = HTTPRequest.post("http://\(server.host)/")
    request.body = HTTPBody([Bytes([UInt8](repeating: 0x20, count: size))])
    #expect(client.send(request).answer == .failed(.connectionLost, "\(server.host) closed the connection without an answer."))
    #expect(bodies.withLock { $0 } == [2, size])
  }

  @Test func `a request on a new connection that breaks is not sent again`() throws {
    let server = try ScriptedServer { connection in _ = try connection.readRequest() }
    #expect(client.answer("http://\(server.host)/") == .failed(.connectionLost, "\(server.host) closed the connection without an answer."))
    #expect(server.connectionCount == 1)
  }

  // MARK: Proxies

  @Test func `a proxy of the environment is asked, with its credentials`() throws {
    let proxy = try ScriptedServer { connection in
      guard let request = try connection.readRequest() else { return }
      let lines = request.head.split(separator: "\r\n").filter { $0.hasPrefix("POST") || $0.hasPrefix("Proxy-Auth") }
      try connection.answer(lines.joined(separator: "\n"))
    }
    let client = HTTPClient.inside(["http_proxy": "http://me:secret@\(proxy.host)", "no_proxy": "direct.invalid"])
    #expect(
      client.answer("http://models.invalid/v1") == .whole("POST http://models.invalid/v1 HTTP/1.1\nProxy-Authorization: Basic bWU6c2VjcmV0")
    )
  }

  @Test func `hosts that need no proxy are asked directly`() throws {
    let server = try ScriptedServer { connection in
      guard let request = try connection.readRequest() else { return }
      try connection.answer(String(request.head.prefix(6)))
    }
    let client = HTTPClient.inside(["all_proxy": "http://127.0.0.1:\(try ScriptedServer.deadPort())", "NO_PROXY": "localhost,127.0.0.1"])
    #expect(client.answer("http://\(server.host)/") == .whole("POST /"))
  }

  @Test func `a proxy that refuses is told apart from the server`() throws {
    let proxy = try ScriptedServer { connection in
      _ = try connection.readRequest()
      try connection.answer("go away", status: "407 Proxy Authentication Required")
    }
    let client = HTTPClient.inside(["HTTPS_PROXY": "http://me:secret@\(proxy.host)"])
    #expect(
      client.answer("https://models.invalid/")
        == .failed(.proxyRefused(status: 407), "The proxy refused to connect to models.invalid, with status 407."))
  }

  @Test func `a setting that cannot be read fails every request, and nothing before`() throws {
    let client = HTTPClient { (name) throws(RuntimeError) in
      if name == "SSL_CERT_FILE" { throw RuntimeError(.modelUnavailable, "\(name) cannot be read") }
      return nil
    }
    #expect(client.answer("http://127.0.0.1:\(try ScriptedServer.deadPort())/") == .failed(.other, "SSL_CERT_FILE cannot be read"))
  }

  @Test func `the environment's names are those of curl`() {
    func settings(_ environment: [String: String]) -> NetworkSettings { NetworkSettings { environment[$0] } }
    var all = settings([:])
    #expect([all.httpProxy, all.httpsProxy, all.noProxy] == ["", "", ""])
    (all.httpProxy, all.httpsProxy, all.noProxy, all.certificateFile, all.certificateFolder) = ("a", "b", "c", "d", "e")
    #expect(settings(["http_proxy": "a", "https_proxy": "b", "no_proxy": "c", "SSL_CERT_FILE": "d", "SSL_CERT_DIR": "e"]) == all)
    #expect(settings(["HTTPS_PROXY": "b", "all_proxy": "a", "no_proxy": "c", "SSL_CERT_FILE": "d", "SSL_CERT_DIR": "e"]) == all)
    #expect(settings(["HTTP_PROXY": "x", "https_proxy": "", "SSL_CERT_FILE": ""]) == settings([:]))
    #expect([all.proxy(for: "HTTPS://x"), all.proxy(for: "http://x"), all.proxy(for: "x")] == ["b", "a", "a"])
  }
}
