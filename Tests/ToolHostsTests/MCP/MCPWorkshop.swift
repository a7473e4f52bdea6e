import Glibc
import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import AgentRuntime
@testable import ToolHosts

/// A host of MCP servers, what it logs, and a scripted server to start.
final class MCPWorkshop: Sendable {
  let host: MCPHost
  let children: ChildGuard
  let folder: String
  private let messages: Monitor<[String]>

  init(
    environment: [String: String] = ["PATH": "/usr/bin:/bin:/usr/local/bin"], allowsServers: Bool = true,
    _ change: (inout MCPLimits) -> Void = { _ in }
  ) {
    let messages = Monitor<[String]>([])
    let note: @Sendable (String) -> Void = { message in messages.update { $0.append(message) } }
    self.messages = messages
    var limits = MCPLimits()
    change(&limits)
    children = ChildGuard(log: note)
    host = MCPHost(
      environment: { environment }, allowsServers: allowsServers, children: children, version: "1.2.3", limits: limits, log: note)
    var template = Array("/tmp/mcphost-XXXXXX".utf8CString)
    folder = unsafe String(cString: mkdtemp(&template))
    write(ServerScript.text, to: "server.py")
  }

  deinit {
    host.shutdown()
    _ = ChildProcess.run(["/bin/rm", "-rf", folder])
  }

  func write(_ text: String, to name: String) {
    do { try FileDescriptor.open("\(folder)/\(name)", O_WRONLY | O_CREAT | O_TRUNC).writeAll(text) } catch { Issue.record("\(error)") }
  }

  var logged: [String] { messages.withLock { $0 } }

  /// Waits for a line of the log.
  func waitForLog(_ text: String) {
    let seen: Bool? = messages.wait(untilMilliseconds: Patience.deadline) { lines in lines.contains { $0.contains(text) } ? true : nil }
    #expect(seen == true, "the log did not say \(text): \(logged)")
  }

  /// The scripted server. It records what it gets under `record` in the folder.
  func script(_ options: String = "{}", record: String? = nil) -> MCPServer {
    var options = options
    if let record {
      options.removeFirst()
      options = #"{"record":"\#(folder)/\#(record)""# + (options == "}" ? "" : ",") + options
    }
    return MCPServer(command: "python3", args: ["\(folder)/server.py", options])
  }

  /// The lines that a server has recorded.
  func record(_ name: String) -> [String] {
    guard let bytes = try? FileReading.contents(of: "\(folder)/\(name)") else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  func open(_ server: MCPServer, run: UInt64 = 1) -> Held { open(["s": server], run: run) }
  func open(_ servers: [String: MCPServer], run: UInt64 = 1) -> Held { Held(host, servers, run: run) }

  func fifo(_ name: String) -> String {
    let path = folder + "/" + name
    #expect(unsafe mkfifo(path, 0o600) == 0)
    return path
  }
}

/// A session and the calls made in it.
final class Held: Sendable {
  let session: any MCPSession
  private let run: ULID
  private let changes: Monitor<Int>
  private let numbers = Monitor(0)

  init(_ host: MCPHost, _ servers: [String: MCPServer], run: UInt64) {
    self.run = ULID(high: 0, low: run)
    let changes = Monitor(0)
    self.changes = changes
    session = host.open(servers) { changes.update { $0 += 1 } }
  }

  /// What is offered once every server has been heard of.
  func prepare() -> MCPOffer {
    let offer = Monitor<MCPOffer?>(nil)
    session.prepare { ready in offer.update { $0 = ready } }
    return offer.wait(untilMilliseconds: Patience.deadline) { $0 }
      ?? MCPOffer(failures: [MCPOffer.Failure(server: "", message: "nothing came")])
  }

  /// Waits until the offer is such.
  func waitForOffer(_ condition: @Sendable (MCPOffer) -> Bool) -> MCPOffer {
    let session = session
    _ = changes.wait(untilMilliseconds: Patience.deadline) { _ in condition(session.offer) ? true : nil }
    return session.offer
  }

  func start(_ tool: String, _ arguments: String = "{}", server: String = "s", timeoutMs: Int? = nil, meta: String? = nil) -> MCPTestCall {
    let number = numbers.withLock { number in
      number += 1
      return number
    }
    let call = MCPTestCall()
    call.running = session.start(
      MCPCall(
        runID: run, callID: ULID(high: 0, low: UInt64(number)), route: MCPRoute(server: server, tool: tool),
        name: "\(server)__\(tool)",
        arguments: CarriedJSON(trusted: Bytes(arguments)), timeoutMilliseconds: timeoutMs,
        meta: meta.map { CarriedJSON(trusted: Bytes($0)) }),
      progress: { members in call.events.update { $0.progress.append(members.bytes.string) } },
      completion: { result in call.events.update { $0.results.append(result) } })
    return call
  }

  func call(_ tool: String, _ arguments: String = "{}", server: String = "s", timeoutMs: Int? = nil, meta: String? = nil) -> ToolResult {
    start(tool, arguments, server: server, timeoutMs: timeoutMs, meta: meta).result
  }
}

/// A call of a server and what came of it.
final class MCPTestCall: @unchecked Sendable {
  // Unchecked, because: `running` is set by the one thread that has it, right after it was made.
  var running: (any RunningTool)?
  let events = Monitor(Events())

  struct Events: Sendable {
    var progress: [String] = []
    var results: [ToolResult] = []
  }

  var result: ToolResult { events.wait(untilMilliseconds: Patience.deadline) { $0.results.first } ?? .failure("no result came") }
  var resultCount: Int { events.withLock { $0.results.count } }
  var progress: [String] { events.withLock { $0.progress } }

  func waitForProgress() {
    let seen: Bool? = events.wait(untilMilliseconds: Patience.deadline) { $0.progress.isEmpty ? nil : true }
    #expect(seen == true)
  }
}

/// Answers questions as it is told, and keeps them.
final class ScriptedRespondent: MCPRespondent {
  let answersSampling: Bool
  let answersElicitation: Bool
  let asked = Monitor<[MCPQuestion]>([])
  let stopped = Monitor(0)
  private let answer: @Sendable (MCPQuestion) -> MCPAnswer?

  init(sampling: Bool = true, elicitation: Bool = true, _ answer: @escaping @Sendable (MCPQuestion) -> MCPAnswer?) {
    answersSampling = sampling
    answersElicitation = elicitation
    self.answer = answer
  }

  func answer(_ question: MCPQuestion, reply: @escaping @Sendable (MCPAnswer) -> Void) -> any RunningTool {
    asked.update { $0.append(question) }
    if let answer = answer(question) { reply(answer) }
    return Withdrawal(stopped: stopped)
  }

  func waitForQuestion() {
    let isAsked: Bool? = asked.wait(untilMilliseconds: Patience.deadline) { $0.isEmpty ? nil : true }
    #expect(isAsked == true)
  }

  private final class Withdrawal: RunningTool {
    private let stopped: Monitor<Int>
    init(stopped: Monitor<Int>) { self.stopped = stopped }
    func stop() { stopped.update { $0 += 1 } }
  }
}

extension MCPAnswer {
  static func json(_ text: String) -> MCPAnswer { .result(CarriedJSON(trusted: Bytes(text))) }
}

extension ToolResult {
  static func words(_ text: String, isError: Bool = false) -> ToolResult {
    var result = ToolResult()
    result.content = [.text(text)]
    result.isError = isError
    return result
  }
}
