import AgentRuntime
import JSON
import JSONRPC
import POSIXSupport
import TestSupport
import Testing

@testable import BridgeService

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A bridge between two pipes, with an engine on a thread of its own, a clock that stands still and a scripted model. The test is the client.
final class Bench {
  let service: BridgeService
  let peer: Peer
  let host: VirtualHost
  let model: ScriptedModel
  private let toBridge: FileDescriptor
  private let fromBridge: FileDescriptor
  /// Where the bridge writes, to see whether it can.
  private let room: FileDescriptor
  private var unread: [UInt8] = []

  init(congestedBytes: Int = 1 << 20, _ answer: @escaping @Sendable (ModelRequest) -> ScriptedModel.Answer) throws {
    Signals.ignorePipe()
    let input = try FileDescriptor.pipe()
    let output = try FileDescriptor.pipe()
    room = try output.writeEnd.duplicate()
    let host = VirtualHost(seed: 1)
    let limits = PeerLimits(congestedBytes: congestedBytes)
    let settings = ServiceSettings(version: "0", isStrict: false, limits: limits, maxConcurrentRuns: 10_000, openRPC: { Bytes("{}") })
    service = BridgeService(settings: settings, host: host) { _ in }
    peer = try Peer(
      input: input.readEnd, output: output.writeEnd, framing: .line, limits: limits, errors: ErrorMapping.peerErrors, handler: service)
    service.attach(to: peer)
    self.host = host
    toBridge = input.writeEnd
    fromBridge = output.readEnd
    let model = ScriptedModel(answer)
    self.model = model
    try Thread.start(name: "engine") { [service] in
      var limits = RunEngine.Limits()
      limits.maxConcurrentRuns = 10_000
      let engine = RunEngine(
        store: MemoryStore(), host: host, models: model, serverTools: ScriptedTools(transcript: Transcript()) { _ in nil },
        schemas: ScriptedSchemas(), limits: limits)
      engine.parent = service
      while let mail = host.awaitMail() { _ = engine.turn(mail) }
    }
    try peer.start()
  }

  deinit {
    peer.close()
    host.close()
  }

  // MARK: The client

  func send(_ line: String) throws { try toBridge.writeAll(Array((line + "\n").utf8), for: "room for the message") }

  /// Introduces the client, and takes the answer.
  func initialize(_ capabilities: String) throws {
    try send(
      #"{"id":"init","method":"initialize","params":{"protocolVersion":"2026-11-20","clientInfo":{"name":"t","version":"0"},"capabilities":\#(capabilities)}}"#
    )
    let answer = try receive()
    try #require(answer["id"]?.stringValue == "init" && answer["result"] != nil)
  }

  /// The next line from the bridge; waits for it.
  func receive() throws -> CarriedJSON {
    while true {
      if let end = unread.firstIndex(of: 0x0A) {
        let line = Array(unread[..<end])
        unread.removeFirst(end + 1)
        return try CarriedJSON(validating: Bytes(line))
      }
      let more = try fromBridge.read(upTo: 256 << 10, for: "a line from the bridge")
      if more.isEmpty { throw Missing(description: "the bridge has ended the connection") }
      unread += more
    }
  }

  /// The next lines, up to the one that fits.
  func receive(until fits: (CarriedJSON) -> Bool) throws -> [CarriedJSON] {
    var lines: [CarriedJSON] = []
    while true {
      let line = try receive()
      lines.append(line)
      if fits(line) { return lines }
    }
  }

  /// Waits until the engine has done all that was asked of it before.
  func settle() throws {
    for _ in 0..<3 {
      let done = Monitor(false)
      host.post { _ in done.update { $0 = true } }
      try done.wait(for: "the engine") { $0 ? () : nil }
    }
  }

  /// Waits until no more fits the pipe to the client, and more waits: that stays so until the client reads.
  func waitUntilFull() throws {
    try Patience.until("a full pipe") {
      try settle()
      return peer.isCongested && PollSet.look(room.rawValue, for: .writable) == []
    }
  }

  /// Carries something out on the engine's thread.
  func onEngine(_ body: @escaping @Sendable (RunEngine) -> Void) throws {
    host.post(body)
    try settle()
  }
}

extension CarriedJSON {
  /// A message on a line of words: an event's number and type, a request's method, a response's id.
  var words: String {
    if self["method"]?.stringValue == "run.event", let params = self["params"] {
      return "\(params["seq"]?.intValue.map { "\($0) " } ?? "")\(params["type"]?.stringValue ?? "")"
    }
    if let method = self["method"]?.stringValue { return method }
    return "\(self["error"] == nil ? "result" : "error") \(self["id"]?.bytes.string ?? "")"
  }

  var runID: String { self["params"]?["runId"]?.stringValue ?? "" }
}
