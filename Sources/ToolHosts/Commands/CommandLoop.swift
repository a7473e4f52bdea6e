import AgentRuntime
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The thread that runs all commands: it waits for their pipes, their ends and their times together, and never for one of them.
struct CommandLoop: ~Copyable {
  private let queue: CommandQueue
  private let wake: WakeDescriptor
  private let environment: CommandEnvironment
  private let children: ChildGuard
  private let limits: CommandLimits
  private let log: @Sendable (String) -> Void
  private var running: [RunningCommand] = []
  /// Processes that could not be killed; they are reaped if they end after all.
  private var unkillable: [ChildProcess] = []

  init(
    queue: CommandQueue, wake: WakeDescriptor, environment: CommandEnvironment, children: ChildGuard, limits: CommandLimits,
    log: @escaping @Sendable (String) -> Void
  ) {
    self.queue = queue
    self.wake = wake
    self.environment = environment
    self.children = children
    self.limits = limits
    self.log = log
  }

  /// Returns when the queue is closed and the last command is over.
  mutating func run() {
    // A command may end without reading its arguments: writing them then fails with EPIPE, whatever the process does about the signal.
    Signals.block([SIGPIPE])
    while true {
      let poll = wait()
      let now = Clock.monotonicMilliseconds()
      if poll.seen(0) != [] { wake.drain() }
      let news = queue.takeNews()
      for order in news.withdrawn { order.completion(news.isClosed ? CommandResult.notStarted : CommandResult.stoppedBeforeStart) }
      // Those were killed when the queue was closed, which is not an end of their own.
      if news.isClosed { for command in running { command.stopAtOnce() } }
      for (index, command) in running.enumerated() {
        command.take(poll, from: 1 + index * RunningCommand.watchedDescriptors, at: now)
        if news.stopped.contains(command.order.id) { command.stop() }
      }
      advance(at: now)
      endLate(at: now)
      startWaiting()
      if news.isClosed, running.isEmpty { return }
    }
  }

  /// Waits until something is seen or due.
  private func wait() -> PollSet {
    var poll = PollSet(count: 1 + running.count * RunningCommand.watchedDescriptors)
    poll.watch(0, wake.descriptor, for: .readable)
    var wakeAt = queue.firstLate
    for (index, command) in running.enumerated() {
      command.watch(in: &poll, from: 1 + index * RunningCommand.watchedDescriptors)
      wakeAt = min(wakeAt, command.wakeAt)
    }
    let timeout = wakeAt == .max ? nil : min(max(0, wakeAt - Clock.monotonicMilliseconds()), 3_600_000)
    do throws(SystemError) { try poll.wait(timeoutMilliseconds: timeout) } catch {
      // Out of kernel memory for a moment, or more descriptors than the process may have; deadlines go on.
      log("waiting for commands failed: \(error)")
      _ = PollSet.look(wake.descriptor, for: .readable, timeoutMilliseconds: 50)
    }
    return poll
  }

  private mutating func advance(at now: Int) {
    unkillable.removeAll { child in
      guard child.hasExited else { return false }
      children.release(child)
      return child.reap() != nil
    }
    var index = 0
    while index < running.count {
      let command = running[index]
      guard command.advance(at: now) else {
        index += 1
        continue
      }
      running.remove(at: index)
      queue.finished(command.order.id)
      if let trouble = command.trouble { log("\(Self.name(of: command.order)) \(trouble)") }
      if !command.finish() {
        unkillable.append(command.child)
        log("\(Self.name(of: command.order)) could not be killed")
      }
    }
  }

  private func endLate(at now: Int) {
    for order in queue.takeLate(at: now) {
      log("\(Self.name(of: order)) was not started within \(order.timeoutMilliseconds) ms; at most \(limits.commands) run at once")
      order.completion(CommandResult.late(limits, milliseconds: order.timeoutMilliseconds))
    }
  }

  private mutating func startWaiting() {
    while running.count < limits.commands, let order = queue.next() {
      do throws(CommandError) {
        let command = try RunningCommand(order, environment: environment, children: children, limits: limits)
        queue.started(order.id, command.child)
        _ = command.advance(at: Clock.monotonicMilliseconds())
        running.append(command)
      } catch {
        queue.started(order.id, nil)
        queue.finished(order.id)
        log("\(Self.name(of: order)) could not be started")
        order.completion(.failure(error.message))
      }
    }
  }

  private static func name(of order: CommandOrder) -> String { "tool '\(order.call.tool.name)' (call \(order.call.callID.text))" }
}
