import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Timeouts of calls that are out with the parent, and what follows them.
@Suite struct TimeoutTests {
  private let world = VirtualWorld()
  private let retried = startParams(tools: [clientTool("a", #""timeoutMs":100,"onTimeout":"retryWithBackoff",\#(idempotent)"#)])

  private func launch(_ params: CarriedJSON) throws -> (VirtualProcess, ULID, Answer) {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let started = process.start("hi", params)
    return (process, try #require(started.runID), started)
  }

  @Test func `the time runs from the moment the request is written`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    process.parent.holdsRequests = true
    let started = process.start("hi", startParams(tools: [clientTool("a", #""timeoutMs":100"#)]))
    world.advance(milliseconds: 1000)
    #expect(!started.isThere)
    try process.parent.request(0).sent()
    world.advance(milliseconds: 99)
    #expect(!started.isThere)
    world.advance(milliseconds: 1)
    #expect(started.outcome?.status == .success)
  }

  @Test func `progress restarts the time and reaches observers`() throws {
    let (process, _, started) = try launch(startParams(tools: [clientTool("a", #""timeoutMs":100"#)]))
    for _ in 0..<5 {
      world.advance(milliseconds: 99)
      try process.parent.request(0).progress(json(#"{"progress":1}"#))
      world.settle()
    }
    #expect(!started.isThere)
    #expect(process.transcript.lines.filter { $0 == #"progress a {"progress":1}"# }.count == 5)
    world.advance(milliseconds: 100)
    #expect(started.isThere)
  }

  @Test func `a result that comes later is waited for, also when an attempt says so that is given up`() throws {
    for waitsForNext in [true, false] {
      let (process, run, started) = try launch(retried)
      world.advance(milliseconds: 100)
      if !waitsForNext { for _ in 0..<400 where process.parent.invocations.count < 2 { world.advance(milliseconds: 1) } }
      try process.parent.request(0).answer(.result(.later, bytes: 1))
      world.advance(milliseconds: 60_000)
      #expect(process.parent.invocations.count == (waitsForNext ? 1 : 2))
      #expect(!started.isThere || started.outcome?.status == .waitingClientTool)
      let call = try #require(process.look(run)?.pendingCalls.first)
      #expect(call.state == .deferred)
      #expect(process.submit(run, [(call.callID.text, .text("at last"))]).outcome?.status == .success)
      #expect(process.model.shown.last?.last == "a: at last")
    }
  }

  @Test func `progress of an attempt that is given up does not put off the next`() throws {
    let (process, _, _) = try launch(
      startParams(tools: [clientTool("a", #""timeoutMs":5000,"onTimeout":"retryWithBackoff",\#(idempotent)"#)]))
    world.advance(milliseconds: 5000)
    try process.parent.request(0).progress(json(#"{"progress":1}"#))
    world.settle()
    // The wait before the second attempt is 250 ms at the most.
    world.advance(milliseconds: 250)
    #expect(process.parent.invocations.count == 2)
  }

  @Test func `the wait before another attempt doubles, with jitter`() throws {
    let (process, _, _) = try launch(retried)
    var sent = [0]
    for _ in 0..<12_000 where sent.count < 4 {
      world.advance(milliseconds: 1)
      if process.parent.invocations.count > sent.count { sent.append(world.clock.milliseconds) }
    }
    #expect(sent.count == 4)
    for (index, wait) in [200, 400, 800].enumerated() {
      let pause = sent[index + 1] - sent[index] - 100
      #expect((wait * 3 / 4...wait * 5 / 4).contains(pause), "\(pause) ms before attempt \(index + 2)")
    }
    world.advance(milliseconds: 100)
    #expect(process.parent.invocations.count == 4)
    #expect(process.transcript.lines.contains("model.started again") == false)
    #expect(process.transcript.lines.contains { $0.contains("error 'Client unavailable") })
  }

  @Test func `a parent that answers a cancelled request with an error does not end the retries`() throws {
    let (process, _, started) = try launch(retried)
    world.advance(milliseconds: 100)
    #expect(try process.parent.request(0).isCancelled)
    try process.parent.request(0).answer(.error("cancelled", bytes: 9))
    world.advance(milliseconds: 1000)
    #expect(process.parent.invocations.count >= 2)
    process.parent.invocations.last?.answer(.text("done"))
    world.settle()
    #expect(started.outcome?.status == .success)
  }

  @Test func `a late result of an earlier attempt is the result, a late error is ignored`() throws {
    let (process, _, started) = try launch(retried)
    while process.parent.invocations.count < 2 { world.advance(milliseconds: 10) }
    try process.parent.request(0).answer(.text("late"))
    world.settle()
    #expect(started.outcome?.status == .success)
    #expect(process.model.shown.last?.last == "a: late")
    #expect(try process.parent.request(1).isClosed)

    let other = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    let second = other.start("hi", retried)
    while other.parent.invocations.count < 2 { world.advance(milliseconds: 10) }
    try other.parent.request(0).answer(.error("late", bytes: 4))
    world.settle()
    #expect(!second.isThere)
    try other.parent.request(1).answer(.error("in time", bytes: 7))
    world.settle()
    #expect(other.model.shown.last?.last == "a failed: in time")
  }

  @Test func `a retry that falls due while the run is paused parks the call, and the resume sends it`() throws {
    let (process, run, _) = try launch(retried)
    world.advance(milliseconds: 100)
    _ = process.pause(run)
    world.advance(milliseconds: 2000)
    #expect(process.parent.invocations.count == 1)
    #expect(process.look(run)?.pendingCalls.map(\.state) == [.parked])
    let resumed = process.resume(run)
    #expect(process.parent.invocations.map(\.request.attempt) == [1, 2])
    try process.parent.request(1).answer(.text("done"))
    world.settle()
    #expect(resumed.outcome?.status == .success)
  }

  @Test func `a timeout counts while the run is paused, and the run goes on at its resume`() throws {
    let (process, run, started) = try launch(startParams(tools: [clientTool("a", #""timeoutMs":100"#)]))
    #expect(process.pause(run).outcome?.pendingCalls.map(\.state) == [.open])
    world.advance(milliseconds: 100)
    #expect(started.outcome?.status == .paused)
    #expect(process.look(run)?.pendingCalls == [])
    #expect(process.look(run)?.status == .paused)
    #expect(process.resume(run).outcome?.status == .success)
  }

  @Test func `a parked call does not time out, and an answer to it counts`() throws {
    let (process, run, started) = try launch(startParams(tools: [clientTool("a", #""timeoutMs":100,"onTimeout":"park""#)]))
    world.advance(milliseconds: 10_000)
    #expect(started.outcome?.pendingCalls.map(\.state) == [.parked])
    try process.parent.request(0).answer(.text("late"))
    world.settle()
    #expect(process.look(run)?.status == .success)
  }

  @Test func `a deferred call does not time out`() throws {
    let (process, run, started) = try launch(startParams(tools: [clientTool("a", #""timeoutMs":100"#)]))
    try process.parent.request(0).answer(.result(.later, bytes: 1))
    world.advance(milliseconds: 10_000)
    #expect(started.outcome?.pendingCalls.map(\.state) == [.deferred])
    #expect(process.look(run)?.status == .waitingClientTool)
  }

  @Test func `the timeout is the tool's, else the agent's, else half a minute`() throws {
    for (params, timeout) in [
      (startParams(agent: #""clientTools":{"invokeTimeoutMs":70}"#, tools: [clientTool("a", #""timeoutMs":60"#)]), 60),
      (startParams(agent: #""clientTools":{"invokeTimeoutMs":70}"#, tools: [clientTool("a")]), 70),
      (startParams(tools: [clientTool("a")]), 30_000),
    ] {
      let (process, _, started) = try launch(params)
      #expect(try process.parent.request(0).request.timeoutMilliseconds == timeout)
      world.advance(milliseconds: timeout - 1)
      #expect(!started.isThere)
      world.advance(milliseconds: 1)
      #expect(started.isThere)
    }
  }

  @Test func `a call is not tried again once a pause is asked for, and is sent again after it`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}"), ("s", "{}")), .say("ok")]), tools: { _ in nil })
    let params = startParams(tools: [
      clientTool("a", #""timeoutMs":100,"onTimeout":"retryWithBackoff",\#(idempotent)"#), serverTool("s", gatedCalls),
    ])
    process.parent.abilities = .people
    let run = try #require(process.start("hi", params).runID)
    process.parent.question(of: "s")?.answer(approved)
    world.settle()
    #expect(process.look(run)?.status == .running)
    let pausing = process.pause(run)
    world.advance(milliseconds: 5000)
    #expect(process.parent.invocations.map(\.request.attempt) == [1])
    process.tools.run(of: "s")?.complete(.text("s ran"))
    world.settle()
    #expect(pausing.outcome?.status == .paused)
    _ = process.resume(run, wait: false)
    #expect(process.parent.invocations.map(\.request.attempt) == [1, 2])
    try process.parent.request(1).answer(.text("a done"))
    world.settle()
    #expect(process.look(run)?.status == .success)
  }
}
