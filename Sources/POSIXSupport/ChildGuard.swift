#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Ends the process groups of children when this process ends without doing so itself: by SIGKILL, or by a crash.
///
/// A small shell reads from a pipe which groups there are, and kills them when the pipe closes, which the kernel does however this process ends.
/// A child writes its own number to the pipe before its program begins (`cposix_spawn`), and holds the pipe open until then, so that there is no
/// moment in which one is missed. It is taken back before the child is reaped: a number that is listed is never somebody else's.
/// No record is needed, and nothing has to be looked for afterwards. A guard with nothing to guard ends after a second.
///
/// Not by PR_SET_PDEATHSIG, which reaches the leader of a group alone, and not by a fork of this process, which would keep its memory and its files.
package final class ChildGuard: Sendable {
  /// Its arguments are the groups there are, its lines `+ GROUP` and `- GROUP`. Signals that a terminal sends to all it started must not end it.
  private static let script = """
    trap '' HUP INT QUIT TERM PIPE
    groups=" $* "
    while read -r sign group; do
      case $sign in
      +) case $groups in *" $group "*) ;; *) groups="$groups$group " ;; esac ;;
      -) case $groups in *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;; esac ;;
      esac
    done
    for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
    """

  /// One guarding process and the pipe to it. Held while a child is started, so that the descriptor stays open.
  private final class Watch: Sendable {
    let process: ChildProcess
    let pipe: FileDescriptor

    init(_ groups: Set<Int32>) throws(SystemError) {
      let pipe = try FileDescriptor.pipe()
      // Should the guard hang, nobody waits for it.
      _ = fcntl(pipe.writeEnd.rawValue, F_SETFL, O_NONBLOCK)
      process = try ChildProcess.spawn(
        ["/bin/sh", "-c", ChildGuard.script, "child-guard"] + groups.map { String($0) }, environment: [], workingFolder: "/",
        stdin: .descriptor(pipe.readEnd.rawValue))
      self.pipe = consume pipe.writeEnd
    }

    var isAlive: Bool { process.reap() == nil }

    /// Whether all of it was taken; a part only of a line cannot be, a pipe takes so few bytes whole.
    func tell(_ sign: Character, _ group: Int32) -> Bool {
      let line = Array("\(sign) \(group)\n".utf8)
      return unsafe line.withUnsafeBytes { raw in unsafe write(pipe.rawValue, raw.baseAddress, raw.count) } == line.count
    }
  }

  private struct State: Sendable {
    var watch: Watch?
    /// Of the children that are not reaped.
    var groups: Set<Int32> = []
    /// Children that are just being started.
    var starting = 0
    /// Since when there is nothing to guard.
    var idleSince = 0
    var hasReported = false
  }

  private let state = Monitor(State())
  private let log: @Sendable (String) -> Void

  /// - Parameter log: Told once when there is no guard to be had; children are started all the same.
  package init(log: @escaping @Sendable (String) -> Void) { self.log = log }

  /// `ChildProcess.spawn` in a group of its own, under guard until `release`.
  package func spawn(
    _ arguments: [String], environment: [String], workingFolder: String? = nil,
    stdin: ChildProcess.Stream, stdout: ChildProcess.Stream, stderr: ChildProcess.Stream
  ) throws(SystemError) -> ChildProcess {
    state.withLock { $0.starting += 1 }
    defer { state.withLock { Self.settle(&$0) { $0.starting -= 1 } } }
    let watch = watchNow()
    let child = try ChildProcess.spawn(
      arguments, environment: environment, workingFolder: workingFolder, stdin: stdin, stdout: stdout, stderr: stderr,
      announceTo: watch?.pipe.rawValue)
    let isStale = state.withLock { state in
      state.groups.insert(child.processID)
      return state.watch !== watch
    }
    // Another guard took over while the child announced itself to the old one.
    if isStale { tell("+", child.processID) }
    return child
  }

  /// The groups that are not released.
  var guarded: Set<Int32> { state.withLock { $0.groups } }

  /// Of the guarding process, while there is one; for tests.
  var processID: Int32? { state.withLock { $0.watch?.process.processID } }

  /// Kills what is left of the group and takes it back; to be called when the child has ended or cannot be ended, and before it is reaped.
  package func release(_ child: ChildProcess) {
    child.kill(SIGKILL)
    state.withLock { Self.settle(&$0) { _ = $0.groups.remove(child.processID) } }
    tell("-", child.processID)
  }

  private static func settle(_ state: inout State, _ body: (inout State) -> Void) {
    body(&state)
    if state.starting == 0, state.groups.isEmpty { state.idleSince = Clock.monotonicMilliseconds() }
  }

  private func tell(_ sign: Character, _ group: Int32) {
    guard let watch = state.withLock({ $0.watch }), !watch.tell(sign, group) else { return }
    // Ended or stuck, and no longer to be relied on: the next one is told of all groups as they are now.
    replace(watch)
  }

  /// The guard that is at work; a new one when there is none or it was killed.
  private func watchNow() -> Watch? {
    if let watch = state.withLock({ $0.watch }), watch.isAlive { return watch }
    return replace(state.withLock { $0.watch })
  }

  @discardableResult
  private func replace(_ old: Watch?) -> Watch? {
    old?.process.kill(SIGKILL)
    do throws(SystemError) {
      // It is born with what it has to know: this process may be killed before it is told anything.
      let known = state.withLock { $0.groups }
      let fresh = try Watch(known)
      let current = state.withLock { state in
        // Another thread was faster.
        if state.watch !== old { return state.watch }
        // Inside the lock, so that none of them is taken back before it is told. The pipe is empty and takes them at once.
        for group in state.groups.subtracting(known) { _ = fresh.tell("+", group) }
        for group in known.subtracting(state.groups) { _ = fresh.tell("-", group) }
        state.watch = fresh
        return fresh
      }
      if current === fresh { follow(fresh) }
      return current
    } catch {
      let isNews = state.withLock { state in
        if state.watch === old { state.watch = nil }
        defer { state.hasReported = true }
        return !state.hasReported
      }
      if isNews { log("nobody guards the processes that are started (\(error)): they stay behind if this process is killed") }
      return nil
    }
  }

  private static let lingerMilliseconds = 1000

  /// Lets a guard go that has nothing to guard, and has another take over when one is killed: until then nobody would end the groups.
  private func follow(_ watch: Watch) {
    let process = watch.process
    let startedAt = Clock.monotonicMilliseconds()
    do throws(SystemError) {
      try Thread.start(name: "child-guard") { [weak self] in
        while PollSet.look(process.exitDescriptor, for: .readable, timeoutMilliseconds: Int32(Self.lingerMilliseconds)) == [] {
          self?.letGo(process)
        }
        _ = process.wait()
        guard let self, let current = state.withLock({ $0.watch }), current.process === process else { return }
        // One that cannot live is not started as fast as it dies.
        if Clock.monotonicMilliseconds() - startedAt < Self.lingerMilliseconds {
          _ = state.wait(untilMilliseconds: Clock.monotonicMilliseconds() + 100) { _ in nil as Bool? }
        }
        replace(current)
      }
    } catch { log("a guard of the processes that are started cannot be watched: \(error)") }
  }

  /// Closes the pipe to a guard that has been idle, and thereby ends it.
  private func letGo(_ process: ChildProcess) {
    let now = Clock.monotonicMilliseconds()
    let idle: Watch? = state.withLock { state in
      guard state.watch?.process === process, state.starting == 0, state.groups.isEmpty, now - state.idleSince >= Self.lingerMilliseconds
      else { return nil }
      defer { state.watch = nil }
      return state.watch
    }
    // The last reference, as a rule; the pipe is closed outside the lock.
    _ = idle
  }
}
