import Glibc
import POSIXSupport
import Testing

struct DescriptorTests {
  @Test func `what goes into a pipe comes out, and the end is seen`() throws {
    let pipe = try FileDescriptor.pipe()
    try pipe.writeEnd.writeAll("hello")
    #expect(PollSet.look(pipe.readEnd.rawValue, for: .readable) == .readable)
    let reader = pipe.readEnd
    _ = consume pipe.writeEnd
    #expect(try reader.read(upTo: 3) == Array("hel".utf8))
    #expect(try FileReading.contents(ofDescriptor: reader.rawValue, subject: "a pipe") == Array("lo".utf8))
  }

  @Test func `where waiting is switched off, writing and reading wait all the same`() throws {
    let pipe = try FileDescriptor.pipe()
    for end in [pipe.readEnd.rawValue, pipe.writeEnd.rawValue] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    let text = [UInt8](repeating: 0x78, count: 1 << 20)
    let writer = pipe.writeEnd.release()
    let failure = Monitor<SystemError?>(nil)
    try Thread.start(name: "writer") {
      do {
        try unsafe text.withUnsafeBytes { try unsafe FileDescriptor(owning: writer).writeAll($0) }
      } catch { failure.update { $0 = error as? SystemError } }
    }
    #expect(try FileReading.contents(ofDescriptor: pipe.readEnd.rawValue, subject: "a pipe") == text)
    #expect(failure.withLock { $0 } == nil)
  }

  @Test func `a descriptor is closed with its owner`() throws {
    let pipe = try FileDescriptor.pipe()
    let reader = pipe.readEnd
    do {
      let copy = try pipe.writeEnd.duplicate()
      #expect(copy.rawValue >= 3)
    }
    #expect(PollSet.look(reader.rawValue, for: .readable) == [])
    _ = consume pipe.writeEnd
    // A child that another test is starting holds a copy until it executes its program, so this may take a moment.
    #expect(PollSet.look(reader.rawValue, for: .readable, timeoutMilliseconds: 60_000) == .hangUp)
  }

  @Test func `what is opened is closed in children`() throws {
    let pipe = try FileDescriptor.pipe()
    let copy = try pipe.readEnd.duplicate()
    let file = try FileDescriptor.open("/dev/null", O_RDONLY)
    let flags = [pipe.readEnd.rawValue, pipe.writeEnd.rawValue, copy.rawValue, file.rawValue].map { fcntl($0, F_GETFD) & FD_CLOEXEC }
    #expect(flags == [FD_CLOEXEC, FD_CLOEXEC, FD_CLOEXEC, FD_CLOEXEC])
  }

  @Test func `a pipe is told from a file`() throws {
    let pipe = try FileDescriptor.pipe()
    let file = try FileDescriptor.open("/dev/null", O_RDONLY)
    #expect([DescriptorKind(pipe.readEnd.rawValue), DescriptorKind(file.rawValue)] == [.pipe, .other])
  }

  @Test func `the end of a pipe is seen from both sides`() throws {
    let first = try FileDescriptor.pipe()
    let reader = first.readEnd
    _ = consume first.writeEnd
    #expect(PollSet.look(reader.rawValue, for: .readable, timeoutMilliseconds: 60_000).contains(.hangUp))
    #expect(try FileReading.contents(ofDescriptor: reader.rawValue, subject: "a pipe") == [])

    let second = try FileDescriptor.pipe()
    let writer = second.writeEnd
    _ = consume second.readEnd
    #expect(PollSet.look(writer.rawValue, for: [], timeoutMilliseconds: 60_000) == .error)
  }

  @Test func `a wake descriptor is readable from signal to drain`() throws {
    let wake = try WakeDescriptor()
    var polls = PollSet(count: 2)
    polls.watch(0, nil)
    polls.watch(1, wake.descriptor, for: .readable)
    #expect(try !polls.wait(timeoutMilliseconds: 0))
    wake.signal()
    wake.signal()
    #expect(try polls.wait(timeoutMilliseconds: 0))
    #expect(polls.seen(0) == [] && polls.seen(1) == .readable)
    wake.drain()
    #expect(try !polls.wait(timeoutMilliseconds: 0))
  }

  @Test func `an error names its call, its subject and what the system says`() {
    do throws(SystemError) {
      _ = try FileDescriptor.open("/nonexistent/file", O_RDONLY).release()
      Issue.record("opened")
    } catch {
      #expect(error == SystemError(call: "open", errno: ENOENT, subject: "/nonexistent/file"))
      #expect(error.description == "/nonexistent/file: No such file or directory (open)")
    }
  }

  @Test func `random numbers differ`() {
    #expect(Random.random128() != Random.random128())
  }
}
