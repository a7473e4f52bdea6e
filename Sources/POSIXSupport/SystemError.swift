import CPOSIX

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A system call that failed.
package struct SystemError: Error, Sendable, Equatable {
  package var call: String
  package var errno: Int32
  /// What it was about, a program or a file, for people.
  package var subject: String?
  /// What is said instead of the C library's words.
  package var words: String?

  package init(call: String, errno: Int32, subject: String? = nil, words: String? = nil) {
    self.call = call
    self.errno = errno
    self.subject = subject
    self.words = words
  }

  /// Reads `errno`: to be made before anything else is called.
  static func last(_ call: String, subject: String? = nil) -> SystemError {
    #if canImport(Glibc)
      SystemError(call: call, errno: Glibc.errno, subject: subject)
    #else
      SystemError(call: call, errno: Darwin.errno, subject: subject)
    #endif
  }

  /// It would have had to wait, on a descriptor with `O_NONBLOCK`.
  package var wouldWait: Bool { errno == EAGAIN }

  /// Nobody is at the other end of a pipe or socket any more.
  package var isReaderGone: Bool { errno == EPIPE || errno == ECONNRESET }

  /// The C library's words for the number, unless there are better ones.
  package var text: String {
    if let words { return words }
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { room in
      unsafe cposix_error_text(errno, room.baseAddress!, 256)
      return unsafe String(cString: room.baseAddress!)
    }
  }
}

extension SystemError: CustomStringConvertible {
  package var description: String {
    if let subject { "\(subject): \(text) (\(call))" } else { "\(call): \(text)" }
  }
}
