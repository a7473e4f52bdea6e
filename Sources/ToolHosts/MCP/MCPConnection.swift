import AgentRuntime
import JSON
import JSONRPC
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What is started for a server; agents that say the same share it, whatever they call it.
struct MCPServerKey: Sendable, Hashable {
  var command: String
  var arguments: [String]
  var environment: [String: String]
  var folder: String?
  /// Of a process that is not shared: whose it is.
  var session: Int?

  init(_ definition: MCPServer) {
    command = definition.command
    arguments = definition.args ?? []
    environment = definition.env ?? [:]
    folder = definition.cwd
  }
}

/// What all servers of a bridge are given.
struct MCPContext: Sendable {
  var environment: CommandEnvironment
  var children: ChildGuard
  var version: String
  var limits: MCPLimits
  var log: @Sendable (String) -> Void
  var respondent: @Sendable () -> (any MCPRespondent)?

  var client: MCPClient {
    let respondent = respondent()
    return MCPClient(
      version: version, answersSampling: respondent?.answersSampling ?? false, answersElicitation: respondent?.answersElicitation ?? false)
  }
}

/// One process of a server and the conversation with it. Belongs to the thread of the servers.
final class MCPConnection {
  let child: ChildProcess
  let handler: MCPHandler
  let log: MCPLog
  let startedAt: Int
  /// Until the input of the server is closed.
  private(set) var peer: Peer?
  private let children: ChildGuard
  private var errors: MCPErrorStream
  private var exitedAt: Int?
  private var outputEndedAt: Int?

  /// Between the end of the output and that of the process, in any order; what comes of both is then known.
  private static let settleMilliseconds = 500

  /// Starts the process and the threads of the conversation.
  init(
    _ key: MCPServerKey, name: String, context: MCPContext, report: @escaping @Sendable (MCPReport) -> Void
  ) throws(CommandError) {
    let values = try context.environment.values(adding: key.environment)
    let secrets = values.filter { key.environment[$0.key] != nil }.map(\.value)
    log = MCPLog(name: name, secrets: secrets, limits: context.limits, write: context.log)
    handler = MCPHandler(client: context.client, limits: context.limits, log: log, report: report)
    children = context.children
    startedAt = Clock.monotonicMilliseconds()
    var peerLimits = PeerLimits()
    peerLimits.maxMessageBytes = context.limits.maxMessageBytes
    do throws(SystemError) {
      let input = try FileDescriptor.pipe()
      let output = try FileDescriptor.pipe()
      let errors = try FileDescriptor.pipe()
      // Only the end of this side: each end of a pipe has its own flags.
      _ = fcntl(errors.readEnd.rawValue, F_SETFL, O_NONBLOCK)
      child = try context.children.spawn(
        [key.command] + key.arguments, environment: values.map { "\($0.key)=\($0.value)" }.sorted(), workingFolder: key.folder,
        stdin: .descriptor(input.readEnd.rawValue), stdout: .descriptor(output.writeEnd.rawValue),
        stderr: .descriptor(errors.writeEnd.rawValue))
      self.errors = MCPErrorStream(errors.readEnd)
      peer = try Self.converse(output.readEnd, input.writeEnd, peerLimits, handler, child, children)
    } catch { throw CommandError(error) }
  }

  private static func converse(
    _ input: consuming FileDescriptor, _ output: consuming FileDescriptor, _ limits: PeerLimits, _ handler: MCPHandler,
    _ child: ChildProcess,
    _ children: ChildGuard
  ) throws(SystemError) -> Peer {
    do throws(SystemError) {
      let peer = try Peer(
        input: input, output: output, framing: .line, limits: limits, answersUnreadable: false, errors: .plain, handler: handler)
      try peer.start()
      return peer
    } catch {
      children.release(child)
      _ = child.wait()
      throw error
    }
  }

  // MARK: What is watched

  static let watchedDescriptors = 2

  func watch(in poll: inout PollSet, from place: Int) {
    poll.watch(place, errors.descriptor, for: .readable)
    poll.watch(place + 1, exitedAt == nil ? child.exitDescriptor : nil, for: .readable)
  }

  func take(_ poll: borrowing PollSet, from place: Int, at now: Int) {
    if poll.seen(place) != [] { readErrors() }
    if poll.seen(place + 1) != [], exitedAt == nil {
      exitedAt = now
      // Those it leaves behind would keep its pipes open. What is in them already is still read.
      child.kill(SIGKILL)
    }
  }

  private func readErrors() {
    let log = self.log
    errors.read { log.line($0, from: "stderr") }
  }

  // MARK: How it ends

  var hasExited: Bool { exitedAt != nil }

  /// No message of the server can come any more.
  func outputEnded(at now: Int) { if outputEndedAt == nil { outputEndedAt = now } }

  /// Whether the server is lost, or when to look again; nil while nothing speaks for it.
  func lossDue(at now: Int) -> (isLost: Bool, lookAt: Int)? {
    switch (exitedAt, outputEndedAt) {
    case (nil, nil): return nil
    case (.some, .some): return (true, now)
    case (let one, let other):
      let due = (one ?? other ?? now) + Self.settleMilliseconds
      return (now >= due, due)
    }
  }

  /// Closes the server's input; nothing more is read from it, and no reply comes.
  func close() {
    peer?.close()
    peer = nil
  }

  /// Takes the process back once it has ended, with what is left of its group; nil when it has not.
  func reap() -> ChildProcess.Exit? {
    let log = self.log
    guard child.hasExited else { return nil }
    // What it wrote last is in the pipe by now.
    errors.read { log.line($0, from: "stderr") }
    errors.end { log.line($0, from: "stderr") }
    children.release(child)
    return child.reap()
  }

  /// The end in words that go on after the server's name.
  static func words(_ exit: ChildProcess.Exit?) -> String {
    switch exit {
    case .code(let code)?: "ended with exit code \(code)"
    case .signal(let number)?: "was ended by \(SignalName.of(number))"
    case .unknown?: "ended"
    case nil: "closed its output"
    }
  }
}
