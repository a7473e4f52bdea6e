import AgentRuntime
import EngineHosting
import JSON
import POSIXSupport

/// `footbridge submit`: gives a run the results that it waits for, and drives it on.
enum SubmitCommand {
  static let command = Command(
    name: "submit", operands: "RUN [FILE]", summary: "give a run what it waits for, and drive it on",
    text: """
      RUN is a run's id, the first 8 characters of it or more, or 'last'. FILE, or standard input, holds JSON, one of
        [{"callId": ID, "content": "..."}, ...]
        {"results": [...], "partial": true}        with partial, some calls may stay unanswered
        {ID: "the result", ID: {"content": "...", "isError": true}}
      A call that needs approval takes {"decision": "approve" or "deny", "reason": ..., "arguments": ...} in the place of a result,
      a question {"action": "accept", "content": {...}}; with 'results' there may be 'approvals' and 'inputs'.
      A run that waits for nothing, since it is paused or its process has died, goes on without a FILE.
      It prints and ends as 'footbridge run' does.
      """,
    options: [
      Command.Option(name: "text", value: "TEXT", help: "the result of the one call that is pending, or the answer, instead of FILE"),
      Command.Option(name: "approve", value: nil, help: "approve the calls that need it, instead of FILE"),
      Command.Option(name: "deny", value: "REASON", help: "deny the calls that need approval, instead of FILE"),
      Command.json,
    ]
  ) { (arguments, shell) throws(StartupError) in try run(arguments, shell) }

  private static func run(_ arguments: CommandArguments, _ shell: Shell) throws(StartupError) -> ExitStatus {
    let operands = try arguments.operands("RUN", "FILE", optional: 1)
    let file = operands.count > 1 ? operands[1] : nil
    let ways = ["text", "approve", "deny"].filter { arguments.has($0) }
    if let way = ways.first, file != nil || ways.count > 1 {
      throw StartupError(status: .usage, message: "give \(file != nil ? "FILE" : "--\(ways[1])") or --\(way), not both")
    }
    let asJSON = arguments.has("json")
    let streams = !asJSON && shell.terminal.isInteractive
    // Standard input is read while Ctrl-C still ends the process.
    let (runID, given) = try shell.withRuntime { (runtime) throws(StartupError) in
      let runID = try shell.runID(operands[0], runtime)
      return (runID, try submission(for: runID, arguments, file: file, shell, runtime))
    }
    let drive = try RunDrive(shell, streams: streams, isFirst: false)
    return try drive.run { (runtime, signals) throws(StartupError) in
      let last = try runtime.thread.ask { [observer = drive.observer] (engine) throws(RuntimeError) in
        let last = try engine.standing(of: runID).lastSequence
        observer.begin(runID, engine)
        engine.watch(runID, after: last)
        return last
      }
      let attendance = Attendance(shell.terminal, runtime.thread, drive.observer, shown: streams ? .stream : .nothing, after: last)
      var answer: RunAnswer?
      if let given { answer = try submit(given, to: runID, attendance, signals, drive.observer, runtime, shell) }
      // A paused run stores results, and goes on when it is told to.
      let mustBeResumed = answer == nil || answer?.outcome.isIdle == true && given?.isPartial == false
      if mustBeResumed, !attendance.isInterrupted {
        let verdicts = answer?.verdicts
        runtime.thread.post { [observer = drive.observer] engine in
          engine.resume(runID, RunMachine.Resumption(), wait: true, waiting: { _ in }, reply: { observer.settle($0) })
        }
        answer = try attendance.answer(signals)
        answer?.verdicts = verdicts
      }
      guard let answer else { preconditionFailure("a run that is not submitted to is resumed") }
      let status = try OutcomeReport(shell: shell, runtime: runtime, answer: answer).give(
        asJSON: asJSON, showsAnswer: !streams, isInterrupted: attendance.isInterrupted)
      return report(answer.verdicts, shell.terminal) ? status : .failure
    }
  }

  /// What is to be submitted; nil for a run that waits for nothing and only has to go on.
  private static func submission(
    for runID: ULID, _ arguments: CommandArguments, file: String?, _ shell: Shell, _ runtime: Runtime
  ) throws(StartupError) -> SubmittedFile? {
    let outcome = try runtime.thread.ask { (engine) throws(RuntimeError) in try engine.details(of: runID).outcome }
    if arguments.has("approve") || arguments.has("deny") {
      let calls = outcome.pendingCalls.filter { $0.needs == .approval }.map(\.callID)
      if calls.isEmpty {
        throw StartupError(status: .failure, message: "run \(runID) (\(outcome.status.rawValue)) has no call that needs approval")
      }
      let reason = arguments.value("deny")
      return SubmittedFile(ApprovalAnswer(reason == nil ? .approve : .deny, reason: reason), for: calls)
    }
    if let text = arguments.value("text") {
      guard outcome.pendingCalls.count == 1, let call = outcome.pendingCalls.first else {
        throw StartupError(
          status: .failure,
          message: "--text is for a run with one pending call; run \(runID) (\(outcome.status.rawValue)) has \(outcome.pendingCalls.count)"
            + outcome.pendingCalls.map { "\n  \($0.callID)  \($0.name)" }.joined())
      }
      if call.needs == .approval {
        throw StartupError(
          status: .failure, message: "call \(call.callID) of \(call.name) needs approval first: --approve, or --deny REASON")
      }
      return SubmittedFile(text: text, for: call)
    }
    if file == nil, outcome.isIdle { return nil }
    let isInput = file == nil || file == "-"
    if isInput, shell.terminal.inputIsTerminal {
      guard !outcome.pendingCalls.isEmpty else {
        throw StartupError(status: .failure, message: "run \(runID) (\(outcome.status.rawValue)) waits for no result")
      }
      shell.terminal.note("reading results from the terminal: JSON, then Ctrl-D")
      shell.terminal.flush()
    }
    let contents: Bytes
    if let file, !isInput { contents = try RunFiles.contents(of: file) } else { contents = try shell.terminal.readInput() }
    return try SubmittedFile(contents, from: isInput ? "standard input" : file ?? "", for: runID)
  }

  private static func submit(
    _ given: SubmittedFile, to runID: ULID, _ attendance: Attendance, _ signals: borrowing SignalDescriptor, _ observer: RunObserver,
    _ runtime: Runtime, _ shell: Shell
  ) throws(StartupError) -> RunAnswer {
    if let tools = given.tools {
      do throws(RuntimeError) {
        let admission = try RunAdmission(tools: tools, at: "/tools")
        if shell.options.isStrict, let first = admission.unknownMembers.first { throw .invalidParams("is not known (--strict)", at: first) }
        for warning in admission.warnings { shell.terminal.report("warning: \(given.name): \(warning)") }
      } catch { throw refusal(error, given, runID) }
    }
    let submission = Submission(
      results: given.results, approvals: given.approvals, inputs: given.inputs, isPartial: given.isPartial, tools: given.tools)
    runtime.thread.post { engine in
      if let tools = submission.tools {
        do throws(RuntimeError) { try engine.checkSchemas(ofTools: tools, at: "/tools") } catch { return observer.settle(.failure(error)) }
      }
      engine.submit(runID, submission, wait: true, waiting: { _ in }, reply: { observer.settle($0) })
    }
    return try attendance.answer(signals) { refusal($0, given, runID) }
  }

  /// What the judge says, with the calls that it names.
  private static func refusal(_ error: RuntimeError, _ given: SubmittedFile, _ runID: ULID) -> StartupError {
    var refusal = StartupError(error)
    if error.pointer != nil {
      refusal.message = "\(given.name): \(refusal.message)"
    } else {
      refusal.message = "run \(runID): \(error.message) (\(error.kind.name))"
    }
    for (name, value) in error.details {
      if name == "verdicts" {
        value.forEachMember { callID, verdict in refusal.message += "\n  \(callID): \(verdict.stringValue ?? "")" }
      } else if !value.elements.isEmpty {
        refusal.message += "\n  \(name): \(value.elements.compactMap(\.stringValue).joined(separator: ", "))"
      }
    }
    return refusal
  }

  /// Names the results of a partial submit that were not taken.
  /// - Returns: false when none was taken.
  private static func report(_ verdicts: Verdicts?, _ terminal: Terminal) -> Bool {
    guard let verdicts else { return true }
    let refused = verdicts.list.filter { $0.verdict != .accepted && $0.verdict != .duplicate }
    if refused.isEmpty { return true }
    terminal.report("not all results were taken:" + refused.map { "\n  \($0.callID): \($0.verdict.rawValue)" }.joined())
    return refused.count < verdicts.list.count
  }
}

extension RunOutcome {
  /// Nobody drives it, and it does not wait for what a submit gives.
  fileprivate var isIdle: Bool { (status == .paused && pendingCalls.isEmpty) || (status == .running && driver == .none) }
}
