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

  /// Whether there is a way to write without waiting. Where there is none, only the writer thread writes.
  var canWriteNow: Bool { self != .other }

  /// Writes without waiting; says how many bytes were taken.
  func writeNow(_ bytes: Bytes, _ descriptor: borrowing FileDescriptor) throws(SystemError) -> Int {
    let isSocket = self == .socket
    return try unsafe bytes.withUnsafeBytes { (raw) throws(SystemError) in
      isSocket ? try unsafe descriptor.sendNow(raw) : try unsafe descriptor.writeNow(raw)
    }
  }

  /// What the other side has not taken yet; -1 when that cannot be known.
  func unreadBytes(_ descriptor: Int32) -> Int {
    self == .other ? -1 : FileDescriptor.unreadOutput(descriptor)
  }
}
