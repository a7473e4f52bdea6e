import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

enum OutputStream: String, Sendable {
  case stdout, stderr
}

/// One output stream of a command: read as it comes, kept up to a limit, and shown meanwhile in pieces.
struct CommandOutput: ~Copyable {
  /// Asked for as the size of the pipe, and read at once: what a process wrote before it ended is then taken by one look.
  static let pipeBytes = 256 << 10

  let stream: OutputStream
  /// More than the limit came, and was not kept.
  private(set) var exceedsLimit = false
  /// When something new should be shown; nil when there is nothing.
  private(set) var dueAt: Int?
  private var source: FileDescriptor?
  private var kept = ByteBuffer(capacity: 0)
  private var shown = 0
  /// How much had come when the command had ended.
  private var ownCount: Int?
  private let limits: CommandLimits

  init(_ stream: OutputStream, from source: consuming FileDescriptor, limits: CommandLimits) {
    self.stream = stream
    self.limits = limits
    self.source = consume source
  }

  /// For `poll`; nil after the end.
  var descriptor: Int32? {
    switch source {
    case .some(let source): source.rawValue
    case .none: nil
    }
  }

  var hasEnded: Bool { descriptor == nil }

  /// Takes what is there without waiting.
  mutating func read(at now: Int) {
    // More than a pipe holds is left for the next round, so that a stream that never pauses does not keep the others waiting.
    var budget = Self.pipeBytes
    while budget > 0, let descriptor {
      let room = min(Self.pipeBytes, limits.outputBytes + 1 - kept.count)
      var failure: Int32?
      let before = kept.count
      _ = unsafe kept.withUnsafeFreeSpace(room) { space in
        do throws(SystemError) {
          return try unsafe FileDescriptor.read(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: space[..<room]))
        } catch {
          failure = error.errno
          return 0
        }
      }
      let count = kept.count - before
      if failure == EAGAIN { return }
      if count == 0 {
        source = nil
        return
      }
      budget -= count
      if dueAt == nil { dueAt = now + limits.progressMilliseconds }
      if kept.count > limits.outputBytes {
        exceedsLimit = true
        source = nil
      }
    }
  }

  /// The command has ended: takes what it has written. What comes later is of others that it has left behind.
  mutating func readToOwnEnd(at now: Int) {
    read(at: now)
    ownCount = kept.count
  }

  /// The whole lines that came since the last piece, at most `progressBytes` of the newest ones; nil when there are none.
  ///
  /// What is left out is only not shown: it is in the result. `isLast` takes a line that does not end, too.
  mutating func nextPiece(isLast: Bool = false) -> String? {
    dueAt = nil
    let range = shown
    let limit = limits.progressBytes
    let (piece, stop) = unsafe kept.withUnsafeBytes { raw in
      unsafe OutputPiece.cut(UnsafeRawBufferPointer(rebasing: raw[range...]), limit: limit, isLast: isLast)
    }
    shown += stop
    return piece
  }

  /// All that was kept, or the command's own part when others went on with it past the limit; once.
  mutating func finish() -> Bytes {
    source = nil
    let all = kept.finish()
    return exceedsLimit ? all[0..<min(ownCount ?? .max, limits.outputBytes)] : all
  }
}
