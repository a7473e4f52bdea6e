import CPOSIX

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a descriptor is watched for, and what was seen on it.
package struct PollEvents: OptionSet, Sendable {
  package let rawValue: Int16
  package init(rawValue: Int16) { self.rawValue = rawValue }

  package static let readable = PollEvents(rawValue: Int16(POLLIN))
  package static let writable = PollEvents(rawValue: Int16(POLLOUT))
  /// On a socket: the other side writes nothing more; what is in it may still be read. Nothing where the system does not tell.
  package static let inputEnd = PollEvents(rawValue: cposix_poll_input_end())
  // The rest is reported always, asked for or not.
  /// On the writing end of a pipe: nobody can read it any more.
  package static let error = PollEvents(rawValue: Int16(POLLERR))
  /// On the reading end of a pipe: nobody can write to it any more; what is in it may still be read.
  package static let hangUp = PollEvents(rawValue: Int16(POLLHUP))
  package static let invalid = PollEvents(rawValue: Int16(POLLNVAL))
}

/// A fixed number of descriptors to wait on together.
@safe package struct PollSet: ~Copyable {
  private let entries: UnsafeMutablePointer<pollfd>
  private let count: Int

  package init(count: Int) {
    self.count = count
    unsafe entries = .allocate(capacity: count)
    unsafe entries.initialize(repeating: pollfd(fd: -1, events: 0, revents: 0), count: count)
  }

  deinit { unsafe entries.deallocate() }

  /// Watches `descriptor` in the place `index`; nil watches nothing there.
  package mutating func watch(_ index: Int, _ descriptor: Int32?, for events: PollEvents = []) {
    precondition(index >= 0 && index < count)
    unsafe entries[index] = pollfd(fd: descriptor ?? -1, events: events.rawValue, revents: 0)
  }

  /// Waits until something is seen; false when the time is over first. No limit when it is nil.
  @discardableResult
  package mutating func wait(timeoutMilliseconds: Int? = nil) throws(SystemError) -> Bool {
    let deadline = timeoutMilliseconds.map { Clock.monotonicMilliseconds() + $0 }
    while true {
      let rest = deadline.map { Int32(clamping: max(0, $0 - Clock.monotonicMilliseconds())) } ?? -1
      let seen = unsafe poll(entries, nfds_t(count), rest)
      if seen > 0 { return true }
      if seen == 0, rest < Int32.max { return false }
      guard seen == 0 || errno == EINTR else { throw .last("poll") }
    }
  }

  /// What the last `wait` saw in the place `index`.
  package func seen(_ index: Int) -> PollEvents {
    precondition(index >= 0 && index < count)
    return unsafe PollEvents(rawValue: entries[index].revents)
  }

  /// What can be seen on one descriptor within the time; by default now.
  package static func look(_ descriptor: Int32, for events: PollEvents, timeoutMilliseconds: Int32 = 0) -> PollEvents {
    var entry = pollfd(fd: descriptor, events: events.rawValue, revents: 0)
    while true {
      let seen = unsafe poll(&entry, 1, timeoutMilliseconds)
      if seen >= 0 || errno != EINTR { return seen > 0 ? PollEvents(rawValue: entry.revents) : [] }
    }
  }
}
