import POSIXSupport
import Testing

@testable import PostgresStore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The server that the tests of this process share, and databases in it.
enum Cluster {
  private static let script = #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/postgres.sh"

  /// nil where PostgreSQL is not installed. It ends with this process.
  static let folder: String? = start()

  private static func start() -> String? {
    let folder = "/tmp/fb-pg-\(getpid())"
    return run("start \(folder) \(getpid())") ? folder : nil
  }

  /// Begins it anew as after a crash.
  static func restart() {
    guard let folder else { return }
    #expect(run("restart \(folder)"))
  }

  private static func run(_ command: String) -> Bool { unsafe system("\(script) \(command)") == 0 }

  /// The connection string of a database of its own.
  static func database() throws -> String {
    let name = "test_" + String(Random.random128().0, radix: 36)
    try execute("CREATE DATABASE \(name)", "postgres")
    return connection(to: name)
  }

  static func connection(to database: String, more: String = "") -> String {
    "postgresql:///\(database)?host=\(folder ?? "")&user=postgres\(more)"
  }

  static func execute(_ sql: String, _ database: String) throws {
    try Connection(Target(connection(to: database))).execute(sql)
  }

  /// A query on a connection of its own.
  static func ask(_ sql: String, _ connection: String) throws -> Answer {
    try Connection(Target(connection)).run(Query(sql), [], isNamed: false)
  }

  static func store() throws -> PostgresStore { try PostgresStore.open(database()) }
}
