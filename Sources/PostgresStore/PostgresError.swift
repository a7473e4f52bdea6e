import AgentRuntime
import JSON

/// What went wrong between this process and the server.
struct PostgresError: Error {
  enum Cause: Equatable {
    /// There is no connection, or it broke: whether the last statement was carried out is not known.
    case connection
    /// The answer did not come in time.
    case timeout
    /// The server refused the statement, with its SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
    case refused(String)
  }

  var cause: Cause
  /// The words of the server or the library: no value of ours is in them.
  var message: String

  private var state: String {
    if case .refused(let state) = cause { state } else { "" }
  }

  /// Another transaction was in the way: the same statement may well succeed now.
  var isCollision: Bool { ["40001", "40P01", "23505"].contains(state) }

  /// Statements that were prepared are not there, or others of the name are: a pooler gave us another server connection.
  var isForeignPreparation: Bool { ["26000", "42P05", "0A000"].contains(state) }

  /// The connection is of no more use.
  var isLoss: Bool {
    cause == .connection || cause == .timeout || ["57P01", "57P02", "57P03", "57P05"].contains(state) || state.hasPrefix("08")
  }

  /// There is no such table or schema.
  var isMissingTable: Bool { ["42P01", "3F000"].contains(state) }

  /// What to do about a connection that was not made, where the words say what is wrong.
  private var advice: String {
    let known = [
      ("password", "; give the right one by ~/.pgpass or PGPASSWORD"), ("certificate", "; name the one to trust with sslrootcert"),
      ("database \"", "; make it with createdb, or name another"), ("role \"", "; name another with postgresql://USER@HOST/DATABASE"),
      ("translate host name", "; check the name of the host"), ("refused", "; start the server, or name another host or port"),
      ("No such file", "; start the server, or name its host"),
    ]
    return known.first { message.holds($0.0) }?.1 ?? ""
  }

  func storeError(_ target: Target) -> StoreError {
    let name = target.name
    switch cause {
    case .connection: return StoreError(.unavailable, "\(name) cannot be reached: \(message)\(advice)")
    case .timeout: return StoreError(.unavailable, "\(name) did not answer in time")
    case .refused("53100"):
      return StoreError(.full, "\(name): the server's disk is full; nothing of the change was stored, free some space and try again")
    case .refused("25006"):
      return StoreError(
        .unavailable, "\(name) is read-only (a standby?); name the primary, or several hosts with target_session_attrs=read-write")
    case .refused("42501"):
      return StoreError(
        .unavailable, "\(name): \(message); grant that right, or name the role that owns the schema footbridge")
    case .refused("55P03"): return StoreError(.unavailable, "\(name): a lock was held by another transaction for too long; try again")
    case .refused("57014"): return StoreError(.unavailable, "\(name): the statement took too long and was cancelled; try again")
    case .refused(let state): return StoreError(.unavailable, "\(name): \(message) (SQLSTATE \(state))")
    }
  }
}

extension PostgresError {
  /// A server that is about to take connections, or again to have one free.
  var mayPass: Bool {
    if case .refused = cause { return isLoss }
    return ["starting up", "shutting down", "too many clients", "connection slots", "recovery"].contains { message.holds($0) }
  }
}
