import JSON
import TestSupport
import Testing

@testable import AgentRuntime

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// `run.submitToolResults`: what is judged, in which order, and what is kept of what is refused.
@Suite struct SubmitTests {
  private let world = VirtualWorld()
  private let process: VirtualProcess
  private let run: ULID
  private let a: String
  private let b: String
  private let strange = "01M7W6C380KRDBZADEHN2B8PHN"

  init() throws {
    process = world.launch(
      model: ScriptedModel { request in request.turn == 0 ? .call(("a", "{}"), ("b", "{}")) : .say("ok") })
    let started = process.start("hi", startParams(tools: [clientTool("a"), clientTool("b")]), delivery: .pause)
    run = try #require(started.runID)
    let calls = started.outcome?.pendingCalls ?? []
    try #require(calls.map(\.name) == ["a", "b"])
    a = calls[0].callID.text
    b = calls[1].callID.text
  }

  private func submit(_ results: (String, ToolResult)..., partial: Bool = false) -> Answer {
    process.submit(run, results, partial: partial, wait: false, delivery: .pause)
  }

  private func data(_ answer: Answer) -> [String: String] {
    Dictionary(uniqueKeysWithValues: (answer.error?.details ?? []).map { ($0.name, $0.value.bytes.string) })
  }

  private var rejected: [String] {
    world.disk.records(of: run).filter { $0.type == "tool.resultRejected" }.compactMap { record in
      guard let data = record.event.flatMap({ CarriedJSON(trusted: $0)["data"] }) else { return nil }
      let call = data["callId"]?.stringValue
      return
        "\(call == a ? "a" : call == b ? "b" : call == strange ? "strange" : call ?? "") \(data["verdict"]?.stringValue ?? "") \(data["bytes"]?.intValue ?? 0)"
    }
  }

  private var completed: Int { world.disk.records(of: run).count { $0.type == "tool.completed" } }

  @Test func `an exact set is taken and continues the run`() {
    let answer = submit((b, .text("b1")), (a, .text("a1")))
    #expect(answer.verdicts?.list.map(\.verdict) == [.accepted, .accepted])
    #expect(process.look(run)?.status == .success)
    // In call order, whatever the order of the submit.
    #expect(process.model.shown.last?.suffix(2) == ["a: a1", "b: b1"])
  }

  @Test func `a set of very many is judged at once, and what is refused of it is counted`() throws {
    let before = Self.busySeconds
    let many = (0..<60_000).map { (ULID(high: 9, low: UInt64($0)).text, ToolResult.text("x")) }
    let refused = process.submit(run, many + many, wait: false, delivery: .pause)
    #expect(refused.error?.kind == .runInvalidToolResults)
    #expect(refused.error?.details.map(\.name) == ["verdicts", "missing", "unknown", "duplicate"])
    #expect(submit((a, .text("a1")), (b, .text("b1"))).verdicts?.list.map(\.verdict) == [.accepted, .accepted])
    #expect(process.submit(run, many, wait: false, delivery: .pause).error?.kind == .runAlreadyTerminal)
    #expect(rejected.count == 100)
    #expect(try process.engine.details(of: run).rejectedResults == 60_000)
    // With a look at all of them for each it would be minutes.
    #expect(Self.busySeconds - before < 15)
  }

  /// How long this thread was at work; what others do meanwhile does not count.
  private static var busySeconds: Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec
  }

  @Test func `an unknown run comes first`() {
    let answer = process.submit(ULID(high: 1, low: 1), [(a, .text("x"))])
    #expect(answer.error?.kind == .runNotFound)
  }

  @Test func `a set with something missing, unknown or double is refused whole, and nothing of it is kept`() {
    let missing = submit((a, .text("a1")))
    #expect(missing.error?.kind == .runInvalidToolResults)
    #expect(data(missing) == ["missing": "[\"\(b)\"]", "unknown": "[]", "duplicate": "[]", "verdicts": "{}"])
    let unknown = submit((a, .text("a1")), (b, .text("b1")), (strange, .text("x")), ("no id", .text("x")))
    #expect(unknown.error?.kind == .runInvalidToolResults)
    #expect(
      data(unknown) == [
        "missing": "[]", "unknown": "[\"\(strange)\",\"no id\"]", "duplicate": "[]",
        "verdicts": "{\"\(strange)\":\"unknown\",\"no id\":\"unknown\"}",
      ])
    let double = submit((a, .text("a1")), (a, .text("a1")), (b, .text("b1")))
    #expect(double.error?.kind == .runInvalidToolResults)
    #expect(data(double) == ["missing": "[]", "unknown": "[]", "duplicate": "[\"\(a)\"]", "verdicts": "{}"])
    #expect(submit().error?.kind == .runInvalidToolResults)
    #expect(completed == 0)
    #expect(rejected == [])
  }

  @Test func `what is equal to a stored result is a duplicate and counts as given`() {
    #expect(submit((a, .text("a1")), partial: true).verdicts?.list.map(\.verdict) == [.accepted])
    let again = submit((a, .text("a1")))
    #expect(again.verdicts?.list.map(\.verdict) == [.duplicate])
    #expect(again.outcome?.status == .waitingClientTool)
    let rest = submit((a, .text("a1")), (b, .text("b1")))
    #expect(rest.verdicts?.list.map(\.verdict) == [.duplicate, .accepted])
    #expect(process.look(run)?.status == .success)
    let late = submit((b, .text("b1")), (a, .text("a1")))
    #expect(late.verdicts?.list.map(\.verdict) == [.duplicate, .duplicate])
    #expect(late.outcome?.status == .success)
    #expect(completed == 2)
    #expect(rejected == [])
  }

  @Test func `an ended run refuses before a conflict does, and both are kept as evidence`() {
    _ = submit((a, .text("a1")), (b, .text("b1")))
    let answer = submit((a, .text("other")), (b, .text("b1")), (strange, .text("x")))
    #expect(answer.error?.kind == .runAlreadyTerminal)
    #expect(data(answer) == ["verdicts": "{\"\(a)\":\"terminal\",\"\(b)\":\"duplicate\",\"\(strange)\":\"terminal\"}"])
    #expect(rejected == ["a terminal 7", "strange terminal 3"])
    #expect(submit((a, .text("other")), partial: true).error?.kind == .runAlreadyTerminal)
  }

  @Test func `another result for a call comes before a set that is not exact`() {
    _ = submit((a, .text("a1")), partial: true)
    let answer = submit((a, .text("other")), (strange, .text("x")))
    #expect(answer.error?.kind == .runAlreadyClaimed)
    #expect(data(answer) == ["verdicts": "{\"\(a)\":\"conflict\",\"\(strange)\":\"unknown\"}"])
    #expect(rejected.first == "a conflict 7")
    #expect(process.look(run)?.pendingCalls.map(\.name) == ["b"])
  }

  @Test func `a run with nothing pending comes before a set that is not exact`() throws {
    let held = world.launch(model: ScriptedModel { _ in .held })
    let started = held.start("hi", startParams())
    let answer = held.submit(try #require(started.runID), [(strange, .text("x"))])
    #expect(answer.error?.kind == .runNotWaiting)
    #expect(answer.error?.details.first?.value.bytes.string == "{\"\(strange)\":\"unknown\"}")
  }

  @Test func `with partial each result is judged alone`() {
    _ = submit((a, .text("a1")), partial: true)
    let answer = submit((a, .text("other")), (b, .text("b1")), (strange, .text("xyz")), (b, .text("b2")), partial: true)
    #expect(answer.verdicts?.list.map(\.callID) == [a, b, strange])
    #expect(answer.verdicts?.list.map(\.verdict) == [.conflict, .accepted, .unknown])
    #expect(rejected == ["b conflict 4", "a conflict 7", "strange unknown 5"])
    #expect(process.look(run)?.status == .success)
    #expect(process.model.shown.last?.suffix(2) == ["a: a1", "b: b1"])
  }

  @Test func `a partial submit is answered at once, and the last one where the run settles`() {
    #expect(process.submit(run, [(a, .text("a1"))], partial: true, delivery: .pause).outcome?.status == .waitingClientTool)
    #expect(process.submit(run, [(b, .text("b1"))], partial: true, delivery: .pause).outcome?.status == .success)
  }

  @Test func `a deferred result keeps its call waiting`() {
    let answer = submit((a, .later), (b, .text("b1")))
    #expect(answer.verdicts?.list.map(\.verdict) == [.accepted, .accepted])
    #expect(answer.outcome?.pendingCalls.map { "\($0.name) \($0.state)" } == ["a deferred"])
    _ = submit((a, .text("a1")))
    #expect(process.look(run)?.status == .success)
  }

  @Test func `a result that does not fit the tool's schema is an error for the model, and the same again is a duplicate`() throws {
    let other = world.launch(model: ScriptedModel([.call(("a", "{}")), .held]))
    let params = startParams(tools: [clientTool("a", #""outputSchema":{"required":["x"]}"#)])
    let started = other.start("hi", params, delivery: .pause)
    let run = try #require(started.runID)
    let call = try #require(started.outcome?.pendingCalls.first?.callID.text)
    _ = other.submit(run, [(call, .structured("{}"))], wait: false)
    #expect(other.model.shown.last?.last == "a failed: The tool's structuredContent does not fit its outputSchema: /x is required.")
    #expect(other.submit(run, [(call, .structured("{ }"))], wait: false).verdicts?.list.map(\.verdict) == [.duplicate])
    #expect(other.submit(run, [(call, .structured(#"{"x":1}"#))], wait: false).error?.kind == .runAlreadyClaimed)
  }

  @Test(
    "two results are equal when they are the same JSON value",
    arguments: [
      (#"{"content":"x"}"#, #"{"content":[{"type":"text","text":"\u0078"}]}"#, true),
      (#"{"content":"x"}"#, #"{"content":"x","isError":false}"#, true),
      (#"{"content":"x"}"#, #"{"content":"x","isError":true}"#, false),
      (#"{"structuredContent":{"a":1,"b":2}}"#, #"{ "structuredContent" : {"b":2, "a":1} }"#, true),
      (#"{"structuredContent":1.0}"#, #"{"structuredContent":1}"#, false),
      (#"{"structuredContent":null}"#, #"{}"#, false),
      (#"{"content":"x","stdout":["1"]}"#, #"{"content":"x","stdout":["1"]}"#, true),
      (#"{"content":"x","stdout":["1"]}"#, #"{"content":"x","stdout":[]}"#, false),
      (#"{"content":"x","_meta":{"k":1}}"#, #"{"content":"x"}"#, false),
      (#"{"content":[{"type":"json","value":[1, 2]}]}"#, #"{"content":[{"value":[1,2],"type":"json"}]}"#, true),
      (#"{"content":"x","unknown":1}"#, #"{"content":"x"}"#, true),
    ])
  func equality(first: String, second: String, areEqual: Bool) throws {
    _ = submit((a, try ToolResult(json: first)), partial: true)
    let verdict = submit((a, try ToolResult(json: second)), partial: true).verdicts?.list.map(\.verdict)
    #expect(verdict == [areEqual ? .duplicate : .conflict])
  }

  @Test func `a hundred refused results are kept, the others are counted`() throws {
    _ = submit((a, .text("a1")), partial: true)
    for number in 0..<105 { _ = submit((a, .text("other \(number)")), partial: true) }
    #expect(rejected.count == 100)
    #expect(try process.engine.details(of: run).rejectedResults == 105)
    #expect(process.look(run)?.pendingCalls.map(\.name) == ["b"])
  }

  @Test func `a bridge that cannot go on with the run refuses before anything is claimed`() {
    process.model.refusal = RuntimeError(.modelMissingKey, "no key")
    #expect(submit((a, .text("a1")), partial: true).verdicts?.list.map(\.verdict) == [.accepted])
    #expect(submit((b, .text("b1"))).error?.kind == .modelMissingKey)
    #expect(process.look(run)?.pendingCalls.map(\.name) == ["b"])
    #expect(process.resume(run).error?.kind == .modelMissingKey)
    process.model.refusal = nil
    #expect(submit((b, .text("b1"))).verdicts?.list.map(\.verdict) == [.accepted])
    #expect(process.look(run)?.status == .success)
  }

  @Test func `of racing submits exactly one is accepted`() throws {
    let others = (0..<3).map { _ in world.launch(model: ScriptedModel { _ in .say("ok") }) }
    var answers: [Answer] = []
    process.store.beforeSubmit = { [process, others, run, a, b] _ in
      process.store.beforeSubmit = nil
      others[0].store.beforeSubmit = { _ in
        others[0].store.beforeSubmit = nil
        answers.append(others[1].submit(run, [(a, .text("1")), (b, .text("1"))], wait: false, delivery: .pause))
      }
      answers.append(others[0].submit(run, [(a, .text("0")), (b, .text("0"))], wait: false, delivery: .pause))
      answers.append(others[2].submit(run, [(a, .text("1")), (b, .text("1"))], wait: false, delivery: .pause))
    }
    answers.append(submit((a, .text("2")), (b, .text("2"))))
    world.settle()
    #expect(answers.count == 4)
    let verdicts = answers.map { $0.verdicts?.list.map(\.verdict) }
    #expect(verdicts.count { $0 == [.accepted, .accepted] } == 1)
    #expect(verdicts.count { $0 == [.duplicate, .duplicate] } == 1)
    #expect(answers.compactMap(\.error?.kind).allSatisfy { $0 == .runAlreadyTerminal || $0 == .runAlreadyClaimed })
    #expect(completed == 2)
    #expect(process.look(run)?.status == .success)
  }
  @Test func `submits that come in one turn are judged by one another, before the first is in the log`() {
    var judged: [String] = []
    process.act { [run, a, b] engine in
      for text in ["1", "1", "2"] {
        let results = [a, b].map { SubmittedResult(callID: $0, result: .text(text), bytes: 1) }
        engine.submit(run, Submission(results: results, isPartial: false), wait: false, waiting: { _ in }) { result in
          switch result {
          case .success(let answer): judged += (answer.verdicts?.list ?? []).map(\.verdict.rawValue)
          case .failure(let error): judged.append(error.kind.name)
          }
        }
      }
    }
    #expect(judged == ["accepted", "accepted", "duplicate", "duplicate", "run.alreadyClaimed"])
    #expect(completed == 2)
  }
}
