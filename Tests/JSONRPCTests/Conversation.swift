import Glibc
import JSON
import JSONRPC
import POSIXSupport
import TestSupport
import Testing

/// A peer between two pipes, and the other ends of them.
struct Conversation: ~Copyable {
  let peer: Peer
  let handler: ScriptedHandler
  let toPeer: FileDescriptor
  let fromPeer: FileDescriptor

  /// - Parameter sends: False: the peer's output does not begin yet.
  init(framing: Framing = .auto, limits: PeerLimits = PeerLimits(), sends: Bool = true) throws {
    Signals.ignorePipe()
    let input = try FileDescriptor.pipe()
    let output = try FileDescriptor.pipe()
    let handler = ScriptedHandler()
    let peer = try Peer(
      input: input.readEnd, output: output.writeEnd, framing: framing, limits: limits, errors: .plain, handler: handler)
    if sends { try peer.start() } else { try peer.beginInput() }
    self.peer = peer
    self.handler = handler
    toPeer = input.writeEnd
    fromPeer = output.readEnd
  }

  deinit { peer.close() }

  func send(_ text: String) throws { try send(Array(text.utf8)) }
  func send(_ bytes: [UInt8]) throws { try toPeer.writeAll(bytes, for: "room for the input") }

  /// Ends the input: another open file takes the number of the pipe's end.
  func endInput() throws {
    let null = try FileDescriptor.open("/dev/null", O_WRONLY)
    dup2(null.rawValue, toPeer.rawValue)
  }

  /// Each byte only after the one before was read.
  func sendByteByByte(_ bytes: [UInt8]) throws {
    for byte in bytes {
      try unsafe withUnsafeBytes(of: byte) { try unsafe toPeer.writeAll($0) }
      try Patience.until("a reader of the byte") { FileDescriptor.unreadOutput(toPeer.rawValue) <= 0 }
    }
  }

  /// What the peer has written so far, when it has nothing left to write.
  func received() throws -> String {
    #expect(peer.flush(patience: 10_000))
    let count = FileDescriptor.unreadInput(fromPeer.rawValue)
    return count == 0 ? "" : String(decoding: try fromPeer.read(upTo: count), as: UTF8.self)
  }

  /// Reads the output until so many lines have come.
  func lines(_ count: Int) throws -> [String] {
    var text: [UInt8] = []
    var seen = 0
    while seen < count {
      let more = try fromPeer.read(upTo: 64 << 10, for: "line \(seen + 1) of the output")
      if more.isEmpty { break }
      seen += more.count { $0 == 0x0A }
      text += more
    }
    return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// Ends the input and returns what has come of it all.
  func finish() throws -> Transcript {
    try endInput()
    waitForEnd()
    // Requests of the peer that the end has closed are told after it.
    peer.stopReading()
    return Transcript(output: try received(), log: handler.log)
  }

  func waitForEnd() { handler.wait("the end of the input") { $0.hasEnded } }
  func waitForLog(_ line: String) { handler.wait("the log's line \"\(line)\"") { $0.log.contains(line) } }
}

/// What a whole input leads to: the lines that came back, and what the handler was told.
struct Transcript: Equatable {
  var output: String
  var log: [String]

  /// Sent at once and byte by byte, which must make no difference.
  static func of(_ input: [UInt8], framing: Framing = .auto, limits: PeerLimits = PeerLimits()) throws -> Transcript {
    let whole = try run(input, byteByByte: false, framing, limits)
    let bytewise = try run(input, byteByByte: true, framing, limits)
    #expect(whole == bytewise)
    return whole
  }

  static func of(_ input: String, framing: Framing = .auto, limits: PeerLimits = PeerLimits()) throws -> Transcript {
    try of(Array(input.utf8), framing: framing, limits: limits)
  }

  private static func run(_ input: [UInt8], byteByByte: Bool, _ framing: Framing, _ limits: PeerLimits) throws -> Transcript {
    let conversation = try Conversation(framing: framing, limits: limits)
    if byteByByte {
      try conversation.sendByteByByte(input)
    } else {
      try conversation.send(input)
    }
    return try conversation.finish()
  }
}
