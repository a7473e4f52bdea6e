import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// A process that stands still for longer than its lease, and wakes.
@Suite struct FrozenProcessTests {
  private let world = VirtualWorld()

  private func launch(_ turns: ScriptedModel.Answer...) -> VirtualProcess { world.launch(model: ScriptedModel(turns)) }

  @Test func `its claims count until the lease is over, and whoever asks is told when that is`() throws {
    let first = launch(.held)
    let run = try #require(first.start("hi", startParams()).runID)
    let second = launch(.say("by the second"))
    first.freeze()
    world.advance(milliseconds: 3000)
    #expect(second.look(run)?.driver == .other)
    #expect(second.resume(run).error?.retryAfterMilliseconds == 1000)
    world.advance(milliseconds: 4000)
    let refused = try #require(second.resume(run).error)
    #expect(refused.kind == .runLeaseHeld && refused.retryAfterMilliseconds == 3000)
    world.advance(milliseconds: 3000)
    #expect(second.look(run)?.driver == RunOutcome.Driver.none)
    #expect(second.resume(run).outcome?.status == .success)
  }

  @Test func `one that lost its run gives it up at its first look, before it takes what came in meanwhile`() throws {
    let first = launch(.held)
    let started = first.start("hi", startParams())
    let run = try #require(started.runID)
    let second = launch(.say("by the second"))
    first.freeze()
    // Its model answers while it stands still.
    try first.model.call(0).finish(.say("by the first"))
    world.advance(milliseconds: Lease.milliseconds)
    #expect(second.resume(run).outcome?.answer == .inline(CarriedJSON(string: "by the second")))
    let log = world.disk.records(of: run)
    first.thaw()
    world.settle()
    #expect(world.disk.records(of: run) == log)
    #expect(try first.model.call(0).isCancelled)
    #expect(started.outcome?.answer == .inline(CarriedJSON(string: "by the second")))
    #expect(first.engine.live.isEmpty)
  }

  @Test func `what it begins to write in the instant it wakes conflicts, and it stops its work`() throws {
    let first = launch(.call(("s", "{}")), .held)
    let started = first.start("hi", startParams(tools: [serverTool("s")]))
    let run = try #require(started.runID)
    let second = launch(.call(), .held)
    // The last look before it froze was an instant ago for it: nothing tells it that time has passed, but the log.
    first.store.beforeSubmit = { [unowned first] _ in
      first.store.beforeSubmit = nil
      world.disk.freeze(first.store.owner)
      world.clock.advance(to: world.clock.milliseconds + Lease.milliseconds)
      _ = second.resume(run, wait: false)
      world.disk.thaw(first.store.owner)
    }
    first.tools.runs.last?.complete(.text("ran"))
    world.settle()
    #expect(second.look(run)?.driver == .own)
    let results = world.disk.records(of: run).filter { $0.type == "tool.completed" }
    #expect(results.count == 1 && results[0].event?.string.contains("interrupted") == true)
    #expect(!started.isThere)
    second.model.calls.last?.finish(.say("done"))
    world.advance(milliseconds: 100)
    #expect(started.outcome?.status == .success)
  }

  @Test func `one that lost nothing goes on`() throws {
    let first = launch(.held)
    let started = first.start("hi", startParams())
    first.freeze()
    world.advance(milliseconds: 10 * Lease.milliseconds)
    first.thaw()
    try first.model.call(0).finish(.say("ok"))
    world.settle()
    #expect(started.outcome?.status == .success)
    #expect(
      world.disk.records(of: try #require(started.runID)).map(\.type) == [
        "run.started", "model.started", "model.completed", "run.completed",
      ])
  }

  @Test func `a call that is out at a frozen process is sent again by whoever asks for it, and withdrawn there`() throws {
    let first = launch(.call(("a", "{}")))
    let started = first.start("hi", startParams(tools: [clientTool("a")]))
    let run = try #require(started.runID)
    let second = launch(.call(), .say("ok"))
    first.freeze()
    #expect(second.look(run)?.pendingCalls.map(\.state) == [.open])
    world.advance(milliseconds: Lease.milliseconds)
    #expect(second.look(run)?.pendingCalls.map(\.state) == [.parked])
    _ = second.resume(run, wait: false)
    #expect(second.parent.invocations.map(\.request.attempt) == [2])
    first.thaw()
    world.advance(milliseconds: 100)
    #expect(first.parent.invocations.map(\.isCancelled) == [true])
    try second.parent.request(0).answer(.text("done"))
    world.advance(milliseconds: 100)
    #expect(started.outcome?.status == .success)
  }

  @Test func `a wait between attempts that ends after the call was taken over changes nothing`() throws {
    let first = launch(.call(("a", "{}")))
    let tool = clientTool("a", #""onTimeout":"retryWithBackoff","annotations":{"idempotentHint":true}"#)
    let run = try #require(first.start("hi", startParams(agent: #""clientTools":{"invokeTimeoutMs":100}"#, tools: [tool])).runID)
    world.advance(milliseconds: 120)
    let second = launch(.call(), .held)
    // The attempt has timed out; in the instant of the next one, another process has it.
    first.store.beforeSubmit = { [unowned first] _ in
      first.store.beforeSubmit = nil
      world.disk.freeze(first.store.owner)
      world.clock.advance(to: world.clock.milliseconds + Lease.milliseconds)
      _ = second.resume(run, wait: false)
      world.disk.thaw(first.store.owner)
    }
    world.advance(milliseconds: 1000)
    #expect(second.parent.invocations.map(\.request.attempt) == [2])
    #expect(first.parent.invocations.map(\.request.attempt) == [1])
    #expect(!world.disk.records(of: run).contains { $0.type == "call.parked" })
  }

  @Test func `a process says that it is at work from before its first claim until it holds none`() throws {
    let first = launch(.held)
    var keptAtSubmit: [Bool] = []
    first.store.beforeSubmit = { [unowned first] _ in keptAtSubmit.append(first.store.keepsLease) }
    #expect(!first.store.keepsLease)
    _ = first.start("hi", startParams())
    #expect(keptAtSubmit == [true])
    world.advance(milliseconds: 5000)
    #expect(first.store.keepsLease)
    try first.model.call(0).finish(.say("ok"))
    world.advance(milliseconds: 100)
    #expect(!first.store.keepsLease)
  }
}
