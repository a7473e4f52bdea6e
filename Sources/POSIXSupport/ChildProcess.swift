import CPOSIX

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A process that this one started, to be reaped by it.
///
/// The order that is safe: wait until `exitDescriptor` is readable, `kill` the group while the ended process still holds its number, then `reap`.
package final class ChildProcess: Sendable {
  package let processID: Int32
  private let ownsGroup: Bool
  private let handle: FileDescriptor
  /// Guards against signals to a number that the system has given to somebody else.
  private let end = Monitor<Exit?>(nil)

  /// How a process ended.
  package enum Exit: Sendable, Equatable {
    case code(Int32)
    case signal(Int32)
    /// Somebody else has reaped it: other code of this process, or the system, as it does where SIGCHLD is ignored.
    case unknown
  }

  /// What becomes a standard stream of the child.
  package enum Stream: Sendable {
    case null
    /// Stays the caller's to close.
    case descriptor(Int32)
  }

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - arguments: The first is the program. Without a slash it is looked for in the PATH of `environment`, in absolute folders only.
  ///   - environment: All of it: `NAME=value`.
  ///   - newProcessGroup: So that `kill` reaches its children too.
  ///   - announceTo: A pipe that is told of the process before the program begins: see `ChildGuard`.
  /// - Throws: What says that nothing was started, but for `watchingCall`.
  package static func spawn(
    _ arguments: [String], environment: [String], workingFolder: String? = nil,
    stdin: Stream = .null, stdout: Stream = .null, stderr: Stream = .null, newProcessGroup: Bool = true, announceTo: Int32? = nil
  ) throws(SystemError) -> ChildProcess {
    guard let name = arguments.first, !name.isEmpty else {
      throw SystemError(call: "posix_spawn", errno: EINVAL, subject: "an empty command")
    }
    guard !(arguments + environment + [workingFolder ?? ""]).contains(where: { $0.utf8.contains(0) }) else {
      throw SystemError(call: "posix_spawn", errno: EINVAL, subject: name)
    }
    let program = try locate(name, environment: environment)
    let streams = try SpawnStreams(stdin, stdout, stderr)
    var process: Int32 = 0
    var exitDescriptor: Int32 = -1
    let error = unsafe withCStrings(arguments) { argv in
      unsafe withCStrings(environment) { envp in
        unsafe withOptionalCString(workingFolder) { folder in
          unsafe program.withCString { path in
            var request = unsafe cposix_spawn(
              program: path, arguments: argv, environment: envp, working_folder: folder, descriptors: streams.numbers,
              new_process_group: newProcessGroup ? 1 : 0, announce_descriptor: announceTo ?? -1)
            return unsafe cposix_spawn_process(&request, &process, &exitDescriptor)
          }
        }
      }
    }
    guard error == 0 else {
      // The call does not say which of its steps failed.
      if let workingFolder, unsafe cposix_is_folder(workingFolder) == 0 {
        throw SystemError(call: "chdir", errno: error == EACCES ? EACCES : ENOENT, subject: workingFolder)
      }
      throw SystemError(call: "posix_spawn", errno: error, subject: name)
    }
    if exitDescriptor >= 0 {
      return ChildProcess(processID: process, ownsGroup: newProcessGroup, handle: FileDescriptor(owning: exitDescriptor))
    }
    return try ChildProcess(
      unwatched: process, of: name, ownsGroup: newProcessGroup, announcedTo: announceTo, watch: Self.watchAfterStart)
  }

  private init(processID: Int32, ownsGroup: Bool, handle: consuming FileDescriptor) {
    self.processID = processID
    self.ownsGroup = ownsGroup
    self.handle = handle
  }

  /// The `call` of the error for a program that has begun and was killed, since nobody could have learnt of its end.
  package static let watchingCall = "watch"

  /// One whose descriptor did not come with it, as on Linux before 5.2, while it runs already. What cannot be watched is killed before this throws.
  init(
    unwatched processID: Int32, of name: String, ownsGroup: Bool, announcedTo guardPipe: Int32?,
    watch: (Int32) throws(SystemError) -> FileDescriptor
  ) throws(SystemError) {
    self.processID = processID
    self.ownsGroup = ownsGroup
    do throws(SystemError) { handle = try watch(processID) } catch {
      Self.send(SIGKILL, to: processID, andGroup: ownsGroup)
      _ = cposix_await_exit(processID)
      if let guardPipe { cposix_take_back(guardPipe, processID) }
      var (code, signal): (Int32, Int32) = (0, 0)
      _ = unsafe cposix_reap(processID, &code, &signal)
      throw SystemError(call: Self.watchingCall, errno: error.errno, subject: name)
    }
  }

  private static func watchAfterStart(_ processID: Int32) throws(SystemError) -> FileDescriptor {
    let opened = cposix_open_process(processID)
    return opened >= 0 ? FileDescriptor(owning: opened) : try watchByThread(processID)
  }

  /// Without pidfds: a thread that waits and then closes its end of a pipe.
  static func watchByThread(_ processID: Int32) throws(SystemError) -> FileDescriptor {
    let pipe = try FileDescriptor.pipe()
    let end = pipe.writeEnd.release()
    do throws(SystemError) {
      try Thread.start(name: "child") {
        _ = cposix_await_exit(processID)
        _ = FileDescriptor(owning: end)
      }
    } catch {
      _ = FileDescriptor(owning: end)
      throw error
    }
    return pipe.readEnd
  }

  deinit {
    // One that still runs is left to the process that takes over orphans.
    if end.withLock({ $0 }) == nil { _ = reap() }
  }

  /// For `poll`: readable, or hung up, once the process has ended.
  package var exitDescriptor: Int32 { handle.rawValue }

  /// Sends a signal to the process, or with its group to all of its children. False once it is reaped, and when nobody is there.
  @discardableResult
  package func kill(_ signal: Int32) -> Bool {
    end.withLock { end in
      end == nil && Self.send(signal, to: processID, andGroup: ownsGroup)
    }
  }

  @discardableResult
  private static func send(_ signal: Int32, to processID: Int32, andGroup: Bool) -> Bool {
    #if canImport(Glibc)
      Glibc.kill(andGroup ? -processID : processID, signal) == 0
    #else
      Darwin.kill(andGroup ? -processID : processID, signal) == 0
    #endif
  }

  /// Whether it has ended, reaped or not.
  package var hasExited: Bool {
    !PollSet.look(handle.rawValue, for: .readable).isEmpty || end.withLock { $0 != nil }
  }

  /// How it ended, or nil while it runs.
  package func reap() -> Exit? {
    end.withLock { end in
      if let end { return end }
      var code: Int32 = 0
      var signal: Int32 = 0
      switch unsafe cposix_reap(processID, &code, &signal) {
      case 1: end = signal == 0 ? .code(code) : .signal(signal)
      case 2: end = .unknown
      default: break
      }
      return end
    }
  }

  /// Waits for the end and reaps.
  package func wait() -> Exit {
    while true {
      _ = PollSet.look(handle.rawValue, for: .readable, timeoutMilliseconds: -1)
      if let end = reap() { return end }
    }
  }
}

extension ChildProcess {
  /// The file that `name` stands for.
  private static func locate(_ name: String, environment: [String]) throws(SystemError) -> String {
    if name.utf8.contains(0x2F) { return name }
    let path = environment.first { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? "/usr/local/bin:/usr/bin:/bin"
    // Relative folders are left out on purpose: a file in the working folder must not pass for a system command.
    for folder in path.split(separator: ":") where folder.utf8.first == 0x2F {
      let candidate = "\(folder)/\(name)"
      if unsafe cposix_is_executable_file(candidate) == 1 { return candidate }
    }
    throw SystemError(call: "posix_spawn", errno: ENOENT, subject: name)
  }
}

/// The three descriptors of a child as `cposix_spawn` wants them, and what had to be opened for that.
private struct SpawnStreams: ~Copyable {
  let numbers: (Int32, Int32, Int32)
  private let input: FileDescriptor?
  private let output: FileDescriptor?
  private let error: FileDescriptor?

  init(_ stdin: ChildProcess.Stream, _ stdout: ChildProcess.Stream, _ stderr: ChildProcess.Stream) throws(SystemError) {
    let input = try Self.prepare(stdin, as: 0)
    let output = try Self.prepare(stdout, as: 1)
    let error = try Self.prepare(stderr, as: 2)
    numbers = (Self.number(stdin, input), Self.number(stdout, output), Self.number(stderr, error))
    self.input = input
    self.output = output
    self.error = error
  }

  private static func number(_ stream: ChildProcess.Stream, _ opened: borrowing FileDescriptor?) -> Int32 {
    switch opened {
    case .some(let opened): return opened.rawValue
    case .none:
      if case .descriptor(let given) = stream { return given }
      return -1
    }
  }

  /// A low number that stands for another stream might be replaced before its turn, so it is copied upwards.
  private static func prepare(_ stream: ChildProcess.Stream, as number: Int32) throws(SystemError) -> FileDescriptor? {
    switch stream {
    case .null:
      let null = try FileDescriptor.open("/dev/null", number == 0 ? O_RDONLY : O_WRONLY)
      return null.rawValue >= 3 ? null : try null.duplicate()
    case .descriptor(let given):
      return given >= 3 || given == number ? nil : try FileDescriptor.duplicate(given)
    }
  }
}

private func withCStrings<R>(_ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R) -> R {
  var pointers = unsafe strings.map { unsafe strdup($0) }
  unsafe pointers.append(nil)
  defer { for index in strings.indices { unsafe free(pointers[index]) } }
  return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
}

private func withOptionalCString<R>(_ string: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
  guard let string else { return body(nil) }
  return unsafe string.withCString { unsafe body($0) }
}
