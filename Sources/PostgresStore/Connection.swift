import AgentRuntime
import CPostgres
import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One connection to the server, used by one thread at a time.
///
/// Nothing of a session outlives a transaction, so that a pooler may give every transaction another server connection.
@safe final class Connection {
  let target: Target
  private var handle: OpaquePointer
  /// Whether a pooler stands between: it hands out process ids of its own.
  private(set) var isPooled = false
  private var prepared: Set<String> = []
  private var preparesStatements = true
  private let patience: Int

  /// - Parameter patience: for how many milliseconds a statement is waited for.
  /// - Throws: `connection`, with the library's words.
  init(_ target: Target, patience: Int = Connection.statementMilliseconds + 1000) throws(PostgresError) {
    self.target = target
    self.patience = patience
    unsafe handle = try unsafe Self.connect(target)
    unsafe cpq_ignore_notices(handle)
    unsafe cpq_setnonblocking(handle, 1)
    // Where this throws, `deinit` runs, and closes what was opened.
    isPooled = try run(Self.backend, [], isNamed: false).int(0, 0) != Int(unsafe cpq_backendPID(handle))
    preparesStatements = !isPooled
  }

  deinit { unsafe cpq_finish(handle) }

  private static let backend = Query("SELECT pg_backend_pid()")

  /// How long a statement may take. The server has the same limit, for a client that does not come back.
  static let statementMilliseconds = 60_000
  private static let lockMilliseconds = 10_000

  // MARK: Connecting

  private static func connect(_ target: Target) throws(PostgresError) -> OpaquePointer {
    let limits = "-c statement_timeout=\(statementMilliseconds) -c lock_timeout=\(lockMilliseconds)"
    // A service file may have options too, which ours would hide.
    guard !target.given.contains("service") else { return try unsafe connect(target, options: nil) }
    do throws(PostgresError) {
      return try unsafe connect(target, options: target.options.isEmpty ? limits : limits + " " + target.options)
    } catch {
      // A pooler, which takes none: https://www.pgbouncer.org/config.html#ignore_startup_parameters
      guard error.message.holds("startup parameter") else { throw error }
      return try unsafe connect(target, options: nil)
    }
  }

  private static func connect(_ target: Target, options: String?) throws(PostgresError) -> OpaquePointer {
    // What stands before the string counts where that is silent, what stands behind it counts always.
    var settings = [("connect_timeout", "5"), ("tcp_user_timeout", "15000"), ("fallback_application_name", "footbridge")]
    settings.removeAll { target.given.contains($0.0) }
    settings += [("dbname", target.connection), ("client_encoding", "UTF8")]
    if let options { settings.append(("options", options)) }
    let connection = unsafe withCStrings(settings.map(\.0)) { names in
      unsafe withCStrings(settings.map(\.1)) { values in unsafe cpq_connectdbParams(names, values, 1) }
    }
    guard let connection = unsafe connection else { throw PostgresError(cause: .connection, message: "out of memory") }
    if unsafe cpq_status(connection) == CONNECTION_OK { return unsafe connection }
    let message = unsafe words(connection)
    unsafe cpq_finish(connection)
    throw PostgresError(cause: .connection, message: message)
  }

  /// The library's words on one line.
  private static func words(_ connection: OpaquePointer?) -> String {
    guard let text = unsafe cpq_errorMessage(connection) else { return "" }
    let lines = unsafe String(cString: text).split(whereSeparator: \.isNewline).map { $0.drop { $0 == " " || $0 == "\t" } }
    return lines.joined(separator: "; ")
  }

  // MARK: Statements

  /// Carries out one statement, which is a transaction of its own.
  ///
  /// - Parameters:
  ///   - isNamed: prepares it at the first use; only where every statement comes to the same server connection.
  ///   - meanwhile: called when the statement is sent.
  func run(_ query: Query, _ arguments: [Argument], isNamed: Bool = true, meanwhile: (() -> Void)? = nil) throws(PostgresError) -> Answer {
    let deadline = Clock.monotonicMilliseconds() + patience
    let types = arguments.map(\.type)
    if isNamed, preparesStatements, !prepared.contains(query.name) {
      let sent = unsafe cpq_sendPrepare(handle, query.name, query.text, Int32(types.count), types)
      _ = try finish(sent, by: deadline)
      prepared.insert(query.name)
    }
    let encoded = EncodedArguments(arguments)
    let lengths = encoded.places.map { Int32($0?.count ?? 0) }
    let formats = [Int32](repeating: 1, count: types.count)
    let sent = unsafe encoded.buffer.withUnsafeBytes { raw -> Int32 in
      let base = unsafe raw.baseAddress?.assumingMemoryBound(to: CChar.self)
      let values = unsafe encoded.places.map { place in unsafe place.flatMap { unsafe base?.advanced(by: $0.lowerBound) } }
      if isNamed, preparesStatements {
        return unsafe cpq_sendQueryPrepared(handle, query.name, Int32(types.count), values, lengths, formats, 1)
      }
      return unsafe cpq_sendQueryParams(handle, query.text, Int32(types.count), types, values, lengths, formats, 1)
    }
    return try finish(sent, by: deadline, meanwhile: meanwhile)
  }

  /// Carries out statements without parameters, as one transaction unless they say otherwise.
  func execute(_ text: String) throws(PostgresError) {
    _ = try finish(unsafe cpq_sendQuery(handle, text), by: Clock.monotonicMilliseconds() + patience)
  }

  /// Statements are not prepared any more: a pooler was found out.
  func stopPreparing() { preparesStatements = false }

  /// Sends what is left to send and reads the answer to its end.
  private func finish(_ sent: Int32, by deadline: Int, meanwhile: (() -> Void)? = nil) throws(PostgresError) -> Answer {
    guard sent == 1 else { throw loss() }
    var refusal: PostgresError?
    var answer: Answer?
    try flush(by: deadline)
    meanwhile?()
    while true {
      while unsafe cpq_isBusy(handle) != 0 {
        try wait(for: .readable, by: deadline)
        guard unsafe cpq_consumeInput(handle) == 1 else { throw loss() }
      }
      guard let result = unsafe cpq_getResult(handle) else { break }
      switch unsafe cpq_resultStatus(result) {
      case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: answer = unsafe Answer(result)
      default:
        refusal = unsafe refusal ?? Self.refusal(result)
        unsafe cpq_clear(result)
      }
    }
    if unsafe cpq_status(handle) != CONNECTION_OK { throw refusal.flatMap { $0.isLoss ? $0 : nil } ?? loss() }
    if let refusal { throw refusal }
    guard let answer else { throw loss() }
    return answer
  }

  private func flush(by deadline: Int) throws(PostgresError) {
    while true {
      switch unsafe cpq_flush(handle) {
      case 0: return
      case 1:
        // The server may be waiting for us to read: https://www.postgresql.org/docs/current/libpq-async.html#LIBPQ-PQFLUSH
        try wait(for: [.readable, .writable], by: deadline)
        guard unsafe cpq_consumeInput(handle) == 1 else { throw loss() }
      default: throw loss()
      }
    }
  }

  private func wait(for events: PollEvents, by deadline: Int) throws(PostgresError) {
    let rest = Int32(clamping: max(0, deadline - Clock.monotonicMilliseconds()))
    guard PollSet.look(unsafe cpq_socket(handle), for: events, timeoutMilliseconds: rest).isEmpty else { return }
    // Nothing asks the server to cancel: it has a limit of its own, and one that is frozen would never take that request either, for which libpq
    // would wait without end. Whoever catches this lets go of the connection.
    throw PostgresError(cause: .timeout, message: "no answer")
  }

  private func loss() -> PostgresError {
    let words = unsafe Self.words(handle)
    return PostgresError(cause: .connection, message: words.isEmpty ? "the connection was lost" : words)
  }

  private static func refusal(_ result: OpaquePointer) -> PostgresError {
    func field(_ code: UnicodeScalar) -> String? {
      unsafe cpq_resultErrorField(result, Int32(code.value)).map { unsafe String(cString: $0) }
    }
    // The primary message alone: details may quote what was to be stored.
    let message = field("M") ?? "the statement failed"
    guard let state = field("C") else { return PostgresError(cause: .connection, message: message) }
    return PostgresError(cause: .refused(state), message: message)
  }

  // MARK: Notifications

  var socket: Int32 { unsafe cpq_socket(handle) }

  /// What was notified since; reads what has come in.
  func notifications() throws(PostgresError) -> [String] {
    guard unsafe cpq_consumeInput(handle) == 1 else { throw loss() }
    var payloads: [String] = []
    while let notification = unsafe cpq_notifies(handle) {
      if let text = unsafe notification.pointee.extra { payloads.append(unsafe String(cString: text)) }
      unsafe cpq_freemem(notification)
    }
    return payloads
  }
}

/// C's form of a list of strings, ended by NULL, for the time of the call.
private func withCStrings<R>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> R) -> R {
  var pointers: [UnsafePointer<CChar>?] = unsafe []
  for string in strings {
    // libpq copies in turn, for the time of the call.
    let copy: UnsafeMutablePointer<CChar>? = unsafe strdup(string)
    unsafe pointers.append(unsafe UnsafePointer(copy!))
  }
  unsafe pointers.append(nil)
  defer { for index in unsafe pointers.indices { unsafe free(UnsafeMutablePointer(mutating: pointers[index])) } }
  return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
}
