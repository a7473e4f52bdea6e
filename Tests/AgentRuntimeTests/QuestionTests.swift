import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Questions to the user, and the forms that they are asked with.
@Suite struct QuestionTests {
  @Test(
    "a question is a form",
    arguments: [
      (#"{"question":"a"}"#, #"{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}"#),
      (
        #"{"question":"a","options":["x","y"],"schema":null}"#,
        #"{"type":"object","properties":{"answer":{"type":"string","enum":["x","y"]}},"required":["answer"]}"#
      ),
      (
        #"{"question":"a","schema":{"type":"integer","minimum":1,"title":"How many?"}}"#,
        #"{"type":"object","properties":{"answer":{"type":"integer","minimum":1,"title":"How many?"}},"required":["answer"]}"#
      ),
      (
        #"{"question":"a","schema":{"title":"T","type":"object","properties":{"x":{"type":"string","format":"date"}},"additionalProperties":false}}"#,
        #"{"type":"object","properties":{"x":{"type":"string","format":"date"}}}"#
      ),
      (
        #"{"question":"a","schema":{"properties":{"x":{"type":"boolean","default":true},"y":{"type":"array","items":{"type":"string","enum":["p"]},"maxItems":1}},"required":["x"]}}"#,
        #"{"type":"object","properties":{"x":{"type":"boolean","default":true},"y":{"type":"array","items":{"type":"string","enum":["p"]},"maxItems":1}},"required":["x"]}"#
      ),
      (
        #"{"question":"a","schema":{"type":"string","oneOf":[{"const":"r","title":"Red"}]}}"#,
        #"{"type":"object","properties":{"answer":{"type":"string","oneOf":[{"const":"r","title":"Red"}]}},"required":["answer"]}"#
      ),
    ])
  func forms(arguments: String, form: String) throws {
    let question = try Question(json(arguments))
    #expect(question.message.stringValue == "a")
    #expect(question.schema.bytes.string == form)
  }

  @Test(
    "what a form cannot be is told to the model",
    arguments: [
      (#"{"question":1}"#, "question must be a text."), (#"{"question":"a","options":[]}"#, "options must not be empty."),
      (#"{"question":"a","schema":true}"#, "schema must be a JSON Schema object."),
      (#"{"question":"a","schema":{"type":"string","type":"string"}}"#, "The schema has a member twice, at /type."),
      (#"{"question":"a","schema":{"type":"object"}}"#, "The schema at /properties must be an object."),
      (#"{"question":"a","schema":{"type":"object","properties":{}}}"#, "The schema at /properties must not be empty."),
      (
        #"{"question":"a","schema":{"type":"object","properties":{"x":{"type":"array","items":{"type":"object"}}}}}"#,
        "The schema at /properties/x/items must have enum or anyOf."
      ),
      (#"{"question":"a","schema":{"type":"object","properties":{"x":{}}}}"#, "The schema at /properties/x must be a schema with a type."),
      (
        #"{"question":"a","schema":{"type":"object","properties":{"x":{"type":"string","pattern":"a"}}}}"#,
        "The schema at /properties/x has pattern, which a form cannot express."
      ),
      (
        #"{"question":"a","schema":{"type":"object","properties":{"x":{"type":"string"}},"required":["y"]}}"#,
        "The schema at /required must be a list of names that properties has."
      ),
      (
        #"{"question":"a","schema":{"type":"object","properties":{"x":{"type":"string"}},"anyOf":[]}}"#,
        "The schema has anyOf, which a form cannot express."
      ),
      (#"{"question":"a","schema":{"type":"string","format":"ipv4"}}"#, "The schema at /format must be email, uri, date or date-time."),
      (#"{"question":"a","schema":{"type":"string","minLength":-1}}"#, "The schema at /minLength must be a count."),
      (#"{"question":"a","schema":{"type":"string","enum":[1]}}"#, "The schema at /enum must be a list of texts."),
      (#"{"question":"a","schema":{"type":"array"}}"#, "The schema needs items."),
    ])
  func noForms(arguments: String, words: String) {
    let error = #expect(throws: Question.Unaskable.self) { try Question(json(arguments)) }
    let said = error?.words ?? ""
    #expect(said == words || said == words + " A form is flat: strings, numbers, integers, booleans and enums.")
  }

  /// A run that asks, of a client that cannot be asked.
  private struct Setting {
    let world = VirtualWorld()
    let process: VirtualProcess
    let run: ULID
    let calls: [String]

    init(_ calls: (String, String)...) throws {
      process = world.launch(
        model: ScriptedModel { request in request.turn == 0 ? .turn(.call(calls)) : .say("ok") }, tools: { _ in .text("ran") })
      let params = startParams(agent: #""askUser":true"#, tools: [clientTool("c"), serverTool("s", gatedCalls)])
      let started = process.start("hi", params, delivery: .pause)
      run = try #require(started.runID)
      self.calls = started.outcome?.pendingCalls.map(\.callID.text) ?? []
    }

    func tell(_ answers: (String, InputAnswer)..., partial: Bool = false) -> Answer {
      process.input(run, answers, partial: partial, wait: false)
    }
  }

  private static let question = ("ask_user", #"{"question":"which?"}"#)
  private func accept(_ content: String) -> InputAnswer { InputAnswer(.accept, content: json(content)) }
  private func verdicts(_ answer: Answer) -> [Verdict]? { answer.verdicts?.list.map(\.verdict) }

  @Test func `the tool is offered when the agent may ask, and is a client tool like others`() throws {
    let setting = try Setting(Self.question)
    #expect(setting.process.model.calls.first?.request.tools.map(\.name) == ["c", "s", "ask_user"])
    let started = setting.world.disk.records(of: setting.run).first?.event.flatMap { CarriedJSON(trusted: $0)["data"]?["tools"] }
    #expect(started?.elements.last?.bytes.string == #"{"name":"ask_user","target":"client"}"#)
    let other = setting.world.launch(model: ScriptedModel([.call(Self.question), .say("ok")]))
    _ = other.start("hi", startParams())
    #expect(other.model.shown.last?.last == "ask_user failed: There is no tool named \"ask_user\". Available: none.")
  }

  @Test func `an answer to a question that nobody asked is unknown`() throws {
    let setting = try Setting(Self.question, ("c", "{}"))
    let answer = setting.tell((setting.calls[0], accept(#"{"answer":"x"}"#)), (setting.calls[1], accept("{}")))
    #expect(answer.error?.kind == .runInvalidToolResults)
    #expect(answer.error?.details.first { $0.name == "unknown" }?.value.bytes.string == "[\"\(setting.calls[1])\"]")
    let result = setting.process.submit(
      setting.run, [(setting.calls[0], .text("x")), (setting.calls[1], .text("y"))], wait: false, delivery: .pause)
    #expect(result.error?.details.first { $0.name == "unknown" }?.value.bytes.string == "[\"\(setting.calls[0])\"]")
  }

  @Test func `a run that waits for no input says so`() throws {
    let setting = try Setting(("c", "{}"))
    let answer = setting.tell((setting.calls[0], accept("{}")))
    #expect(answer.error?.kind == .runInvalidToolResults)
    let other = setting.world.launch(model: ScriptedModel { _ in .held })
    let run = try #require(other.start("hi", startParams()).runID)
    #expect(other.input(run, [(setting.calls[0], accept("{}"))], wait: false).error?.kind == .runNotWaiting)
  }

  @Test(
    "an answer that does not fit leaves the question open",
    arguments: [
      (#"{"other":1}"#, "the content does not fit the form: /answer is required"), ("[]", "the content must be a JSON object"),
      (#"{"answer":"a","answer":"b"}"#, "the content has a member twice, at /answer"),
    ])
  func unfit(content: String, words: String) throws {
    let setting = try Setting(Self.question, ("ask_user", #"{"question":"and?"}"#))
    let answer = setting.tell((setting.calls[0], accept(#"{"answer":"x"}"#)), (setting.calls[1], accept(content)))
    #expect(answer.error?.kind == .invalidParams)
    #expect(answer.error?.message == words)
    #expect(answer.error?.pointer == "/inputs/1/content")
    #expect(answer.error?.details.map { $0.value.bytes.string } == ["{\"\(setting.calls[1])\":\"invalid\"}"])
    #expect(setting.process.look(setting.run)?.pendingCalls.count == 2)
    let partial = setting.tell((setting.calls[0], accept(#"{"answer":"x"}"#)), (setting.calls[1], accept(content)), partial: true)
    #expect(verdicts(partial) == [.accepted, .invalid])
    #expect(setting.process.look(setting.run)?.status == .waitingHumanInput)
  }

  @Test func `the same answer again is a duplicate, another one is a conflict`() throws {
    let setting = try Setting(Self.question, ("c", "{}"))
    let question = setting.calls[0]
    #expect(verdicts(setting.tell((question, accept(#"{"answer":"x"}"#)))) == [.accepted])
    #expect(verdicts(setting.tell((question, accept(#"{ "answer" : "\u0078" }"#)))) == [.duplicate])
    #expect(setting.tell((question, accept(#"{"answer":"y"}"#))).error?.kind == .runAlreadyClaimed)
    #expect(setting.tell((question, InputAnswer(.decline))).error?.kind == .runAlreadyClaimed)
    #expect(setting.process.look(setting.run)?.status == .waitingClientTool)
  }

  @Test func `accept without content is an empty answer`() throws {
    let setting = try Setting(
      ("ask_user", #"{"question":"a","schema":{"type":"object","properties":{"x":{"type":"string"}}}}"#))
    #expect(verdicts(setting.tell((setting.calls[0], InputAnswer(.accept)))) == [.accepted])
    #expect(setting.process.model.shown.last?.last == "ask_user: {}")
  }

  @Test func `an answer too long for an event is stored once and reaches the model whole`() throws {
    let setting = try Setting(Self.question)
    let long = String(repeating: "x", count: 70_000)
    #expect(verdicts(setting.tell((setting.calls[0], accept("{\"answer\":\"\(long)\"}")))) == [.accepted])
    #expect(verdicts(setting.tell((setting.calls[0], accept("{\"answer\":\"\(long)\"}")))) == [.duplicate])
    #expect(setting.process.model.shown.last?.last == "ask_user: {\"answer\":\"\(long)\"}")
  }
}
