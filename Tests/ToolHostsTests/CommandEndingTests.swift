import Glibc
import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import AgentRuntime
@testable import ToolHosts

struct CommandEndingTests {
  private let workshop = Workshop()
  private let stopped = "The command was stopped; whether it took effect is unknown."

  @Test func `a command that takes too long is ended, and its output kept`() throws {
    let lifeline = try Lifeline(workshop)
    let (result, timeoutMs) = workshop.runIntoTimeout(
      "exec 9>\(lifeline.path); echo so far; echo err >&2; sleep 1000", stdout: "so far\n", stderr: "err\n")
    #expect(
      result
        == .failed(
          "The command timed out after \(timeoutMs) ms; whether it took effect is unknown.", stdout: "so far\n", stderr: "err\n"))
    #expect(lifeline.isCut())
    #expect(workshop.logged.last == "tool 'worker' (call \(ULID(high: 0, low: 2).text)) timed out after \(timeoutMs) ms")
  }

  @Test func `a command that is stopped is asked to end first`() {
    let call = workshop.start(.shell("exec 2>/dev/null; trap 'echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.01; done"))
    call.waitForOutput("ready")
    call.running?.stop()
    #expect(call.result == .failed(stopped, stdout: "ready\ncleaned\n"))
  }

  @Test func `the children of a command that is stopped have time to end, too`() {
    // The shell dies of the signal at once; its child does not.
    let child = "trap \"echo cleaned; exit 0\" TERM; echo ready; while :; do sleep 0.01; done"
    let call = workshop.start(.shell("exec 2>/dev/null; sh -c '\(child)'; true"))
    call.waitForOutput("ready")
    call.running?.stop()
    #expect(call.result == .failed(stopped, stdout: "ready\ncleaned\n"))
  }

  @Test func `a command that does not listen is killed with its children`() throws {
    let lifeline = try Lifeline(workshop)
    let words = "exec 9>\(lifeline.path); trap '' TERM INT HUP; (while :; do sleep 1000; done) & echo ready; while :; do sleep 1000; done"
    let call = workshop.start(.shell(words))
    call.waitForOutput("ready")
    call.running?.stop()
    #expect(call.result == .failed(stopped, stdout: "ready\n"))
    #expect(lifeline.isCut())
    let (result, timeoutMs) = workshop.runIntoTimeout(words, stdout: "ready\n")
    #expect(
      result == .failed("The command timed out after \(timeoutMs) ms; whether it took effect is unknown.", stdout: "ready\n"))
    #expect(lifeline.isCut())
  }

  @Test(arguments: ["", ">/dev/null 2>&1"])
  func `a child left in the background does not outlive the command`(redirection: String) throws {
    let lifeline = try Lifeline(workshop)
    let result = workshop.run("exec 9>\(lifeline.path); sleep 1000 \(redirection) & echo started")
    #expect(result == .success("started\n"))
    #expect(lifeline.isCut())
  }

  @Test func `a child that ignores everything and left in the background does not either`() throws {
    let lifeline = try Lifeline(workshop)
    let result = workshop.run("exec 9>\(lifeline.path); trap '' TERM HUP; (trap '' TERM HUP; while :; do sleep 1000; done) & exit 5")
    #expect(result == .failed("The command failed with exit code 5.", exitCode: 5))
    #expect(lifeline.isCut())
  }

  @Test func `a process that left the group holds up nothing`() throws {
    let lifeline = try Lifeline(workshop)
    let gate = workshop.fifo("gate")
    let result = workshop.run(
      "exec 9>\(lifeline.path); setsid sh -c 'echo up >\(gate); exec sleep 1000' & read x <\(gate); echo $!")
    let process = try #require(result.text.flatMap { Int32($0.dropLast()) })
    #expect(lifeline.isHeld)
    #expect(kill(process, SIGKILL) == 0)
    #expect(lifeline.isCut())
    #expect(result == .success("\(process)\n"))
  }

  @Test func `stopping twice, and after the end, does nothing`() {
    let call = workshop.start(.shell("echo ready; exec sleep 1000"))
    call.waitForOutput("ready")
    call.running?.stop()
    call.running?.stop()
    #expect(call.result == .failed(stopped, stdout: "ready\n"))
    call.running?.stop()
    // Another command afterwards proves that nothing is left to happen.
    #expect(workshop.run("echo again") == .success("again\n"))
    #expect(call.resultCount == 1)
  }

  @Test func `a stop right after the start ends it in any case`() throws {
    let lifeline = try Lifeline(workshop)
    for _ in 1...50 {
      let call = workshop.start(.shell("exec 9>\(lifeline.path); exec sleep 1000"))
      call.running?.stop()
      #expect(call.result == .failed(stopped) || call.result == CommandResult.stoppedBeforeStart)
    }
    // Most were ended before they took hold of it, and it is cut only when somebody has held it.
    #expect(workshop.run("exec 9>\(lifeline.path)") == .success(""))
    #expect(lifeline.isCut())
  }

  @Test func `shutting down kills everything before it returns`() throws {
    var limits = CommandLimits()
    limits.commands = 3
    let workshop = Workshop(limits: limits)
    let lifeline = try Lifeline(workshop)
    let calls = (0..<5).map { _ in
      workshop.start(.shell("exec 9>\(lifeline.path); trap '' TERM HUP INT; echo ready; while :; do sleep 1000; done"))
    }
    for call in calls[0..<3] { call.waitForOutput("ready") }
    workshop.tools.shutdown()
    #expect(lifeline.isCut())
    #expect(
      calls.map(\.result) == Array(repeating: .failed(stopped, stdout: "ready\n"), count: 3) + [
        CommandResult.notStarted, CommandResult.notStarted,
      ])
    #expect(workshop.run("echo too late") == CommandResult.notStarted)
  }

  @Test func `shutting down does not need the thread that runs the commands`() throws {
    let lifeline = try Lifeline(workshop)
    let call = workshop.start(.shell("exec 9>\(lifeline.path); trap '' TERM; echo ready; exec sleep 1000"))
    call.waitForOutput("ready")
    // Whoever gets this completion is slow.
    let (reached, leave) = (Monitor(false), Monitor(false))
    _ = workshop.tools.start(
      ServerToolCall(
        runID: ULID(high: 0, low: 1), callID: ULID(high: 0, low: 3), tool: .shell("true"), arguments: .emptyObject, attempt: 1),
      progress: { _, _ in },
      completion: { _ in
        reached.update { $0 = true }
        let _: Bool? = leave.wait { $0 ? true : nil }
      })
    try reached.wait(for: "the completion") { $0 ? () : nil }
    workshop.tools.shutdown()
    #expect(lifeline.isCut())
    leave.update { $0 = true }
    #expect(call.result == .failed(stopped, stdout: "ready\n"))
  }

  @Test func `shutting down what runs nothing is nothing`() {
    workshop.tools.shutdown()
    workshop.tools.shutdown()
    #expect(workshop.run("true") == CommandResult.notStarted)
  }

  @Test func `the process is reaped before its result is told`() throws {
    let call = workshop.start(.shell("echo $$; exec sleep 1000"))
    call.waitForOutput("\n")
    call.running?.stop()
    #expect(call.result.isError)
    let process = try #require(Int32(call.shown("stdout").dropLast()))
    #expect(kill(process, 0) == -1 && errno == ESRCH)
  }

  @Test func `letting go of the tools ends what runs`() throws {
    let lifeline = try Lifeline(workshop)
    var tools: CommandTools? = CommandTools(environment: { ["PATH": "/usr/bin:/bin"] }, allowsCommands: true, log: { _ in })
    let call = Call()
    _ = tools?.start(
      ServerToolCall(
        runID: ULID(high: 0, low: 1), callID: ULID(high: 0, low: 2), tool: .shell("exec 9>\(lifeline.path); echo ready; exec sleep 1000"),
        arguments: .emptyObject, attempt: 1),
      progress: { stream, text in call.events.update { $0.pieces.append(Piece(stream: stream, text: text)) } },
      completion: { result in call.events.update { $0.results.append(result) } })
    call.waitForOutput("ready")
    tools = nil
    #expect(call.result == .failed(stopped, stdout: "ready\n"))
    #expect(lifeline.isCut())
  }
}
