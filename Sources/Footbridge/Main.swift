import POSIXSupport

#if FOOTBRIDGE_BROKEN
  import SQLiteStore
#endif

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The program. Nothing else reads the arguments, the environment or signals.
@main
enum Main {
  static func main() {
    do throws(StartupError) { end(try run()) } catch {
      Log.put("footbridge: \(error.message)\n")
      if error.status == .usage { Log.put("Try 'footbridge help'.\n") }
      end(error.status.rawValue)
    }
  }

  /// Without what libraries want done at the end: theirs would be cleared away under a thread that still ends.
  private static func end(_ status: Int32) -> Never {
    StderrQueue.shared.finish(withinMilliseconds: 100)
    fflush(nil)
    _exit(status)
  }

  private static func run() throws(StartupError) -> Int32 {
    // Its memory may hold a provider's key.
    CoreDumps.forbid()
    FreedMemory.keep()
    DescriptorLimit.raise()
    Signals.ignorePipe()
    Signals.ignoreFileSize()
    // Who started this process may have it ignored, and then nobody learns how a command has ended.
    Signals.restore([SIGCHLD])
    Signals.endOnFaults(status: ExitStatus.internalError.rawValue)
    #if FOOTBRIDGE_BROKEN
      if let name = try Options.variable("FOOTBRIDGE_BROKEN"), !Broken.choose(name) {
        throw StartupError(status: .configuration, message: "FOOTBRIDGE_BROKEN: there is no '\(name)'")
      }
    #endif
    let words = try ArgumentWords.read()
    if let text = try Help.answer(to: words) {
      if let error = Log.put(text, to: 1) { throw StartupError(status: .failure, message: "standard output: \(error.text)") }
      return ExitStatus.success.rawValue
    }
    let (options, rest) = try Options.read(arguments: words)
    let (command, arguments) = try Command.find(in: rest)
    guard command.name == Command.serve.name else { return Shell.run(command, arguments, options) }
    _ = try CommandArguments(arguments, for: command).operands()
    return try serve(options)
  }

  private static func serve(_ options: Options) throws(StartupError) -> Int32 {
    // Before any thread: they inherit the mask.
    Signals.block([SIGTERM, SIGINT, SIGHUP])
    if isatty(0) == 1, isatty(2) == 1 {
      Log.put("footbridge: waiting for JSON-RPC messages, one a line; 'footbridge help' shows the commands for people\n")
    }
    do throws(SystemError) {
      let descriptors = try ProtocolDescriptors.claim()
      let signals = try SignalDescriptor([SIGTERM, SIGINT, SIGHUP])
      let serve: Serve
      do throws(StartupError) { serve = try Serve(options, descriptors) } catch { return fail(error) }
      return try serve.run(signals)
    } catch { throw StartupError(status: .internalError, message: "\(error)") }
  }

  private static func fail(_ error: StartupError) -> Int32 {
    Log.put("footbridge: \(error.message)\n")
    return error.status.rawValue
  }
}

enum Version {
  static let text = "0.1.0"
}
