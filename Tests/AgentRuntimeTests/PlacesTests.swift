import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// At most `maxConcurrentRuns` are driven by a process at once.
@Suite struct PlacesTests {
  private let world = VirtualWorld()

  private func launch(_ places: Int, _ answer: @escaping (ModelRequest) -> ScriptedModel.Answer) -> VirtualProcess {
    var limits = RunEngine.Limits()
    limits.maxConcurrentRuns = places
    return world.launch(model: ScriptedModel(answer), limits: limits)
  }

  @Test func `a run too many is refused, and there is room when one waits or ends`() throws {
    let process = launch(2) { $0.turn == 0 && $0.agent.name == "waits" ? .call(("a", "{}")) : .held }
    let held = process.start("one", startParams())
    _ = process.start("two", startParams())
    let third = process.start("three", startParams())
    #expect(third.error?.kind == .overloaded)
    #expect(third.error?.retryAfterMilliseconds != nil)
    #expect(world.disk.runIDs.count == 2)
    try process.model.call(0).finish(.say("ok"))
    world.settle()
    #expect(held.outcome?.status == .success)
    for _ in 0..<3 {
      let waiting = process.start("waits", startParams(agent: "\"name\":\"waits\"", tools: [clientTool("a")]), delivery: .pause)
      #expect(waiting.outcome?.status == .waitingClientTool)
    }
    #expect(process.start("four", startParams()).error == nil)
    #expect(process.start("five", startParams()).error?.kind == .overloaded)
  }

  @Test func `a submit is stored, and the run goes on when there is a place`() throws {
    let process = launch(1) { $0.agent.name == nil ? .held : $0.turn == 0 ? .call(("a", "{}")) : .say("ok") }
    let params = startParams(agent: "\"name\":\"waits\"", tools: [clientTool("a")])
    let runs = try (0..<3).map { _ in try #require(process.start("hi", params, delivery: .pause).runID) }
    _ = process.start("in the way", startParams())
    let submits = try runs.map { run in
      process.submit(run, [(try #require(process.look(run)?.pendingCalls.first).callID.text, .text("done"))], delivery: .pause)
    }
    #expect(submits.allSatisfy { !$0.isThere })
    #expect(runs.map { process.look($0)?.status } == [.running, .running, .running])
    try process.model.call(3).finish(.say("out of the way"))
    world.settle()
    #expect(submits.map { $0.outcome?.status } == [.success, .success, .success])
  }

  @Test("who waits for a run that has no place is answered when it is cancelled or paused", arguments: [RunStatus.cancelled, .paused])
  func endedWithoutAPlace(status: RunStatus) throws {
    let process = launch(1) { $0.agent.name == nil ? .held : $0.turn == 0 ? .call(("a", "{}")) : .say("ok") }
    let params = startParams(agent: "\"name\":\"waits\"", tools: [clientTool("a")])
    let run = try #require(process.start("hi", params, delivery: .pause).runID)
    _ = process.start("in the way", startParams())
    let call = try #require(process.look(run)?.pendingCalls.first).callID.text
    let waiting = [process.submit(run, [(call, .text("done"))], delivery: .pause), process.wait(run)]
    #expect(waiting.map(\.isThere) == [false, false])
    let ended = status == .paused ? process.pause(run) : process.cancel(run)
    #expect((waiting + [ended]).map { $0.outcome?.status } == [status, status, status])
    #expect(process.engine.live[run] == nil)
    try process.model.call(1).finish(.say("out of the way"))
    world.settle()
    #expect(process.look(run)?.status == status)
    if status == .paused { #expect(process.resume(run).outcome?.status == .success) }
  }

  @Test func `a resume that would be one run too many is refused`() throws {
    let process = launch(1) { request in request.agent.name == nil ? .held : .say("ok") }
    let paused = try #require(process.start("hi", startParams()).runID)
    _ = process.pause(paused)
    try process.model.call(0).finish(.call([("nobody", "{}")]))
    world.settle()
    #expect(process.look(paused)?.status == .paused)
    _ = process.start("in the way", startParams())
    let refused = process.resume(paused)
    #expect(refused.error?.kind == .overloaded)
    #expect(process.look(paused)?.status == .paused)
    try process.model.call(1).finish(.say("out of the way"))
    world.settle()
    _ = process.resume(paused, wait: false)
    #expect(process.look(paused)?.status == .running)
  }
}
