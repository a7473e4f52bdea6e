import JSON
import POSIXSupport

/// What waits to be written, in the order of the calls that put it there; one thread at a time writes, and only this type does.
final class OutputQueue: Sendable {
  /// A larger message is not worth blocking the caller for; no larger one is written to a pipe in one go, either (PIPE_BUF).
  private static let inlineBytes = 4096
  /// Small enough that progress shows while somebody waits for it.
  private static let pieceBytes = 64 << 10
  private static let flushPieceBytes = 4096

  private struct State {
    var chunks = ChunkQueue()
    /// Somebody is inside `write`, without the lock.
    var isWriting = false
    var isLost = false
    var isClosed = false
    var flushers = 0
    /// Callers of `hold` that have not called `release`.
    var holders = 0
    var writtenBytes = 0
    /// What is to be called when so many bytes are written, in order.
    var marks: [(bytes: Int, wasWritten: @Sendable () -> Void)] = []
    /// More than `congestedBytes` waited, and `peerHasRoom` has not been said since.
    var owesRoom = false
    /// The reader waits for responses to be read.
    var readerWaits = false
    var framing: Framing
    /// What kept the output from taking a message; a reader that went away is none.
    var failure: SystemError?
  }

  private let descriptor: FileDescriptor
  private let channel: OutputChannel
  private let limits: PeerLimits
  private let state: Monitor<State>
  /// Called without the lock, when the reader has to look again: the output was lost, or responses were read.
  private let wakeReader: @Sendable () -> Void

  init(_ descriptor: consuming FileDescriptor, framing: Framing, limits: PeerLimits, wakeReader: @escaping @Sendable () -> Void) {
    channel = OutputChannel(of: descriptor.rawValue)
    descriptor.requestPipeSize(1 << 20)
    self.descriptor = descriptor
    self.limits = limits
    self.wakeReader = wakeReader
    state = Monitor(State(framing: framing))
  }

  var rawDescriptor: Int32 { descriptor.rawValue }
  var isLost: Bool { state.withLock { $0.isLost } }
  var failure: SystemError? { state.withLock { $0.failure } }
  var isCongested: Bool { state.withLock { $0.owesRoom } }

  func use(_ framing: Framing) { state.withLock { $0.framing = framing } }

  private enum Next {
    case nothing, wake
    case write([Bytes])
  }

  /// Puts messages in line. They are written at once, by the caller, when that takes no time; else by the writer thread.
  ///
  /// - Parameter wasWritten: Called without the lock when the output has taken the last byte of them, by whoever wrote it; never when it is lost before.
  func enqueue(_ messages: [OutgoingMessage], isResponse: Bool, wasWritten: (@Sendable () -> Void)? = nil) {
    let limits = self.limits
    carryOut(
      state.withLock { state in
        if state.isLost || state.isClosed { return .nothing }
        let chunks = OutgoingMessage.chunks(messages, state.framing)
        let isIdle = state.chunks.isEmpty && !state.isWriting
        for chunk in chunks { state.chunks.append(chunk, isResponse: isResponse) }
        if let wasWritten { state.marks.append((state.writtenBytes + state.chunks.byteCount, wasWritten)) }
        if state.chunks.byteCount > limits.congestedBytes { state.owesRoom = true }
        return isIdle ? next(&state, chunks) : .nothing
      })
  }

  /// What follows when something is in line and nobody writes; `chunks` is all of it.
  private func next(_ state: inout State, _ chunks: [Bytes]) -> Next {
    if state.holders > 0 { return .nothing }
    guard channel.canWriteNow, state.chunks.byteCount <= min(Self.inlineBytes, limits.congestedBytes) else { return .wake }
    state.isWriting = true
    return .write(chunks)
  }

  private func carryOut(_ next: Next) {
    switch next {
    case .nothing: return
    case .wake: state.wakeAll()
    case .write(let chunks): writeNow(chunks)
    }
  }

  /// Carries out `body`; what it puts in line begins to leave when it returns, in one piece if it is small.
  func together(_ body: () -> Void) {
    hold()
    body()
    release()
  }

  /// From now on what is put in line waits, until there was a `release` for each `hold`.
  func hold() { state.withLock { $0.holders += 1 } }

  func release() {
    carryOut(
      state.withLock { state in
        state.holders -= 1
        if state.isLost || state.isClosed || state.isWriting || state.chunks.isEmpty { return .nothing }
        return next(&state, [state.chunks.peek(atMost: Self.inlineBytes)])
      })
  }

  private func writeNow(_ chunks: [Bytes]) {
    var count = 0
    var failure: SystemError?
    for chunk in chunks {
      do throws(SystemError) {
        let taken = try channel.writeNow(chunk, descriptor)
        count += taken
        if taken < chunk.count { break }
      } catch {
        failure = error
        break
      }
    }
    finishWrite(count, failure)
  }

  /// What the writer thread does next.
  private enum Work {
    case write(Bytes)
    /// Whoever wrote last.
    case tellRoom
    case end
  }

  /// The body of the writer thread.
  func runWriter(hasRoom: () -> Void) {
    while true {
      switch nextWork() {
      case .write(let piece):
        var count = 0
        var failure: SystemError?
        do throws(SystemError) { count = try write(piece) } catch { failure = error }
        finishWrite(count, failure)
      case .tellRoom: hasRoom()
      case .end: return
      }
    }
  }

  private func nextWork() -> Work {
    let limits = self.limits
    return state.wait { state -> Work? in
      if state.isClosed { return .end }
      if Self.mustTellRoom(state, limits) {
        state.owesRoom = false
        return .tellRoom
      }
      if state.isWriting || state.chunks.isEmpty || state.holders > 0 { return nil }
      state.isWriting = true
      return .write(state.chunks.peek(atMost: state.flushers > 0 ? Self.flushPieceBytes : Self.pieceBytes))
    } ?? .end
  }

  private static func mustTellRoom(_ state: borrowing State, _ limits: PeerLimits) -> Bool {
    !state.isLost && state.owesRoom && state.chunks.byteCount <= limits.congestedBytes / 4
  }

  private func write(_ bytes: Bytes) throws(SystemError) -> Int {
    try unsafe bytes.withUnsafeBytes { (raw) throws(SystemError) in try unsafe descriptor.writeOnce(raw) }
  }

  /// Takes what was written off the queue.
  private func finishWrite(_ count: Int, _ failure: SystemError?) {
    let limits = self.limits
    let (wakesReader, wakesWaiters, marks) = state.withLock { state in
      state.isWriting = false
      state.writtenBytes += count
      let marks = state.marks.prefix { $0.bytes <= state.writtenBytes }
      state.marks.removeFirst(marks.count)
      state.chunks.removeFirst(count)
      if let failure {
        if !failure.isReaderGone { state.failure = failure }
        Self.lose(&state)
      }
      let wakesReader = failure != nil || (state.readerWaits && state.chunks.responseBytes <= limits.maxUnreadBytes)
      if wakesReader { state.readerWaits = false }
      let wakesWriter = (!state.chunks.isEmpty && state.holders == 0) || Self.mustTellRoom(state, limits)
      return (wakesReader, wakesWriter || state.flushers > 0 || state.isClosed, marks)
    }
    for mark in marks { mark.wasWritten() }
    if wakesWaiters { state.wakeAll() }
    if wakesReader { wakeReader() }
  }

  private static func lose(_ state: inout State) {
    state.isLost = true
    state.owesRoom = false
    state.chunks.removeAll()
    state.marks = []
  }

  /// Nobody reads any more: what waits is dropped, and what comes as well.
  func lose() {
    state.update { Self.lose(&$0) }
  }

  /// What the other side has taken shows in what is left in the pipe before it shows in what can be written.
  var progress: OutputProgress {
    OutputProgress(unread: channel.unreadBytes(descriptor.rawValue), written: state.withLock { $0.writtenBytes })
  }

  /// Whether more responses wait than the limit allows; if so, the reader is woken when that has changed.
  func readerMustWait() -> Bool {
    let limit = limits.maxUnreadBytes
    return state.withLock { state in
      state.readerWaits = state.chunks.responseBytes > limit
      return state.readerWaits
    }
  }

  /// Ends the writer thread once it is not inside a write; what waits is dropped.
  func close() {
    state.update { state in
      state.isClosed = true
      state.chunks.removeAll()
      state.marks = []
    }
  }

  /// Waits until everything is written. False when nobody reads any more, when nothing moved for `patience` milliseconds, or when `isOver` says so.
  ///
  /// - Parameter isOver: Asked now and then.
  func flush(patience: Int, isOver: () -> Bool = { false }) -> Bool {
    state.withLock { $0.flushers += 1 }
    defer { state.withLock { $0.flushers -= 1 } }
    var waiting = Patience(milliseconds: patience)
    while true {
      let rest = waiting.rest(after: progress)
      let (isDone, isLost) = state.withLock { ($0.chunks.isEmpty && !$0.isWriting, $0.isLost || $0.isClosed) }
      if isLost { return false }
      if isDone { return true }
      guard rest > 0, !isOver() else { return false }
      let until = Clock.monotonicMilliseconds() + min(20, rest)
      _ = state.wait(untilMilliseconds: until) { $0.isLost || $0.isClosed || ($0.chunks.isEmpty && !$0.isWriting) ? true : nil }
    }
  }
}
