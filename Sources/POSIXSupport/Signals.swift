import CPOSIX

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Signals as something to read, not as something that interrupts.
package enum Signals {
  /// To be called in `main` before any thread is made: threads inherit the mask.
  package static func block(_ signals: [Int32]) {
    _ = unsafe signals.withUnsafeBufferPointer { unsafe cposix_block_signals($0.baseAddress, Int32($0.count)) }
  }

  /// A fault of the program, as when there is no memory left, then ends it with this status and not by a signal; what Swift said of it is on standard error.
  package static func endOnFaults(status: Int32) { cposix_end_on_faults(status) }

  /// A write to a closed pipe then fails with EPIPE instead of ending the process.
  package static func ignorePipe() { _ = cposix_ignore_signal(SIGPIPE) }

  /// A write beyond the process' limit for the size of a file then fails with EFBIG instead of ending the process.
  package static func ignoreFileSize() { _ = cposix_ignore_signal(SIGXFSZ) }
}

/// The place where blocked signals arrive.
package struct SignalDescriptor: ~Copyable, Sendable {
  private let owner: FileDescriptor

  /// The signals must be blocked before (`Signals.block`).
  package init(_ signals: [Int32]) throws(SystemError) {
    let descriptor = unsafe signals.withUnsafeBufferPointer { unsafe cposix_signal_descriptor($0.baseAddress, Int32($0.count)) }
    guard descriptor >= 0 else { throw .last("signalfd") }
    owner = FileDescriptor(owning: descriptor)
  }

  /// For `poll`: readable when a signal waits.
  package var descriptor: Int32 { owner.rawValue }

  /// The next signal's number, or nil when none waits.
  package func take() -> Int32? {
    let signal = cposix_take_signal(owner.rawValue)
    return signal > 0 ? signal : nil
  }
}

extension Signals {
  /// One of these signals asks for what this process is at already, and does nothing; the next one does what it does by default.
  package static func allowOne(_ signals: [Int32]) {
    _ = unsafe signals.withUnsafeBufferPointer { unsafe cposix_allow_one_signal($0.baseAddress, Int32($0.count)) }
  }

  /// Lets signals do again what they do by default, in this thread.
  package static func restore(_ signals: [Int32]) {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for number in signals {
      _ = signal(number, SIG_DFL)
      unsafe sigaddset(&set, number)
    }
    unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }
}
