import AgentRuntime
import JSON
import TestSupport

/// What the runs of a simulation are, and what models, tools, clients and people do with them.
enum Plot {
  private static func tool(_ name: String, _ more: String = "") -> String {
    #"{"name":"\#(name)","description":"","inputSchema":{"type":"object"}\#(more.isEmpty ? "" : "," + more)}"#
  }

  private static let idempotent = #""annotations":{"idempotentHint":true}"#
  private static let command = #""command":["/bin/x"]"#
  private static let gated = #""requiresApproval":true"#

  private static let tools = [
    tool("a", #""onTimeout":"retryWithBackoff",\#(idempotent)"#), tool("b", #""onTimeout":"park","onDisconnect":"fallbackMessage""#),
    tool("c", #""parallel":false"#), tool("g", gated), tool("s", "\(command),\(idempotent)"), tool("t", #"\#(command),"parallel":false"#),
    tool("u", "\(command),\(gated)"),
  ]

  static let params = CarriedJSON(
    trusted: Bytes(
      """
      {"agent":{"model":"scripted:x","askUser":true,"approvalTimeoutMs":2000,
      "clientTools":{"invokeTimeoutMs":400,"maxParallelInvocations":2}},
      "tools":[\(tools.joined(separator: ","))],"limits":{"maxIterations":5,"onLimit":"pause"}}
      """))

  static func consent(to request: ParentRequest) -> ParentReply {
    .result(
      CarriedJSON(
        trusted: Bytes(request.method == .approval ? #"{"decision":"approve"}"# : #"{"action":"accept","content":{"answer":"x"}}"#)))
  }

  // MARK: Models and tools

  static func moveModel(_ simulation: Simulation, _ able: [VirtualProcess]) {
    guard let (process, index) = simulation.openTurns(able).randomElement(using: &simulation.chance) else { return }
    let words = "the model of \(simulation.name(process))"
    switch simulation.chance.below(12) {
    case 0:
      simulation.note("\(words) is unavailable")
      simulation.finishTurn(process, index, .failed(RunFault(.modelUnavailable, "503", retryable: true)))
    case 1:
      simulation.note("\(words) refuses")
      simulation.finishTurn(process, index, .failed(RunFault(.modelRejected, "400")))
    case 2:
      simulation.note("\(words) tries again")
      process.model.calls[index].send(.retried(attempt: 1, reason: "503", retryAfterMilliseconds: 100))
    case 3, 4:
      simulation.note("\(words) says something")
      process.model.calls[index].send(.text("some text"))
    case 5, 6:
      simulation.note("\(words) answers")
      simulation.finishTurn(process, index, .finished(.say("done")))
    default:
      let names = ["a", "b", "c", "g", "s", "t", "u", "ask_user", "nobody"]
      var calls: [(String, String)] = []
      for number in 0...simulation.chance.below(4) {
        let name = names[simulation.chance.below(names.count)]
        calls.append((name, name == "ask_user" ? #"{"question":"\#(number)"}"# : "{}"))
      }
      simulation.note("\(words) calls \(calls.map(\.0).joined(separator: " "))")
      simulation.finishTurn(process, index, .finished(.call(calls)))
    }
  }

  static func moveTool(_ simulation: Simulation, _ able: [VirtualProcess]) {
    let runs = able.flatMap { process in process.tools.runs.filter { !$0.isDone }.map { (process, $0) } }
    guard let (process, run) = runs.randomElement(using: &simulation.chance) else { return }
    simulation.note("\(run.call.tool.name) ends in \(simulation.name(process))")
    run.complete(simulation.chance.below(4) == 0 ? .failure("it failed") : .text("it ran"))
  }

  // MARK: Clients and people

  static func moveParent(_ simulation: Simulation, _ able: [VirtualProcess]) {
    guard let process = able.randomElement(using: &simulation.chance) else { return }
    let client = "the client of \(simulation.name(process))"
    if simulation.chance.below(3) == 0, let question = process.parent.openQuestions.randomElement(using: &simulation.chance) {
      let words = [
        #"{"decision":"approve"}"#, #"{"decision":"deny","reason":"no"}"#, #"{"decision":"approve","arguments":{"x":1}}"#,
        #"{"decision":"approve","scope":"session"}"#, #"{"action":"accept","content":{"answer":"y"}}"#, #"{"action":"decline"}"#,
        #"{"action":"cancel"}"#, "[]",
      ]
      let word = words[simulation.chance.below(words.count)]
      simulation.note("\(client) says \(word)")
      return question.answer(.result(CarriedJSON(trusted: Bytes(word))))
    }
    // Also to requests that were taken back: such an answer is late.
    let requests = process.parent.invocations.filter { !$0.isAnswered }
    guard let invocation = requests.randomElement(using: &simulation.chance) else { return }
    let call = "\(invocation.request.name)#\(invocation.request.attempt)"
    switch simulation.chance.below(8) {
    case 0:
      simulation.note("\(client) errs in \(call)")
      invocation.answer(.error("no", bytes: 2))
    case 1:
      simulation.note("\(client) works on \(call)")
      invocation.progress(.emptyObject)
    case 2:
      simulation.note("\(client) defers \(call)")
      var later = ToolResult()
      later.deferred = true
      invocation.answer(.result(later, bytes: 1))
    default:
      simulation.note("\(client) answers \(call)")
      invocation.answer(.text("answer \(simulation.chance.below(3))"))
    }
  }

  // MARK: Requests

  static func request(_ simulation: Simulation, _ process: VirtualProcess) {
    let runs = simulation.judge.runs
    guard let run = runs.randomElement(using: &simulation.chance), let state = simulation.judge.states[run] else {
      return simulation.begin(process)
    }
    let words = simulation.judge.name(run)
    let wait = simulation.chance.below(2) == 0
    let delivery: Delivery? = process.parent.answersInvocations && simulation.chance.below(4) > 0 ? .invoke : .pause
    switch simulation.chance.below(16) {
    case 0: if runs.count < 4 { simulation.begin(process) }
    case 1: if simulation.chance.below(3) == 0 { simulation.ask("cancel \(words)", process) { process.cancel(run) } }
    case 2: simulation.ask("pause \(words)", process) { process.pause(run) }
    case 3: simulation.ask("note on \(words)", process) { process.note(run, "note") }
    case 4: simulation.ask("wait for \(words)", process) { process.wait(run, timeout: wait ? nil : 500) }
    case 5: simulation.watch(run, process, after: state.sequence)
    case 6, 7, 8:
      simulation.judge.resumed.insert(run)
      let deferred = Set(state.awaitedCalls.filter(\.isDeferred).map(\.callID))
      let limits = CarriedJSON(trusted: Bytes(#"{"maxIterations":\#(5 + simulation.chance.below(10))}"#))
      simulation.ask("resume \(words)", process) {
        process.resume(run, delivery: delivery, limits: limits, reissue: wait ? deferred : [], wait: wait)
      }
    case 9, 10: decide(simulation, process, state, wait, delivery)
    case 11: tell(simulation, process, state, wait)
    default: submit(simulation, process, state, wait, delivery)
    }
  }

  private static func submit(_ simulation: Simulation, _ process: VirtualProcess, _ state: RunState, _ wait: Bool, _ delivery: Delivery?) {
    var calls = state.awaitedCalls.filter { $0.need == .result }.map(\.callID)
    let isPartial = simulation.chance.below(2) == 0
    if isPartial { calls = calls.filter { _ in simulation.chance.below(2) == 0 } }
    // Of the calls that have their results, one is given once more, and now and then one that there never was.
    if simulation.chance.below(6) == 0, let old = state.resultSequences.keys.min() { calls.append(old) }
    if simulation.chance.below(12) == 0 { calls.append(ULID(high: 1, low: 1)) }
    if calls.isEmpty { return }
    let results = calls.map { ($0.text, ToolResult.text("answer \(simulation.chance.below(3))")) }
    let words = "submit \(results.count) results to \(simulation.judge.name(state.runID))\(isPartial ? " in part" : "")"
    simulation.ask(words, process, given: Dictionary(results) { first, _ in first }) {
      process.submit(state.runID, results, partial: isPartial, wait: wait, delivery: delivery)
    }
  }

  private static func decide(_ simulation: Simulation, _ process: VirtualProcess, _ state: RunState, _ wait: Bool, _ delivery: Delivery?) {
    let gated = state.awaitedCalls.filter { $0.need == .approval }.map(\.callID.text)
    if gated.isEmpty { return }
    let answers: [ApprovalAnswer] = [
      .init(.approve), .init(.deny, reason: "no"), .init(.approve, arguments: CarriedJSON(trusted: Bytes(#"{"x":2}"#))),
      .init(.approve, scope: .session),
    ]
    let answer = answers[simulation.chance.below(answers.count)]
    let isPartial = simulation.chance.below(2) == 0
    simulation.ask("\(answer.decision) in \(simulation.judge.name(state.runID))", process) {
      process.approve(
        state.runID, gated.prefix(isPartial ? 1 : gated.count).map { ($0, answer) }, partial: isPartial, wait: wait, delivery: delivery)
    }
  }

  private static func tell(_ simulation: Simulation, _ process: VirtualProcess, _ state: RunState, _ wait: Bool) {
    let asked = state.awaitedCalls.filter { $0.need == .input }.map(\.callID.text)
    if asked.isEmpty { return }
    let words: [InputAnswer] = [.init(.accept, content: CarriedJSON(trusted: Bytes(#"{"answer":"z"}"#))), .init(.decline), .init(.cancel)]
    let word = words[simulation.chance.below(words.count)]
    simulation.ask("\(word.action) in \(simulation.judge.name(state.runID))", process) {
      process.input(state.runID, asked.map { ($0, word) }, wait: wait)
    }
  }
}

extension Simulation {
  /// Starts another run.
  func begin(_ process: VirtualProcess) {
    let delivery: Delivery = process.parent.answersInvocations && chance.below(4) > 0 ? .invoke : .pause
    let wait = chance.below(2) == 0
    ask("start a run", process) { process.start("hi", Plot.params, delivery: delivery, wait: wait) }
  }
}

extension ParentAbilities {
  static var people: ParentAbilities {
    var abilities = ParentAbilities()
    abilities.approvals = true
    abilities.elicitation = true
    return abilities
  }
}
