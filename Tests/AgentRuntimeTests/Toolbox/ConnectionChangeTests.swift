import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What a connection registers later reaches the runs that it began, in memory or not.
@Suite struct ConnectionChangeTests {
  private let world = VirtualWorld()

  /// Calls `first`, then `y`, then is done.
  private func launch() -> VirtualProcess {
    world.launch(
      model: ScriptedModel { request in
        switch request.turn {
        case 0: .call(("first", "{}"))
        case 1: .call(("y", "{}"))
        default: .say("done")
        }
      })
  }

  private func begin(_ process: VirtualProcess, _ more: String = "") throws -> (run: ULID, call: String) {
    let started = process.start("hi", startParams(tools: [clientTool("first", more)]), delivery: .pause)
    let call = try #require(started.outcome?.pendingCalls.first?.callID.text)
    #expect(process.engine.live.isEmpty, "the run is out of memory")
    return (try #require(started.runID), call)
  }

  private func change(_ process: VirtualProcess, _ change: RegistrationChange) throws {
    try process.engine.changeConnection(change)
  }

  private func log(_ run: ULID) -> [String] {
    world.disk.records(of: run).compactMap { record in
      switch record.type {
      case "tools.changed", "model.started": return record.type
      case "tool.started", "tool.completed":
        let data = record.event.flatMap { CarriedJSON(trusted: $0)["data"] }
        let isError = data?["isError"]?.boolValue == true
        return "\(record.type) \(data?["name"]?.stringValue ?? "")\(isError ? " failed" : "")"
      default: return nil
      }
    }
  }

  private let y = Tool(name: "y", description: "", inputSchema: .emptyObject)

  @Test(
    "what is registered while a run waits with nothing open reaches it before its next turn",
    arguments: [
      RegistrationChange.register(tools: [Tool(name: "y", description: "", inputSchema: .emptyObject)], toolkits: []),
      .register(tools: [], toolkits: [toolkit("k", clients("y"), #""startCollapsed":false"#)]),
    ])
  func registered(change: RegistrationChange) throws {
    let process = launch()
    process.parent.answer = { _ in .text("ok") }
    let (run, call) = try begin(process)
    try self.change(process, change)
    let answer = process.submit(run, [(call, .text("r"))])
    #expect(answer.outcome?.status == .success)
    #expect(
      log(run) == [
        "model.started", "tool.completed first", "tools.changed", "model.started", "tool.started y", "tool.completed y", "model.started",
      ])
  }

  @Test func `what is unregistered meanwhile is not invoked any more`() throws {
    let process = launch()
    try change(process, .register(tools: [y], toolkits: []))
    let (run, call) = try begin(process)
    try change(process, .unregisterTools(["y"]))
    #expect(process.submit(run, [(call, .text("r"))]).outcome?.status == .success)
    #expect(
      log(run) == [
        "model.started", "tool.completed first", "tools.changed", "model.started", "tool.completed y failed", "model.started",
      ])
    #expect(process.parent.invocations.isEmpty)
  }

  @Test func `a run that waits for an approval takes them too`() throws {
    let process = launch()
    process.parent.answer = { _ in .text("ok") }
    let (run, call) = try begin(process, gatedCalls)
    try change(process, .register(tools: [y], toolkits: []))
    #expect(process.approve(run, [(call, .init(.approve))]).outcome?.status == .success)
    #expect(log(run).contains("tool.completed y"))
  }

  @Test func `each change is taken once, however often the run leaves the memory`() throws {
    let process = launch()
    let (run, call) = try begin(process)
    try change(process, .register(tools: [y], toolkits: []))
    let waiting = process.submit(run, [(call, .text("r"))], delivery: .pause)
    let next = try #require(waiting.outcome?.pendingCalls.first)
    #expect(next.name == "y" && process.engine.live.isEmpty)
    #expect(process.submit(run, [(next.callID.text, .text("r"))], delivery: .pause).outcome?.status == .success)
    #expect(log(run).filter { $0 == "tools.changed" }.count == 1)
  }

  @Test func `a change is not lost when another process appends first`() throws {
    let process = launch()
    let other = launch()
    process.parent.answer = { _ in .text("ok") }
    let (run, call) = try begin(process)
    try change(process, .register(tools: [y], toolkits: []))
    process.store.beforeSubmit = { [process] _ in
      process.store.beforeSubmit = nil
      _ = other.note(run, "by the way")
    }
    #expect(process.submit(run, [(call, .text("r"))]).outcome?.status == .success)
    #expect(log(run).contains("tool.completed y"))
  }

  @Test func `runs of another connection are left alone`() throws {
    let process = launch()
    let other = launch()
    let (run, call) = try begin(process)
    try change(other, .register(tools: [y], toolkits: []))
    #expect(other.submit(run, [(call, .text("r"))], delivery: .pause).outcome?.status == .success)
    #expect(log(run).contains("tool.completed y failed"))
    #expect(!log(run).contains("tools.changed"))
  }
}
