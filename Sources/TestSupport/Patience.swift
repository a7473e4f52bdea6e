package import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How long a test waits for what must come. It fails then and names it: one that waited for ever would hide which test it is, and hold up all.
package enum Patience {
  package static let minutes = 3
  package static let milliseconds = minutes * 60_000
  package static var deadline: Int { deadline(minutes: minutes) }

  fileprivate static func deadline(minutes: Int) -> Int { Clock.monotonicMilliseconds() + minutes * 60_000 }

  /// Looks again and again until it is so.
  package static func until(_ what: @autoclosure () -> String, _ condition: () throws -> Bool) throws {
    let deadline = deadline
    var looks = 0
    while try !condition() {
      guard Clock.monotonicMilliseconds() < deadline else { throw Missing(what()) }
      looks += 1
      if looks < 1000 { sched_yield() } else { usleep(1000) }
    }
  }

  fileprivate static func until(_ descriptor: Int32, is event: PollEvents, _ what: () -> String) throws(Missing) {
    if PollSet.look(descriptor, for: event, timeoutMilliseconds: Int32(milliseconds)) == [] { throw Missing(what()) }
  }
}

extension Missing {
  fileprivate init(_ what: String, minutes: Int = Patience.minutes) { self.init(description: "\(what) did not come within \(minutes) min") }
}

extension Monitor where Value: ~Copyable {
  /// `wait` with patience; more of it for what is much work.
  package func wait<R>(
    for what: @autoclosure () -> String, minutes: Int = Patience.minutes, _ body: (inout sending Value) -> sending R?
  ) throws(Missing) -> sending R {
    guard let answer = wait(untilMilliseconds: Patience.deadline(minutes: minutes), body) else { throw Missing(what(), minutes: minutes) }
    return answer
  }
}

extension FileDescriptor {
  /// Reads once, when there is something or the end; none is the end.
  package borrowing func read(upTo limit: Int, for what: @autoclosure () -> String) throws -> [UInt8] {
    try Patience.until(rawValue, is: .readable, what)
    return try read(upTo: limit)
  }

  /// All there is to read until the end.
  package borrowing func readAll(for what: @autoclosure () -> String) throws -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let more = try read(upTo: 64 << 10, for: what())
      if more.isEmpty { return all }
      all += more
    }
  }

  /// Writes to a pipe what somebody takes.
  package borrowing func writeAll(_ bytes: [UInt8], for what: @autoclosure () -> String) throws {
    var sent = 0
    while sent < bytes.count {
      try Patience.until(rawValue, is: .writable, what)
      sent += try unsafe bytes.withUnsafeBytes { try unsafe writeNow(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
    }
  }
}

extension ChildProcess {
  /// `wait` with patience.
  package func wait(for what: @autoclosure () -> String) throws -> Exit {
    try Patience.until(exitDescriptor, is: .readable, what)
    // Not `wait`, which goes on for ever when somebody else has reaped it.
    var exit: Exit?
    try Patience.until(what()) {
      exit = reap()
      return exit != nil
    }
    return exit!
  }
}
