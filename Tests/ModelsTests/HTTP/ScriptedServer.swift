import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A TCP server on the loopback that plays a script on each connection, which is closed when the script returns.
final class ScriptedServer: Sendable {
  let port: Int
  private let listener: Listener
  private let connections = Monitor(0)

  init(_ script: @escaping @Sendable (ServerConnection) throws -> Void) throws {
    let listener = try Listener()
    self.listener = listener
    port = listener.port
    let connections = connections
    try Thread.start(name: "server") {
      Signals.block([SIGPIPE])
      while let descriptor = listener.accept() {
        let number = connections.update { count in
          count += 1
          return count
        }
        let connection = ServerConnection(FileDescriptor(owning: descriptor), number: number)
        do {
          // A script ends early when the client hangs up, which is what some tests are about.
          try Thread.start(name: "connection") { try? script(connection) }
        } catch { return }
      }
    }
  }

  deinit { listener.stop() }

  var host: String { "127.0.0.1:\(port)" }
  var connectionCount: Int { connections.withLock { $0 } }

  /// A port of the loopback on which nobody listens. It stays taken, or another test's server could get it.
  static func deadPort() throws -> Int { try dead.get().port }
  private static let dead = Result { () throws(SystemError) in try Listener(isDead: true) }
}

private final class Listener: Sendable {
  let port: Int
  private let descriptor: FileDescriptor

  /// - Parameter isDead: It has its port, and does not listen.
  init(isDead: Bool = false) throws(SystemError) {
    #if canImport(Glibc)
      let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    #else
      let number = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    guard number >= 0 else { throw SystemError(call: "socket", errno: errno) }
    descriptor = FileDescriptor(owning: number)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        let isOpen = unsafe bind(number, address, size) == 0 && (isDead || listen(number, 1024) == 0)
        return unsafe isOpen ? getsockname(number, address, &size) : -1
      }
    }
    guard result == 0 else { throw SystemError(call: "listen", errno: errno) }
    port = Int(UInt16(bigEndian: address.sin_port))
  }

  /// Nil when the server was stopped.
  func accept() -> Int32? {
    while true {
      #if canImport(Glibc)
        let number = Glibc.accept(descriptor.rawValue, nil, nil)
      #else
        let number = Darwin.accept(descriptor.rawValue, nil, nil)
      #endif
      if number >= 0 {
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        var one: Int32 = 1
        _ = unsafe setsockopt(number, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        return number
      }
      if errno != EINTR { return nil }
    }
  }

  func stop() { _ = shutdown(descriptor.rawValue, Int32(SHUT_RDWR)) }
}

struct ReceivedRequest: Sendable, Equatable {
  /// Up to the empty line, without it.
  var head: String
  var body: [UInt8]

  /// The lines after the first, without those that the test's own address is in.
  var headers: [Substring] { head.split(separator: "\r\n").dropFirst().filter { !$0.hasPrefix("Host: ") } }
}

/// One connection, used by its script alone.
final class ServerConnection: Sendable {
  private let descriptor: FileDescriptor
  /// The first is 1.
  let number: Int
  private let unread = Monitor<[UInt8]>([])

  init(_ descriptor: consuming FileDescriptor, number: Int) {
    self.descriptor = descriptor
    self.number = number
  }

  /// The next request with its body; nil when the client has hung up.
  func readRequest() throws -> ReceivedRequest? {
    var bytes = unread.withLock { $0 }
    var searched = 0
    while true {
      if let end = Self.endOfHead(bytes, from: max(0, searched - 3)) {
        let head = String(decoding: bytes[..<end], as: UTF8.self)
        let field = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
        let length = field.flatMap { Int($0.split(separator: " ")[1]) } ?? 0
        while bytes.count < end + 4 + length { guard try readMore(&bytes) else { return nil } }
        let rest = Array(bytes[(end + 4 + length)...])
        unread.withLock { $0 = rest }
        return ReceivedRequest(head: head, body: Array(bytes[(end + 4)..<(end + 4 + length)]))
      }
      searched = bytes.count
      guard try readMore(&bytes) else { return nil }
    }
  }

  private func readMore(_ bytes: inout [UInt8]) throws -> Bool {
    let more = try descriptor.read(upTo: 1 << 20)
    bytes += more
    return !more.isEmpty
  }

  private static func endOfHead(_ bytes: [UInt8], from: Int) -> Int? {
    var i = from
    while i + 3 < bytes.count {
      if bytes[i] == 13, bytes[i + 1] == 10, bytes[i + 2] == 13, bytes[i + 3] == 10 { return i }
      i += 1
    }
    return nil
  }

  func send(_ text: String) throws { try descriptor.writeAll(text) }

  /// A whole answer, after which the connection stays open.
  func answer(_ body: String, status: String = "200 OK", headers: String = "") throws {
    try send("HTTP/1.1 \(status)\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
  }

  /// Waits until the client has hung up.
  func waitForEnd() { while let bytes = try? descriptor.read(upTo: 4096), !bytes.isEmpty {} }
}
