import Glibc
import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import AgentRuntime
@testable import ToolHosts

struct CommandQueueTests {
  private func workshop(commands: Int) -> Workshop {
    var limits = CommandLimits()
    limits.commands = commands
    return Workshop(limits: limits)
  }

  @Test func `a hundred commands at once all get their own result`() {
    let workshop = Workshop()
    let calls = (0..<100).map { n in workshop.start(.shell("cat; echo err \(n) >&2; exit $((\(n) % 2))"), arguments: "[\(n)]") }
    for (n, call) in calls.enumerated() {
      let expected: ToolResult =
        n % 2 == 0
        ? .success("[\(n)]", stderr: "err \(n)\n")
        : .failed("The command failed with exit code 1.", stdout: "[\(n)]", stderr: "err \(n)\n", exitCode: 1)
      #expect(call.result == expected)
    }
  }

  @Test func `as many as may run do so at once`() {
    let workshop = workshop(commands: 3)
    let (a, b) = (workshop.fifo("a"), workshop.fifo("b"))
    // Each needs another one to go on.
    let first = workshop.start(.shell("echo 1 >\(a); cat \(b)"))
    let second = workshop.start(.shell("read x <\(a); echo 2 >\(b); echo $x"))
    let third = workshop.start(.shell("echo 3"))
    #expect([first, second, third].map(\.result) == [.success("2\n"), .success("1\n"), .success("3\n")])
  }

  @Test func `further ones wait their turn in order`() throws {
    let workshop = workshop(commands: 1)
    let gate = workshop.fifo("gate")
    let ledger = workshop.folder + "/ledger"
    let calls =
      [workshop.start(.shell("read x <\(gate); echo 0 >>\(ledger)"))] + (1..<20).map { workshop.start(.shell("echo \($0) >>\(ledger)")) }
    try open(gate: gate)
    for call in calls { #expect(call.result == .success("")) }
    #expect(workshop.run("cat \(ledger)") == .success((0..<20).map { "\($0)\n" }.joined()))
  }

  @Test func `one that waits and is stopped is over at once`() throws {
    let workshop = workshop(commands: 1)
    let gate = workshop.fifo("gate")
    let first = workshop.start(.shell("read x <\(gate); echo first"))
    let second = workshop.start(.shell("echo second; echo ran >\(workshop.folder)/second"))
    let third = workshop.start(.shell("echo third"))
    second.running?.stop()
    #expect(second.result == .failure("The command was stopped before it was started."))
    #expect(!first.hasResult)
    #expect(!third.hasResult)
    try open(gate: gate)
    #expect([first.result, third.result] == [.success("first\n"), .success("third\n")])
    #expect(unsafe access(workshop.folder + "/second", F_OK) == -1)
    #expect(second.resultCount == 1)
  }

  @Test func `one that gets no place in its time is not started, and the next one is`() throws {
    let workshop = workshop(commands: 1)
    let gate = workshop.fifo("gate")
    let first = workshop.start(.shell("read x <\(gate); echo first"))
    let second = workshop.start(.shell("echo ran >\(workshop.folder)/second", timeoutMs: 20))
    let third = workshop.start(.shell("echo third"))
    #expect(
      second.result == .failure("The command was not started within its 20 ms; at most 1 run at once."))
    #expect([first.hasResult, third.hasResult] == [false, false])
    try open(gate: gate)
    #expect([first.result, third.result] == [.success("first\n"), .success("third\n")])
    #expect(unsafe access(workshop.folder + "/second", F_OK) == -1)
    #expect(workshop.logged == ["tool 'worker' (call \(ULID(high: 0, low: 2).text)) was not started within 20 ms; at most 1 run at once"])
  }

  @Test func `the wait for a place counts towards the time of a command`() throws {
    let now = Clock.monotonicMilliseconds()
    func order(timeoutMs: Int) -> CommandOrder {
      CommandOrder(
        id: 0,
        call: ServerToolCall(
          runID: ULID(high: 0, low: 1), callID: ULID(high: 0, low: 2), tool: .shell("exec sleep 600", timeoutMs: timeoutMs),
          arguments: .emptyObject, attempt: 1),
        orderedAt: now - 60_000, progress: { _, _ in }, completion: { _ in })
    }
    #expect([order(timeoutMs: 90_000), order(timeoutMs: .max)].map(\.deadline) == [now + 30_000, .max])
    let command = try RunningCommand(
      order(timeoutMs: 60_000), environment: CommandEnvironment(bridge: ["PATH": "/usr/bin:/bin"]), children: ChildGuard { _ in },
      limits: CommandLimits())
    _ = command.advance(at: now)
    #expect(command.trouble == "timed out after 60000 ms")
    command.child.kill(SIGKILL)
    #expect(try command.child.wait(for: "the end of `sleep`") != .code(0))
  }

  @Test func `a command that cannot be started does not hinder the next`() {
    let workshop = workshop(commands: 1)
    let calls = (0..<10).map { n in workshop.start(n % 2 == 0 ? .command(["no-such-program"]) : .shell("echo \(n)")) }
    for (n, call) in calls.enumerated() {
      #expect(
        call.result
          == (n % 2 == 0 ? .failure("The command 'no-such-program' cannot be started: No such file or directory.") : .success("\(n)\n")))
    }
  }

  @Test func `calls and stops from many threads end each command once`() throws {
    let workshop = workshop(commands: 8)
    let done = Monitor(0)
    let calls = Monitor<[Call]>([])
    for n in 0..<4 {
      try Thread.start(name: "caller") {
        for m in 0..<25 {
          let call = workshop.start(.shell(m % 3 == 0 ? "exec sleep 1000" : "echo \(n)"))
          if m % 3 == 0 { call.running?.stop() }
          calls.withLock { $0.append(call) }
        }
        done.update { $0 += 1 }
      }
    }
    try done.wait(for: "the end of the callers", minutes: 5) { $0 == 4 ? () : nil }
    let all = calls.withLock { $0 }
    #expect(all.count == 100)
    let results = all.map(\.result)
    #expect(results.count { !$0.isError } == 64)
    #expect(results.count { $0.isError } == 36)
    #expect(all.map(\.resultCount) == Array(repeating: 1, count: 100))
  }
}
