import AgentRuntime
import JSON
import TestSupport
import Testing

@testable import BridgeService

/// Stored agents and their memory, as the wire has them.
@Suite struct AgentTests {
  private func call(_ bench: Bench, _ method: String, _ params: String) throws -> CarriedJSON {
    try bench.send(#"{"id":7,"method":"\#(method)","params":\#(params)}"#)
    return try #require(try bench.receive { $0["method"] == nil && $0["id"]?.intValue == 7 }.last)
  }

  private func result(_ bench: Bench, _ method: String, _ params: String) throws -> CarriedJSON {
    let answer = try call(bench, method, params)
    return try #require(answer["result"], "\(answer.bytes.string)")
  }

  private func error(_ bench: Bench, _ method: String, _ params: String) throws -> String {
    let data = try #require(try call(bench, method, params)["error"]?["data"])
    return "\(data["kind"]?.stringValue ?? "") \(data["pointer"]?.stringValue ?? "-")"
  }

  private static let time = "2026-11-20T10:00:00.000Z"

  @Test func `an agent is created, read, listed, changed and deleted`() throws {
    let bench = try Bench { _ in .say("ok") }
    let agent =
      #"{"model":"scripted:x","tols":1,"tools":[{"name":"t","description":"","inputSchema":{"a":0.10},"command":["x"],"env":{"A":"s3cret"}}]}"#
    let shown =
      #"{"model":"scripted:x","tols":1,"tools":[{"name":"t","description":"","inputSchema":{"a":0.10},"command":["x"],"env":{"A":"(hidden)"}}]}"#
    let made = try result(bench, "agent.create", #"{"agent":\#(agent)}"#)
    let id = try #require(made["agentId"]?.stringValue)
    #expect(made.bytes.string == #"{"agentId":"\#(id)","version":1,"warnings":["/agent/tols: unknown member, ignored"]}"#)
    let whole = #"{"agentId":"\#(id)","version":1,"agent":\#(shown),"createdAt":"\#(Self.time)","updatedAt":"\#(Self.time)"}"#
    #expect(try result(bench, "agent.get", #"{"agentId":"\#(id)"}"#).bytes.string == whole)
    #expect(try result(bench, "agent.list", "{}").bytes.string == #"{"agents":[\#(whole)]}"#)
    let update = #"{"agentId":"\#(id)","agent":{"model":"scripted:y"},"ifVersion":1}"#
    #expect(try result(bench, "agent.update", update).bytes.string == #"{"agentId":"\#(id)","version":2}"#)
    #expect(try error(bench, "agent.update", update) == "agent.conflict /ifVersion")
    #expect(try result(bench, "agent.delete", #"{"agentId":"\#(id)"}"#) == .emptyObject)
    for method in ["agent.get", "agent.delete"] { #expect(try error(bench, method, #"{"agentId":"\#(id)"}"#) == "agent.notFound -") }
    #expect(try result(bench, "agent.list", "{}").bytes.string == #"{"agents":[]}"#)
  }

  @Test func `memory is read and set`() throws {
    let bench = try Bench { _ in .say("ok") }
    let memory = #"[{"label":"a","description":"d","value":"1","limit":5},{"label":"b","value":"","readOnly":true}]"#
    let id = try #require(try result(bench, "agent.create", #"{"agent":{"model":"x:y","memory":\#(memory)}}"#)["agentId"]?.stringValue)
    #expect(
      try result(bench, "memory.get", #"{"agentId":"\#(id)"}"#).bytes.string
        == #"{"blocks":[{"label":"a","description":"d","value":"1","limit":5,"version":1,"updatedAt":"\#(Self.time)"},"#
        + #"{"label":"b","value":"","limit":20000,"readOnly":true,"version":1,"updatedAt":"\#(Self.time)"}]}"#)
    let set = #"{"agentId":"\#(id)","label":"a","value":"12345","ifVersion":1}"#
    #expect(try result(bench, "memory.set", set).bytes.string == #"{"label":"a","version":2}"#)
    #expect(try error(bench, "memory.set", set) == "agent.conflict /ifVersion")
    #expect(
      try result(bench, "memory.get", #"{"agentId":"\#(id)","label":"a"}"#)["blocks"]?.elements.map { $0["value"]?.stringValue } == [
        "12345"
      ])
    #expect(try error(bench, "memory.set", #"{"agentId":"\#(id)","label":"a","value":"123456"}"#) == "invalidParams /value")
    #expect(try error(bench, "memory.set", #"{"agentId":"\#(id)","label":"b","value":"1"}"#) == "memory.readOnly -")
    #expect(try error(bench, "memory.set", #"{"agentId":"\#(id)","label":"c","value":"1"}"#) == "invalidParams /label")
    #expect(try error(bench, "memory.get", #"{"agentId":"nobody"}"#) == "agent.notFound -")
  }

  @Test func `a run names its agent, and has one`() throws {
    let bench = try Bench { _ in .say("ok") }
    let id = try #require(try result(bench, "agent.create", #"{"agent":{"model":"x:y","name":"clerk"}}"#)["agentId"]?.stringValue)
    let outcome = try result(bench, "run.start", #"{"input":"hi","agentId":"\#(id)"}"#)
    #expect(outcome["agentId"]?.stringValue == id && outcome["status"]?.stringValue == "success")
    let run = try #require(outcome["runId"]?.stringValue)
    let details = try result(bench, "run.get", #"{"runId":"\#(run)"}"#)
    #expect(details["agentVersion"]?.intValue == 1 && details["agent"]?.bytes.string == #"{"model":"x:y","name":"clerk"}"#)
    for (params, expected) in [
      (#"{"input":"hi"}"#, "invalidParams /agent"),
      (#"{"input":"hi","agentId":"\#(id)","agent":{"model":"x:y"}}"#, "invalidParams /agentId"),
      (#"{"input":"hi","agentId":"nobody"}"#, "agent.notFound -"),
      (#"{"input":"hi","agentId":"\#(id)","limits":{"maxIterations":0}}"#, "invalidParams /limits/maxIterations"),
      (#"{"input":"hi","agent":{"model":"x:y","memory":[{"label":"a","value":""}]}}"#, "invalidParams /agent/memory"),
    ] {
      #expect(try error(bench, "run.start", params) == expected)
    }
  }
}
