import JSON
import POSIXSupport

/// Which ways of writing an output offers, beyond one that waits.
enum OutputChannel: Sendable {
  case pipe, socket, other

  init(of descriptor: Int32) {
    switch DescriptorKind(descriptor) {
    case .pipe: self = .pipe
    case .socket: self = .socket
    case .other: self = .other
    }
  }

  /// Whether `writeNow` is worth a try. Where it is not, only the writer thread writes.
  func canWriteNow(_ descriptor: Int32) -> Bool {
    switch self {
    // A pipe that polls as writable takes PIPE_BUF bytes without waiting.
    case .pipe: PollSet.look(descriptor, for: .writable) == .writable
    case .socket: true
    case .other: false
    }
  }

  /// Writes at most 4,096 bytes without waiting; says how many were taken.
  func writeNow(_ bytes: Bytes, _ descriptor: borrowing FileDescriptor) throws(SystemError) -> Int {
    let isSocket = self == .socket
    return try unsafe bytes.withUnsafeBytes { (raw) throws(SystemError) in
      isSocket ? try unsafe descriptor.sendNow(raw) : try unsafe descriptor.writeOnce(raw)
    }
  }

  /// What the other side has not taken yet; -1 when that cannot be known.
  func unreadBytes(_ descriptor: Int32) -> Int {
    self == .other ? -1 : FileDescriptor.unreadOutput(descriptor)
  }
}
