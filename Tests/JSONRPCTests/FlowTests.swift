import Glibc
import JSON
import JSONRPC
import POSIXSupport
import TestSupport
import Testing

/// Who waits for whom, and what happens when somebody goes.
struct FlowTests {
  private static func echo(_ id: Int, _ bytes: Int) -> String {
    #"{"id":\#(id),"method":"echo","params":{"a":"\#(String(repeating: "x", count: bytes))"}}"# + "\n"
  }

  /// Feeds `text` from a thread of its own; says when all of it was taken.
  private static func feed(_ conversation: borrowing Conversation, _ text: String) throws -> Monitor<Bool> {
    let isDone = Monitor(false)
    // Its own, which is not somebody else's file when the test has ended early.
    let descriptor = try conversation.toPeer.duplicate().release()
    try Thread.start(name: "feeder") {
      let isFed = (try? FileDescriptor(owning: descriptor).writeAll(text)) != nil
      isDone.update { $0 = isFed }
    }
    return isDone
  }

  @Test(arguments: [10, 100_000]) func `what is answered before the output begins waits for it, and keeps its order`(bytes: Int) throws {
    let conversation = try Conversation(sends: false)
    try conversation.send(Self.echo(1, bytes) + "no JSON\n" + Self.echo(2, bytes) + #"{"method":"note"}"# + "\n")
    conversation.waitForLog("note -")
    conversation.peer.notify("event", CarriedJSON(string: "three"))
    #expect(FileDescriptor.unreadInput(conversation.fromPeer.rawValue) == 0)
    try conversation.peer.beginOutput()
    let lines = try conversation.lines(4)
    let told = lines.map { line in ["\"id\":1", "\"id\":null", "\"id\":2", "three"].filter { line.contains($0) } }
    #expect(told == [["\"id\":1"], ["\"id\":null"], ["\"id\":2"], ["three"]])
  }

  // MARK: Backpressure

  @Test func `past the limit of unread responses nothing more is read, and it goes on when they are read`() throws {
    let conversation = try Conversation(limits: PeerLimits(maxUnreadBytes: 256 << 10))
    let requests = (0..<256).map { Self.echo($0, 64 << 10) }.joined()
    let isDone = try Self.feed(conversation, requests)
    // What the pipe holds, the limit, and one more that went beyond it.
    let ahead = ((1 << 20) + (256 << 10)) / (64 << 10) + 1
    var received = 0
    while received < 256 {
      let bytes = Bytes(try conversation.fromPeer.read(upTo: 8192, for: "answer \(received)"))
      try #require(!bytes.isEmpty)
      if bytes.firstIndex(of: 0x0A) != nil { received += 1 }
      #expect(conversation.handler.state.withLock { $0.echoCount } <= received + ahead + 2)
    }
    #expect(received == 256)
    try isDone.wait(for: "the end of the feeding") { $0 ? () : nil }
  }

  @Test func `notifications do not stop the reader`() throws {
    let conversation = try Conversation(limits: PeerLimits(maxUnreadBytes: 1024))
    let text = CarriedJSON(string: String(repeating: "x", count: 64 << 10))
    // More than the pipe holds, so that some of it waits.
    for _ in 0..<40 { conversation.peer.notify("event", text) }
    try conversation.send(#"{"method":"note"}"# + "\n")
    conversation.waitForLog("note -")
    #expect(try conversation.lines(40).count == 40)
  }

  @Test func `with both pipes full everything still arrives`() throws {
    let conversation = try Conversation()
    let requests = (0..<200).map { Self.echo($0, 64 << 10) }.joined()
    let isDone = try Self.feed(conversation, requests)
    // All 12 MiB are taken though nobody reads the answers.
    try isDone.wait(for: "the end of the feeding") { $0 ? () : nil }
    #expect(try conversation.lines(200).count == 200)
  }

  @Test func `a peer that has much to write says so, and says when it has room again`() throws {
    let conversation = try Conversation(limits: PeerLimits(congestedBytes: 1 << 20))
    // So much that it stays much when the pipe is full.
    conversation.peer.notify("event", CarriedJSON(string: String(repeating: "x", count: 4 << 20)))
    #expect(conversation.peer.isCongested)
    #expect(conversation.handler.state.withLock { $0.roomCount } == 0)
    #expect(try conversation.lines(1).count == 1)
    conversation.handler.wait("room") { $0.roomCount > 0 }
    #expect(conversation.handler.state.withLock { $0.roomCount } == 1)
    #expect(!conversation.peer.isCongested)
  }

  // MARK: Order

  @Test func `messages leave in the order of the calls, small and large, from several threads`() throws {
    let conversation = try Conversation()
    let peer = conversation.peer
    for thread in 0..<4 {
      try Thread.start(name: "caller") {
        for number in 0..<300 {
          let filler = String(repeating: "x", count: number % 10 == 0 ? 20_000 : number % 7 == 0 ? 3_000 : 3)
          peer.notify([
            ("first", CarriedJSON(trusted: Bytes("[\(thread),\(number),\"\(filler)\"]"))),
            ("second", CarriedJSON(trusted: Bytes("[\(thread),\(number)]"))),
          ])
        }
      }
    }
    var next = [0, 0, 0, 0]
    var previous = (-1, -1)
    for line in try conversation.lines(2400) {
      let message = try CarriedJSON(validating: Bytes(line))
      let params = message["params"]?.elements ?? []
      let at = (params[0].intValue ?? -1, params[1].intValue ?? -1)
      if message["method"]?.stringValue == "first" {
        #expect(at.1 == next[at.0])
        next[at.0] += 1
      } else {
        // Nothing came between the two.
        #expect(at == previous)
      }
      previous = at
    }
    #expect(next == [300, 300, 300, 300])
  }

  @Test func `many small messages from several threads keep their order`() throws {
    let conversation = try Conversation()
    let peer = conversation.peer
    for thread in 0..<4 {
      try Thread.start(name: "caller") {
        for number in 0..<5_000 { peer.notify("event", CarriedJSON(trusted: Bytes("[\(thread),\(number)]"))) }
      }
    }
    var numbers: [[Int]] = [[], [], [], []]
    for line in try conversation.lines(20_000) {
      let params = try CarriedJSON(validating: Bytes(line))["params"]?.elements.compactMap(\.intValue) ?? []
      numbers[params[0]].append(params[1])
    }
    #expect(numbers == Array(repeating: Array(0..<5_000), count: 4))
  }

  @Test func `an answer from another thread reaches its request`() throws {
    let conversation = try Conversation()
    for id in 0..<100 { try conversation.send(#"{"id":\#(id),"method":"hold"}"# + "\n") }
    let held = try conversation.handler.held(100)
    for thread in 0..<4 {
      try Thread.start(name: "answerer") {
        for (index, request) in held.enumerated() where index % 4 == thread { request.succeed(request.id.json) }
      }
    }
    let lines = try conversation.lines(100)
    #expect(Set(lines) == Set((0..<100).map { #"{"jsonrpc":"2.0","id":\#($0),"result":\#($0)}"# }))
  }

  // MARK: Ends

  @Test func `when nobody reads any more the owner is told once, after what was said before`() throws {
    let conversation = try Conversation()
    let handler = conversation.handler
    conversation.peer.request("question", { _ in .emptyObject }, reply: { handler.note("reply \(ScriptedHandler.text($0))") })
    _ = try conversation.received()
    // The input is there, and the output gone, before the reader can look at either.
    try conversation.send(#"{"method":"block"}"# + "\n")
    conversation.waitForLog("blocked")
    // More than is read in one go.
    let text = String(repeating: "x", count: 300_000)
    try conversation.send(#"{"method":"note","params":{"a":"\#(text)"}}"# + "\n" + #"{"id":"b-1","result":1}"# + "\n")
    let null = try FileDescriptor.open("/dev/null", O_RDONLY)
    dup2(null.rawValue, conversation.fromPeer.rawValue)
    handler.state.update { $0.isReleased = true }
    conversation.waitForLog("output lost")
    conversation.peer.request("question", { _ in .emptyObject }, reply: { handler.note("second \(ScriptedHandler.text($0))") })
    conversation.waitForLog("second closed")
    // Input is still taken, answers go nowhere.
    try conversation.send(#"{"id":1,"method":"hold"}"# + "\n" + #"{"method":"note","params":{}}"# + "\n")
    conversation.waitForLog("note {}")
    let request = try handler.held(1)[0]
    #expect(request.succeed(.null))
    #expect(request.isAnswered)
    #expect(!conversation.peer.flush(patience: 10_000))
    #expect(
      handler.log.map { String($0.prefix(15)) } == [
        "blocked", "went on", #"note {"a":"xxxx"#, "reply result 1", "output lost", "second closed", "note {}",
      ])
  }

  @Test func `a writer that finds nobody reading ends the wait for it`() throws {
    let conversation = try Conversation()
    conversation.peer.notify("event", CarriedJSON(string: String(repeating: "x", count: 4 << 20)))
    let null = try FileDescriptor.open("/dev/null", O_RDONLY)
    dup2(null.rawValue, conversation.fromPeer.rawValue)
    #expect(!conversation.peer.flush(patience: 60_000))
    conversation.waitForLog("output lost")
    #expect(conversation.handler.log == ["output lost"])
  }

  @Test func `who asks is told when the output has taken the request, not when it was put in line`() throws {
    let conversation = try Conversation()
    let handler = conversation.handler
    conversation.peer.request("question", { _ in .emptyObject }, wasWritten: { handler.note("first written") }, reply: { _ in })
    conversation.waitForLog("first written")
    // More than the pipe holds stands before it.
    conversation.peer.notify("event", CarriedJSON(string: String(repeating: "x", count: 4 << 20)))
    conversation.peer.request("question", { _ in .emptyObject }, wasWritten: { handler.note("second written") }, reply: { _ in })
    #expect(!conversation.peer.flush(patience: 30))
    #expect(handler.log == ["first written"])
    #expect(try conversation.lines(3).count == 3)
    conversation.waitForLog("second written")
    // What is put in line after the output was lost is never written.
    let null = try FileDescriptor.open("/dev/null", O_RDONLY)
    dup2(null.rawValue, conversation.fromPeer.rawValue)
    conversation.waitForLog("output lost")
    conversation.peer.request("question", { _ in .emptyObject }, wasWritten: { handler.note("third written") }, reply: { _ in })
    #expect(handler.log == ["first written", "second written", "output lost"])
  }

  @Test func `a flush gives up when nothing is taken`() throws {
    let conversation = try Conversation()
    conversation.peer.notify("event", CarriedJSON(string: String(repeating: "x", count: 4 << 20)))
    #expect(!conversation.peer.flush(patience: 30))
  }

  @Test func `another side that ends the input and takes nothing of what it asked for is given up, after what it said`() throws {
    let conversation = try Conversation(limits: PeerLimits(maxUnreadBytes: 1 << 20))
    conversation.handler.state.withLock { $0.patience = 30 }
    try conversation.send(Self.echo(1, 3 << 20))
    try conversation.send(Self.echo(2, 10) + #"{"method":"note"}"# + "\n")
    try conversation.endInput()
    conversation.waitForLog("output lost")
    conversation.waitForLog("end of file")
    #expect(conversation.handler.log.first == "note -")
    #expect(conversation.handler.state.withLock { $0.echoCount } == 2)
  }

  @Test func `another side that ends the input and may take its time gets all it asked for`() throws {
    let conversation = try Conversation(limits: PeerLimits(maxUnreadBytes: 1 << 20))
    try conversation.send(Self.echo(1, 3 << 20))
    try conversation.send(Self.echo(2, 10))
    try conversation.endInput()
    let peer = conversation.peer
    try Patience.until("the answer waits") { peer.isCongested }
    #expect(!peer.flush(patience: 300))
    #expect(try conversation.lines(2).count == 2)
    conversation.waitForLog("end of file")
  }

  @Test func `a flush waits as long as something is taken, be it little`() throws {
    let conversation = try Conversation()
    // 200 KiB more than the pipe holds, so the flush is over when that much was taken: in a longer time, all in all, than its patience, which is
    // long enough for a machine that does other things between two reads.
    conversation.peer.notify("event", CarriedJSON(string: String(repeating: "x", count: 1224 << 10)))
    let peer = conversation.peer
    let outcome = Monitor<Bool?>(nil)
    try Thread.start(name: "flusher") {
      let isFlushed = peer.flush(patience: 1500)
      outcome.update { $0 = isFlushed }
    }
    var received = 0
    while outcome.withLock({ $0 }) == nil {
      received += try conversation.fromPeer.read(upTo: 3_000, for: "more output").count
      usleep(30_000)
    }
    #expect(outcome.withLock { $0 } == true)
    #expect(received > 150_000)
  }

  @Test func `after stopReading nothing arrives`() throws {
    let conversation = try Conversation()
    try conversation.send(#"{"id":1,"method":"echo"}"# + "\n")
    #expect(try conversation.lines(1).count == 1)
    conversation.peer.stopReading()
    try conversation.send(#"{"id":2,"method":"echo"}"# + "\n" + #"{"method":"note"}"# + "\n")
    try conversation.endInput()
    conversation.peer.notify("event", .emptyObject)
    #expect(try conversation.lines(1) == [#"{"jsonrpc":"2.0","method":"event","params":{}}"#])
    #expect(conversation.handler.log == [])
  }

  @Test func `stopReading waits for the handler`() throws {
    let conversation = try Conversation()
    let peer = conversation.peer
    let handler = conversation.handler
    // Goes on when it sees that `stopReading` has returned, which it must not while this call runs; so it goes on by itself.
    try conversation.send(#"{"method":"block","params":{"milliseconds":50}}"# + "\n" + #"{"method":"note"}"# + "\n")
    conversation.waitForLog("blocked")
    try Thread.start(name: "stopper") {
      peer.stopReading()
      handler.note("stopped")
    }
    conversation.waitForLog("stopped")
    // When the machine was so busy that the call was over before `stopReading` began, the note has come in between.
    #expect(handler.log.filter { $0 != "note -" } == ["blocked", "went on", "stopped"])
    #expect(handler.log.last == "stopped")
  }

  // MARK: Standing in

  @Test func `another thread reads while the reader thread works, and gives back when that is done`() throws {
    let conversation = try Conversation()
    for round in 0..<50 {
      try conversation.send(#"{"method":"work"}"# + "\n" + Self.echo(3 * round, 10))
      #expect(try conversation.lines(1).count == 1)
      // From the second round on this has been seen, and either thread may read what follows.
      conversation.waitForLog("works")
      try conversation.send(Self.echo(3 * round + 1, 70_000) + #"{"method":"release"}"# + "\n" + Self.echo(3 * round + 2, 10))
      #expect(try conversation.lines(2).count == 2)
    }
    conversation.waitForLog("worked")
    #expect(conversation.handler.state.withLock { $0.echoCount } == 150)
  }

  @Test func `the end of the input is told once, whoever reads it`() throws {
    let conversation = try Conversation()
    try conversation.send(#"{"method":"work"}"# + "\n" + Self.echo(1, 10))
    #expect(try conversation.lines(1).count == 1)
    conversation.waitForLog("works")
    try conversation.endInput()
    conversation.waitForLog("worked")
    conversation.handler.state.withLock { state in
      #expect(state.log == ["works", "end of file", "worked"])
    }
  }

  @Test func `stopReading waits for who stands in, and not for the work`() throws {
    let conversation = try Conversation()
    try conversation.send(#"{"method":"work"}"# + "\n" + Self.echo(1, 10))
    #expect(try conversation.lines(1).count == 1)
    conversation.waitForLog("works")
    conversation.peer.stopReading()
    try conversation.send(Self.echo(2, 10))
    conversation.handler.state.update { $0.hasWork = false }
    conversation.waitForLog("worked")
    #expect(conversation.handler.state.withLock { $0.echoCount } == 1)
  }

  @Test func `stopReading may be called by the handler itself`() throws {
    final class Stopper: PeerHandler {
      let calls = Monitor(0)
      func knows(method: String) -> Bool { true }
      func carriedPaths(ofMethod method: String) -> CarriedPaths { .everything }
      func peer(_ peer: Peer, received request: IncomingRequest) {
        peer.stopReading()
        request.succeed(.null)
        calls.update { $0 += 1 }
      }
      func peer(_ peer: Peer, receivedNotification method: String, params: CarriedJSON?) { calls.update { $0 += 100 } }
      func peer(_ peer: Peer, inputEnded reason: InputEnd) { calls.update { $0 += 100 } }
      func peerLostOutput(_ peer: Peer) {}
      func peerHasRoom(_ peer: Peer) {}
      func peer(_ peer: Peer, ignored what: String) {}
    }
    let input = try FileDescriptor.pipe()
    let output = try FileDescriptor.pipe()
    let stopper = Stopper()
    let peer = try Peer(input: input.readEnd, output: output.writeEnd, errors: .plain, handler: stopper)
    try input.writeEnd.writeAll("{\"id\":1,\"method\":\"x\"}\n{\"method\":\"y\"}\n")
    try peer.start()
    #expect(try output.readEnd.read(upTo: 1000, for: "the answer") == Array("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}\n".utf8))
    try stopper.calls.wait(for: "a call") { $0 > 0 ? () : nil }
    peer.close()
    #expect(stopper.calls.withLock { $0 } == 1)
  }

  @Test func `a closed peer lets go of its handler and its descriptors`() throws {
    let input = try FileDescriptor.pipe()
    let output = try FileDescriptor.pipe()
    let reader = output.readEnd
    weak var seen: ScriptedHandler?
    do {
      let handler = ScriptedHandler()
      seen = handler
      let peer = try Peer(input: input.readEnd, output: output.writeEnd, errors: .plain, handler: handler)
      try peer.start()
      peer.close()
    }
    // The end of the output is seen when the last thread has let go.
    #expect(try reader.readAll(for: "the end of the output") == [])
    try Patience.until("the end of the handler") { seen == nil }
  }

  @Test func `over a pair of sockets it works the same`() throws {
    var ends: (Int32, Int32) = (-1, -1)
    let made = unsafe withUnsafeMutableBytes(of: &ends) {
      unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, $0.baseAddress!.assumingMemoryBound(to: Int32.self))
    }
    try #require(made == 0)
    let ours = FileDescriptor(owning: ends.0)
    let theirs = FileDescriptor(owning: ends.1)
    let handler = ScriptedHandler()
    let peer = try Peer(input: theirs.duplicate(), output: theirs, errors: .plain, handler: handler)
    defer { peer.close() }
    try peer.start()
    try ours.writeAll(#"{"id":1,"method":"echo","params":{"a":1}}"# + "\n")
    #expect(
      String(decoding: try ours.read(upTo: 1000, for: "the answer"), as: UTF8.self) == #"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"# + "\n")

    // More than a socket holds.
    for _ in 0..<100 { peer.notify("event", CarriedJSON(string: String(repeating: "x", count: 10_000))) }
    for _ in 0..<100 { peer.notify("event", CarriedJSON(string: "small")) }
    var lines = 0
    while lines < 200 {
      let more = try ours.read(upTo: 64 << 10, for: "line \(lines + 1)")
      try #require(!more.isEmpty)
      lines += more.count { $0 == 0x0A }
    }
    #expect(lines == 200)

    shutdown(ours.rawValue, Int32(SHUT_RDWR))
    handler.wait("the end of input and output") { $0.hasEnded && $0.hasLostOutput }
  }
}
