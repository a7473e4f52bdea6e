import AgentRuntime
import EngineHosting

/// `footbridge cancel`: ends a run, whoever drives it.
enum CancelCommand {
  static let command = Command(
    name: "cancel", operands: "RUN", summary: "cancel a run, whatever process drives it",
    text: """
      RUN is a run's id, the first 8 characters of it or more, or 'last'. Prints the run and the status that it ended with,
      which is another one than cancelled if the run had ended before. Exit status: 0 when the run has ended.
      """,
    options: [
      Command.Option(name: "reason", value: "TEXT", help: "why, kept in the run's log"),
      Command.json,
    ]
  ) { (arguments, shell) throws(StartupError) in
    let name = try arguments.operands("RUN")[0]
    let reason = arguments.value("reason")
    return try shell.withRuntime { (runtime) throws(StartupError) in
      let runID = try shell.runID(name, runtime)
      let observer = try RunObserver(wantsText: false)
      runtime.thread.post { engine in
        engine.cancel(runID, reason: reason, waiting: { _ in }, reply: { observer.settle($0) })
      }
      let answer = try observer.waitForAnswer()
      if arguments.has("json") {
        _ = try OutcomeReport(shell: shell, runtime: runtime, answer: answer).give(asJSON: true, showsAnswer: false, isInterrupted: true)
      } else {
        shell.terminal.put("\(runID)  \(answer.outcome.status.rawValue)\n")
      }
      return .success
    }
  }
}
