import Glibc
import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import AgentRuntime
@testable import ToolHosts

/// Tools of a bridge with a small environment, what they log, and a folder to work in.
final class Workshop: Sendable {
  let tools: CommandTools
  let folder: String
  private let messages = Monitor<[String]>([])

  init(environment: [String: String] = ["PATH": "/usr/bin:/bin"], allowsCommands: Bool = true, limits: CommandLimits = CommandLimits()) {
    let messages = messages
    let note: @Sendable (String) -> Void = { message in
      messages.withLock { $0.append(message) }
    }
    tools = CommandTools(environment: { environment }, allowsCommands: allowsCommands, limits: limits, log: note)
    var template = Array("/tmp/toolhosts-XXXXXX".utf8CString)
    folder = unsafe String(cString: mkdtemp(&template))
  }

  deinit {
    tools.shutdown()
    _ = ChildProcess.run(["rm", "-rf", folder])
  }

  var logged: [String] { messages.withLock { $0 } }

  /// A FIFO in the folder.
  func fifo(_ name: String) -> String {
    let path = folder + "/" + name
    #expect(unsafe mkfifo(path, 0o600) == 0)
    return path
  }

  func start(_ tool: Tool, arguments: String = "{}") -> Call {
    let call = Call()
    call.running = tools.start(
      ServerToolCall(
        runID: ULID(high: 0, low: 1), callID: ULID(high: 0, low: 2), tool: tool, arguments: CarriedJSON(trusted: Bytes(arguments)),
        attempt: 1),
      progress: { stream, text in call.events.update { $0.pieces.append(Piece(stream: stream, text: text)) } },
      completion: { result in call.events.update { $0.results.append(result) } })
    return call
  }

  /// Runs a shell's words to their end.
  func run(_ words: String, arguments: String = "{}") -> ToolResult { start(.shell(words), arguments: arguments).result }

  func run(_ tool: Tool) -> ToolResult { start(tool).result }

  /// Runs a shell's words until their time is over; with more time when they have not printed that much, since the machine is busy with other things.
  func runIntoTimeout(_ words: String, stdout: String, stderr: String? = nil) -> (result: ToolResult, timeoutMs: Int) {
    for timeoutMs in [300, 3000] {
      let result = run(.shell(words, timeoutMs: timeoutMs))
      if result.stdout == .list(stdout), result.stderr == stderr.map({ .list($0) }) { return (result, timeoutMs) }
    }
    return (run(.shell(words, timeoutMs: 30_000)), 30_000)
  }
}

extension ChildProcess {
  static func run(_ arguments: [String]) -> Exit? { try? spawn(arguments, environment: []).wait() }
}

struct Piece: Sendable, Equatable {
  var stream: String
  var text: String
}

/// A call and what came of it.
final class Call: @unchecked Sendable {
  // Unchecked, because: `running` is set by the one thread that has it, right after it was made.
  var running: (any RunningTool)?
  let events = Monitor(Events())

  struct Events: Sendable {
    var pieces: [Piece] = []
    var results: [ToolResult] = []
  }

  /// Waits for the result.
  var result: ToolResult {
    events.wait(untilMilliseconds: Patience.deadline) { $0.results.first } ?? .failure("no result came")
  }

  var hasResult: Bool { events.withLock { !$0.results.isEmpty } }
  var resultCount: Int { events.withLock { $0.results.count } }
  var pieces: [Piece] { events.withLock { $0.pieces } }

  func shown(_ stream: String) -> String { pieces.filter { $0.stream == stream }.map(\.text).joined() }

  /// Waits until the command has shown this.
  func waitForOutput(_ text: String) {
    let seen: Bool? = events.wait(untilMilliseconds: Patience.deadline) { events in
      events.pieces.map(\.text).joined().contains(text) ? true : nil
    }
    #expect(seen == true, "the command did not show \(text)")
  }
}

extension Tool {
  static func command(
    _ command: [String], timeoutMs: Int? = nil, cwd: String? = nil, env: [String: String]? = nil
  ) -> Tool {
    Tool(name: "worker", description: "", timeoutMs: timeoutMs, command: command, cwd: cwd, env: env)
  }

  static func shell(_ words: String, timeoutMs: Int? = nil, cwd: String? = nil, env: [String: String]? = nil) -> Tool {
    command(["/bin/sh", "-c", words], timeoutMs: timeoutMs, cwd: cwd, env: env)
  }

  /// A shell's words that print JSON.
  static func structured(_ words: String) -> Tool {
    var tool = shell(words)
    tool.outputSchema = CarriedJSON(trusted: Bytes("true"))
    return tool
  }
}

extension ToolResult {
  static func success(_ text: String, stderr: String? = nil) -> ToolResult {
    var result = ToolResult()
    if !text.isEmpty { result.content = [.text(text)] }
    result.stderr = stderr.map { .list($0) }
    result.exitCode = 0
    return result
  }

  static func failed(_ words: String, stdout: String? = nil, stderr: String? = nil, exitCode: Int? = nil) -> ToolResult {
    var result = ToolResult.failure(words)
    result.stdout = stdout.map { .list($0) }
    result.stderr = stderr.map { .list($0) }
    result.exitCode = exitCode
    return result
  }

  /// The text of the only block.
  var text: String? {
    guard content.count == 1, case .inline(let value)? = content[0]["text"] else { return nil }
    return value.stringValue
  }
}

extension [StoredValue] {
  /// One string.
  static func list(_ text: String) -> [StoredValue] { [.inline(CarriedJSON(string: text))] }
}

/// Tells whether any process that holds the writing end of a FIFO is alive; a shell takes hold with `exec 9>PATH`.
final class Lifeline {
  let path: String
  private let reader: FileDescriptor

  init(_ workshop: Workshop, _ name: String = "lifeline") throws {
    path = workshop.fifo(name)
    reader = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
  }

  var isHeld: Bool { !PollSet.look(reader.rawValue, for: .readable).contains(.hangUp) }

  /// Waits until nobody holds it any more.
  func isCut() -> Bool { PollSet.look(reader.rawValue, for: .readable, timeoutMilliseconds: 60_000).contains(.hangUp) }
}

/// The folder of this process.
func workingFolder() -> String {
  guard let own = unsafe getcwd(nil, 0) else { return "" }
  defer { unsafe free(own) }
  return unsafe String(cString: own)
}

/// Lets a command go on that waits with `read x <PATH`.
func open(gate path: String) throws {
  try Patience.until("who waits at the gate") {
    do throws(SystemError) {
      try FileDescriptor.open(path, O_WRONLY | O_NONBLOCK).writeAll("go\n")
      return true
    } catch {
      // Nobody reads it yet.
      guard error.errno == ENXIO else { throw error }
      return false
    }
  }
}
