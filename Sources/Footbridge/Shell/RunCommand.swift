import AgentRuntime
import EngineHosting
import JSON
import POSIXSupport

/// `footbridge run`: one run from a shell.
enum RunCommand {
  static let command = Command(
    name: "run", operands: "PROMPT", summary: "run an agent on a prompt and print its answer",
    text: """
      PROMPT is one argument, or - to read it from standard input. The answer goes to standard output, and nothing else does.
      It streams on a terminal, and elsewhere for an agent without tools; what came of an attempt that had to be repeated then
      stands on lines of its own before it (--json has neither). Progress goes to standard error, on a terminal. Tools with a
      command run here. A run that calls another tool waits in the store: 'footbridge submit' gives the result, in this shell
      or another process.
      Exit status: 0 answered, 75 waiting or paused, 1 error, 130 cancelled. Ctrl-C cancels the run, a second one ends at once.
      """,
    options: [
      Command.Option(name: "agent", value: "FILE | ID", help: "the agent: a JSON file, or the id of one in the store or of --agents"),
      Command.Option(name: "model", value: "PROVIDER:NAME", help: "its model, such as script:FILE; instead of the agent's"),
      Command.Option(name: "tool", value: "FILE", help: "a tool, or a list of tools: a JSON file; may be given again"),
      Command.json,
    ]
  ) { (arguments, shell) throws(StartupError) in try run(arguments, shell) }

  private static func run(_ arguments: CommandArguments, _ shell: Shell) throws(StartupError) -> ExitStatus {
    let operand = try arguments.operands("PROMPT")[0]
    let files = try RunFiles(agent: arguments.value("agent"), model: arguments.value("model"), tools: arguments.values("tool"))
    let prompt = operand == "-" ? try promptFromInput(shell.terminal) : operand
    guard !prompt.isEmpty else { throw StartupError(status: .usage, message: "the prompt is empty") }
    let request = try request(prompt, files, shell)
    let asJSON = arguments.has("json")
    // Without tools, a message can only be the answer. With them, that is known when it is complete: a pipe gets nothing but the answer.
    let streams = !asJSON && (shell.terminal.isInteractive || RunDrive.hasNoTools(request.params))
    let drive = try RunDrive(shell, streams: streams, isFirst: true)
    return try drive.run { (runtime, signals) throws(StartupError) in
      let attendance = Attendance(shell.terminal, runtime.thread, drive.observer, shown: streams ? .stream : .nothing)
      runtime.thread.post { [observer = drive.observer] engine in
        do throws(RuntimeError) {
          if request.agentID == nil { try engine.checkSchemas(ofParams: request.params) }
        } catch { return observer.settle(.failure(error)) }
        engine.start(request) { runID, _ in
          observer.begin(runID, engine)
          engine.watch(runID, after: 0)
        } waiting: { _ in
        } reply: {
          observer.settle($0)
        }
      }
      let answer = try attendance.answer(signals) { files.located($0) }
      return try OutcomeReport(shell: shell, runtime: runtime, answer: answer).give(
        asJSON: asJSON, showsAnswer: !streams, isInterrupted: attendance.isInterrupted)
    }
  }

  private static func promptFromInput(_ terminal: Terminal) throws(StartupError) -> String {
    let bytes = try terminal.readInput()
    let text = bytes.string
    // What is not UTF-8 has become another character, and with it another length.
    guard Bytes(text) == bytes else { throw StartupError(status: .usage, message: "the prompt on standard input is not UTF-8") }
    // The line break that `echo` and editors put at the end.
    return text.hasSuffix("\n") || text.hasSuffix("\r\n") ? String(text.dropLast()) : text
  }

  private static func request(_ prompt: String, _ files: RunFiles, _ shell: Shell) throws(StartupError) -> StartRequest {
    var request = StartRequest(
      input: CarriedJSON(string: prompt), params: files.params, delivery: .pause, canInvoke: false, wait: true)
    request.agentID = files.agentID
    request.isStrict = shell.options.isStrict
    // Judged when it is read.
    if files.agentID != nil { return request }
    do throws(RuntimeError) {
      let admission = try RunAdmission(params: files.params)
      if shell.options.isStrict, let first = admission.unknownMembers.first { throw .invalidParams("is not known (--strict)", at: first) }
      let unknown = admission.unknownMembers.map { (files.place(of: $0) ?? $0) + ": unknown member, ignored" }
      // The first warnings are about these members.
      for warning in unknown + admission.warnings.dropFirst(unknown.count) { shell.terminal.report("warning: " + warning) }
      request.warnings = admission.warnings
      return request
    } catch { throw files.located(error) }
  }
}
