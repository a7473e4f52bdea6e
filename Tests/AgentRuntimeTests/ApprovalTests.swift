import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Approvals by submit: what is judged, in which order, and what a decision holds for.
@Suite struct ApprovalTests {
  private let world = VirtualWorld()
  private let process: VirtualProcess
  private let run: ULID
  /// `g` and `h` need approval, `h` runs in the bridge; `c` needs none.
  private let g: String
  private let h: String
  private let c: String
  private let strange = "01M7W6C380KRDBZADEHN2B8PHN"

  init() throws {
    process = world.launch(
      model: ScriptedModel { request in request.turn == 0 ? .call(("g", #"{"x":1}"#), ("h", "{}"), ("c", "{}")) : .say("ok") },
      tools: { .text("\($0.tool.name) ran with \($0.arguments.bytes.string)") })
    let g = clientTool("g", gatedCalls).replacing(#"{"type":"object"}"#, with: #"{"type":"object","required":["x"]}"#)
    let tools = [g, serverTool("h", gatedCalls), clientTool("c")]
    let started = process.start("hi", startParams(agent: #""approvalTimeoutMs":60000"#, tools: tools), delivery: .pause)
    run = try #require(started.runID)
    let calls = started.outcome?.pendingCalls ?? []
    try #require(calls.map { "\($0.name) \($0.needs)" } == ["g approval", "h approval", "c result"])
    (self.g, h, c) = (calls[0].callID.text, calls[1].callID.text, calls[2].callID.text)
  }

  private func approve(_ approvals: (String, ApprovalAnswer)..., partial: Bool = false) -> Answer {
    process.approve(run, approvals, partial: partial, wait: false, delivery: .pause)
  }

  private func data(_ answer: Answer) -> [String: String] {
    Dictionary(uniqueKeysWithValues: (answer.error?.details ?? []).map { ($0.name, $0.value.bytes.string) })
  }

  private func verdicts(_ answer: Answer) -> [Verdict]? { answer.verdicts?.list.map(\.verdict) }

  private var pending: [String] { process.look(run)?.pendingCalls.map { "\($0.name) \($0.needs)" } ?? [] }

  private func log(_ type: String) -> [CarriedJSON] {
    world.disk.records(of: run).filter { $0.type == type }.compactMap { $0.event.flatMap { CarriedJSON(trusted: $0)["data"] } }
  }

  @Test func `approvals cover exactly the calls that need one`() {
    let missing = approve((g, .init(.approve)))
    #expect(missing.error?.kind == .runInvalidToolResults)
    #expect(data(missing) == ["missing": "[\"\(h)\"]", "unknown": "[]", "duplicate": "[]", "verdicts": "{}"])
    let ungated = approve((g, .init(.approve)), (h, .init(.approve)), (c, .init(.approve)), (strange, .init(.deny)))
    #expect(data(ungated)["unknown"] == "[\"\(c)\",\"\(strange)\"]")
    let double = approve((g, .init(.approve)), (h, .init(.approve)), (g, .init(.deny)))
    #expect(data(double)["duplicate"] == "[\"\(g)\"]")
    #expect(approve().error?.kind == .runInvalidToolResults)
    #expect(log("approval.decided").isEmpty)
    #expect(verdicts(approve((h, .init(.approve)), (g, .init(.approve)))) == [.accepted, .accepted])
    #expect(pending == ["g result", "c result"])
  }

  @Test func `what one kind of answer leaves open another need not cover`() {
    #expect(verdicts(approve((g, .init(.approve)), (h, .init(.deny)))) == [.accepted, .accepted])
    #expect(process.look(run)?.status == .waitingClientTool)
    let results = process.submit(run, [(g, .text("g")), (c, .text("c"))], wait: false, delivery: .pause)
    #expect(verdicts(results) == [.accepted, .accepted])
    #expect(process.look(run)?.status == .success)
  }

  @Test func `results alone need not cover what needs approval, but may`() {
    let one = process.submit(run, [(c, .text("c"))], wait: false, delivery: .pause)
    #expect(verdicts(one) == [.accepted])
    #expect(pending == ["g approval", "h approval"])
    let two = process.submit(
      run, results: [(g, .text("g"))], approvals: [(h, .init(.approve))], wait: false, delivery: .pause)
    #expect(verdicts(two) == [.accepted, .accepted])
    #expect(process.look(run)?.status == .success)
    #expect(process.model.shown.last?.suffix(3) == ["g: g", "h: h ran with {}", "c: c"])
    // It never was decided, and what it got instead is no decision.
    #expect(approve((g, .init(.approve))).error?.kind == .runAlreadyTerminal)
  }

  @Test func `a result for a call that runs in the bridge is unknown, approved or not`() {
    let answer = process.submit(run, [(c, .text("c")), (h, .text("h"))], wait: false, delivery: .pause)
    #expect(data(answer)["unknown"] == "[\"\(h)\"]")
  }

  @Test func `a result and a decision for one call are one too many`() {
    let both = process.submit(
      run, results: [(g, .text("g")), (c, .text("c"))], approvals: [(g, .init(.approve)), (h, .init(.approve))], wait: false,
      delivery: .pause)
    #expect(data(both)["duplicate"] == "[\"\(g)\"]")
    #expect(pending == ["g approval", "h approval", "c result"])
  }

  @Test func `a call that needs approval cannot be deferred`() {
    let answer = process.submit(run, [(c, .text("c")), (g, .later)], wait: false, delivery: .pause)
    #expect(answer.error?.kind == .invalidParams)
    #expect(answer.error?.pointer == "/results/1/deferred")
    #expect(data(answer) == ["verdicts": "{\"\(g)\":\"invalid\"}"])
  }

  @Test func `the same decision again is a duplicate, another one is a conflict`() {
    let edited = ApprovalAnswer(.approve, reason: "go", arguments: json(#"{"x":1.0}"#), scope: .session)
    #expect(verdicts(approve((g, edited), partial: true)) == [.accepted])
    #expect(verdicts(approve((g, edited))) == [.duplicate])
    #expect(verdicts(approve((g, edited), (h, .init(.deny)))) == [.duplicate, .accepted])
    for other: ApprovalAnswer in [
      .init(.deny), .init(.approve), .init(.approve, reason: "go", arguments: json(#"{"x":1}"#), scope: .session),
      .init(.approve, reason: "go", arguments: json(#"{"x":1.0}"#)),
    ] {
      let answer = approve((g, other))
      #expect(answer.error?.kind == .runAlreadyClaimed)
      #expect(data(answer) == ["verdicts": "{\"\(g)\":\"conflict\"}"])
    }
    #expect(log("tool.resultRejected").map { $0["verdict"]?.stringValue } == ["conflict", "conflict", "conflict", "conflict"])
  }

  @Test(
    "new arguments that are not right leave the call waiting",
    arguments: [
      (#"{}"#, "the arguments do not fit the tool's inputSchema: /x is required"), ("[1]", "the arguments must be a JSON object"),
      (#"{"x":{"y":1,"y":2}}"#, "the arguments have a member twice, at /x/y"),
    ])
  func badArguments(arguments: String, why: String) {
    let edited = ApprovalAnswer(.approve, arguments: json(arguments))
    let answer = approve((h, .init(.approve)), (g, edited))
    #expect(answer.error?.kind == .invalidParams)
    #expect(answer.error?.pointer == "/approvals/1/arguments")
    #expect(answer.error?.message == why)
    #expect(data(answer) == ["verdicts": "{\"\(g)\":\"invalid\"}"])
    #expect(pending == ["g approval", "h approval", "c result"])
    // With partial the others are taken.
    #expect(verdicts(approve((h, .init(.approve)), (g, edited), partial: true)) == [.accepted, .invalid])
    #expect(pending == ["g approval", "c result"])
  }

  @Test func `what a set lacks is said before what is wrong in it`() {
    #expect(approve((g, .init(.approve, arguments: json("{}")))).error?.kind == .runInvalidToolResults)
  }

  @Test func `arguments are not read of a denial`() {
    #expect(verdicts(approve((g, .init(.deny, arguments: json("{}"))), (h, .init(.deny)))) == [.accepted, .accepted])
    #expect(log("approval.decided").map { $0.hasMember("arguments") } == [false, false])
  }

  @Test func `the model's own arguments given back are no change`() {
    _ = approve((g, .init(.approve, arguments: json(#"{ "x" : 1 }"#))), (h, .init(.approve, arguments: json(#"{"y":2}"#))))
    _ = process.submit(run, [(g, .text("g")), (c, .text("c"))], wait: false, delivery: .pause)
    #expect(
      process.model.shown.last == [
        "user: hi", #"assistant:  g{"x":1} h{} c{}"#, "g: g", #"h: h ran with {"y":2}"#, "c: c",
        #"user: The user approved the call of 'h' with other arguments, and it was made with these: {"y":2}"#,
      ])
  }

  @Test func `the arguments that a call was approved with are those that the client sees`() {
    _ = approve((g, .init(.approve, arguments: json(#"{"x":0.10}"#))), (h, .init(.deny)))
    #expect(process.look(run)?.pendingCalls.map { $0.arguments.wire.bytes.string } == [#"{"x":0.10}"#, "{}"])
  }

  @Test func `after the time is over a decision comes too late, whatever it says`() throws {
    world.advance(milliseconds: 60_000)
    let answer = approve((g, .init(.deny)), (h, .init(.approve)))
    #expect(answer.error?.kind == .runAlreadyClaimed)
    #expect(data(answer) == ["verdicts": "{\"\(g)\":\"conflict\",\"\(h)\":\"conflict\"}"])
    #expect(log("approval.decided").map { $0["by"]?.stringValue } == ["expiry", "expiry"])
    #expect(pending == ["c result"])
    #expect(process.look(run)?.status == .waitingClientTool)
  }

  @Test(
    "whoever touches a run after the time is over denies what was not approved",
    arguments: ["resume", "addNote", "wait", "submit", "get"])
  func touch(how: String) throws {
    _ = process.submit(run, [(c, .text("c"))], wait: false, delivery: .pause)
    world.advance(milliseconds: 60_001)
    #expect(log("approval.decided").isEmpty)
    let other = world.launch(model: ScriptedModel { _ in .say("ok") })
    let answer: Answer?
    switch how {
    case "resume": answer = other.resume(run)
    case "addNote": answer = other.note(run, "a note")
    case "wait": answer = other.wait(run)
    case "submit": answer = other.approve(run, [(g, .init(.approve)), (h, .init(.approve))])
    default:
      #expect(other.look(run)?.pendingCalls.map { "\($0.name) \($0.expiresAt?.text ?? "")" }.first == "g 2026-11-20T10:01:00.000Z")
      return #expect(log("approval.decided").isEmpty)
    }
    #expect(answer?.isThere == true)
    world.settle()
    #expect(log("approval.decided").map { $0["by"]?.stringValue } == ["expiry", "expiry"])
    #expect(other.look(run)?.status == .success)
    if how == "addNote" { #expect(other.model.shown.last?.last == "user: a note") }
  }

  @Test func `what this bridge cannot go on with is denied all the same, and left to one that can`() throws {
    _ = process.submit(run, [(c, .text("c"))], wait: false, delivery: .pause)
    world.advance(milliseconds: 60_001)
    let other = world.launch(model: ScriptedModel { _ in .say("ok") })
    other.model.refusal = RuntimeError(.modelMissingKey, "no key")
    #expect(other.note(run, "a note").error == nil)
    #expect(log("approval.decided").count == 2)
    #expect(other.look(run).map { "\($0.status.rawValue) \($0.driver.rawValue)" } == "running none")
    #expect(process.resume(run).outcome?.status == .success)
  }

  @Test func `a submit that this bridge cannot go on with claims nothing`() {
    process.tools.refusal = RuntimeError(.unsupportedCapability, "no commands")
    #expect(approve((g, .init(.approve)), (h, .init(.approve))).error?.kind == .unsupportedCapability)
    #expect(log("approval.decided").isEmpty)
    // To deny it needs nothing of the tools: the run still waits.
    #expect(verdicts(approve((g, .init(.deny)), (h, .init(.deny)))) == [.accepted, .accepted])
  }

  @Test func `of racing decisions exactly one is taken`() {
    var answers: [Answer] = []
    process.store.beforeSubmit = { [process] _ in
      process.store.beforeSubmit = nil
      let other = world.launch(model: ScriptedModel { _ in .say("ok") }, tools: { _ in .text("ran") })
      answers.append(other.approve(run, [(g, .init(.deny)), (h, .init(.approve))], wait: false, delivery: .pause))
      answers.append(other.approve(run, [(g, .init(.deny)), (h, .init(.approve))], wait: false, delivery: .pause))
    }
    answers.append(approve((g, .init(.approve)), (h, .init(.approve))))
    world.settle()
    #expect(answers.map { verdicts($0) } == [[.accepted, .accepted], [.duplicate, .duplicate], nil])
    #expect(answers.last?.error?.kind == .runAlreadyClaimed)
    #expect(log("approval.decided").count == 2)
  }
}
