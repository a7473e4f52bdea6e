import JSON
import POSIXSupport

/// The reader thread, and who reads in its place while it works for its owner.
final class PeerReader: @unchecked Sendable {
  // Unchecked, because: `desk` is touched by the thread alone that has the role.
  private let role = ReadingRole()
  private var desk: ReadingDesk
  private let peer: Peer
  private let wake: WakeDescriptor
  private let handler: any PeerHandler

  init(_ peer: Peer, _ wake: WakeDescriptor, _ handler: any PeerHandler) {
    self.peer = peer
    self.wake = wake
    self.handler = handler
    desk = ReadingDesk(peer, wake, handler)
  }

  func run() {
    _ = role.take {}
    while !peer.gate.isClosed {
      switch desk.step() {
      case .goesOn: break
      case .rests:
        role.give()
        handler.peer(peer, restsUntilInput: { self.standIn() })
        if role.take(wake: wake.signal) { desk.lookAgain() }
      case .over:
        role.give()
        return handler.peer(peer, restsUntilInput: {})
      }
    }
  }

  /// Reads until the reader thread is back.
  private func standIn() {
    guard role.takeIfFree() else { return }
    while !peer.gate.isClosed, !role.isClaimed {
      if case .over = desk.step() { break }
    }
    role.giveBack()
  }
}

/// What reading needs: waits for input, for the loss of the output and for being woken, and passes on what comes.
private struct ReadingDesk: ~Copyable {
  enum Step {
    case goesOn
    /// All that came has been passed on; the next step waits.
    case rests
    case over
  }

  private let peer: Peer
  private let wake: WakeDescriptor
  private let handler: any PeerHandler
  private var framer: Framer
  private var polls = PollSet(count: 3)
  private var isFramingKnown: Bool
  private var hasInput = true
  /// Nothing was passed on since `rests` was told.
  private var hasRested = false
  private var isOver = false
  private var output = Output.usable
  /// While responses have to be read first: for another side that has ended the input.
  private var patience: Patience?
  private static let lookMilliseconds = 100
  /// Who waits until so much of the input has been read.
  private var presentInput: [(bytes: Int, body: PresentInput.Body)] = []

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

  /// Somebody else has read, and what is there was not looked at since.
  mutating func lookAgain() { hasRested = false }

  mutating func step() -> Step {
    if isOver { return .over }
    let mustWait = hasInput && peer.output.readerMustWait()
    if !mustWait, dispatchReceived() { return .goesOn }
    tellLostOutputWhenDue()
    closePending()
    tellOfPresentInput(reads: hasInput && !mustWait)
    if !hasRested {
      hasRested = true
      return .rests
    }
    let (events, limit) = mustWait ? awaitReading() : (hasInput ? .readable : nil, nil)
    watch(input: events)
    do throws(SystemError) { try polls.wait(timeoutMilliseconds: limit) } catch {
      isOver = true
      endInput(.readError(error))
      peer.presentInput.close()
      tellOfPresentInput(reads: false)
      return .over
    }
    hasRested = false
    if !polls.seen(2).isEmpty { wake.drain() }
    noticeLostOutput()
    if !mustWait, !polls.seen(0).isEmpty { read() }
    return .goesOn
  }

  /// Responses have to be read before input is. When that has ended already, and the other side takes nothing, nobody reads.
  ///
  /// - Returns: what the input is watched for meanwhile, and after how many milliseconds to look again.
  private mutating func awaitReading() -> (events: PollEvents?, limit: Int?) {
    if PollSet.look(peer.input.rawValue, for: .inputEnd).isEmpty { return (.inputEnd, nil) }
    guard let milliseconds = handler.patienceAfterInput(of: peer) else { return (nil, nil) }
    var waiting = patience ?? Patience(milliseconds: milliseconds)
    let rest = waiting.rest(after: peer.output.progress)
    patience = waiting
    if rest == 0 { peer.output.lose() }
    return (nil, min(rest, Self.lookMilliseconds))
  }

  private mutating func watch(input: PollEvents?) {
    // An empty list of options would have the standard library make types for it, which a start feels.
    polls.watch(0, input == nil ? nil : peer.input.rawValue, for: input ?? PollEvents(rawValue: 0))
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

  /// - Parameter isUnfinished: The input ended where more of it was to come.
  private mutating func dispatch(_ frame: Framer.Frame, isUnfinished: Bool = false) {
    hasRested = false
    if !isFramingKnown, framer.detected != .auto {
      isFramingKnown = true
      peer.output.use(framer.detected)
    }
    guard peer.gate.enter() else { return }
    defer { peer.gate.leave() }
    MessageRouter(peer: peer, handler: handler, isUnfinished: isUnfinished).route(frame)
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
    for index in presentInput.indices { presentInput[index].bytes -= count }
    // Nothing after all: the open file is shared with whoever gave it, who may have set O_NONBLOCK, and read it.
    if count > 0 || failure?.wouldWait == true { return }
    // What is whole already comes first, and with it the wait for unread responses.
    hasInput = false
    endInput(failure.map { .readError($0) } ?? .endOfFile)
  }

  /// All that came has been passed on: tells those for whom that is enough.
  ///
  /// - Parameter reads: False when nothing is read now; what is there is then not waited for.
  private mutating func tellOfPresentInput(reads: Bool) {
    let more = peer.presentInput.take()
    if more.isEmpty, presentInput.isEmpty { return }
    if !more.isEmpty {
      let present = FileDescriptor.unreadInput(peer.input.rawValue)
      presentInput += more.map { (present >= 0 ? present : 1 << 20, $0) }
    }
    let isRead = !reads || PollSet.look(peer.input.rawValue, for: .readable).isEmpty
    let ready = presentInput.filter { isRead || $0.bytes <= 0 }
    presentInput.removeAll { isRead || $0.bytes <= 0 }
    for waiting in ready {
      hasRested = false
      waiting.body()
    }
  }

  private mutating func endInput(_ reason: InputEnd) {
    hasInput = false
    while let frame = framer.next() { dispatch(frame) }
    while let frame = framer.finish() { dispatch(frame, isUnfinished: true) }
    call { $0.peer($1, inputEnded: reason) }
    peer.exchange.close()
  }

  private mutating func call(_ body: (any PeerHandler, Peer) -> Void) {
    hasRested = false
    guard peer.gate.enter() else { return }
    body(handler, peer)
    peer.gate.leave()
  }

  /// Ends the requests of this side that cannot be answered any more.
  private mutating func closePending() {
    for pending in peer.exchange.takeUnanswerable() {
      hasRested = false
      guard peer.gate.enter() else { return }
      pending.reply(.closed)
      peer.gate.leave()
    }
  }

  // MARK: Output

  private mutating func noticeLostOutput() {
    guard case .usable = output else { return }
    if !polls.seen(1).isEmpty { peer.output.lose() }
    guard peer.output.isLost else { return }
    let present = FileDescriptor.unreadInput(peer.input.rawValue)
    output = .lost(inputBytes: present >= 0 ? present : 1 << 20)
  }

  /// Once the input that was there is dealt with: what the other side said before it went counts.
  private mutating func tellLostOutputWhenDue() {
    guard case .lost(let inputBytes) = output else { return }
    if hasInput, inputBytes > 0, !PollSet.look(peer.input.rawValue, for: .readable).isEmpty { return }
    output = .told
    call { $0.peerLostOutput($1) }
    peer.exchange.close()
  }
}
