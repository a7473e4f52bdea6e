import Glibc
import JSON
import POSIXSupport
import Testing

@testable import AgentRuntime
@testable import ToolHosts

struct CommandInputTests {
  private let workshop = Workshop()

  @Test func `arguments come on standard input exactly, and then its end`() {
    let arguments = #"{"z":0.10,"n":18446744073709551615,"a":1e2,"s":"\u0000","z":-0}"#
    #expect(workshop.run("cat; echo .", arguments: arguments) == .success(arguments + ".\n"))
  }

  @Test func `five megabytes of arguments arrive`() {
    let arguments = "\"" + String(repeating: "0123456789", count: 500_000) + "\""
    #expect(workshop.run("cat", arguments: arguments) == .success(arguments))
  }

  @Test(arguments: ["echo fine", "exec <&-; echo fine", "head -c 1 >/dev/null; exec <&-; echo fine"])
  func `a command that does not read its arguments is no fault`(words: String) {
    let arguments = "\"" + String(repeating: "x", count: 5_000_000) + "\""
    #expect(workshop.run(words, arguments: arguments) == .success("fine\n"))
  }

  @Test func `the words of a command are not read by a shell`() {
    #expect(workshop.run(.command(["/bin/echo", "$HOME; a  b|*", "ü"])) == .success("$HOME; a  b|* ü\n"))
  }

  @Test func `it starts in its folder, or in that of the bridge`() {
    #expect(workshop.run(.command(["pwd"], cwd: workshop.folder)) == .success(workshop.folder + "\n"))
    #expect(workshop.run(.command(["pwd"])) == .success(workingFolder() + "\n"))
  }

  @Test func `it gets three descriptors and no other`() throws {
    let open = try FileDescriptor.pipe()
    // A descriptor that is not close-on-exec, as a careless library makes one.
    let careless = dup(open.readEnd.rawValue)
    defer { close(careless) }
    // The fourth is the folder that `ls` reads.
    #expect(workshop.run(.command(["ls", "/proc/self/fd"])) == .success("0\n1\n2\n3\n"))
  }

  @Test func `no signal is blocked or ignored in it`() throws {
    Signals.ignorePipe()
    let result = workshop.run("grep -E '^Sig(Blk|Ign)' /proc/self/status")
    let masks = try #require(result.text).split(separator: "\n").map { UInt64($0.split(separator: "\t")[1], radix: 16) }
    // Above the 31 standard signals the C library keeps two of its own ignored.
    #expect(masks.map { $0.map { $0 & 0x7FFF_FFFF } } == [0, 0])
  }

  @Test(
    arguments: [
      (.command(["no-such-program"]), "The command 'no-such-program' cannot be started: No such file or directory."),
      (.command(["/etc/passwd"]), "The command '/etc/passwd' cannot be started: Permission denied."),
      (.command(["true"], cwd: "/no/such/folder"), "The command cannot run in the folder '/no/such/folder': No such file or directory."),
      (.command(["true"], env: ["PATH": "/nowhere"]), "The command 'true' cannot be started: No such file or directory."),
    ] as [(Tool, String)])
  func `a program or folder that is missing is named`(tool: Tool, words: String) {
    #expect(workshop.run(tool) == .failure(words))
    #expect(workshop.logged == ["tool 'worker' (call \(ULID(high: 0, low: 2).text)) could not be started"])
  }

  // MARK: Environment

  private static let bridge = [
    "PATH": "/usr/bin:/bin", "HOME": "/home/me", "LANG": "C.UTF-8", "TMPDIR": "/var/tmp", "SECRET": "hunter2", "EMPTY": "", "LC_ALL": "C",
    "NESTED": "${SECRET}",
  ]

  private func environment(_ env: [String: String]?) -> ToolResult {
    Workshop(environment: Self.bridge).run(.command(["env"], env: env))
  }

  @Test func `it gets four variables of the bridge`() {
    #expect(environment(nil) == .success("HOME=/home/me\nLANG=C.UTF-8\nPATH=/usr/bin:/bin\nTMPDIR=/var/tmp\n"))
  }

  @Test func `a variable that the bridge does not have is not made up`() {
    #expect(workshop.run(.command(["env"])) == .success("PATH=/usr/bin:/bin\n"))
  }

  @Test func `the tool's own variables are added, and replace`() {
    #expect(
      environment(["HOME": "/elsewhere", "ONE": "zwei €", "TMPDIR": ""])
        == .success("HOME=/elsewhere\nLANG=C.UTF-8\nONE=zwei €\nPATH=/usr/bin:/bin\nTMPDIR=\n"))
  }

  @Test(
    arguments: [
      ("${SECRET}", "hunter2"), ("a-${SECRET}-${HOME}b", "a-hunter2-/home/meb"), ("${EMPTY}", ""), ("$SECRET", "$SECRET"), ("${}", "${}"),
      ("${SECRET", "${SECRET"), ("$${SECRET}", "$hunter2"), ("$", "$"), ("${NESTED}", "${SECRET}"), ("}", "}"),
    ])
  func `braces read the bridge's variables`(template: String, value: String) {
    #expect(environment(["X": template]) == .success("HOME=/home/me\nLANG=C.UTF-8\nPATH=/usr/bin:/bin\nTMPDIR=/var/tmp\nX=\(value)\n"))
  }

  @Test func `a variable that is not set is named`() {
    #expect(
      environment(["X": "${SECRET}${MISSING}"])
        == .failure("Its env needs the environment variable MISSING, which is not set for the bridge."))
  }

  @Test func `a variable that is not UTF-8 is passed on to nobody, and wanted by nobody that gives its own`() throws {
    let environment = CommandEnvironment(bridge: ["PATH": "/bin", "HOME": nil, "KEY": nil])
    func refusal(_ declared: [String: String]) -> String? {
      do throws(CommandError) { _ = try environment.variables(adding: declared) } catch { return error.message }
      return nil
    }
    #expect(refusal([:]) == "It gets the environment variable HOME, which is not UTF-8 in the bridge's environment.")
    #expect(
      refusal(["HOME": "/", "X": "<${KEY}>"])
        == "Its env needs the environment variable KEY, which is not UTF-8 in the bridge's environment.")
    #expect(try environment.variables(adding: ["HOME": "/", "KEY": "own"]) == ["HOME=/", "KEY=own", "PATH=/bin"])
  }

  @Test(arguments: [["": "x"], ["A=B": "x"], ["A\0": "x"], ["A": "x\0"]])
  func `what cannot be a variable is refused`(env: [String: String]) {
    #expect(environment(env) == .failure("Its env has a variable that no program can get."))
  }

  @Test func `no value of arguments, environment or output is logged`() {
    var limits = CommandLimits()
    limits.outputBytes = 10
    let workshop = Workshop(environment: Self.bridge, limits: limits)
    let env = ["A": "${SECRET}", "B": "swordfish"]
    _ =
      workshop.start(.shell("echo opensesame; echo opensesame; exec sleep 1000 9>&1 >&9 #opensesame", env: env), arguments: "\"swordfish\"")
      .result
    _ = workshop.run(.command(["no-such", "opensesame"], env: env))
    _ = workshop.run(.shell("exec sleep 1000 #opensesame", timeoutMs: 1, env: env))
    #expect(workshop.logged.count == 3)
    for secret in ["hunter2", "swordfish", "opensesame"] { #expect(!workshop.logged.joined().contains(secret)) }
  }
}
