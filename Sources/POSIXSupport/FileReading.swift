#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Reading small files whole.
package enum FileReading {
  /// What tells that a file has changed.
  package struct Stamp: Sendable, Equatable {
    package var inode: UInt64
    package var bytes: Int
    package var modifiedNanoseconds: Int
  }

  /// - Throws: the call that failed, with the path as its subject.
  package static func stamp(of path: String) throws(SystemError) -> Stamp {
    try check(path)
    var info = stat()
    guard unsafe stat(path, &info) == 0 else { throw .last("stat", subject: path) }
    #if canImport(Glibc)
      let time = info.st_mtim
    #else
      let time = info.st_mtimespec
    #endif
    return Stamp(
      inode: UInt64(info.st_ino), bytes: Int(info.st_size), modifiedNanoseconds: Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec))
  }

  /// The contents of a regular file: of another kind, opening or reading might not end.
  package static func contents(ofRegular path: String, atMost most: Int) throws(SystemError) -> [UInt8] {
    try check(path)
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw .last("open", subject: path) }
    defer { _ = close(descriptor) }
    var info = stat()
    guard unsafe fstat(descriptor, &info) == 0 else { throw .last("fstat", subject: path) }
    guard info.st_mode & S_IFMT == S_IFREG else {
      throw SystemError(
        call: "open", errno: info.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL, subject: path, words: "it is not a regular file")
    }
    return try contents(ofDescriptor: descriptor, subject: path, atMost: most)
  }

  /// The C library would stop at a zero byte, and take another file.
  private static func check(_ path: String) throws(SystemError) {
    if path.utf8.contains(0) {
      throw SystemError(call: "open", errno: EINVAL, subject: path, words: "there is a zero byte in the file's name")
    }
  }

  package static func contents(of path: String) throws(SystemError) -> [UInt8] {
    try check(path)
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .last("open", subject: path) }
    defer { _ = close(descriptor) }
    return try contents(ofDescriptor: descriptor, subject: path)
  }

  /// Everything up to the end of a file or pipe.
  package static func contents(ofDescriptor descriptor: Int32, subject: String, atMost most: Int = .max) throws(SystemError) -> [UInt8] {
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe piece.withUnsafeMutableBytes { room in unsafe read(descriptor, room.baseAddress, room.count) }
      if count < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN {
          // Standard input is shared with whoever gave it, who may have set O_NONBLOCK.
          _ = PollSet.look(descriptor, for: .readable, timeoutMilliseconds: -1)
          continue
        }
        throw .last("read", subject: subject)
      }
      if count == 0 { return all }
      guard count <= most - all.count else {
        throw SystemError(call: "read", errno: EFBIG, subject: subject, words: "it is larger than \(most) bytes")
      }
      all += piece[..<count]
    }
  }
}
