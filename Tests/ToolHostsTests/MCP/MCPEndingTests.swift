import Glibc
import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import AgentRuntime
@testable import ToolHosts

/// How servers fail and end.
struct MCPEndingTests {
  private func starts(_ workshop: MCPWorkshop, _ record: String) -> [Int32] {
    workshop.record(record).filter { $0.hasPrefix("start ") }.compactMap { Int32($0.dropFirst(6)) }
  }

  @Test func `a server that ends while it works is a tool error that says how, and is started again by the next call`() {
    let workshop = MCPWorkshop { $0.firstBackoffMilliseconds = 10 }
    let held = workshop.open(workshop.script(record: "got"))
    #expect(
      held.call("exit", #"{"code":5}"#)
        == .failure("The MCP server 's' ended with exit code 5 while it worked on this call; whether it took effect is unknown."))
    #expect(
      held.call("signal", #"{"number":11}"#)
        == .failure("The MCP server 's' was ended by SIGSEGV (signal 11) while it worked on this call; whether it took effect is unknown."))
    #expect(held.call("echo") == .words("{}"))
    #expect(starts(workshop, "got").count == 3)
    #expect(
      workshop.logged.filter { !$0.contains("stderr") } == [
        "MCP server 's' ended with exit code 5", "MCP server 's' was ended by SIGSEGV (signal 11)",
      ])
  }

  @Test func `every call that is open ends with its server`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script())
    let waiting = (0..<5).map { _ in held.start("steps", #"{"count":2,"pause":600}"#) }
    for call in waiting { call.waitForProgress() }
    let last = held.call("signal", #"{"number":9}"#)
    #expect(last.isError)
    for call in waiting { #expect(call.result == last) }
  }

  @Test func `a server that closes its output is lost`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script())
    #expect(
      held.call("close")
        == .failure("The MCP server 's' closed its output while it worked on this call; whether it took effect is unknown."))
  }

  @Test func `a program that does not exist is an error that names it`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(MCPServer(command: "no-such-program"))
    let words = "The MCP server 's' could not be started: The command 'no-such-program' cannot be started: No such file or directory."
    #expect(held.prepare() == MCPOffer(failures: [MCPOffer.Failure(server: "s", message: words)]))
    #expect(held.call("echo") == .failure(words))
  }

  @Test func `a program that is no server is an error`() {
    let workshop = MCPWorkshop()
    #expect(
      workshop.open(MCPServer(command: "/bin/sh", args: ["-c", "exit 4"])).prepare().failures.map(\.message) == [
        "The MCP server 's' ended with exit code 4 before it was ready."
      ])
    #expect(
      workshop.open(workshop.script(#"{"die":"tools/list"}"#)).prepare().failures.map(\.message) == [
        "The MCP server 's' ended with exit code 7 before it was ready."
      ])
  }

  @Test(arguments: ["initialize", "tools/list"]) func `a server that does not answer in time is an error that names it`(_ method: String) {
    // With more time when the machine is so busy that the server has not come so far.
    for milliseconds in [600, 6000, 30_000] {
      let workshop = MCPWorkshop { $0.startMilliseconds = milliseconds }
      let held = workshop.open(workshop.script(#"{"silent":"\#(method)"}"#))
      let words = "The MCP server 's' did not answer \(method) within \(milliseconds) ms."
      let (result, failures) = (held.call("echo"), held.prepare().failures.map(\.message))
      let isAsExpected = result == .failure(words) && failures == [words]
      if isAsExpected { return }
      #expect(milliseconds < 30_000, "\(result), \(failures)")
    }
  }

  @Test func `restarts are further and further apart, until one succeeds`() {
    let workshop = MCPWorkshop { $0.firstBackoffMilliseconds = 40 }
    let held = workshop.open(MCPServer(command: "/bin/sh", args: ["-c", "exit 1"]))
    let start = Clock.monotonicMilliseconds()
    for _ in 0..<5 { #expect(held.call("x").isError) }
    // 40 + 80 + 160 + 320 before the fifth start.
    #expect(Clock.monotonicMilliseconds() - start >= 600)
  }

  @Test func `a server that fails again and again does not hold up the next run`() {
    let workshop = MCPWorkshop { $0.firstBackoffMilliseconds = 2000 }
    let server = MCPServer(command: "/bin/sh", args: ["-c", "echo start >> '\(workshop.folder)/starts'; exit 1"])
    let first = workshop.open(server)
    #expect(first.call("x").isError)
    #expect(first.call("x").isError)
    #expect(workshop.open(server).prepare().failures.map(\.message) == ["The MCP server 's' ended with exit code 1 before it was ready."])
    #expect(workshop.record("starts").count == 2)
  }

  @Test func `a call that takes too long is cancelled at the server, which goes on`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script(record: "got"))
    #expect(
      held.call("stall", timeoutMs: 200)
        == .failure("The MCP server 's' did not answer within 200 ms; whether the call took effect is unknown."))
    #expect(held.call("echo") == .words("{}"))
    let cancelled = workshop.record("got").filter { $0.contains("notifications/cancelled") }
    #expect(cancelled.count == 1 && cancelled[0].contains(#""reason":"timed out""#))
    #expect(starts(workshop, "got").count == 1)
  }

  @Test func `a server that does not even read any more is replaced, and what was not sent to it is not lost`() {
    let workshop = MCPWorkshop {
      $0.probeMilliseconds = 300
      $0.firstBackoffMilliseconds = 10
    }
    let held = workshop.open(workshop.script(record: "got"))
    #expect(held.call("freeze", timeoutMs: 200).isError)
    #expect(held.call("echo") == .words("{}"))
    #expect(starts(workshop, "got").count == 2)
    workshop.waitForLog("MCP server 's' does not answer any more, and is ended")
  }

  @Test func `a call that is kept from a server that may hang is told so in its time`() {
    let workshop = MCPWorkshop { $0.probeMilliseconds = 3_600_000 }
    let held = workshop.open(workshop.script(record: "got"))
    #expect(held.call("freeze", timeoutMs: 200).isError)
    #expect(
      held.call("echo", timeoutMs: 300)
        == .failure(
          "The MCP server 's' was not asked within 300 ms: since an earlier call took too long, it has not shown that it still reads what it is sent."
        ))
    #expect(!workshop.record("got").contains { $0.contains("echo") && $0.contains("tools/call") })
  }

  @Test func `progress keeps a call open, but not for ever`() {
    let workshop = MCPWorkshop { $0.longestCall = 3 }
    let held = workshop.open(workshop.script())
    #expect(held.call("steps", #"{"count":8,"pause":0.15}"#, timeoutMs: 1000) == .words("done"))
    #expect(
      held.call("steps", #"{"count":100,"pause":0.1}"#, timeoutMs: 1000)
        == .failure(
          "The MCP server 's' showed progress and did not answer within 3000 ms, 3 times its timeout, the longest that a call may take; "
            + "whether the call took effect is unknown."))
  }

  @Test func `a call that is stopped is cancelled at the server`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script(record: "got"))
    let call = held.start("steps", #"{"count":2,"pause":600}"#)
    call.waitForProgress()
    call.running?.stop()
    #expect(call.result == .failure("The MCP server 's' was told to stop this call; whether it took effect is unknown."))
    #expect(held.call("echo") == .words("{}"))
    #expect(workshop.record("got").filter { $0.contains("notifications/cancelled") }.count == 1)
    call.running?.stop()
    #expect(call.resultCount == 1)
  }

  @Test func `a server is told to end a while after the last run has let go of it`() throws {
    let workshop = MCPWorkshop { $0.idleMilliseconds = 100 }
    let one = workshop.open(workshop.script(record: "got"))
    let two = workshop.open(workshop.script(record: "got"))
    let pid = Int32(try #require(one.call("pid").text))!
    one.session.end()
    #expect(two.call("pid").text == "\(pid)")
    two.session.end()
    #expect(isGone(pid))
    #expect(workshop.record("got").last == "end")
    #expect(workshop.open(workshop.script(record: "got")).call("echo") == .words("{}"))
    #expect(starts(workshop, "got").count == 2)
  }

  @Test func `a session that is let go ends its calls`() {
    let workshop = MCPWorkshop()
    let other = workshop.open(workshop.script())
    let held = workshop.open(workshop.script())
    let call = held.start("steps", #"{"count":2,"pause":600}"#)
    call.waitForProgress()
    held.session.end()
    #expect(call.result.isError)
    #expect(other.call("echo") == .words("{}"))
    #expect(held.call("echo") == .failure("The MCP server 's' was not asked: the run has let go of it."))
  }

  @Test func `the end of the bridge ends a server that does not listen, and its children, within a second`() throws {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script(#"{"deaf":true}"#))
    let fifo = workshop.fifo("held")
    let reader = try FileDescriptor.open(fifo, O_RDONLY | O_NONBLOCK)
    let pid = Int32(try #require(held.call("pid").text))!
    #expect(held.call("child", #"{"fifo":"\#(fifo)"}"#) == .words("forked"))
    #expect(try reader.read(upTo: 1, for: "the child's word") == Array("x".utf8))
    let open = held.start("stall")
    workshop.host.shutdown()
    #expect(isGone(pid))
    #expect(open.result.isError)
    #expect(PollSet.look(reader.rawValue, for: .readable, timeoutMilliseconds: 60_000).contains(.hangUp))
    #expect(held.call("echo").isError)
  }

  @Test func `what a server prints that is no message does no harm, and is not answered`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script(record: "got"))
    #expect(held.call("junk", #"{"lines":20000}"#) == .words("printed"))
    #expect(held.call("echo") == .words("{}"))
    #expect(!workshop.record("got").contains { $0.contains(#""id":null"#) })
    #expect(workshop.logged.count < 1000)
  }

  @Test func `200 starts and kills leave no process behind`() throws {
    let workshop = MCPWorkshop { $0.firstBackoffMilliseconds = 0 }
    // A server in a line, because two hundred starts of Python take a minute.
    let words = #"""
      echo $$ >> "$0/pids"
      sleep 600 &
      while read -r line; do
        case $line in
        *'"initialize"'*) echo '{"jsonrpc":"2.0","id":"b-1","result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{}}}' ;;
        *'"tools/list"'*) echo '{"jsonrpc":"2.0","id":"b-2","result":{"tools":[{"name":"die"}]}}' ;;
        *'"tools/call"'*) kill -KILL $$ ;;
        esac
      done
      """#
    let held = workshop.open(MCPServer(command: "/bin/sh", args: ["-c", words, workshop.folder]))
    for _ in 0..<200 { #expect(held.call("die").text?.contains("SIGKILL") == true) }
    let pids = workshop.record("pids").compactMap { Int32($0) }
    #expect(Set(pids).count == 200)
    // The group outlives its leader by as long as a signal takes.
    for pid in pids { #expect(isGone(-pid)) }
  }
}

/// Whether the process, or with a minus the group, ends.
private func isGone(_ pid: Int32) -> Bool {
  let end = Clock.monotonicMilliseconds() + 20_000
  while kill(pid, 0) == 0 {
    if Clock.monotonicMilliseconds() > end { return false }
    usleep(2000)
  }
  return true
}
