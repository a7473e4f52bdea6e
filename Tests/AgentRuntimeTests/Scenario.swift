import AgentRuntime
import JSON
import TestSupport
import Testing

/// A run and what happens to it, so that it can be played whole, cut off at any commit, or disturbed at any append.
struct Scenario: Sendable, CustomTestStringConvertible {
  typealias Steps = @Sendable (Stage) -> Void

  let name: String
  var params = startParams()
  var input = CarriedJSON(string: "hi")
  var delivery = Delivery.invoke
  /// `life` is 1 in the process that began the run, and more in those that take it up.
  var model: @Sendable (_ request: ModelRequest, _ life: Int) -> ScriptedModel.Answer
  var tools: @Sendable (_ call: ServerToolCall, _ life: Int) -> ToolResult? = { call, _ in .text("\(call.tool.name) ran") }
  /// What the agent's MCP servers offer, and answer at once.
  var offer: @Sendable (_ process: VirtualProcess, _ life: Int) -> MCPOffer = { _, _ in MCPOffer() }
  var servers: @Sendable (_ call: MCPCall, _ life: Int) -> ToolResult? = { call, _ in .text("\(call.route.tool) ran") }
  /// What the parent answers at once.
  var client: @Sendable (_ invocation: ToolInvocation, _ life: Int) -> InvocationReply? = { invocation, _ in
    .text("\(invocation.name) done")
  }
  /// What the parent can be asked besides.
  var abilities = ParentAbilities()
  /// What a person answers at once.
  var person: @Sendable (_ request: ParentRequest, _ life: Int) -> ParentReply? = { request, _ in
    request.method == .approval ? approved : accepted
  }
  /// What else happens in the first process; it is at rest before and after.
  var steps: Steps = { _ in }
  /// The limits that somebody gives who finds the run paused.
  var raisedLimits: String?
  /// How it may end, however often it is cut off.
  var ends: Set<RunStatus> = [.success]
  /// What the client of a run that nothing disturbs sees, line by line.
  var story: [String] { (stories[name] ?? "").split(separator: "\n").map(String.init) }

  var testDescription: String { name }

  /// Turns in order; those after the first life never wait for a test.
  static func turns(_ turns: ScriptedModel.Answer...) -> @Sendable (ModelRequest, Int) -> ScriptedModel.Answer {
    { request, life in
      guard request.turn < turns.count else { return .fault(RunFault(.scriptExhausted, "the list has \(turns.count) turns")) }
      if case .held = turns[request.turn], life > 1 { return .say("taken up") }
      return turns[request.turn]
    }
  }
}

/// A scenario on its way.
final class Stage {
  let scenario: Scenario
  let world: VirtualWorld
  let first: VirtualProcess
  private(set) var runID: ULID?
  private(set) var started: Answer?
  private(set) var processes: [VirtualProcess] = []

  init(_ scenario: Scenario, world: VirtualWorld = VirtualWorld()) {
    self.scenario = scenario
    self.world = world
    first = Self.launch(scenario, world, life: 1)
    processes = [first]
  }

  private static func launch(_ scenario: Scenario, _ world: VirtualWorld, life: Int) -> VirtualProcess {
    let process = world.launch(model: ScriptedModel { scenario.model($0, life) }, tools: { scenario.tools($0, life) })
    process.parent.answer = { scenario.client($0, life) }
    process.servers.offer = { [unowned process] in scenario.offer(process, life) }
    process.servers.answer = { scenario.servers($0, life) }
    process.parent.abilities = scenario.abilities
    process.parent.answerQuestion = { scenario.person($0, life) }
    let disk = world.disk
    process.parent.onInvoke = { invocation in
      #expect(
        (disk.summary(of: invocation.runID)?.lastSequence ?? 0) >= invocation.afterSequence, "a request that is not in the log was sent")
    }
    process.parent.onAsk = { request in
      #expect((disk.summary(of: request.runID)?.lastSequence ?? 0) >= request.afterSequence, "a question that is not in the log was put")
    }
    return process
  }

  /// Another process, of the same mind.
  func another() -> VirtualProcess {
    processes.append(Self.launch(scenario, world, life: processes.count + 1))
    return processes[processes.count - 1]
  }

  /// Counts a process that the test has launched by itself.
  func join(_ process: VirtualProcess) { processes.append(process) }

  /// Begins the run and does the steps.
  func play() {
    started = first.start(scenario.input, scenario.params, delivery: scenario.delivery)
    runID = started?.runID ?? world.disk.runIDs.first { world.disk.summary(of: $0)?.parentRunID == nil }
    world.settle()
    if !first.isKilled { scenario.steps(self) }
    world.settle()
  }

  // MARK: For the steps

  var run: ULID { runID ?? ULID(high: 0, low: 0) }

  /// The calls that the run waits for.
  func pending(_ process: VirtualProcess? = nil) -> [PendingCall] { (process ?? first).look(run)?.pendingCalls ?? [] }

  /// Submits texts for the pending calls of these tools.
  @discardableResult
  func submit(_ names: String..., partial: Bool = false, delivery: Delivery? = nil) -> Answer {
    let results = pending().filter { names.contains($0.name) }.map { ($0.callID.text, ToolResult.text("\($0.name) done")) }
    return first.submit(run, results, partial: partial, wait: false, delivery: delivery ?? scenario.delivery)
  }

  /// Answers the last request for the tool, if it is still to be answered.
  func answer(_ name: String) {
    guard let request = first.parent.invocation(of: name), !request.isAnswered else { return }
    request.answer(.text("\(name) done"))
    world.settle()
  }

  /// Answers what is asked about the call, if it is.
  func reply(_ name: String, _ reply: ParentReply) {
    first.parent.question(of: name)?.answer(reply)
    world.settle()
  }

  /// Ends the turn that the model is held at.
  func finishModel(_ turn: ModelTurn) {
    first.model.calls.last?.finish(turn)
    world.settle()
  }

  func advance(_ milliseconds: Int) { world.advance(milliseconds: milliseconds) }

  // MARK: Afterwards

  /// Takes the run up in another process and does what it asks for until it ends.
  func finish(in process: VirtualProcess) {
    // A process that has ended closes its store.
    if first.engine.isEnding { first.kill() }
    for round in 0..<30 {
      world.settle()
      guard let outcome = process.look(run), !outcome.status.hasEnded else { return }
      switch outcome.status {
      case .paused: _ = process.resume(run, delivery: scenario.delivery, limits: scenario.raisedLimits.map(json), wait: false)
      case .waitingClientTool where scenario.delivery == .pause || outcome.pendingCalls.contains { $0.state == .deferred }:
        let results = outcome.pendingCalls.map { ($0.callID.text, ToolResult.text("\($0.name) done")) }
        _ = process.submit(run, results, wait: false, delivery: scenario.delivery)
      case .waitingClientTool where outcome.pendingCalls.contains { $0.state == .open }: world.advance(milliseconds: 10_000)
      case .waitingApproval, .waitingHumanInput:
        // The person is asked again, or somebody else says what is needed.
        if round % 2 == 1 {
          give(outcome.pendingCalls, in: process)
        } else {
          _ = process.resume(run, delivery: scenario.delivery, wait: false)
        }
      case .running where outcome.driver != .none: letGo()
      default: _ = process.resume(run, delivery: scenario.delivery, wait: false)
      }
    }
  }

  private func give(_ calls: [PendingCall], in process: VirtualProcess) {
    let approvals = calls.filter { $0.needs == .approval }.map { ($0.callID.text, ApprovalAnswer(.approve)) }
    let inputs = calls.filter { $0.needs == .input }.map { ($0.callID.text, InputAnswer(.accept, content: json(#"{"answer":"later"}"#))) }
    _ = process.submit(run, approvals: approvals, inputs: inputs, partial: true, wait: false, delivery: scenario.delivery)
  }

  /// Ends what the first process still holds.
  private func letGo() {
    for run in first.tools.runs { run.complete(.text("at last")) }
    first.model.calls.last?.finish(.say("at last"))
    world.advance(milliseconds: 1000)
  }

  /// Every request that went out, in every life.
  var invocations: [ToolInvocation] { processes.flatMap { $0.parent.invocations.map(\.request) } }
  var serverRuns: [ServerToolCall] { processes.flatMap { $0.tools.runs.map(\.call) } }
}
