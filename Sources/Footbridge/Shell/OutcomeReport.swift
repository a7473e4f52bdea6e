import AgentRuntime
import JSON
import POSIXSupport

/// Says where a run has settled: the answer or the outcome on standard output, what somebody has to know on standard error, and the exit status.
struct OutcomeReport {
  let shell: Shell
  let runtime: Runtime
  let answer: RunAnswer

  private var outcome: RunOutcome { answer.outcome }
  private var run: String { "run \(outcome.runID)" }

  /// - Parameter showsAnswer: it was not shown while it streamed.
  func give(asJSON: Bool, showsAnswer: Bool, isInterrupted: Bool = false) throws(StartupError) -> ExitStatus {
    if asJSON {
      shell.terminal.put(try line())
    } else if showsAnswer, outcome.status == .success, let answer = outcome.answer {
      let text = try runtime.thread.ask { (engine) throws(RuntimeError) in
        do throws(StoreError) { return try engine.load(answer) } catch { throw RuntimeError(error) }
      }
      shell.terminal.put(text.stringValue ?? "")
      shell.terminal.endLine()
    }
    return report(isInterrupted)
  }

  private func report(_ isInterrupted: Bool) -> ExitStatus {
    let terminal = shell.terminal
    switch outcome.status {
    case .success:
      if let reason = outcome.stopReason, reason != "end_turn" {
        terminal.report(reason == "refusal" ? "the model refused to answer" : "the model stopped before the end of its answer (\(reason))")
      }
      return .success
    case .error:
      terminal.report("\(run) ended in error: \(fault)")
      return .failure
    case .maxIterations:
      let calls = VisibleText.count(outcome.usage.modelCalls, "model call")
      terminal.report("\(run) ended without an answer: it has had the \(calls) that it may have (maxIterations)")
      return .failure
    case .cancelled:
      if isInterrupted { terminal.note("\(run) is cancelled") } else { terminal.report("\(run) was cancelled") }
      return .cancelled
    case .paused:
      terminal.report("\(run) is paused\(outcome.fault == nil ? "" : ": " + fault)\(goOn)")
      return .waiting
    case .waitingClientTool, .waitingApproval, .waitingHumanInput:
      terminal.report("\(run) waits for \(outcome.wants):\(calls)\(goOn)")
      return .waiting
    case .running, .queued:
      terminal.report("\(run) is not at its end, and nobody drives it\(goOn)")
      return .waiting
    }
  }

  private var fault: String { outcome.fault.map { "\($0.message) (\($0.kind.name))" } ?? "no reason is given" }

  private var calls: String {
    outcome.pendingCalls.map { call in
      "\n  \(call.callID)  \(call.name) \(ProgressLine.arguments(call.arguments.wire, most: 200))"
    }.joined()
  }

  /// How to go on, for a shell.
  private var goOn: String {
    if shell.options.knownStore == .memory { return "\nThe store is in memory: the run is gone with this process." }
    if outcome.status == .paused, outcome.fault?.kind == .runLimitExceeded {
      return "\nTo go on, it needs other limits: the method run.resume takes them."
    }
    return "\nTo go on: footbridge submit \(outcome.runID)\(outcome.answerWord.map { " " + $0 } ?? "")\(shell.storeOption)"
  }

  // MARK: JSON

  /// A RunOutcome on one line, with the verdicts of a submit.
  private func line() throws(StartupError) -> Bytes {
    let answer = answer
    return try runtime.thread.ask { (engine) throws(RuntimeError) in
      var writer = JSONWriter(capacity: 1024)
      writer.beginObject()
      engine.write(answer.outcome, to: &writer)
      if let verdicts = answer.verdicts { writer.member("verdicts", verdicts.json) }
      writer.endObject()
      return writer.finishLine()
    }
  }
}

extension RunOutcome {
  /// What it waits for, in words.
  fileprivate var wants: String {
    func calls(_ needs: Call.Need) -> Int { pendingCalls.count { $0.needs == needs } }
    var words: [String] = []
    if calls(.approval) > 0 { words.append("the approval of \(VisibleText.count(calls(.approval), "tool call"))") }
    if calls(.input) > 0 { words.append("the answer to \(VisibleText.count(calls(.input), "question"))") }
    if calls(.result) > 0 { words.append("the result of \(VisibleText.count(calls(.result), "tool call"))") }
    return words.joined(separator: ", ")
  }

  /// How the next submit gives what it waits for; nil when that is nothing.
  var answerWord: String? {
    if pendingCalls.isEmpty { return nil }
    if pendingCalls.contains(where: { $0.needs == .approval }) { return "--approve" }
    guard pendingCalls.count == 1 else { return "FILE" }
    return pendingCalls[0].needs == .input ? "--text ANSWER" : "--text RESULT"
  }
}

extension RunEngine {
  /// The members of an outcome, long values whole. One that cannot be read now stays a reference: the outcome is worth more than the whole answer.
  func write(_ outcome: RunOutcome, to writer: inout JSONWriter) {
    outcome.writeMembers(to: &writer) { value in (try? load(value)) ?? value.wire }
  }
}

extension JSONWriter {
  /// What was written, and the end of the line.
  mutating func finishLine() -> Bytes {
    var line = ByteBuffer(capacity: count + 1)
    line.append(finish())
    line.append(0x0A)
    return line.finish()
  }
}
