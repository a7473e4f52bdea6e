package import AgentRuntime
import CPostgres

/// The database that a connection string means, and how to connect to it.
package struct Target: Sendable {
  /// As libpq takes it: a URI, or `key=value` pairs.
  let connection: String
  /// What the string says besides, where it says it; the rest is the library's business (environment, service file).
  private let host: String?
  private let database: String?
  let given: Set<String>
  /// What the user wants the session to be set to; the string's, else `PGOPTIONS`.
  let options: String

  /// Loads libpq.
  /// - Throws: `unavailable` without libpq, or for a string that libpq does not understand. The string is in no message: it may hold a password.
  package init(_ connection: String) throws(StoreError) {
    if let trouble = unsafe cpq_load() {
      throw StoreError(
        .unavailable, "PostgreSQL needs libpq, which cannot be used: \(unsafe String(cString: trouble)); install libpq5 (Debian) or libpq")
    }
    self.connection = connection
    var complaint: UnsafeMutablePointer<CChar>?
    let parsed = unsafe cpq_conninfoParse(connection, &complaint)
    if let text = unsafe complaint { unsafe cpq_freemem(text) }
    guard let parsed = unsafe parsed else {
      throw StoreError(
        .unavailable,
        "libpq does not understand the connection string of the store; is it postgresql://USER@HOST:PORT/DATABASE, with %XX for special characters?"
      )
    }
    defer { unsafe cpq_conninfoFree(parsed) }
    let values = unsafe Self.values(parsed)
    given = Set(values.keys)
    host = values["host"] ?? values["hostaddr"]
    database = values["dbname"]
    options = values["options"] ?? Self.usual("options") ?? ""
  }

  private static func usual(_ name: String) -> String? {
    guard let defaults = unsafe cpq_conndefaults() else { return nil }
    defer { unsafe cpq_conninfoFree(defaults) }
    return unsafe values(defaults)[name]
  }

  private static func values(_ list: UnsafeMutablePointer<PQconninfoOption>) -> [String: String] {
    var values: [String: String] = [:]
    var entry = unsafe list
    while let keyword = unsafe entry.pointee.keyword {
      if let value = unsafe entry.pointee.val { values[unsafe String(cString: keyword)] = unsafe String(cString: value) }
      unsafe entry += 1
    }
    return values
  }

  /// For messages: what it is and where, without a secret.
  var name: String {
    let place = [database.map { "database \($0)" }, host.map { "at \($0)" }].compactMap { $0 }.joined(separator: " ")
    return place.isEmpty ? "the PostgreSQL store" : "the PostgreSQL store (\(place))"
  }
}
