import CCurl
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The sockets and the time that libcurl waits for, together with the descriptor that wakes the loop; touched by the thread alone that moves the bytes.
///
/// It is `poll`, which every system has: a thousand sockets cost it 30 microseconds.
final class SocketWatch {
  /// A socket on which something can be done.
  struct Ready {
    var descriptor: Int32
    /// CURL_CSELECT_ bits; 0 when libcurl is to look itself.
    var events: Int32
  }

  /// The first is the wake descriptor.
  private var entries: [pollfd]
  /// Where in `entries` each socket stands.
  private var places: [Int32: Int] = [:]
  /// Sockets of connections that no transfer uses, and their inodes: libcurl may have closed one, and its number may be another's. They stay in
  /// `entries`: then the next transfer on one, begun by a visitor while the loop waits, need not wake the loop.
  private var resting: [Int32: UInt64] = [:]
  private static let mostResting = 16
  /// What the last wait looks at.
  private var awaited: [pollfd] = []
  private var awaitsUntil = Int.max
  /// libcurl wants more of a socket than the last wait looks for.
  private var wantsMore = false
  /// When libcurl wants to be called, in `Clock.monotonicMilliseconds()`.
  private(set) var timer = Int.max
  /// What the last wait saw, until it is done.
  private(set) var ready: [Ready] = []

  init(waking descriptor: Int32) {
    entries = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
  }

  /// The watch that a callback of libcurl is about.
  static func from(_ context: UnsafeMutableRawPointer?) -> SocketWatch {
    guard let context = unsafe context else { preconditionFailure("libcurl lost the context of its sockets") }
    return unsafe Unmanaged<SocketWatch>.fromOpaque(context).takeUnretainedValue()
  }

  // MARK: From libcurl

  /// https://curl.se/libcurl/c/CURLMOPT_SOCKETFUNCTION.html
  func want(_ socket: Int32, _ what: Int32) {
    if what == CURL_POLL_REMOVE { return rest(socket) }
    let inode = resting.removeValue(forKey: socket)
    let isSame = inode == nil || inode == Self.inode(of: socket)
    let events = Int16((what & CURL_POLL_IN != 0 ? POLLIN : 0) | (what & CURL_POLL_OUT != 0 ? POLLOUT : 0))
    if let place = places[socket] {
      entries[place].events = events
      if isSame, place < awaited.count, awaited[place].fd == socket, awaited[place].events & events == events { return }
    } else {
      places[socket] = entries.count
      entries.append(pollfd(fd: socket, events: events, revents: 0))
    }
    wantsMore = true
  }

  private func rest(_ socket: Int32) {
    guard let place = places[socket] else { return }
    guard let inode = Self.inode(of: socket) else { return forget(socket) }
    entries[place].events = Int16(POLLIN)
    resting[socket] = inode
  }

  /// Those that are too many, and those that were closed: a wait would keep another's file open that has the number now.
  private func forgetRested() {
    if resting.isEmpty { return }
    for (socket, inode) in resting where inode != Self.inode(of: socket) { forget(socket) }
    while resting.count > Self.mostResting, let socket = resting.keys.first { forget(socket) }
  }

  /// Nil where sockets have none of their own: there no connection rests.
  private static func inode(of socket: Int32) -> UInt64? {
    #if canImport(Glibc)
      var status = stat()
      return unsafe fstat(socket, &status) == 0 ? UInt64(status.st_ino) : nil
    #else
      return nil
    #endif
  }

  private func forget(_ socket: Int32) {
    resting[socket] = nil
    guard let place = places.removeValue(forKey: socket) else { return }
    let last = entries.removeLast()
    if last.fd == socket { return }
    entries[place] = last
    places[last.fd] = place
  }

  /// https://curl.se/libcurl/c/CURLMOPT_TIMERFUNCTION.html
  func setTimer(_ milliseconds: Int) {
    timer = milliseconds < 0 ? .max : Clock.monotonicMilliseconds() + milliseconds
  }

  // MARK: From the loop

  /// Whether libcurl's time has come; it sets the next one when it is called.
  func takeTimer(at now: Int) -> Bool {
    if now < timer { return false }
    timer = .max
    return true
  }

  /// Whether libcurl still waits for the socket: what was done on another one may have closed it.
  func isWanted(_ socket: Ready) -> Bool { places[socket.descriptor] != nil && resting[socket.descriptor] == nil }

  func clearReady() { ready.removeAll(keepingCapacity: true) }

  /// What to wait for, as it is now: others may want more sockets, or an earlier time, while the wait is on.
  func beginWait(until time: Int) -> Waiting {
    clearReady()
    forgetRested()
    wantsMore = false
    awaited = entries
    awaitsUntil = time
    return Waiting(entries: entries)
  }

  /// Whether a wait that is on has to begin anew, when the loop is due at `time`.
  func isOutdated(by time: Int) -> Bool { wantsMore || time < awaitsUntil }

  /// Takes what the wait saw; true when the loop was woken.
  func endWait(_ waiting: consuming Waiting) -> Bool {
    guard var seen = waiting.seen else {
      for socket in Array(resting.keys) { forget(socket) }
      ready = entries.dropFirst().map { Ready(descriptor: $0.fd, events: 0) }
      return waiting.isWoken
    }
    if waiting.isWoken { seen -= 1 }
    for entry in waiting.entries.dropFirst() {
      if seen <= 0 { break }
      if entry.revents == 0 { continue }
      seen -= 1
      // The other side has closed it, or it was closed here, and the number may be another file's.
      if resting[entry.fd] != nil {
        forget(entry.fd)
        continue
      }
      ready.append(Ready(descriptor: entry.fd, events: Self.events(entry.revents)))
    }
    return waiting.isWoken
  }

  struct Waiting {
    fileprivate var entries: [pollfd]
    /// On how many of them something can be done; nil when that is not known.
    fileprivate(set) var seen: Int? = 0
    fileprivate var isWoken = false

    mutating func wait(atMostMilliseconds time: Int) {
      let seen = unsafe entries.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, nfds_t($0.count), Int32(clamping: time)) }
      if seen < 0, errno != EINTR {
        // For want of memory, or with more sockets than the process may have: libcurl looks at them itself, but not in a busy loop.
        isWoken = PollSet.look(entries[0].fd, for: .readable, timeoutMilliseconds: Int32(clamping: min(time, 20))) != []
        self.seen = nil
      } else {
        self.seen = max(0, Int(seen))
        isWoken = seen > 0 && entries[0].revents != 0
      }
    }
  }

  private static func events(_ seen: Int16) -> Int32 {
    let seen = Int32(seen)
    // An error or the end of a connection.
    if seen & ~Int32(POLLIN | POLLOUT) != 0 { return 0 }
    return (seen & Int32(POLLIN) != 0 ? CURL_CSELECT_IN : 0) | (seen & Int32(POLLOUT) != 0 ? CURL_CSELECT_OUT : 0)
  }
}
