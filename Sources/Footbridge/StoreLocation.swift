import AgentRuntime
import POSIXSupport
import PostgresStore
import SQLiteStore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where a store is, as `--store` says it.
enum StoreLocation: Sendable, Equatable {
  case memory
  case sqlite(path: String)
  /// What libpq takes: a URI, or `key=value` pairs. It may hold a password, so it is never shown.
  case postgres(String)

  init(_ text: String) throws(OptionError) {
    if text == "memory" {
      self = .memory
    } else if text.hasPrefix("sqlite:") {
      let path = String(text.dropFirst(7))
      guard !path.isEmpty else { throw OptionError("needs a path after sqlite:") }
      // A shell leaves it as it is in the middle of a word, and a folder named ~ is hardly ever meant.
      guard !path.hasPrefix("~/") else {
        let rest = VisibleText.shown(String(path.dropFirst(2)))
        throw OptionError(
          "has a path that begins with ~/, which only a shell replaces, and not after sqlite: - write the whole path "
            + "(in a shell sqlite:$HOME/\(rest)), or sqlite:./~/\(rest) for a folder named ~")
      }
      self = .sqlite(path: path)
    } else if ConnectionText.isOne(text) {
      self = .postgres(text)
    } else {
      throw OptionError("must be sqlite:PATH, postgresql://USER@HOST/DATABASE or memory")
    }
  }

  /// As `--store` takes it, without a password.
  var text: String {
    switch self {
    case .memory: "memory"
    case .sqlite(let path): "sqlite:" + path
    case .postgres(let connection): ConnectionText.withoutPassword(connection)
    }
  }

  /// Opening a file would make it.
  /// - Throws: status 74 when there is none. What else is wrong with the path, opening it tells.
  func checkExistence() throws(StartupError) {
    guard case .sqlite(let path) = self else { return }
    do throws(SystemError) { _ = try FileReading.stamp(of: path) } catch {
      guard error.errno == ENOENT || error.errno == ENOTDIR else { return }
      throw StartupError(status: .store, message: "there is no store \(path): \(error.text)")
    }
  }

  /// Whether both name the same store, as far as that can be seen without opening them: one file has many paths.
  func isSame(as other: StoreLocation) -> Bool {
    guard case (.sqlite(let path), .sqlite(let otherPath)) = (self, other) else { return self == other }
    guard let file = FileIdentity(of: path), let otherFile = FileIdentity(of: otherPath) else { return path == otherPath }
    return file.isSameFile(as: otherFile)
  }

  /// - Throws: status 74, with what the store is and why it cannot be opened.
  func open(synchronous: SQLiteStore.Synchronous) throws(StartupError) -> any RunStore {
    do throws(StoreError) {
      switch self {
      case .memory: return try SQLiteStore.open(path: ":memory:") { Clock.wallMilliseconds() }
      case .sqlite(let path): return try SQLiteStore.open(path: path, synchronous: synchronous) { Clock.wallMilliseconds() }
      case .postgres(let connection): return try PostgresStore.open(connection)
      }
    } catch { throw StartupError(status: .store, message: error.message) }
  }
}

/// The text by which libpq is told where to connect: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
enum ConnectionText {
  private static let secrets = ["password", "sslpassword"]

  /// A URI, or pairs, which begin with a word and an equals sign.
  static func isOne(_ text: String) -> Bool {
    if scheme(of: text) != nil { return true }
    let word = text.prefix { $0.isASCII && ($0.isLowercase || $0 == "_") }
    return !word.isEmpty && text[word.endIndex...].drop { $0 == " " }.first == "="
  }

  private static func scheme(of text: String) -> String? { ["postgresql://", "postgres://"].first { text.hasPrefix($0) } }

  /// For messages. Where the text is not as it should be, too much is left out rather than too little.
  static func withoutPassword(_ text: String) -> String {
    scheme(of: text).map { uriWithoutPassword(text.dropFirst($0.count), scheme: $0) } ?? pairsWithoutPassword(text)
  }

  private static func uriWithoutPassword(_ text: Substring, scheme: String) -> String {
    var rest = text
    var shown = scheme
    if let at = rest.lastIndex(of: "@") {
      let user = rest[..<at].prefix { $0 != ":" }
      shown += user + "@"
      rest = rest[rest.index(after: at)...]
    }
    guard let mark = rest.firstIndex(of: "?") else { return shown + rest }
    let parameters = rest[rest.index(after: mark)...].split(separator: "&").filter { parameter in
      !secrets.contains { parameter.lowercased().hasPrefix($0 + "=") }
    }
    return shown + rest[..<mark] + (parameters.isEmpty ? "" : "?" + parameters.joined(separator: "&"))
  }

  private static func pairsWithoutPassword(_ text: String) -> String {
    var shown: [String] = []
    var rest = text[...]
    while true {
      rest = rest.drop { $0 == " " }
      guard let sign = rest.firstIndex(of: "=") else { return shown.joined(separator: " ") }
      let name = rest[..<sign].filter { $0 != " " }
      rest = rest[rest.index(after: sign)...].drop { $0 == " " }
      let value = takeValue(&rest)
      if !secrets.contains(name) { shown.append(name + "=" + value) }
    }
  }

  /// A value as it is written: in quotes, or up to a space; a backslash takes the next character as it is.
  private static func takeValue(_ rest: inout Substring) -> String {
    let isQuoted = rest.first == "'"
    var value = ""
    var isEscaped = false
    while let character = rest.first {
      if character == " ", !isQuoted, !isEscaped { return value }
      value.append(character)
      rest = rest.dropFirst()
      if character == "'", isQuoted, !isEscaped, value.count > 1 { return value }
      isEscaped = character == "\\" && !isEscaped
    }
    return value
  }
}
