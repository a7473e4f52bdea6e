import Glibc
import POSIXSupport
import TestSupport
import Testing

struct SignalsTests {
  @Test func `a blocked signal is read, once, and nothing else happens`() throws {
    // To one thread: the other threads of the test process do not block the signal, so one sent to the process would reach them.
    let outcome = Monitor<[Int32?]?>(nil)
    try Thread.start(name: "signals") {
      Signals.block([SIGUSR2])
      var taken: [Int32?] = []
      if let signals = try? SignalDescriptor([SIGUSR2]) {
        taken.append(signals.take())
        pthread_kill(pthread_self(), SIGUSR2)
        _ = PollSet.look(signals.descriptor, for: .readable, timeoutMilliseconds: 60_000)
        taken += [signals.take(), signals.take()]
      }
      outcome.update { [taken] in $0 = taken }
    }
    #expect(try outcome.wait(for: "the signals") { $0 } == [nil, SIGUSR2, nil])
  }

  @Test func `writing to a closed pipe is an error, not the end`() throws {
    Signals.ignorePipe()
    let pipe = try FileDescriptor.pipe()
    let writer = pipe.writeEnd
    _ = consume pipe.readEnd
    #expect(throws: SystemError(call: "write", errno: EPIPE)) { try writer.writeAll("x") }
  }
}
