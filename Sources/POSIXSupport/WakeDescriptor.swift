import CPOSIX

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Something another thread can make readable, to end a `poll`.
package final class WakeDescriptor: Sendable {
  // With an eventfd both are the same counter; else the two ends of a pipe that do not block.
  private let readEnd: FileDescriptor
  private let writeEnd: FileDescriptor?

  package init() throws(SystemError) {
    let counter = cposix_eventfd()
    if counter >= 0 {
      readEnd = FileDescriptor(owning: counter)
      writeEnd = nil
      return
    }
    guard errno == ENOSYS else { throw .last("eventfd") }
    let pipe = try FileDescriptor.pipe()
    _ = fcntl(pipe.readEnd.rawValue, F_SETFL, O_NONBLOCK)
    _ = fcntl(pipe.writeEnd.rawValue, F_SETFL, O_NONBLOCK)
    readEnd = pipe.readEnd
    writeEnd = consume pipe.writeEnd
  }

  /// For `poll`, readable from `signal` to `drain`.
  package var descriptor: Int32 { readEnd.rawValue }

  package func signal() {
    var one: UInt64 = 1
    // Full means signalled already.
    switch writeEnd {
    case .some(let end): _ = unsafe write(end.rawValue, &one, 1)
    case .none: _ = unsafe write(readEnd.rawValue, &one, 8)
    }
  }

  package func drain() {
    var room: UInt64 = 0
    if writeEnd == nil {
      _ = unsafe read(readEnd.rawValue, &room, 8)
    } else {
      while unsafe read(readEnd.rawValue, &room, 8) > 0 {}
    }
  }
}
