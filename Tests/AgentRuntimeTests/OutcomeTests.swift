import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What a run came to, as every method that settles one tells it.
@Suite struct OutcomeTests {
  private let world = VirtualWorld()

  private func written(_ outcome: RunOutcome) -> String {
    var writer = JSONWriter()
    writer.beginObject()
    outcome.writeMembers(to: &writer)
    writer.endObject()
    return writer.finish().string
  }

  @Test func `an ended run has its answer, its reason and its usage`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}"), ("nobody", "{}")), .turn(.say("ok", stopReason: "max_tokens"))]))
    process.parent.answer = { _ in .text("done") }
    let params = startParams(tools: [clientTool("a")], more: #""metadata":{"k":"v"}"#)
    let outcome = try #require(process.start("hi", params).outcome)
    let usage = #"{"inputTokens":20,"outputTokens":10,"cacheReadTokens":0,"cacheWriteTokens":0,"modelCalls":2,"toolCalls":2}"#
    #expect(
      written(outcome)
        == #"{"runId":"\#(outcome.runID)","status":"success","ended":true,"driver":"none","stopReason":"max_tokens","answer":"ok","pendingToolCalls":[],"usage":\#(usage),"lastSeq":11,"metadata":{"k":"v"}}"#
    )
    // The same from the log.
    #expect(process.look(outcome.runID) == outcome)
    let other = world.launch(model: ScriptedModel([]))
    #expect(other.look(outcome.runID) == outcome)
  }

  @Test func `a waiting run lists its calls in order`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", #"{"x":0.10}"#), ("b", "{}"))]))
    let params = startParams(agent: #""clientTools":{"maxParallelInvocations":1}"#, tools: [clientTool("a"), clientTool("b")])
    let run = try #require(process.start("hi", params).runID)
    let outcome = try #require(process.look(run))
    let calls = outcome.pendingCalls.map(\.callID.text)
    try #require(calls.count == 2)
    let first =
      #"{"runId":"\#(run)","callId":"\#(calls[0])","name":"a","target":"client","arguments":{"x":0.10},"needs":"result","attempt":1,"state":"open"}"#
    let second =
      #"{"runId":"\#(run)","callId":"\#(calls[1])","name":"b","target":"client","arguments":{},"needs":"result","attempt":0,"state":"parked"}"#
    #expect(
      written(outcome).contains(#""status":"waiting_client_tool","ended":false,"driver":"none","pendingToolCalls":[\#(first),\#(second)],"#)
    )
  }

  @Test func `an answer that fits its schema is there as JSON too`() throws {
    let process = world.launch(model: ScriptedModel([.say(#" {"a": 1.50} "#)]))
    let outcome = process.start("hi", startParams(outputSchema: #"{"required":["a"]}"#)).outcome
    #expect(outcome?.structuredAnswer == .inline(json(#"{"a": 1.50}"#)))
    #expect(outcome?.answer == .inline(json(#"" {\"a\": 1.50} ""#)))
  }

  @Test func `a refusal need not fit the schema`() throws {
    let process = world.launch(model: ScriptedModel([.turn(.say("no", stopReason: "refusal"))]))
    let outcome = process.start("hi", startParams(outputSchema: #"{"required":["a"]}"#)).outcome
    #expect(outcome?.status == .success && outcome?.stopReason == "refusal" && outcome?.structuredAnswer == nil)
  }

  @Test func `the model is told what does not fit`() throws {
    let process = world.launch(model: ScriptedModel([.say("{}"), .say(#"{"a":1}"#)]))
    _ = process.start("hi", startParams(outputSchema: #"{"required":["a"]}"#))
    #expect(
      process.model.shown.last == [
        "user: hi", "assistant: {}",
        "user: The answer does not fit the schema that it must fit: /a is required. Answer again with nothing but JSON that fits.",
      ])
  }

  @Test func `notes are seen at the next turn, in their order`() throws {
    let process = world.launch(model: ScriptedModel { request in request.turn == 0 ? .held : .say("ok") })
    let run = try #require(process.start("hi", startParams(tools: [serverTool("s")])).runID)
    _ = process.note(run, "one")
    try process.model.call(0).finish(.call([("s", "{}")]))
    world.settle()
    _ = process.note(run, "two")
    process.tools.runs.first?.complete(.text("s ran"))
    world.settle()
    #expect(process.model.shown.last == ["user: hi", "assistant:  s{}", "s: s ran", "user: one", "user: two"])
  }

  @Test func `a run that this bridge cannot drive is refused before it exists`() {
    let process = world.launch(model: ScriptedModel([]))
    process.model.refusal = RuntimeError(.modelUnknownProvider, "who?")
    #expect(process.start("hi", startParams()).error?.kind == .modelUnknownProvider)
    process.model.refusal = nil
    process.tools.refusal = RuntimeError(.unsupportedCapability, "no commands")
    #expect(process.start("hi", startParams(tools: [serverTool("s")])).error?.kind == .unsupportedCapability)
    #expect(world.disk.runIDs.isEmpty)
    #expect(process.engine.live.isEmpty && process.engine.driven.isEmpty)
  }

  @Test func `a trace is carried to every event, and all of _meta to the calls`() throws {
    let process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")]))
    process.parent.answer = { _ in .text("done") }
    let meta = json(#"{"traceparent":"00-1-2-01","progressToken":7,"x":{"y":0.10},"tracestate":"k=v"}"#)
    let run = try #require(process.start("hi", startParams(tools: [clientTool("a")]), meta: meta).runID)
    #expect(process.parent.invocations.map(\.request.meta) == [meta])
    let traces = world.disk.records(of: run).compactMap(\.event).map { CarriedJSON(trusted: $0)["_meta"]?.bytes.string }
    #expect(Set(traces) == [#"{"traceparent":"00-1-2-01","tracestate":"k=v"}"#])
  }

  @Test func `lists are newest first, page by page, also by driver`() throws {
    let process = world.launch(model: ScriptedModel { request in request.agent.name == "held" ? .held : .say("ok") })
    var runs: [ULID] = []
    for number in 0..<7 {
      world.advance(milliseconds: 1)
      let params = startParams(agent: number % 3 == 0 ? #""name":"held""# : "")
      runs.append(try #require(process.start("\(number)", params).runID))
    }
    func page(_ limit: Int, before: ULID? = nil, _ driver: RunOutcome.Driver? = nil) throws -> (runs: [Int?], more: ULID?) {
      var query = RunQuery()
      query.limit = limit
      query.before = before
      let page = try process.engine.runs(matching: query, driver: driver)
      return (page.runs.map { runs.firstIndex(of: $0.outcome.runID) }, page.more)
    }
    let first = try page(3)
    #expect(first.runs == [6, 5, 4] && first.more == runs[4])
    let second = try page(3, before: first.more)
    #expect(second.runs == [3, 2, 1] && second.more == runs[1])
    let third = try page(3, before: second.more)
    #expect(third.runs == [0] && third.more == nil)
    #expect(try page(7).more == nil)
    let own = try page(2, .own)
    #expect(own.runs == [6, 3])
    #expect(try page(2, before: own.more, .own).runs == [0])
    #expect(try page(10, .some(.none)).runs == [5, 4, 2, 1])
    #expect(try page(10, .other).runs == [])
  }
}
