import JSON
import POSIXSupport

/// Why the program cannot begin, and with what status it ends.
struct StartupError: Error {
  var status: ExitStatus
  var message: String
}

extension StartupError {
  /// The system has no more of something.
  init(_ error: SystemError) { self.init(status: .internalError, message: "\(error)") }
}

enum ExitStatus: Int32 {
  case success = 0
  case failure = 1
  case usage = 64
  case internalError = 70
  case store = 74
  case waiting = 75
  case configuration = 78
  case cancelled = 130
}

extension Options {
  /// Options and what remains of the arguments.
  /// - Throws: usage (64) for a bad argument, configuration (78) for a bad variable or file; the message names it.
  static func read(arguments: [String]) throws(StartupError) -> (options: Options, rest: [String]) {
    var given: [(known: Known, value: String)] = []
    var rest: [String] = []
    var file: String?
    var index = 0
    while index < arguments.count {
      let argument = arguments[index]
      index += 1
      if argument == "--" {
        rest += arguments[(index - 1)...]
        break
      }
      guard argument.hasPrefix("--"), argument.count > 2 else {
        rest.append(argument)
        continue
      }
      let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      func value() throws(StartupError) -> String {
        if parts.count == 2 { return String(parts[1]) }
        guard index < arguments.count else { throw StartupError(status: .usage, message: "--\(name) needs a value") }
        index += 1
        return arguments[index - 1]
      }
      if name == "config" {
        let name = try value()
        guard !name.isEmpty else { throw StartupError(status: .usage, message: "--config needs a file") }
        file = name
      } else if let known = Self.known.first(where: { $0.name == name }) {
        given.append((known, known.value == nil && parts.count == 1 ? "true" : try value()))
      } else {
        rest.append(argument)
      }
    }
    if file == nil { file = try variable("FOOTBRIDGE_CONFIG") }
    return (try combine(given, file), rest)
  }

  /// An empty one is none.
  static func variable(_ name: String) throws(StartupError) -> String? {
    guard Environment.isSet(name) else { return nil }
    do throws(Environment.NotUTF8) { return try Environment.value(name) } catch {
      throw StartupError(status: .configuration, message: error.message)
    }
  }

  private static func combine(_ given: [(known: Known, value: String)], _ file: String?) throws(StartupError) -> Options {
    var options = Options()
    if let file { try options.apply(file: file) }
    // A variable that the command line comes before is not used.
    for known in Self.known where !given.contains(where: { $0.known.name == known.name }) {
      guard let value = try variable(known.variable) else { continue }
      do throws(OptionError) { try known.apply(&options, value) } catch {
        throw StartupError(status: .configuration, message: "the environment variable \(known.variable) \(error.message)")
      }
    }
    for (known, value) in given {
      do throws(OptionError) { try known.apply(&options, value) } catch {
        throw StartupError(status: .usage, message: "--\(known.name) \(error.message)")
      }
    }
    return options
  }

  private mutating func apply(file: String) throws(StartupError) {
    func wrong(_ message: String) -> StartupError {
      StartupError(status: .configuration, message: "configuration file \(file): \(message)")
    }
    let text: Bytes
    do throws(SystemError) { text = Bytes(try FileReading.contents(of: file)) } catch { throw wrong(error.text) }
    let members: [String: CarriedJSON]
    do throws(JSONError) { members = try CarriedJSON(validating: text).uniqueMembers() } catch { throw wrong("\(error.located(in: text))") }
    for (name, value) in members.sorted(by: { $0.key < $1.key }) {
      guard let known = Self.known.first(where: { $0.name == name }) else {
        throw wrong("/\(JSONPointer.escape(name)): there is no such option")
      }
      let word: String
      switch value.kind {
      case .string: word = value.stringValue ?? ""
      case .number, .bool: word = value.bytes.string
      default: throw wrong("/\(name): must be a string, a number, true or false")
      }
      do throws(OptionError) { try known.apply(&self, word) } catch { throw wrong("/\(name): \(error.message)") }
    }
  }
}
