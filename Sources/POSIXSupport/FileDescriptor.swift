import CPOSIX

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The one owner of an open descriptor; it is closed when the owner goes.
package struct FileDescriptor: ~Copyable, Sendable {
  /// For system calls while the owner lives; never closed by anybody else.
  package let rawValue: Int32

  /// Takes `rawValue` over.
  package init(owning rawValue: Int32) { self.rawValue = rawValue }

  // After EINTR the descriptor is closed on Linux, so the answer is of no use: https://man7.org/linux/man-pages/man2/close.2.html
  deinit { _ = close(rawValue) }

  /// Gives the descriptor up without closing it.
  package consuming func release() -> Int32 {
    let raw = rawValue
    discard self
    return raw
  }

  /// Another descriptor for the same file, at least 3, closed in children.
  package borrowing func duplicate() throws(SystemError) -> FileDescriptor {
    try FileDescriptor.duplicate(rawValue)
  }

  package static func duplicate(_ descriptor: Int32) throws(SystemError) -> FileDescriptor {
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw .last("fcntl") }
    return FileDescriptor(owning: copy)
  }

  /// Opens a file, closed in children. `mode` counts when the flags create it.
  package static func open(_ path: String, _ flags: Int32, mode: UInt32 = 0o600) throws(SystemError) -> FileDescriptor {
    while true {
      #if canImport(Glibc)
        let descriptor = unsafe Glibc.open(path, flags | O_CLOEXEC, mode_t(mode))
      #else
        let descriptor = unsafe Darwin.open(path, flags | O_CLOEXEC, mode_t(mode))
      #endif
      if descriptor >= 0 { return FileDescriptor(owning: descriptor) }
      guard errno == EINTR else { throw .last("open", subject: path) }
    }
  }

  /// A pipe; both ends are closed in children.
  package static func pipe() throws(SystemError) -> Pipe {
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) { raw in
      unsafe cposix_pipe(raw.baseAddress!.assumingMemoryBound(to: Int32.self))
    }
    guard result == 0 else { throw .last("pipe") }
    return Pipe(readEnd: FileDescriptor(owning: ends.0), writeEnd: FileDescriptor(owning: ends.1))
  }

  /// Reads once into `room`; 0 is the end.
  package borrowing func read(into room: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
    try unsafe FileDescriptor.read(rawValue, into: room)
  }

  package static func read(_ descriptor: Int32, into room: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
    while true {
      #if canImport(Glibc)
        let count = unsafe Glibc.read(descriptor, room.baseAddress, room.count)
      #else
        let count = unsafe Darwin.read(descriptor, room.baseAddress, room.count)
      #endif
      if count >= 0 { return count }
      guard errno == EINTR else { throw .last("read") }
    }
  }

  /// Writes once, and waits for room if need be; says how many bytes were taken.
  package borrowing func writeOnce(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int {
    while true {
      #if canImport(Glibc)
        let count = unsafe Glibc.write(rawValue, bytes.baseAddress, bytes.count)
      #else
        let count = unsafe Darwin.write(rawValue, bytes.baseAddress, bytes.count)
      #endif
      if count >= 0 { return count }
      switch errno {
      case EINTR: continue
      // Whoever shares the open file may have set O_NONBLOCK, also while it is used here.
      case EAGAIN: _ = PollSet.look(rawValue, for: .writable, timeoutMilliseconds: -1)
      default: throw .last("write")
      }
    }
  }

  /// Writes all of it, as long as that takes.
  package borrowing func writeAll(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    var rest = unsafe bytes
    while rest.count > 0 {
      let taken = try unsafe writeOnce(rest)
      unsafe rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
    }
  }

  package borrowing func writeAll(_ text: String) throws(SystemError) {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
    defer { unsafe room.deallocate() }
    unsafe room.copyBytes(from: text.utf8)
    try unsafe writeAll(UnsafeRawBufferPointer(room))
  }

  /// Reads once, at most `limit` bytes; none is the end.
  package borrowing func read(upTo limit: Int) throws(SystemError) -> [UInt8] {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: limit, alignment: 1)
    defer { unsafe room.deallocate() }
    let count = try unsafe read(into: room)
    return unsafe Array(room[..<count])
  }

  /// Sends to a socket what it takes without waiting, which may be nothing.
  package borrowing func sendNow(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int {
    let count = unsafe cposix_send_now(rawValue, bytes.baseAddress, UInt(bytes.count))
    if count >= 0 { return count }
    if errno == EAGAIN || errno == EWOULDBLOCK { return 0 }
    throw .last("send")
  }

  /// Writes to a pipe what it takes without waiting, which may be nothing; at most PIPE_BUF bytes where that takes two system calls.
  package borrowing func writeNow(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int {
    let count = unsafe cposix_write_now(rawValue, bytes.baseAddress, UInt(bytes.count))
    if count >= 0 { return count }
    switch errno {
    case EAGAIN, EINTR: return 0
    case EOPNOTSUPP, ENOSYS, EINVAL:
      // A pipe that polls as writable takes PIPE_BUF bytes without waiting.
      guard PollSet.look(rawValue, for: .writable) == .writable else { return 0 }
      return try unsafe writeOnce(UnsafeRawBufferPointer(rebasing: bytes[..<min(bytes.count, 4096)]))
    default: throw .last("write")
    }
  }

  /// How many bytes written to a pipe or socket the other side has not read; -1 when that cannot be known.
  package static func unreadOutput(_ descriptor: Int32) -> Int { Int(cposix_unread_output(descriptor)) }

  /// How many bytes can be read from a pipe or socket at once; -1 when that cannot be known.
  package static func unreadInput(_ descriptor: Int32) -> Int { Int(cposix_unread_input(descriptor)) }

  /// Asks for a pipe buffer of that size; the answer does not matter, a small pipe is only slower.
  package borrowing func requestPipeSize(_ bytes: Int) { _ = cposix_set_pipe_size(rawValue, Int32(clamping: bytes)) }
}

package enum DescriptorKind: Sendable, Equatable {
  case pipe, socket, other

  package init(_ descriptor: Int32) {
    self = cposix_is_fifo(descriptor) == 1 ? .pipe : cposix_is_socket(descriptor) == 1 ? .socket : .other
  }
}

/// Both ends of a pipe.
@frozen package struct Pipe: ~Copyable, Sendable {
  package let readEnd: FileDescriptor
  package let writeEnd: FileDescriptor

  init(readEnd: consuming FileDescriptor, writeEnd: consuming FileDescriptor) {
    self.readEnd = readEnd
    self.writeEnd = writeEnd
  }
}
