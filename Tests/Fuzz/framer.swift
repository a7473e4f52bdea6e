import JSON
import JSONRPC
import POSIXSupport

/// Cuts whatever bytes the fuzzer comes up with into messages, in pieces of several sizes, and gives them to a peer.
@c(LLVMFuzzerTestOneInput)
public func fuzzFramer(_ data: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
  let input = unsafe Bytes(copying: UnsafeRawBufferPointer(start: data, count: count))
  for framing in Framing.allCases {
    for limit in [64, 1 << 20] {
      let whole = frames(input, pieces: Int.max, framing, limit)
      for size in [1, 5, 64] { demand(frames(input, pieces: size, framing, limit) == whole, "pieces of \(size) give other frames") }
    }
  }
  checkPeer(input)
  return 0
}

private func frames(_ input: Bytes, pieces size: Int, _ framing: Framing, _ limit: Int) -> [Framer.Frame] {
  var framer = Framer(framing: framing, maxMessageBytes: limit)
  var frames: [Framer.Frame] = []
  var position = 0
  while position < input.count {
    let piece = min(size, input.count - position)
    framer.receive(input[position..<position + piece])
    position += piece
    while let frame = framer.next() { frames.append(frame) }
  }
  while let frame = framer.finish() { frames.append(frame) }
  demand(framer.finish() == nil, "something comes after the end")
  return frames
}

/// Whatever comes in lines is answered in lines of valid JSON, and the next message is served.
private func checkPeer(_ input: Bytes) {
  do throws(SystemError) {
    let toPeer = try FileDescriptor.pipe()
    let fromPeer = try FileDescriptor.pipe()
    let handler = Answerer()
    let limits = PeerLimits(maxMessageBytes: 512, json: JSONLimits(maxDepth: 8, maxNodes: 64))
    let peer = try Peer(
      input: toPeer.readEnd, output: fromPeer.writeEnd, framing: .line, limits: limits, errors: .plain, handler: handler)
    let reader = fromPeer.readEnd
    try peer.start()
    let writer = toPeer.writeEnd
    try unsafe input.withUnsafeBytes { (raw) throws(SystemError) in try unsafe writer.writeAll(raw) }
    try writer.writeAll("\n{\"id\":\"last\",\"method\":\"last\"}\n")
    _ = consume writer
    handler.hasEnded.wait { $0 ? () : nil }
    demand(peer.flush(patience: 10_000), "the answers were not written")
    let answers = Bytes(try reader.read(upTo: FileDescriptor.unreadInput(reader.rawValue)))
    peer.close()
    var position = 0
    var last = Bytes()
    while let end = answers.firstIndex(of: 0x0A, from: position) {
      last = answers[position..<end]
      demand((try? CarriedJSON(validating: last)) != nil, "an answer is not valid JSON")
      position = end + 1
    }
    demand(position == answers.count, "an answer has no end")
    demand(last == Bytes("{\"jsonrpc\":\"2.0\",\"id\":\"last\",\"result\":{}}"), "the next message was not served")
  } catch { fatalError("\(error)") }
}

private final class Answerer: PeerHandler {
  let hasEnded = Monitor(false)

  func knows(method: String) -> Bool { method != "unknown" }
  func carriedPaths(ofMethod method: String) -> CarriedPaths { ["/a"] }

  func peer(_ peer: Peer, received request: IncomingRequest) {
    // A request of this side each time, so that answers find something to answer.
    if request.method == "ask" {
      peer.request("question", { _ in .emptyObject }, carrying: ["/a"], reply: { _ in })
    }
    request.succeed(request.params ?? .emptyObject)
  }

  func peer(_ peer: Peer, receivedNotification method: String, params: CarriedJSON?) {}
  func peer(_ peer: Peer, inputEnded reason: InputEnd) { hasEnded.update { $0 = true } }
  func peerLostOutput(_ peer: Peer) {}
  func peerHasRoom(_ peer: Peer) {}
}

/// Ends the run with a message, which a precondition does not print in an optimised build.
private func demand(_ isTrue: Bool, _ fault: String) {
  if !isTrue { fatalError(fault) }
}
