import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a server says beside the protocol, for the people who run the bridge: under its name, a bounded amount, and without the values of its `env`
/// that could be secrets.
final class MCPLog: Sendable {
  private static let longestLine = 2000
  /// A shorter value is no secret, and cutting it out everywhere would only spoil the text.
  private static let shortestSecret = 8

  private struct State: Sendable {
    var bucket: Bucket
    var leftOut = 0
  }

  private let name: String
  private let secrets: [String]
  private let state: Monitor<State>
  private let write: @Sendable (String) -> Void

  /// - Parameter secrets: Values that are never written; each of their lines.
  init(name: String, secrets: [String], limits: MCPLimits, write: @escaping @Sendable (String) -> Void) {
    self.name = name
    self.secrets = secrets.flatMap { $0.split(whereSeparator: \.isNewline) }.map(String.init)
      .filter { $0.utf8.count >= Self.shortestSecret }.sorted { $0.utf8.count > $1.utf8.count }
    state = Monitor(State(bucket: Bucket(burst: limits.burst, perSecond: limits.perSecond)))
    self.write = write
  }

  /// Something the bridge has to say of the server; never left out.
  func note(_ what: String) { write("MCP server '\(name)' \(what)") }

  /// A line of the server's own.
  func line(_ text: String, from source: StaticString) {
    let now = Clock.monotonicMilliseconds()
    let leftOut = state.withLock { state -> Int? in
      guard state.bucket.take(at: now) else {
        state.leftOut += 1
        return nil
      }
      defer { state.leftOut = 0 }
      return state.leftOut
    }
    guard let leftOut else { return }
    if leftOut > 0 { note("wrote \(leftOut) more lines, which are left out") }
    note("\(source): \(clean(text))")
  }

  private func clean(_ text: String) -> String {
    var text = text
    for secret in secrets { text = text.replacing(text: secret, with: "***") }
    return text.utf8.count <= Self.longestLine ? text : text.prefix(Self.longestLine) + " [cut]"
  }
}

/// Lets a burst through, and after it so many a second.
struct Bucket: Sendable, Equatable {
  private let burst: Int
  private let perSecond: Int
  /// In thousandths.
  private var left: Int
  private var filledAt: Int?

  init(burst: Int, perSecond: Int) {
    self.burst = burst
    self.perSecond = perSecond
    left = burst * 1000
  }

  /// Whether one more may pass. Times are milliseconds that only grow.
  mutating func take(at now: Int) -> Bool {
    if let filledAt { left = min(burst * 1000, left + (now - filledAt) * perSecond) }
    filledAt = now
    guard left >= 1000 else { return false }
    left -= 1000
    return true
  }
}

/// Cuts a stream into lines. Of a line that is too long only the beginning is kept.
struct MCPErrorStream: ~Copyable {
  private static let longestLine = 8192
  private static let pieceBytes = 64 << 10

  private var source: FileDescriptor?
  private var line: [UInt8] = []

  init(_ source: consuming FileDescriptor) { self.source = consume source }

  /// For `poll`; nil after the end.
  var descriptor: Int32? {
    switch source {
    case .some(let source): source.rawValue
    case .none: nil
    }
  }

  /// Takes what is there without waiting, at most one piece.
  mutating func read(_ emit: (String) -> Void) {
    guard let descriptor else { return }
    var failure: Int32 = 0
    let piece = unsafe [UInt8](unsafeUninitializedCapacity: Self.pieceBytes) { room, count in
      do throws(SystemError) { count = try unsafe FileDescriptor.read(descriptor, into: UnsafeMutableRawBufferPointer(room)) } catch {
        failure = error.errno
      }
    }
    if failure == EAGAIN { return }
    guard !piece.isEmpty else { return end(emit) }
    for byte in piece {
      if byte == 0x0A { flush(emit) } else if line.count < Self.longestLine { line.append(byte) }
    }
  }

  /// Emits the rest, and reads no more.
  mutating func end(_ emit: (String) -> Void) {
    flush(emit)
    source = nil
  }

  private mutating func flush(_ emit: (String) -> Void) {
    if line.last == 0x0D { line.removeLast() }
    if !line.isEmpty { emit(String(decoding: line, as: UTF8.self)) }
    line.removeAll(keepingCapacity: true)
  }
}
