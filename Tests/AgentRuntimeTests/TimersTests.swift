import Testing

@testable import AgentRuntime

@Suite struct TimersTests {
  private final class Log {
    var lines: [Int] = []
  }

  @Test func `timers are due in order, whatever the order they were set in`() {
    var timers = Timers()
    let log = Log()
    let dues = (0..<200).map { $0 * 7919 % 200 }
    for due in dues { _ = timers.add(due: due) { log.lines.append(due) } }
    #expect(timers.nextDue == 0)
    for body in timers.takeDue(at: 99) { body() }
    #expect(log.lines == Array(0...99))
    #expect(timers.nextDue == 100)
    for body in timers.takeDue(at: 1000) { body() }
    #expect(log.lines == Array(0..<200))
    #expect(timers.nextDue == nil)
  }

  @Test func `a timer that was cancelled does nothing, and many of them do not pile up`() {
    var timers = Timers()
    let log = Log()
    var kept: [Int] = []
    for number in 0..<10_000 {
      let token = timers.add(due: 1_000_000 - number) { log.lines.append(number) }
      if number % 1000 == 0 { kept.append(number) } else { timers.cancel(token) }
    }
    #expect(timers.takeDue(at: 1_000_000 - 9000).count == 1)
    for body in timers.takeDue(at: 1_000_000) { body() }
    #expect(log.lines == Array(kept.reversed().dropFirst()))
    #expect(timers.nextDue == nil)
  }

  @Test func `cancelling a timer that has been is no harm to those that come`() {
    var timers = Timers()
    let log = Log()
    let first = timers.add(due: 1) { log.lines.append(1) }
    for body in timers.takeDue(at: 1) { body() }
    timers.cancel(first)
    _ = timers.add(due: 2) { log.lines.append(2) }
    for body in timers.takeDue(at: 2) { body() }
    #expect(log.lines == [1, 2])
  }
}
