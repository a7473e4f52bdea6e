import AgentRuntime
import JSON
import TestSupport

extension Scenario {
  static let questions = [
    Scenario(
      name: "a question that the user answers", params: startParams(agent: #""askUser":true"#),
      model: turns(.call(("ask_user", #"{"question":"which?","options":["x","y"]}"#)), .say("ok")), abilities: .people),
    Scenario(
      name: "a question that the user declines", params: startParams(agent: #""askUser":true"#),
      model: turns(.call(("ask_user", #"{"question":"which?"}"#)), .say("ok")), abilities: .people,
      person: { _, _ in .result(json(#"{"action":"decline"}"#)) }),
    Scenario(
      name: "a question that is put off, and answered by submit", params: startParams(agent: #""askUser":true"#),
      model: turns(.call(("ask_user", #"{"question":"which?"}"#)), .say("ok")), abilities: .people,
      person: { _, life in life == 1 ? .result(json(#"{"action":"cancel"}"#)) : accepted },
      steps: { stage in
        stage.tell("ask_user", InputAnswer(.cancel))
        stage.tell("ask_user", InputAnswer(.accept, content: json(#"{"answer":"x"}"#)))
      }),
    Scenario(
      name: "a question that nobody can be asked", params: startParams(agent: #""askUser":true"#),
      model: turns(.call(("ask_user", #"{"question":"which?","schema":{"type":"boolean","title":"Sure?"}}"#)), .say("ok")),
      steps: { $0.tell("ask_user", InputAnswer(.accept, content: json(#"{"answer":true}"#))) }),
    Scenario(
      name: "answers that do not answer", params: startParams(agent: #""askUser":true"#),
      model: turns(
        .call(
          ("ask_user", #"{"question":"1"}"#), ("ask_user", #"{"question":"2"}"#), ("ask_user", #"{"question":"3"}"#),
          ("ask_user", #"{"question":"4"}"#)), .say("ok")),
      abilities: .people,
      person: { request, life in
        if life > 1 { return accepted }
        return switch request.params["message"]?.stringValue {
        case "1": .result(json(#"{"action":"accept"}"#))
        case "2": .result(json(#"{"action":"accept","content":{"other":"x"}}"#))
        case "3": .error(code: -32601, message: "no such method")
        default: .result(json(#"{"action":"accept","content":{"answer":1,"answer":2}}"#))
        }
      },
      steps: { stage in
        stage.first.parent.answerQuestion = { _ in accepted }
        _ = stage.first.resume(stage.run)
      }),
    Scenario(
      name: "questions that are no questions", params: startParams(agent: #""askUser":true"#),
      model: turns(
        .call(
          ("ask_user", "{}"), ("ask_user", #"{"question":"a","options":["x"],"schema":{"type":"string"}}"#),
          ("ask_user", #"{"question":"a","schema":{"type":"object","properties":{"x":{"type":"object"}}}}"#),
          ("ask_user", #"{"question":"a","options":["x","x"]}"#)), .say("ok")), abilities: .people),
    Scenario(
      name: "the word for what a run waits for",
      params: startParams(agent: #""askUser":true"#, tools: [clientTool("g", gatedCalls), clientTool("c")]), delivery: .pause,
      model: turns(.call(("c", "{}"), ("ask_user", #"{"question":"which?"}"#), ("g", "{}")), .say("ok")),
      steps: { stage in
        stage.decide("g", ApprovalAnswer(.approve))
        stage.tell("ask_user", InputAnswer(.decline))
        stage.submit("c", "g")
      }),
    Scenario(
      name: "all that a run waits for, at once",
      params: startParams(agent: #""askUser":true"#, tools: [clientTool("g", gatedCalls), clientTool("c"), serverTool("s", gatedCalls)]),
      delivery: .pause,
      model: turns(.call(("c", "{}"), ("ask_user", #"{"question":"which?"}"#), ("g", "{}"), ("s", "{}")), .say("ok")),
      steps: { stage in
        func id(_ name: String) -> String { stage.pending().first { $0.name == name }?.callID.text ?? "" }
        _ = stage.first.submit(
          stage.run, results: [(id("c"), .text("c done")), (id("g"), .text("g done"))], approvals: [(id("s"), ApprovalAnswer(.approve))],
          inputs: [(id("ask_user"), InputAnswer(.accept, content: json(#"{"answer":"x"}"#)))], wait: false, delivery: .pause)
      }),
  ]
}

extension Stage {
  /// Submits decisions on the calls of these tools.
  func decide(_ name: String, _ answer: ApprovalAnswer, _ other: String? = nil, _ otherAnswer: ApprovalAnswer? = nil) {
    let answers = [(name, answer)] + (other.flatMap { other in otherAnswer.map { [(other, $0)] } } ?? [])
    let approvals = pending().compactMap { call in answers.first { $0.0 == call.name }.map { (call.callID.text, $0.1) } }
    _ = first.approve(run, approvals, wait: false, delivery: scenario.delivery)
  }

  /// Submits the answer to a question.
  func tell(_ name: String, _ answer: InputAnswer) {
    guard let call = pending().first(where: { $0.name == name }) else { return }
    _ = first.input(run, [(call.callID.text, answer)], wait: false)
  }
}
