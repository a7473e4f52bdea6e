import AgentRuntime
import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Lines for people, or for machines, on stderr.
struct Log: Sendable {
  enum Level: String, Sendable, Comparable, CaseIterable {
    case debug, info, warning, error

    private var rank: Int {
      switch self {
      case .debug: 0
      case .info: 1
      case .warning: 2
      case .error: 3
      }
    }
    static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }
  }

  enum Format: String, Sendable, CaseIterable { case text, json }

  var level = Level.info
  var format = Format.text

  /// Never waits for whoever reads stderr.
  func write(_ level: Level, _ message: String) {
    guard level >= self.level else { return }
    StderrQueue.shared.write(line(level, message)) { count in
      line(.warning, "\(count) lines of the log were dropped, since nobody reads stderr fast enough")
    }
  }

  private func line(_ level: Level, _ message: String) -> String {
    switch format {
    case .text: return "footbridge: \(level == .info || level == .debug ? "" : level.rawValue + ": ")\(Self.oneLine(message))\n"
    case .json:
      var writer = JSONWriter()
      writer.beginObject()
      writer.member("time", Timestamp(milliseconds: Clock.wallMilliseconds()).text)
      writer.member("level", level.rawValue)
      writer.member("message", message)
      writer.endObject()
      return writer.finish().string + "\n"
    }
  }

  /// What a server says may have several.
  private static func oneLine(_ message: String) -> String {
    guard message.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D }) else { return message }
    return message.split(whereSeparator: \.isNewline).joined(separator: " | ")
  }

  /// Writes a text, and waits where there is no room: for what a command has to say, and before anything else is at work.
  /// - Returns: nil, or the error for which not all of it was written.
  @discardableResult static func put(_ text: String, to descriptor: Int32 = 2) -> SystemError? {
    put(Array(text.utf8)[...], to: descriptor)
  }

  @discardableResult static func put(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> SystemError? {
    unsafe bytes.withUnsafeBufferPointer { bytes in
      var sent = 0
      while sent < bytes.count {
        let count = unsafe systemWrite(descriptor, bytes.baseAddress! + sent, bytes.count - sent)
        if count < 0, errno == EINTR { continue }
        if count <= 0 { return SystemError(call: "write", errno: errno) }
        sent += count
      }
      return nil
    }
  }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
  unsafe write(descriptor, bytes, count)
}
