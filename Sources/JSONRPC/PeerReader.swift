import JSON
import POSIXSupport

/// The reader thread: waits for input, for the loss of the output and for being woken, and passes on what comes.
struct PeerReader: ~Copyable {
  private let peer: Peer
  private let wake: WakeDescriptor
  private let handler: any PeerHandler
  private var framer: Framer
  private var polls = PollSet(count: 3)
  private var isFramingKnown: Bool
  private var hasInput = true
  private var output = Output.usable

  private enum Output {
    case usable
    /// Nobody reads it any more; so many bytes of input were there when that was seen, and are honoured before it is told.
    case lost(inputBytes: Int)
    case told
  }

  init(_ peer: Peer, _ wake: WakeDescriptor, _ handler: any PeerHandler) {
    self.peer = peer
    self.wake = wake
    self.handler = handler
    framer = Framer(framing: peer.framing, maxMessageBytes: peer.limits.maxMessageBytes)
    isFramingKnown = peer.framing != .auto
  }

  consuming func run() {
    while !peer.gate.isClosed {
      let mustWait = hasInput && peer.output.readerMustWait()
      if !mustWait, dispatchReceived() { continue }
      watch(input: hasInput && !mustWait)
      do throws(SystemError) { try polls.wait() } catch { return end(.readError(error)) }
      if !polls.seen(2).isEmpty { wake.drain() }
      noticeLostOutput()
      let isReadable = !polls.seen(0).isEmpty
      if isReadable { read() }
      tellLostOutput(inputIsDry: !isReadable)
      closePending()
    }
  }

  private mutating func watch(input: Bool) {
    polls.watch(0, input ? peer.input.rawValue : nil, for: .readable)
    // For errors only: they are reported without being asked for.
    if case .usable = output { polls.watch(1, peer.output.rawDescriptor) } else { polls.watch(1, nil) }
    polls.watch(2, wake.descriptor, for: .readable)
  }

  // MARK: Input

  /// Passes one message on; false when none is whole.
  private mutating func dispatchReceived() -> Bool {
    guard let frame = framer.next() else { return false }
    dispatch(frame)
    return true
  }

  private mutating func dispatch(_ frame: Framer.Frame) {
    if !isFramingKnown, framer.detected != .auto {
      isFramingKnown = true
      peer.output.use(framer.detected)
    }
    guard peer.gate.enter() else { return }
    defer { peer.gate.leave() }
    MessageRouter(peer: peer, handler: handler).route(frame)
  }

  private mutating func read() {
    let descriptor = peer.input.rawValue
    var failure: SystemError?
    let count = unsafe framer.receive { room in
      do throws(SystemError) { return try unsafe FileDescriptor.read(descriptor, into: room) } catch {
        failure = error
        return 0
      }
    }
    if case .lost(let bytes) = output { output = .lost(inputBytes: bytes - count) }
    if count > 0 { return }
    // What is whole already comes first, and with it the wait for unread responses.
    hasInput = false
    endInput(failure.map { .readError($0) } ?? .endOfFile)
  }
}
