import AgentRuntime
import EngineHosting
import JSON
import POSIXSupport

/// `footbridge events`: a run's log as it was and will be on the wire.
enum EventsCommand {
  static let command = Command(
    name: "events", operands: "RUN", summary: "print the log of a run, a line of JSON an event",
    text: """
      RUN is a run's id, the first 8 characters of it or more, or 'last'. Each line is the params of a run.event notification.
      Streamed text is in no log, so it is not among them; model.completed has it whole.
      """,
    options: [
      Command.Option(name: "follow", value: nil, help: "go on until the run has ended, also when another process drives it"),
      Command.Option(name: "after", value: "SEQ", help: "only events with a greater seq"),
    ]
  ) { (arguments, shell) throws(StartupError) in
    let name = try arguments.operands("RUN")[0]
    let after = try arguments.number("after", atLeast: 0) ?? 0
    let observer = try RunObserver(wantsText: false)
    return try shell.withRuntime(parent: observer) { (runtime) throws(StartupError) in
      let runID = try shell.runID(name, runtime)
      if arguments.has("follow") {
        try follow(runID, after: after, observer, runtime.thread, shell.terminal)
      } else {
        _ = try printEvents(of: runID, after: after, runtime.thread, shell.terminal)
      }
      return .success
    }
  }

  /// - Returns: the last `seq` that was printed.
  private static func printEvents(
    of runID: ULID, after: Int, _ thread: EngineThread, _ terminal: Terminal
  ) throws(StartupError) -> Int {
    var last = after
    while !terminal.isGone {
      let from = last
      let events = try thread.ask { (engine) throws(RuntimeError) in
        try engine.events(of: runID, after: from, limit: 1000, maxBytes: 1 << 20)
      }
      guard let newest = events.last else { break }
      var lines = ByteBuffer(capacity: events.reduce(0) { $0 + $1.event.count + 1 })
      for event in events {
        lines.append(event.event)
        lines.append(0x0A)
      }
      terminal.put(lines.finish())
      terminal.flush()
      last = newest.sequence
    }
    return last
  }

  /// How long a run may be deleted before it is noticed: nothing tells of that.
  private static let lookMilliseconds = 1000

  private static func follow(
    _ runID: ULID, after: Int, _ observer: RunObserver, _ thread: EngineThread, _ terminal: Terminal
  ) throws(StartupError) {
    _ = thread.perform { engine in
      engine.watch(runID, after: after)
      return true
    }
    var last = after
    var waiting = PollSet(count: 2)
    while true {
      // Before the events: what is appended from here on is news.
      _ = observer.take()
      let standing = try thread.ask { (engine) throws(RuntimeError) in try engine.standing(of: runID) }
      last = try printEvents(of: runID, after: last, thread, terminal)
      if terminal.isGone || standing.status.hasEnded && last >= standing.lastSequence { return }
      waiting.watch(0, observer.descriptor, for: .readable)
      waiting.watch(1, terminal.descriptor)
      do throws(SystemError) { try waiting.wait(timeoutMilliseconds: lookMilliseconds) } catch {
        throw StartupError(status: .internalError, message: "\(error)")
      }
      if !waiting.seen(1).isEmpty { return }
    }
  }
}
