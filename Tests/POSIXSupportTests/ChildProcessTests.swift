import Glibc
import TestSupport
import Testing

@testable import POSIXSupport

struct ChildProcessTests {
  private let environment = ["PATH=/usr/bin:/bin", "GREETING=hello"]

  private func run(_ arguments: [String], workingFolder: String? = nil) throws -> (output: String, status: ChildProcess.Exit) {
    let pipe = try FileDescriptor.pipe()
    let child = try ChildProcess.spawn(
      arguments, environment: environment, workingFolder: workingFolder, stdout: .descriptor(pipe.writeEnd.rawValue))
    let reader = pipe.readEnd
    _ = consume pipe.writeEnd
    let output = String(decoding: try reader.readAll(for: "the end of the output"), as: UTF8.self)
    return (output, try child.wait(for: "the program's end"))
  }

  @Test func `a program is found in the PATH it is given, and sees only that environment`() throws {
    let (output, status) = try run(["env"])
    #expect(output == "PATH=/usr/bin:/bin\nGREETING=hello\n")
    #expect(status == .code(0))
  }

  @Test func `it starts in its working folder`() throws {
    #expect(try run(["pwd"], workingFolder: "/usr").output == "/usr\n")
  }

  @Test func `it gets its three descriptors and no other`() throws {
    let open = try FileDescriptor.pipe()
    // A descriptor that is not close-on-exec, as a careless library makes one.
    let careless = dup(open.readEnd.rawValue)
    defer { close(careless) }
    let (output, _) = try run(["sh", "-c", "for n in 0 1 2 \(careless); do test -e /proc/self/fd/$n && echo $n; done; cat"])
    #expect(output == "0\n1\n2\n")
  }

  @Test func `no signal is blocked or ignored in it`() throws {
    Signals.ignorePipe()
    let (output, _) = try run(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])
    let masks = output.split(separator: "\n").map { UInt64($0.split(separator: "\t")[1], radix: 16) }
    // Above the 31 standard signals the C library keeps two of its own ignored.
    #expect(masks.map { $0.map { $0 & 0x7FFF_FFFF } } == [0, 0])
  }

  @Test func `an exit code and a signal are told apart`() throws {
    #expect(try run(["sh", "-c", "exit 7"]).status == .code(7))
    #expect(try run(["sh", "-c", "kill -9 $$"]).status == .signal(9))
  }

  @Test func `a signal reaches the children of the process`() throws {
    let pipe = try FileDescriptor.pipe()
    let child = try ChildProcess.spawn(
      ["sh", "-c", "sleep 1000 & echo ready; wait"], environment: environment, stdout: .descriptor(pipe.writeEnd.rawValue))
    let reader = pipe.readEnd
    _ = consume pipe.writeEnd
    #expect(try reader.read(upTo: 6, for: "the shell's word") == Array("ready\n".utf8))
    #expect(child.reap() == nil)
    #expect(child.kill(SIGTERM))
    #expect(try child.wait(for: "the shell's end") == .signal(SIGTERM))
    // The end of the output is there only when `sleep` has gone too.
    _ = try reader.readAll(for: "the end of `sleep`")
    #expect(!child.kill(SIGTERM))
    #expect(child.reap() == .signal(SIGTERM))
  }

  @Test func `the exit can be polled for`() throws {
    let pipe = try FileDescriptor.pipe()
    let child = try ChildProcess.spawn(["cat"], environment: environment, stdin: .descriptor(pipe.readEnd.rawValue))
    #expect(PollSet.look(child.exitDescriptor, for: .readable) == [])
    let reader = pipe.readEnd
    _ = consume pipe.writeEnd
    #expect(PollSet.look(child.exitDescriptor, for: .readable, timeoutMilliseconds: 60_000) != [])
    #expect(child.reap() == .code(0))
    _ = consume reader
  }

  @Test func `one that cannot be watched is killed with its group, taken back from its guard and reaped before that is said`() throws {
    let output = try FileDescriptor.pipe()
    let guardPipe = try FileDescriptor.pipe()
    let child = try ChildProcess.spawn(
      ["sh", "-c", "sleep 1000 & echo ready; wait"], environment: environment, stdout: .descriptor(output.writeEnd.rawValue))
    let reader = output.readEnd
    _ = consume output.writeEnd
    let guarded = guardPipe.readEnd
    let announce = guardPipe.writeEnd
    #expect(try reader.read(upTo: 6, for: "the shell's word") == Array("ready\n".utf8))
    #expect(throws: SystemError(call: ChildProcess.watchingCall, errno: EMFILE, subject: "sh")) {
      _ = try ChildProcess(
        unwatched: child.processID, of: "sh", ownsGroup: true, announcedTo: announce.rawValue,
        watch: { (_) throws(SystemError) in throw SystemError(call: "pipe", errno: EMFILE) })
    }
    _ = try reader.readAll(for: "the end of `sleep`")
    #expect(String(decoding: try guarded.read(upTo: 64), as: UTF8.self) == "- \(child.processID)\n")
    #expect(child.reap() == .unknown)
  }

  @Test func `one that is watched by a thread ends as others do`() throws {
    let child = try ChildProcess.spawn(["sh", "-c", "exit 3"], environment: environment)
    let watch = try ChildProcess.watchByThread(child.processID)
    let seen = PollSet.look(watch.rawValue, for: .readable, timeoutMilliseconds: 60_000)
    #expect(seen.contains(.hangUp))
    _ = consume watch
    #expect(child.reap() == .code(3))
  }

  @Test(
    arguments: [
      (["no-such-program"], nil, SystemError(call: "posix_spawn", errno: ENOENT, subject: "no-such-program")),
      (["./no-such-file"], nil, SystemError(call: "posix_spawn", errno: ENOENT, subject: "./no-such-file")),
      (["/etc/passwd"], nil, SystemError(call: "posix_spawn", errno: EACCES, subject: "/etc/passwd")),
      (["true"], "/no/such/folder", SystemError(call: "chdir", errno: ENOENT, subject: "/no/such/folder")),
      ([""], nil, SystemError(call: "posix_spawn", errno: EINVAL, subject: "an empty command")),
    ] as [([String], String?, SystemError)])
  func `what cannot be started is named`(arguments: [String], folder: String?, expected: SystemError) {
    #expect(throws: expected) {
      try ChildProcess.spawn(arguments, environment: environment, workingFolder: folder)
    }
  }

  @Test func `one that somebody else has reaped has ended, nobody knows how`() throws {
    let child = try ChildProcess.spawn(["sh", "-c", "exit 3"], environment: environment)
    #expect(waitpid(child.processID, nil, 0) == child.processID)
    #expect(try child.wait(for: "the shell's end") == .unknown)
    #expect(child.reap() == .unknown)
    #expect(!child.kill(SIGKILL))
  }

  @Test func `a NUL cannot be passed on, and is not cut off at`() {
    let refused = [(["true", "a\0b"], ["A=b"]), (["true"], ["A=b\0c"])].map { arguments, environment in
      do throws(SystemError) {
        _ = try ChildProcess.spawn(arguments, environment: environment)
        return nil as SystemError?
      } catch { return error }
    }
    let expected = SystemError(call: "posix_spawn", errno: EINVAL, subject: "true")
    #expect(refused == [expected, expected])
  }

  @Test func `one pipe may serve as output and errors`() throws {
    let pipe = try FileDescriptor.pipe()
    let child = try ChildProcess.spawn(
      ["sh", "-c", "echo out; echo err >&2"], environment: environment, stdout: .descriptor(pipe.writeEnd.rawValue),
      stderr: .descriptor(pipe.writeEnd.rawValue))
    let reader = pipe.readEnd
    _ = consume pipe.writeEnd
    #expect(String(decoding: try reader.readAll(for: "the end of the output"), as: UTF8.self) == "out\nerr\n")
    #expect(try child.wait(for: "the shell's end") == .code(0))
  }
}
