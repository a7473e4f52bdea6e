import POSIXSupport
import TestSupport
import Testing

struct MonitorTests {
  @Test func `a waiter sees what another thread puts in`() throws {
    let monitor = Monitor<[Int]>([])
    try Thread.start(name: "writer") {
      for number in 1...100 { monitor.update { $0.append(number) } }
    }
    let all = try monitor.wait(for: "the hundredth") { $0.count == 100 ? $0 : nil }
    #expect(all == Array(1...100))
  }

  @Test func `a wait ends at its deadline`() {
    let monitor = Monitor(0)
    let answer = monitor.wait(untilMilliseconds: Clock.monotonicMilliseconds() + 5) { $0 == 1 ? $0 : nil }
    #expect(answer == nil)
  }

  @Test func `two threads never hold it at once`() throws {
    let monitor = Monitor((count: 0, done: 0))
    for _ in 0..<2 {
      try Thread.start(name: "counter") {
        for _ in 0..<20_000 { monitor.withLock { $0.count += 1 } }
        monitor.update { $0.done += 1 }
      }
    }
    #expect(try monitor.wait(for: "the end of both") { $0.done == 2 ? $0.count : nil } == 40_000)
  }
}
