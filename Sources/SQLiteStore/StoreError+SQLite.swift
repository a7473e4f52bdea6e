import AgentRuntime
import CSQLite
import POSIXSupport

extension StoreError {
  /// What an SQLite result means for the store at `path`; `call` is errno of the system call behind it, 0 when there is none.
  /// https://sqlite.org/rescode.html
  static func sqlite(_ result: Int32, path: String, doing what: String, systemErrno call: Int32) -> StoreError {
    let cause = call == 0 ? "" : ": \(SystemError(call: "", errno: call).text)"
    switch result & 0xFF {
    case SQLITE_FULL:
      return .diskFull(path)
    case SQLITE_BUSY, SQLITE_LOCKED:
      return .locked(path)
    case SQLITE_NOTADB:
      return StoreError(.unavailable, "\(path) is not an SQLite database; name another file, or move this one away")
    // SQLite takes a page that cannot be read for a damaged one.
    case SQLITE_CORRUPT where call == EIO:
      return StoreError(.unavailable, "\(path): reading failed (SQLite error \(result) while \(what))\(cause)\(advice)")
    case SQLITE_CORRUPT:
      return StoreError(
        .unavailable, "\(path) is damaged (SQLite error \(result) while \(what)); restore a backup, or try `sqlite3 FILE .recover`")
    case SQLITE_READONLY:
      return StoreError(.unavailable, "\(path) cannot be written: it, its folder or its file system is read-only\(cause); make it writable")
    case SQLITE_CANTOPEN:
      return StoreError(.unavailable, "\(path), or its -wal or -shm file, cannot be opened\(cause); remove the cause and try again")
    case SQLITE_IOERR where result == ioErrorWrite || result == ioErrorSharedMemorySize:
      // SQLite says FULL only for a write that got ENOSPC: a quota, a limit for the size of files, or no room for the -shm file, ends here.
      if Self.isNoSpace(call) { return .diskFull(path) }
      return StoreError(.unavailable, "\(path): writing failed (SQLite error \(result) while \(what))\(cause)\(advice)")
    case SQLITE_IOERR:
      return StoreError(.unavailable, "\(path): input or output failed (SQLite error \(result) while \(what))\(cause)\(advice)")
    default:
      return StoreError(.unavailable, "\(path): SQLite error \(result) while \(what)\(cause)")
    }
  }

  /// Whether nothing may be believed of the connection any more after this result.
  ///
  /// After a failed write or sync nobody knows what is on the disk: https://www.usenix.org/conference/atc20/presentation/rebello
  static func poisons(_ result: Int32, systemErrno call: Int32) -> Bool {
    switch result & 0xFF {
    case SQLITE_IOERR:
      !((result == ioErrorWrite || result == ioErrorSharedMemorySize) && isNoSpace(call))
    case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_CANTOPEN, SQLITE_PROTOCOL: true
    // What could not be opened for writing at one moment (no descriptor was left) SQLite has open for reading, and it stays so: open it again.
    case SQLITE_READONLY: true
    default: false
    }
  }

  private static let advice = "; look at the disk, what was acknowledged is in the store, and run.resume goes on when it works again"

  private static func isNoSpace(_ number: Int32) -> Bool { number == ENOSPC || number == EDQUOT || number == EFBIG }

  static func diskFull(_ path: String) -> StoreError {
    StoreError(.full, "\(path): the disk is full; nothing of the change was stored, free some space and try again")
  }

  static func locked(_ path: String) -> StoreError {
    StoreError(.unavailable, "\(path) is locked by another program for too long; try again, or end that program")
  }

  static func closed(_ path: String) -> StoreError { StoreError(.unavailable, "\(path) is closed") }

  /// A file of the store that the operating system refused.
  static func file(_ error: SystemError, _ what: String) -> StoreError {
    if isNoSpace(error.errno) { return StoreError(.full, "\(what): \(error.text)") }
    return StoreError(.unavailable, "\(what): \(error.text)")
  }
}

// Composed by macros, which Swift does not import.
let ioErrorWrite = SQLITE_IOERR | (3 << 8)
let ioErrorSync = SQLITE_IOERR | (4 << 8)
let ioErrorSharedMemorySize = SQLITE_IOERR | (19 << 8)

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif
