import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import Models

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A certificate of our own for "localhost", and servers that others wrote.
private final class TLSFolder: Sendable {
  static let path = "PATH=/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
  let folder: String
  let certificate: String
  private let key: String

  static func has(_ program: String) -> Bool { run([program, "--version"]) || run([program, "version"]) }

  private static func run(_ arguments: [String]) -> Bool { (try? ChildProcess.spawn(arguments, environment: [path]))?.wait() == .code(0) }

  init() throws {
    var template = Array("/tmp/tls-XXXXXX".utf8CString)
    folder = try #require(unsafe mkdtemp(&template).map { unsafe String(cString: $0) })
    (certificate, key) = (folder + "/certificate.pem", folder + "/key.pem")
    let made = Self.run([
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
      "/CN=localhost",
      "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate,
    ])
    try #require(made, "openssl made no certificate")
  }

  deinit { _ = Self.run(["rm", "-r", folder]) }

  /// Starts a server that says its port in a line on stdout, after `mark`.
  private func serve(_ arguments: [String], mark: String) throws -> TLSServer {
    let pipe = try FileDescriptor.pipe()
    let child = try ChildProcess.spawn(arguments, environment: [Self.path], stdout: .descriptor(pipe.writeEnd.rawValue))
    let output = pipe.readEnd
    _ = consume pipe.writeEnd
    var said = ""
    while !said.contains(mark) || !said.hasSuffix("\n") {
      let more = try output.read(upTo: 4096, for: "the server's port")
      try #require(!more.isEmpty, "the server ended: \(said)")
      said += String(decoding: more, as: UTF8.self)
    }
    let line = try #require(said.split(separator: "\n").first { $0.contains(mark) })
    return TLSServer(child, port: try #require(line.split(separator: ":").last.flatMap { Int($0) }), output: output.release())
  }

  func openssl() throws -> TLSServer {
    try serve(["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, "-www"], mark: "ACCEPT")
  }

  /// Answers with the version of HTTP and the number of the connection; what is asked of /open stays open after that.
  func node() throws -> TLSServer {
    let script = """
      const fs = require('fs')
      const options = { allowHTTP1: true, key: fs.readFileSync('\(key)'), cert: fs.readFileSync('\(certificate)') }
      let sessions = 0
      const server = require('http2').createSecureServer(options, (request, response) => {
        response.write(`${request.httpVersion} on ${request.stream?.session.number}`)
        if (request.url !== '/open') request.resume().on('end', () => response.end())
      })
      server.on('session', session => { session.number = ++sessions })
      server.listen(0, '127.0.0.1', () => console.log(`PORT:${server.address().port}`))
      """
    return try serve(["node", "-e", script], mark: "PORT")
  }
}

private final class TLSServer: Sendable {
  let port: Int
  private let child: ChildProcess
  private let output: FileDescriptor

  init(_ child: ChildProcess, port: Int, output: Int32) {
    self.child = child
    self.port = port
    self.output = FileDescriptor(owning: output)
  }

  deinit {
    child.kill(SIGKILL)
    _ = child.wait()
  }
}

/// Who a server is, over TLS.
@Suite(.enabled(if: TLSFolder.has("openssl"), "openssl is not installed"))
struct TLSTests {
  private let tls: TLSFolder
  private let trusting: HTTPClient

  init() throws {
    let tls = try TLSFolder()
    self.tls = tls
    trusting = HTTPClient.inside(["SSL_CERT_FILE": tls.certificate])
  }

  private func failure(_ answer: HTTPAnswer) -> HTTPFailure? {
    guard case .failed(let failure) = answer.end else { return nil }
    return failure
  }

  @Test func `a server with a certificate that nobody signed is refused`() throws {
    let server = try tls.openssl()
    let refused = try #require(failure(HTTPClient.inside().answer("https://localhost:\(server.port)/")))
    #expect(refused.kind == .tls)
    #expect(refused.message.hasPrefix("The certificate of localhost:\(server.port) cannot be trusted: "))
  }

  @Test func `a certificate that the environment names is trusted, for its own host alone`() throws {
    let server = try tls.openssl()
    let request = HTTPRequest(url: "https://localhost:\(server.port)/", method: .get, headers: [], body: .empty)
    let answer = trusting.send(request).answer
    #expect([answer.status == 200, answer.end == .finished] == [true, true])
    let refused = failure(trusting.answer("https://127.0.0.1:\(server.port)/"))
    #expect(refused?.kind == .tls)
  }

  @Test func `certificates that cannot be read are told`() throws {
    let server = try tls.openssl()
    let client = HTTPClient.inside(["SSL_CERT_FILE": tls.folder + "/none.pem"])
    #expect(failure(client.answer("https://localhost:\(server.port)/"))?.kind == .tls)
  }

  @Test(.enabled(if: TLSFolder.has("node"), "node is not installed"))
  func `requests over HTTP2 share a connection, and the end of one leaves the others`() throws {
    let server = try tls.node()
    let first = HTTPRecorder()
    let url = "https://localhost:\(server.port)"
    let transfer = trusting.start(.post(url + "/open"), first.handler)
    first.waitForBody("2.0 on 1")
    let second = trusting.send(.post(url + "/open"))
    second.waitForBody("2.0 on 1")
    transfer.cancel()
    var large = HTTPRequest.post(url + "/")
    large.body = HTTPBody([Bytes([UInt8](repeating: 0x20, count: 3 << 20))])
    #expect(trusting.send(large).answer == .whole("2.0 on 1"))
    #expect(
      [first.answerSoFar, second.answerSoFar] == [HTTPAnswer(status: 200, body: "2.0 on 1"), HTTPAnswer(status: 200, body: "2.0 on 1")])
  }
}
