package import JSON

/// Cuts a stream of bytes into messages. No input or output: bytes go in at `receive`, frames come out of `next`.
package struct Framer: ~Copyable {
  package enum Frame: Sendable, Equatable {
    case message(Bytes)
    /// Longer than the limit: its first and last bytes, 4 KiB of each at most. The end is known to be one when `isComplete`.
    case overlong(head: Bytes, tail: Bytes, isComplete: Bool)
    /// No message could be found; what is wrong, in words.
    case malformed(String)
  }

  /// How much is kept of either end of an overlong message.
  static let keptBytes = 4096
  /// The longest line of a header.
  static let maxHeaderLine = 8192
  /// Frames from here on are handed over in the memory they were read into, when that costs less than copying them.
  private static let largeFrame = 64 << 10

  enum State {
    /// Before the first byte of a message; the framing is that of the initialiser.
    case begin
    case line
    /// In a header, with the length it has given so far; `isEmpty` before its first line.
    case header(length: Int?, isEmpty: Bool)
    case body(length: Int)
    /// In a body that is longer than the limit.
    case skippedBody(remaining: Int)
    /// After a bad header: looks for the next one that gives a length.
    case lost
  }

  var buffer = ByteBuffer(capacity: 64 << 10)
  /// Where what is not consumed begins.
  var start = 0
  /// No line feed stands in `start..<searched`.
  var searched = 0
  var state = State.begin
  var skipped: SkippedMessage?
  let framing: Framing
  let maxMessageBytes: Int
  /// A byte order mark may come.
  private var isAtStart = true

  package init(framing: Framing, maxMessageBytes: Int) {
    self.framing = framing
    self.maxMessageBytes = maxMessageBytes
  }

  /// The framing that is in use; `auto` until the first message tells.
  package var detected: Framing {
    if framing != .auto { return framing }
    switch state {
    case .begin: return .auto
    case .line: return .line
    case .header, .body, .skippedBody, .lost: return .header
    }
  }

  /// How much memory is held for what is not whole yet.
  package var capacity: Int { buffer.capacity }

  /// Lets `read` fill free memory and say how many bytes it has put there.
  package mutating func receive(_ read: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    if start > 0 {
      buffer.removeFirst(start)
      searched -= start
      start = 0
    }
    // The more of a message there is, the larger the pieces.
    return unsafe buffer.withUnsafeFreeSpace(min(max(buffer.count, 64 << 10), 1 << 20), read)
  }

  package mutating func receive(_ bytes: Bytes) {
    _ = unsafe receive { _ in 0 }
    buffer.append(bytes)
  }

  /// The next frame of what was received; nil when more is needed.
  package mutating func next() -> Frame? {
    while true {
      let step: Step
      switch state {
      case .begin: step = begin()
      case .line: step = nextLine()
      case .header(let length, let isEmpty): step = nextHeaderLine(length: length, isEmpty: isEmpty)
      case .body(let length): step = nextBody(length: length)
      case .skippedBody(let remaining): step = skipBody(remaining: remaining)
      case .lost: step = findHeader()
      }
      switch step {
      case .frame(let frame): return frame
      case .more: return nil
      case .again: continue
      }
    }
  }

  /// What is left when no more bytes come.
  package mutating func finish() -> Frame? {
    if let frame = next() { return frame }
    let rest = start..<buffer.count
    if let skipped {
      self.skipped = nil
      start = buffer.count
      return .overlong(head: skipped.head, tail: skipped.tail, isComplete: false)
    }
    switch state {
    case .begin, .line: return isBlank(rest) ? nil : take(rest, next: buffer.count)
    case .body:
      state = .header(length: nil, isEmpty: true)
      return take(rest, next: buffer.count)
    case .header(_, let isEmpty):
      start = buffer.count
      state = .header(length: nil, isEmpty: true)
      return isEmpty && isBlank(rest) ? nil : .malformed("the input ends within a header")
    case .skippedBody, .lost: return nil
    }
  }

  enum Step {
    case frame(Frame)
    case more, again
  }

  /// Before the first message: skips what may precede it and decides on the framing.
  private mutating func begin() -> Step {
    if isAtStart {
      let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
      let present = min(3, buffer.count - start)
      if present == 0 { return .more }
      if (0..<present).allSatisfy({ buffer[start + $0] == mark[$0] }) {
        if present < 3 { return .more }
        start += 3
      }
      isAtStart = false
    }
    skipBlanks()
    guard start < buffer.count else { return .more }
    searched = start
    switch framing {
    case .line: state = .line
    case .header: state = .header(length: nil, isEmpty: true)
    case .auto:
      guard buffer[start] | 0x20 == 0x63 else {
        state = .line
        break
      }
      // A `C`. It begins a header, unless it is noise: then the line is taken as a message, refused, and the next byte decides.
      let end = buffer.firstIndex(of: 0x0A, from: searched)
      if (end ?? buffer.count) - start > Self.maxHeaderLine {
        state = .line
        break
      }
      guard let end else {
        searched = buffer.count
        return .more
      }
      if HeaderLine(buffer.copy(start..<end)).isContentHeader {
        state = .header(length: nil, isEmpty: true)
        searched = start
      } else {
        return .frame(take(start..<withoutReturn(start..<end), next: end + 1))
      }
    }
    return .again
  }

  private mutating func skipBlanks() {
    while start < buffer.count {
      switch buffer[start] {
      case 0x20, 0x09, 0x0A, 0x0D: start += 1
      default: return
      }
    }
  }

  private func isBlank(_ range: Range<Int>) -> Bool {
    for i in range {
      switch buffer[i] {
      case 0x20, 0x09, 0x0A, 0x0D: continue
      default: return false
      }
    }
    return true
  }

  private func withoutReturn(_ range: Range<Int>) -> Int {
    !range.isEmpty && buffer[range.upperBound - 1] == 0x0D ? range.upperBound - 1 : range.upperBound
  }

  private mutating func nextLine() -> Step {
    // Blanks before a message are dropped as they come, so that a blank line counts for nothing, however long it is.
    if skipped == nil { skipBlanks() }
    guard let end = buffer.firstIndex(of: 0x0A, from: max(searched, start)) else {
      searched = buffer.count
      if skipped != nil {
        skip(start..<buffer.count)
      } else if buffer.count - start > maxMessageBytes + 1 {
        // One more than the limit, because it may be a carriage return.
        skipped = SkippedMessage()
        skip(start..<buffer.count)
      }
      return .more
    }
    if skipped != nil {
      skip(start..<end)
      start = end + 1
      return .frame(endSkipped(isLine: true))
    }
    let line = start..<withoutReturn(start..<end)
    if line.count > maxMessageBytes {
      skipped = SkippedMessage()
      skip(start..<end)
      start = end + 1
      searched = start
      return .frame(endSkipped(isLine: true))
    }
    return .frame(take(line, next: end + 1))
  }

  /// Moves on to `next` and returns the message in `range` before it.
  mutating func take(_ range: Range<Int>, next: Int) -> Frame {
    let rest = next..<buffer.count
    if range.count < Self.largeFrame || range.count < rest.count {
      start = next
      searched = next
      return .message(buffer.copy(range))
    }
    var following = ByteBuffer(capacity: max(64 << 10, rest.count))
    following.append(buffer, rest)
    let all = buffer.finish()
    buffer = following
    start = 0
    searched = 0
    return .message(all[range])
  }

  /// Forgets the bytes in `range`, which begin what is not consumed, but for the ends that are kept.
  mutating func skip(_ range: Range<Int>) {
    skipped?.add(buffer, range)
    start = range.upperBound
    searched = start
  }

  mutating func endSkipped(isLine: Bool) -> Frame {
    let message = skipped
    skipped = nil
    searched = start
    guard let message else { return .malformed("nothing was skipped") }
    let tail = message.tail
    let end = isLine && !tail.isEmpty && tail[tail.count - 1] == 0x0D ? tail.count - 1 : tail.count
    return .overlong(head: message.head, tail: tail[0..<end], isComplete: true)
  }
}

/// The two ends of a message that is too long to be held.
struct SkippedMessage {
  private var first: [UInt8] = []
  private var last: [UInt8] = []

  var head: Bytes { Bytes(first) }
  var tail: Bytes { Bytes(Array(last.suffix(Framer.keptBytes))) }

  mutating func add(_ buffer: borrowing ByteBuffer, _ range: Range<Int>) {
    for i in range.prefix(Framer.keptBytes - first.count) { first.append(buffer[i]) }
    for i in range.suffix(Framer.keptBytes) { last.append(buffer[i]) }
    // Not at every byte, should they come one by one.
    if last.count > 4 * Framer.keptBytes { last.removeFirst(last.count - Framer.keptBytes) }
  }
}
