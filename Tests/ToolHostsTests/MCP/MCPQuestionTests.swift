import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import AgentRuntime
@testable import ToolHosts

/// What servers ask of this side.
struct MCPQuestionTests {
  private func ask(_ method: String, _ params: String = "{}") -> String { #"{"method":"\#(method)","params":\#(params)}"# }

  @Test func `ping and roots are answered, what is unknown is not`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script())
    #expect(held.call("ask", ask("ping")) == .words("{}"))
    #expect(held.call("ask", ask("roots/list")) == .words(#"{"roots": []}"#))
    for method in ["sampling/createMessage", "elicitation/create", "resources/list"] {
      #expect(held.call("ask", ask(method)) == .words(#"{"code": -32601, "message": "Method not found"}"#))
    }
  }

  @Test func `sampling and elicitation are asked of the respondent, with the call they are for`() {
    let workshop = MCPWorkshop()
    let respondent = ScriptedRespondent { question in
      question.method == .createMessage ? .json(#"{"role":"assistant"}"#) : .json(#"{"action":"decline"}"#)
    }
    workshop.host.connect(respondent)
    let held = workshop.open(workshop.script(record: "got"))
    #expect(held.call("ask", ask("sampling/createMessage", #"{"messages":[]}"#)) == .words(#"{"role": "assistant"}"#))
    #expect(held.call("ask", ask("elicitation/create", #"{"message":"?"}"#)) == .words(#"{"action": "decline"}"#))
    let asked = respondent.asked.withLock { $0 }
    #expect(asked.map(\.server) == ["s", "s"])
    #expect(asked.map(\.params.bytes.string) == [#"{"messages": []}"#, #"{"message": "?"}"#])
    #expect(asked.map(\.origins) == [1, 2].map { [MCPQuestion.Origin(runID: ULID(high: 0, low: 1), callID: ULID(high: 0, low: $0))] })
    #expect(workshop.record("got")[1].contains(#""capabilities":{"roots":{},"sampling":{},"elicitation":{}}"#))
  }

  @Test func `an error of the respondent is the server's`() {
    let workshop = MCPWorkshop()
    let respondent = ScriptedRespondent { _ in .error(code: -1, message: "the user said no") }
    workshop.host.connect(respondent)
    #expect(
      workshop.open(workshop.script()).call("ask", ask("sampling/createMessage")) == .words(#"{"code": -1, "message": "the user said no"}"#)
    )
  }

  @Test func `a question that needs a browser is refused`() {
    let workshop = MCPWorkshop()
    let respondent = ScriptedRespondent { _ in .json("{}") }
    workshop.host.connect(respondent)
    #expect(
      workshop.open(workshop.script()).call("ask", ask("elicitation/create", #"{"mode":"url","url":"https://example.org"}"#))
        == .words(#"{"code": -32602, "message": "this mode is not supported"}"#))
  }

  @Test func `a call does not time out while its server waits for an answer, and the question ends with the call`() {
    let workshop = MCPWorkshop()
    let respondent = ScriptedRespondent { _ in nil }
    workshop.host.connect(respondent)
    let held = workshop.open(workshop.script())
    let call = held.start("ask", ask("elicitation/create"), timeoutMs: 1000)
    respondent.waitForQuestion()
    // Longer than the timeout, on the same thread.
    #expect(held.call("stall", #"{"seconds":1.3}"#).isError)
    #expect(call.resultCount == 0)
    call.running?.stop()
    #expect(call.result.isError)
    let isStopped: Bool? = respondent.stopped.wait(untilMilliseconds: Patience.deadline) { $0 == 1 ? true : nil }
    #expect(isStopped == true)
  }

  @Test func `a question of one run takes no time limit from the calls of another`() {
    let workshop = MCPWorkshop()
    let respondent = ScriptedRespondent { _ in nil }
    workshop.host.connect(respondent)
    let (one, two) = (workshop.open(workshop.script()), workshop.open(workshop.script(), run: 2))
    let asking = one.start("ask", ask("elicitation/create"), timeoutMs: 100)
    respondent.waitForQuestion()
    #expect(
      two.call("stall", timeoutMs: 300)
        == .failure("The MCP server 's' did not answer within 300 ms; whether the call took effect is unknown."))
    #expect(asking.resultCount == 0)
  }

  @Test func `a question ends with the last call that it may be for, whatever others are open`() {
    let workshop = MCPWorkshop()
    let respondent = ScriptedRespondent { _ in nil }
    workshop.host.connect(respondent)
    let (one, two) = (workshop.open(workshop.script()), workshop.open(workshop.script(), run: 2))
    let asking = one.start("ask", ask("elicitation/create"))
    respondent.waitForQuestion()
    let other = two.start("steps", #"{"count":2,"pause":600}"#)
    other.waitForProgress()
    asking.running?.stop()
    let isStopped: Bool? = respondent.stopped.wait(untilMilliseconds: Patience.deadline) { $0 == 1 ? true : nil }
    #expect(isStopped == true)
    #expect(other.resultCount == 0)
  }

  @Test func `without a handshake the questions come with the answer, and the call is made again`() {
    let workshop = MCPWorkshop()
    let respondent = ScriptedRespondent { question in
      question.method == .createMessage ? .json(#"{"role":"assistant"}"#) : .json(#"{"action":"accept"}"#)
    }
    workshop.host.connect(respondent)
    let held = workshop.open(workshop.script(#"{"stateless":true}"#))
    let requests =
      #"{"requests":{"a":{"method":"elicitation/create","params":{"message":"?"}},"b":{"method":"sampling/createMessage"},"c":{"method":"roots/list"}}}"#
    #expect(
      held.call("asks", requests)
        == .words(#"[{"a": {"action": "accept"}, "b": {"role": "assistant"}, "c": {"roots": []}}, "opaque"]"#))
    #expect(respondent.asked.withLock { $0 }.map { $0.params.bytes.string } == [#"{"message": "?"}"#, "{}"])
  }

  @Test func `a question that nobody answers ends the call`() {
    let workshop = MCPWorkshop()
    let held = workshop.open(workshop.script(#"{"stateless":true}"#))
    #expect(
      held.call("asks", #"{"requests":{"a":{"method":"sampling/createMessage"}}}"#)
        == .failure(
          "The MCP server 's' asked for sampling/createMessage, which this bridge does not answer; whether the call took effect is unknown."
        ))
  }
}
