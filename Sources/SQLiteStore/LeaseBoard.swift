import AgentRuntime
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What the `-lock` file says in its bytes: when each process that holds claims was last at work.
///
/// A lock shows that a process lives, but a frozen one (SIGSTOP, a debugger) keeps its locks. So whoever holds claims writes the monotonic clock
/// into a slot of its own every two seconds, from a thread that does nothing else: a frozen process cannot, and one that is busy with a long
/// commit can. That costs no commit, and nothing at all while the process holds no claim.
///
/// The clock of what was started before the last boot cannot be compared with ours, and need not be: its lock is gone. A computer that sleeps stops
/// this clock for all (https://man7.org/linux/man-pages/man2/clock_gettime.2.html), and steps of the wall clock do not matter.
final class LeaseBoard {
  /// A number and a time, eight bytes each. The first place is not for a process: it has the mark of a failed sync (`WriteLock.rememberFailedSync`).
  private static let slotBytes = 16

  private let file: FileDescriptor
  private let own: Int
  /// Nil when no slot could be written: then this process is judged by its lock alone, as one of an older version is.
  private var stamp: LeaseStamp?
  /// Where others have their slots, as far as they have been looked for.
  private var places: [Int: Int] = [:]

  /// Begins a thread that runs the body.
  typealias ThreadStart = @Sendable (@escaping @Sendable () -> Void) throws(SystemError) -> Void

  /// - Parameter hasOpen: whether a process has the store open. The caller holds the right to write, so that no two
  ///   processes take one slot.
  init(
    lockFile path: String, own: OwnerID,
    startThread: @escaping ThreadStart = { (body) throws(SystemError) in try Thread.start(name: "lease", body) },
    hasOpen: (OwnerID) -> Bool
  ) throws(SystemError) {
    file = try FileDescriptor.open(path, O_RDWR)
    self.own = own.number
    let slots = try readSlots()
    let places = slots.indices.dropFirst()
    let place =
      places.first { slots[$0].number == own.number } ?? places.first { !hasOpen(OwnerID(number: slots[$0].number)) } ?? max(1, slots.count)
    do throws(SystemError) {
      try Self.write((own.number, 0), at: place * Self.slotBytes, to: file)
      stamp = LeaseStamp(try FileDescriptor.open(path, O_RDWR), offset: place * Self.slotBytes + 8, startThread: startThread)
    } catch {
      // A full disk must not keep anybody from reading.
      stamp = nil
    }
  }

  deinit { stamp?.close() }

  /// From now on this process holds claims, or none any more.
  func keep(_ isNeeded: Bool) { stamp?.keep(isNeeded) }

  /// Milliseconds until the claims of a process that has the store open are free; nil when it does not say.
  func left(of owner: OwnerID) -> Int? {
    guard let stamp = stampOf(owner.number) else { return nil }
    // It holds none: what the log still says of it (its store failed, and it let its runs go) does not count.
    if stamp == 0 { return 0 }
    // One from the future is of a clock that is not ours.
    return max(0, Lease.milliseconds - max(0, Clock.monotonicMilliseconds() - stamp))
  }

  private func stampOf(_ number: Int) -> Int? {
    if let place = places[number], let slot = (try? read(1, from: place))?.first, slot.number == number { return slot.stamp }
    guard let slots = try? readSlots() else { return nil }
    places = [:]
    for (place, slot) in slots.enumerated().dropFirst() { places[slot.number] = place }
    return places[number].map { slots[$0].stamp }
  }

  // MARK: Slots

  private func readSlots() throws(SystemError) -> [(number: Int, stamp: Int)] {
    var status = stat()
    guard unsafe fstat(file.rawValue, &status) == 0 else { throw SystemError(call: "fstat", errno: errno) }
    return try read(Int(status.st_size) / Self.slotBytes, from: 0)
  }

  private func read(_ count: Int, from place: Int) throws(SystemError) -> [(number: Int, stamp: Int)] {
    var words = [Int](repeating: 0, count: 2 * count)
    let bytes = unsafe words.withUnsafeMutableBytes { room in
      unsafe pread(file.rawValue, room.baseAddress, room.count, off_t(place * Self.slotBytes))
    }
    guard bytes >= 0 else { throw SystemError(call: "pread", errno: errno) }
    return (0..<bytes / Self.slotBytes).map { (Int(littleEndian: words[2 * $0]), Int(littleEndian: words[2 * $0 + 1])) }
  }

  private static func write(_ slot: (Int, Int), at offset: Int, to file: borrowing FileDescriptor) throws(SystemError) {
    let words = [slot.0.littleEndian, slot.1.littleEndian]
    let written = unsafe words.withUnsafeBytes { unsafe pwrite(file.rawValue, $0.baseAddress, $0.count, off_t(offset)) }
    guard written == slotBytes else { throw SystemError(call: "pwrite", errno: errno) }
  }
}

/// The stamp of this process, and the thread that renews it while claims are held.
private final class LeaseStamp: Sendable {
  private struct State {
    var isNeeded = false
    var isClosed = false
    var hasThread = false
  }

  private static let period = 2000

  private let file: FileDescriptor
  private let offset: Int
  private let startThread: LeaseBoard.ThreadStart
  private let state = Monitor(State())

  init(_ file: consuming FileDescriptor, offset: Int, startThread: @escaping LeaseBoard.ThreadStart) {
    self.file = file
    self.offset = offset
    self.startThread = startThread
  }

  func keep(_ isNeeded: Bool) {
    let needsThread = state.update { state in
      state.isNeeded = isNeeded
      // Written before this returns: no claim is in the log without it. And under the lock, so that the thread writes nothing after a zero.
      write(isNeeded ? Clock.monotonicMilliseconds() : 0)
      defer { state.hasThread = state.hasThread || isNeeded }
      return isNeeded && !state.hasThread
    }
    if needsThread { begin() }
  }

  /// The thread sleeps while nothing is needed, and ends with `close`.
  private func begin() {
    do throws(SystemError) {
      try startThread { [self] in
        while state.wait({ $0.isClosed || $0.isNeeded ? !$0.isClosed : nil }) == true {
          _ = state.wait(untilMilliseconds: Clock.monotonicMilliseconds() + Self.period) { $0.isNeeded ? nil : true }
          state.withLock { if $0.isNeeded { write(Clock.monotonicMilliseconds()) } }
        }
      }
    } catch {
      // Nobody renews it: the lock alone must do, until the next lease, which tries again.
      state.withLock { state in
        if state.isClosed { return }
        state.hasThread = false
        write(.max)
      }
    }
  }

  func close() {
    state.update { state in
      state = State(isNeeded: false, isClosed: true, hasThread: true)
      write(0)
    }
  }

  /// What cannot be written is not renewed; then others may take the runs up, and the log decides between us.
  private func write(_ stamp: Int) {
    var word = stamp.littleEndian
    _ = unsafe pwrite(file.rawValue, &word, 8, off_t(offset))
  }
}
