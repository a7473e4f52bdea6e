import Glibc
import TestSupport
import Testing

@testable import POSIXSupport

struct ChildGuardTests {
  /// A shell with a child of its own; both hold a FIFO open, which tells whether one of them lives.
  private final class Family {
    let reader: FileDescriptor
    let child: ChildProcess
    private let folder: String

    init(_ children: ChildGuard) throws {
      var template = Array("/tmp/guard-XXXXXX".utf8CString)
      folder = unsafe String(cString: mkdtemp(&template))
      let fifo = folder + "/fifo"
      #expect(unsafe mkfifo(fifo, 0o600) == 0)
      reader = try FileDescriptor.open(fifo, O_RDONLY | O_NONBLOCK)
      let ready = try FileDescriptor.pipe()
      child = try children.spawn(
        ["/bin/sh", "-c", "exec 9>'\(fifo)'; sleep 600 & echo ready; wait"], environment: [], stdin: .null,
        stdout: .descriptor(ready.writeEnd.rawValue), stderr: .null)
      let word = try ready.readEnd.read(upTo: 5, for: "the family's word")
      #expect(word.count == 5)
    }

    deinit {
      child.kill(SIGKILL)
      _ = unsafe unlink(folder + "/fifo")
      _ = unsafe rmdir(folder)
    }

    var isAlive: Bool { !PollSet.look(reader.rawValue, for: .readable).contains(.hangUp) }
    func hasEnded() -> Bool { PollSet.look(reader.rawValue, for: .readable, timeoutMilliseconds: 60_000).contains(.hangUp) }
  }

  private func make() -> ChildGuard { ChildGuard { Issue.record("\($0)") } }

  @Test func `what is not released ends when the guarded process does, with its group`() throws {
    var children: ChildGuard? = make()
    let families = try (0..<3).map { _ in try Family(children!) }
    #expect(families.map(\.isAlive) == [true, true, true])
    children = nil
    for family in families { #expect(family.hasEnded()) }
  }

  @Test func `what is released is killed with its group, and its number is forgotten`() throws {
    let children = make()
    let family = try Family(children)
    children.release(family.child)
    #expect(family.hasEnded())
    #expect(try family.child.wait(for: "the end of the child") == .signal(SIGKILL))
    #expect(children.guarded == [])
  }

  @Test func `a guard that is killed is replaced, and knows of the groups that were there before`() throws {
    var children: ChildGuard? = make()
    let old = try Family(children!)
    let killed = try #require(children?.processID)
    #expect(kill(killed, SIGKILL) == 0)
    // It is noticed by the next child at the latest.
    var others: [Family] = []
    try Patience.until("another guard") {
      if children?.processID == killed { others.append(try Family(children!)) }
      return children?.processID != killed
    }
    let new = try Family(children!)
    #expect(old.isAlive && new.isAlive)
    children = nil
    #expect(old.hasEnded() && new.hasEnded())
    // Not before: the guard kills those numbers, which would be somebody else's.
    withExtendedLifetime(others) {}
  }

  @Test func `a program that cannot be started is not guarded`() throws {
    let children = make()
    var failure: SystemError?
    do throws(SystemError) {
      _ = try children.spawn(["/no/such/program"], environment: [], stdin: .null, stdout: .null, stderr: .null)
    } catch { failure = error }
    #expect(failure == SystemError(call: "posix_spawn", errno: ENOENT, subject: "/no/such/program"))
    #expect(children.guarded == [])
  }

  @Test func `it starts programs as they are started without it`() throws {
    Signals.ignorePipe()
    func output(_ start: (ChildProcess.Stream) throws -> ChildProcess) throws -> String {
      let pipe = try FileDescriptor.pipe()
      let child = try start(.descriptor(pipe.writeEnd.rawValue))
      #expect(try child.wait(for: "the end of the shell") == .code(0))
      return String(decoding: try pipe.readEnd.read(upTo: 4096), as: UTF8.self)
    }
    let words = [
      "/bin/sh", "-c",
      // Above the 31 standard signals the C library may keep two of its own ignored.
      """
      pwd; echo $A
      for mask in $(sed -nE 's/^Sig(Blk|Ign):.//p' /proc/self/status); do echo $((0x$mask & 0x7FFFFFFF)); done
      ls /proc/self/fd | wc -l; test $$ = $(ps -o pgid= $$) && echo leads
      """,
    ]
    let environment = ["A=b", "PATH=/usr/bin:/bin"]
    let children = make()
    let guarded = try output {
      try children.spawn(words, environment: environment, workingFolder: "/usr", stdin: .null, stdout: $0, stderr: .null)
    }
    let plain = try output { try ChildProcess.spawn(words, environment: environment, workingFolder: "/usr", stdout: $0) }
    #expect(guarded == plain)
    #expect(guarded.hasPrefix("/usr\nb\n0\n0\n") && guarded.hasSuffix("leads\n"))
  }

  @Test func `a guard with nothing to guard ends, and the next child gets another`() throws {
    var children: ChildGuard? = make()
    let first = try Family(children!)
    let guardian = try #require(children?.processID)
    children?.release(first.child)
    try Patience.until("the guard's leave") { children?.processID == nil }
    try Patience.until("the guard's end") { kill(guardian, 0) != 0 }
    let second = try Family(children!)
    children = nil
    #expect(second.hasEnded())
  }
}
