import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The program. Nothing else reads the arguments, the environment or signals.
@main
enum Main {
  static func main() {
    do throws(StartupError) { exit(try run()) } catch {
      Log.put("footbridge: \(error.message)\n")
      if error.status == .usage { Log.put("Try 'footbridge help'.\n") }
      exit(error.status.rawValue)
    }
  }

  private static func run() throws(StartupError) -> Int32 {
    // Before any thread: they inherit the mask.
    Signals.block([SIGTERM, SIGINT, SIGHUP])
    Signals.ignorePipe()
    let environment = Environment.all
    let (options, rest) = try Options.read(arguments: Array(CommandLine.arguments.dropFirst()), environment: environment)
    let command = rest.first ?? "serve"
    if command == "serve" || command.hasPrefix("-") && command != "-h" && command != "--help" && command != "--version" {
      if let extra = command == "serve" ? rest.dropFirst().first : command {
        throw StartupError(status: .usage, message: "unknown argument '\(extra)'")
      }
      return try serve(options, environment)
    }
    return try ShellCommand.run(command, Array(rest.dropFirst()), options, environment)
  }

  private static func serve(_ options: Options, _ environment: [String: String]) throws(StartupError) -> Int32 {
    do throws(SystemError) {
      let descriptors = try ProtocolDescriptors.claim()
      let signals = try SignalDescriptor([SIGTERM, SIGINT, SIGHUP])
      let serve: Serve
      do throws(StartupError) { serve = try Serve(options, environment: environment, descriptors) } catch { return fail(error) }
      return try serve.run(signals)
    } catch { throw StartupError(status: .internalError, message: "\(error)") }
  }

  private static func fail(_ error: StartupError) -> Int32 {
    Log.put("footbridge: \(error.message)\n")
    return error.status.rawValue
  }
}

enum Environment {
  /// The process' environment; of a name that is there twice the first counts.
  static var all: [String: String] {
    var variables: [String: String] = [:]
    var entry = unsafe environ
    while let text = unsafe entry.pointee {
      let pair = unsafe String(cString: text)
      if let sign = pair.firstIndex(of: "=") {
        let name = String(pair[..<sign])
        if variables[name] == nil { variables[name] = String(pair[pair.index(after: sign)...]) }
      }
      unsafe entry += 1
    }
    return variables
  }
}

enum Version {
  static let text = "0.1.0"
}
