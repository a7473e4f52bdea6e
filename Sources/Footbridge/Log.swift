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
  enum Level: String, Sendable, Comparable {
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

  enum Format: String, Sendable { case text, json }

  var level = Level.info
  var format = Format.text

  func write(_ level: Level, _ message: String) {
    guard level >= self.level else { return }
    switch format {
    case .text: Self.put("footbridge: \(level == .info || level == .debug ? "" : level.rawValue + ": ")\(Self.oneLine(message))\n")
    case .json:
      var writer = JSONWriter()
      writer.beginObject()
      writer.member("time", Timestamp(milliseconds: Clock.wallMilliseconds()).text)
      writer.member("level", level.rawValue)
      writer.member("message", message)
      writer.endObject()
      Self.put(writer.finish().string + "\n")
    }
  }

  /// What a server says may have several.
  private static func oneLine(_ message: String) -> String {
    guard message.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D }) else { return message }
    return message.split(whereSeparator: \.isNewline).joined(separator: " | ")
  }

  /// One write, so that lines of several threads do not mix. A lost log line is not worth an error.
  /// - Returns: nil, or the error for which not all of it was written.
  @discardableResult static func put(_ text: String, to descriptor: Int32 = 2) -> SystemError? {
    var text = text
    return text.withUTF8 { bytes in
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
