import Glibc
import JSON
import POSIXSupport
import Testing

@testable import AgentRuntime
@testable import ToolHosts

struct CommandResultTests {
  private let workshop = Workshop()

  @Test func `standard output is the result, as it is`() {
    #expect(workshop.run("printf ' two\\n lines\\t'") == .success(" two\n lines\t"))
  }

  @Test func `output that looks like JSON or like protocol is only text`() {
    let line = #"{"content":[],"deferred":true,"isError":true}"#
    #expect(workshop.run("printf '\(line)'") == .success(line))
  }

  @Test(arguments: [#"{"b": 0.10, "a": [18446744073709551615]}"#, "[]", "null", "\"text\"", "7"])
  func `with an outputSchema the JSON on standard output is the structured content too, as it is`(json: String) {
    var expected = ToolResult.success(" \(json)\n", stderr: "note\n")
    expected.structuredContent = .inline(CarriedJSON(trusted: Bytes(json)))
    #expect(workshop.run(.structured("cat <<'END'\n \(json)\nEND\necho note >&2")) == expected)
  }

  @Test(arguments: ["", "not JSON\n", "{\"a\":1} {\"a\":2}\n", "{\"a\":\n"])
  func `with an outputSchema what is not JSON is an error that keeps both outputs and the exit code`(output: String) {
    let result = workshop.run(.structured("printf '%s' '\(output)'; echo note >&2"))
    #expect(result.isError && result.structuredContent == nil && result.exitCode == 0)
    #expect(result.text?.hasPrefix("The command's output is not JSON, which the tool's outputSchema asks for: ") == true)
    #expect(result.stdout == (output.isEmpty ? nil : .list(output)))
    #expect(result.stderr == .list("note\n"))
  }

  @Test func `with an outputSchema a command that fails is the error that it is without`() {
    #expect(
      workshop.run(.structured("echo '{}'; echo err >&2; exit 3"))
        == .failed("The command failed with exit code 3.", stdout: "{}\n", stderr: "err\n", exitCode: 3))
  }

  @Test func `a command without output has no content`() {
    #expect(workshop.run("true") == .success(""))
  }

  @Test func `errors are kept beside the result`() {
    #expect(workshop.run("echo out; echo err >&2") == .success("out\n", stderr: "err\n"))
  }

  @Test(arguments: [1, 2, 42, 126, 255])
  func `another exit code than 0 is an error that keeps both outputs`(code: Int) {
    #expect(
      workshop.run("echo out; echo err >&2; exit \(code)")
        == .failed("The command failed with exit code \(code).", stdout: "out\n", stderr: "err\n", exitCode: code))
  }

  @Test func `outputs that are empty are left out of an error`() {
    #expect(workshop.run("exit 3") == .failed("The command failed with exit code 3.", exitCode: 3))
  }

  @Test(arguments: [("KILL", "SIGKILL (signal 9)"), ("SEGV", "SIGSEGV (signal 11)"), ("TERM", "SIGTERM (signal 15)"), ("40", "signal 40")])
  func `a signal that ended it is named`(signal: String, name: String) {
    #expect(workshop.run("echo out; kill -\(signal) $$") == .failed("The command was ended by \(name).", stdout: "out\n"))
  }

  @Test func `what is not UTF-8 is replaced`() {
    #expect(
      workshop.run("printf 'abc\\377\\376\\000def'; printf '\\200' >&2") == .success("abc\u{FFFD}\u{FFFD}\0def", stderr: "\u{FFFD}"))
  }

  @Test func `twenty megabytes come whole`() {
    let result = workshop.run("head -c 20000000 /dev/zero | tr '\\0' x; head -c 5000000 /dev/zero | tr '\\0' e >&2; echo end")
    #expect(result.isError == false)
    #expect(result.text == String(repeating: "x", count: 20_000_000) + "end\n")
    #expect(result.stderr == .list(String(repeating: "e", count: 5_000_000)))
  }

  @Test func `both outputs and the input full at once block nothing`() {
    let arguments = "\"" + String(repeating: "a", count: 1_000_000) + "\""
    let result = workshop.run("cat | tee /dev/stderr; exit 1", arguments: arguments)
    #expect(result == .failed("The command failed with exit code 1.", stdout: arguments, stderr: arguments, exitCode: 1))
  }

  @Test(arguments: ["stdout", "stderr"])
  func `a command that writes more than is kept is killed`(stream: String) throws {
    var limits = CommandLimits()
    limits.outputBytes = 100_000
    let workshop = Workshop(limits: limits)
    let lifeline = try Lifeline(workshop)
    let result = workshop.run("exec 9>\(lifeline.path); yes abcdefg >&\(stream == "stdout" ? 1 : 2)")
    let kept = String(repeating: "abcdefg\n", count: 12_500)
    #expect(
      result
        == .failed(
          "The command was killed because it wrote more than 100000 bytes to \(stream); whether it took effect is unknown.",
          stdout: stream == "stdout" ? kept : nil, stderr: stream == "stderr" ? kept : nil))
    #expect(lifeline.isCut())
    #expect(workshop.logged == ["tool 'worker' (call \(ULID(high: 0, low: 2).text)) wrote too much to \(stream)"])
  }

  @Test func `too much output counts though the command has ended when it is read`() {
    var limits = CommandLimits()
    limits.outputBytes = 1000
    let workshop = Workshop(limits: limits)
    for _ in 1...20 {
      #expect(
        workshop.run("printf '%02000d' 7")
          == .failed(
            "The command was killed because it wrote more than 1000 bytes to stdout; whether it took effect is unknown.",
            stdout: String(repeating: "0", count: 1000)))
    }
  }

  @Test(arguments: [0, 3])
  func `what a process that is left behind writes takes no exit code away`(code: Int) throws {
    var limits = CommandLimits()
    limits.outputBytes = 1000
    let workshop = Workshop(limits: limits)
    let gate = workshop.fifo("gate")
    // It writes when the command has ended, and not so soon that both come between a look and the reading after it.
    let rest = "echo up >\(gate); until grep -q '^State:.Z' /proc/$$/status; do :; done; sleep 0.03; exec yes"
    let result = workshop.run("echo did the work; setsid sh -c \"\(rest)\" & read x <\(gate); exit \(code)")
    #expect(result.exitCode == code)
    let output =
      code == 0 ? result.text : result.stdout?.first.flatMap { if case .inline(let value) = $0 { value.stringValue } else { nil } }
    #expect(output?.hasPrefix("did the work\n") == true)
    #expect(code == 0 || result.text == "The command failed with exit code 3.")
  }

  @Test func `of an output that others go on with past its limit the command's own part is kept`() throws {
    var limits = CommandLimits()
    limits.outputBytes = 10
    let pipe = try FileDescriptor.pipe()
    #expect(fcntl(pipe.readEnd.rawValue, F_SETFL, O_NONBLOCK) == 0)
    var output = CommandOutput(.stdout, from: pipe.readEnd, limits: limits)
    let writer = pipe.writeEnd
    try writer.writeAll("own\n")
    output.readToOwnEnd(at: 0)
    let isWithin = !output.exceedsLimit
    try writer.writeAll("of somebody else\n")
    output.read(at: 0)
    let exceeds = output.exceedsLimit
    let kept = output.finish()
    #expect(isWithin && exceeds)
    #expect(kept == Bytes("own\n"))
  }

  @Test func `as much as is kept is no fault`() {
    var limits = CommandLimits()
    limits.outputBytes = 1000
    #expect(Workshop(limits: limits).run("printf '%01000d' 7") == .success(String(repeating: "0", count: 999) + "7"))
  }

  @Test func `a tool that is not allowed to run does not`() {
    let workshop = Workshop(allowsCommands: false)
    let words = "tool 'worker' is a command, and this bridge was told to run none (--no-commands)"
    #expect(throws: RuntimeError(.unsupportedCapability, words)) { try workshop.tools.check(.shell("true")) }
    #expect(workshop.run("true") == .failure("The command was not started: \(words)."))
  }

  @Test func `a tool with a command may run, another may not`() throws {
    try workshop.tools.check(.shell("true"))
    let other = Tool(name: "other", description: "")
    #expect(
      throws: RuntimeError(.unsupportedCapability, "tool 'other': this bridge runs only server tools that have a command")
    ) { try workshop.tools.check(other) }
  }

  @Test func `what was started and could not be watched may have taken effect`() {
    func words(_ call: String) -> String { CommandError(SystemError(call: call, errno: EMFILE, subject: "git")).message }
    #expect(words("posix_spawn") == "The command 'git' cannot be started: Too many open files.")
    #expect(
      words(ChildProcess.watchingCall)
        == "The command 'git' was killed as soon as it was started, since it cannot be watched (Too many open files); "
        + "whether it took effect is unknown.")
  }
}
