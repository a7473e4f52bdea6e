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

  @discardableResult fileprivate static func run(_ command: String) -> Bool { unsafe system("\(script) \(command)") == 0 }

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

/// A server for one test alone, which may do with its processes what it likes.
struct PrivateCluster: ~Copyable {
  private let folder: String
  private let number: pid_t

  /// nil when it could not be started.
  init?() {
    folder = "/tmp/fb-pg-\(getpid())-" + String(Random.random128().0, radix: 36)
    guard Cluster.run("start \(folder) \(getpid())"),
      let lines = try? String(decoding: FileReading.contents(of: folder + "/data/postmaster.pid"), as: UTF8.self).split(separator: "\n"),
      let number = lines.first.flatMap({ pid_t($0) })
    else { return nil }
    self.number = number
  }

  deinit { Cluster.run("stop \(folder)") }

  var connection: String { "postgresql:///postgres?host=\(folder)&user=postgres" }

  /// To the process that takes connections, and to one that serves one.
  func signal(_ signal: Int32, and backend: Int) {
    kill(number, signal)
    kill(pid_t(backend), signal)
  }
}
