import AgentRuntime
import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A command that was started: its process, its pipes, and how far it has come. Belongs to the thread of the commands.
final class RunningCommand {
  let order: CommandOrder
  let child: ChildProcess
  /// When to look again though nothing is seen.
  private(set) var wakeAt = Int.max
  private var course: CommandCourse
  private var input: FileDescriptor?
  private var written = 0
  private var stdout: CommandOutput
  private var stderr: CommandOutput
  private let children: ChildGuard
  private let limits: CommandLimits

  /// Starts it.
  init(
    _ order: CommandOrder, environment: CommandEnvironment, children: ChildGuard, limits: CommandLimits
  ) throws(CommandError) {
    let tool = order.call.tool
    let variables = try environment.variables(adding: tool.env ?? [:])
    do throws(SystemError) {
      let input = try FileDescriptor.pipe()
      let output = try FileDescriptor.pipe()
      let errors = try FileDescriptor.pipe()
      output.readEnd.requestPipeSize(CommandOutput.pipeBytes)
      child = try children.spawn(
        tool.command ?? [], environment: variables, workingFolder: tool.cwd, stdin: .descriptor(input.readEnd.rawValue),
        stdout: .descriptor(output.writeEnd.rawValue), stderr: .descriptor(errors.writeEnd.rawValue))
      // Only the ends of this side: each end of a pipe has its own flags.
      for end in [input.writeEnd.rawValue, output.readEnd.rawValue, errors.readEnd.rawValue] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
      self.input = consume input.writeEnd
      stdout = CommandOutput(.stdout, from: output.readEnd, limits: limits)
      stderr = CommandOutput(.stderr, from: errors.readEnd, limits: limits)
    } catch { throw CommandError(error) }
    course = CommandCourse(startedAt: order.orderedAt, timeoutMilliseconds: order.timeoutMilliseconds)
    self.order = order
    self.children = children
    self.limits = limits
    // Arguments are short as a rule: the pipe takes them, and nothing has to be watched.
    feed()
  }

  // MARK: What is watched

  static let watchedDescriptors = 4

  func watch(in poll: inout PollSet, from place: Int) {
    poll.watch(place, inputDescriptor, for: .writable)
    poll.watch(place + 1, stdout.descriptor, for: .readable)
    poll.watch(place + 2, stderr.descriptor, for: .readable)
    poll.watch(place + 3, course.hasExited ? nil : child.exitDescriptor, for: .readable)
  }

  /// Takes what was seen.
  func take(_ poll: borrowing PollSet, from place: Int, at now: Int) {
    if poll.seen(place) != [] { feed() }
    if poll.seen(place + 1) != [] { stdout.read(at: now) }
    if poll.seen(place + 2) != [] { stderr.read(at: now) }
    let hasExited = poll.seen(place + 3) != []
    if hasExited {
      // What it wrote itself may have come after the look that saw its end.
      stdout.readToOwnEnd(at: now)
      stderr.readToOwnEnd(at: now)
    }
    if stdout.exceedsLimit { course.exceedOutput(of: .stdout) }
    if stderr.exceedsLimit { course.exceedOutput(of: .stderr) }
    if hasExited { course.exited(at: now) }
    if stdout.hasEnded, stderr.hasEnded { course.endOutput() }
  }

  private var inputDescriptor: Int32? {
    switch input {
    case .some(let input): input.rawValue
    case .none: nil
    }
  }

  /// Writes what the pipe takes of the arguments, and closes it after them. A command that does not read them is no fault.
  private func feed() {
    guard let descriptor = inputDescriptor else { return }
    let arguments = order.call.arguments.bytes
    while written < arguments.count {
      let taken = unsafe arguments.withUnsafeBytes { raw in unsafe write(descriptor, raw.baseAddress! + written, raw.count - written) }
      if taken < 0, errno == EINTR { continue }
      if taken < 0, errno == EAGAIN { return }
      if taken < 0 { break }
      written += taken
    }
    input = nil
  }

  // MARK: How it goes on

  func stop() { course.stop() }
  func stopAtOnce() { course.stopAtOnce() }

  /// Shows output that is due and does what the course asks for; true when the command is over.
  func advance(at now: Int) -> Bool {
    if let due = stdout.dueAt, due <= now { show(stdout.nextPiece(), .stdout) }
    if let due = stderr.dueAt, due <= now { show(stderr.nextPiece(), .stderr) }
    while true {
      switch course.next(at: now) {
      case .wait(let time):
        wakeAt = min(time, stdout.dueAt ?? .max, stderr.dueAt ?? .max)
        return false
      case .terminate: child.kill(SIGTERM)
      // Before the leader is reaped, so that its number still means this group.
      case .kill: child.kill(SIGKILL)
      case .finish: return true
      }
    }
  }

  private func show(_ piece: String?, _ stream: OutputStream) {
    if let piece { order.progress(stream.rawValue, piece) }
  }

  /// Shows the rest and tells the result. Answers whether the process has ended; one that has not is to be reaped later.
  func finish() -> Bool {
    show(stdout.nextPiece(isLast: true), .stdout)
    show(stderr.nextPiece(isLast: true), .stderr)
    input = nil
    if course.hasExited { children.release(child) }
    let exit = child.reap()
    order.completion(
      CommandResult.make(
        exit: exit, interruption: course.interruption, stdout: stdout.finish(), stderr: stderr.finish(),
        isStructured: order.call.tool.outputSchema != nil, limits: limits))
    return exit != nil
  }

  /// In a word, for the log; nil for an end that is not worth one.
  var trouble: String? {
    switch course.interruption {
    case .timeout(let milliseconds)?: "timed out after \(milliseconds) ms"
    case .tooMuchOutput(let stream)?: "wrote too much to \(stream.rawValue)"
    case .stop?, nil: nil
    }
  }
}
