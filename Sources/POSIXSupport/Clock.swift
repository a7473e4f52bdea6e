import CPOSIX

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The time of the operating system.
package enum Clock {
  /// For durations and deadlines: never steps, and has no meaning outside this boot.
  package static func monotonicNanoseconds() -> Int { nanoseconds(CLOCK_MONOTONIC) }
  package static func monotonicMilliseconds() -> Int { nanoseconds(CLOCK_MONOTONIC) / 1_000_000 }

  /// Since 1970, UTC.
  package static func wallMilliseconds() -> Int { nanoseconds(CLOCK_REALTIME) / 1_000_000 }

  private static func nanoseconds(_ clock: clockid_t) -> Int {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}

/// The kernel's random numbers: fit for tokens.
package enum Random {
  package static func random128() -> (UInt64, UInt64) {
    var words: (UInt64, UInt64) = (0, 0)
    let result = unsafe withUnsafeMutableBytes(of: &words) { unsafe cposix_random($0.baseAddress, 16) }
    precondition(result == 0, "the kernel has no random numbers")
    return words
  }
}
