import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Which process this is among all there ever were on one machine, so that others on it can tell whether it still runs.
struct ProcessIdentity: Sendable, Equatable {
  /// The boot of the machine and the namespace of process numbers: the same for all who can look at each other. Empty where the system tells neither.
  var machine: String
  var number: Int
  /// In ticks since the boot; a number is given out again, but not with this too.
  var start: Int

  init(machine: String, number: Int, start: Int) {
    self.machine = machine
    self.number = number
    self.start = start
  }

  static let current: ProcessIdentity = {
    let number = Int(getpid())
    guard let start = startOfProcess(number), let boot = try? FileReading.contents(of: "/proc/sys/kernel/random/boot_id") else {
      return ProcessIdentity(machine: "", number: number, start: 0)
    }
    let namespace = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { room in
      let count = unsafe readlink("/proc/self/ns/pid", room.baseAddress!, 255)
      return unsafe count > 0
        ? String(decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count]), as: UTF8.self) : ""
    }
    let words = String(decoding: boot.prefix { $0 != 0x0A }, as: UTF8.self)
    return ProcessIdentity(machine: words + " " + namespace, number: number, start: start)
  }()

  /// Whether it is known to have ended: only of a process of this machine, and not where the kernel does not say.
  var hasEnded: Bool {
    guard !machine.isEmpty, machine == Self.current.machine else { return false }
    if let found = Self.startOfProcess(number) { return found != start }
    // Its `stat` cannot be read while this process has no descriptor left, or at all: https://man7.org/linux/man-pages/man5/proc.5.html (hidepid).
    return kill(pid_t(truncatingIfNeeded: number), 0) != 0 && errno == ESRCH
  }

  /// The 22nd field of its `stat`; 0 when it has ended and is only not reaped, nil when that cannot be read.
  /// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
  private static func startOfProcess(_ number: Int) -> Int? {
    guard let text = try? FileReading.contents(of: "/proc/\(number)/stat") else { return nil }
    // The second field is the program's name in parentheses, in which anything may stand.
    guard let end = text.lastIndex(of: 0x29) else { return nil }
    let fields = text[(end + 1)...].split { $0 == 0x20 || $0 == 0x0A }
    guard fields.count > 19 else { return nil }
    return fields[0].first == 0x5A ? 0 : Int(String(decoding: fields[19], as: UTF8.self))
  }
}
