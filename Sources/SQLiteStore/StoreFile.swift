import AgentRuntime
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where a store lies, made ready for SQLite to open.
struct StoreFile {
  /// As the user named it, for messages.
  let path: String
  /// Absolute and without links: SQLite puts the `-wal` beside the real file, and every process must lock the same side file.
  let realPath: String
  /// What the files beside it get.
  let permissions: UInt32

  var lockPath: String { realPath + "-lock" }
  var livePath: String { realPath + "-live" }

  /// Makes what is missing: folders 0700, an empty file 0600.
  ///
  /// The file is made before SQLite opens it, and never opened by us afterwards: closing any descriptor of it would drop SQLite's locks.
  /// https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
  ///
  /// - Parameter wasOpen: It has been in use: what is not there now was taken away, and an empty one in its place would be somebody else's.
  init(preparing path: String, wasOpen: Bool = false) throws(StoreError) {
    guard !path.isEmpty, !path.utf8.contains(0) else { throw StoreError(.unavailable, "the store has no file name") }
    self.path = path
    var status = stat()
    if unsafe stat(path, &status) != 0 {
      guard errno == ENOENT else { throw .file(.init(call: "stat", errno: errno), path) }
      if wasOpen { throw Self.takenAway(path) }
      try Self.create(path)
      guard unsafe stat(path, &status) == 0 else { throw .file(.init(call: "stat", errno: errno), path) }
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw StoreError(.unavailable, "\(path) is a folder; name a file in it")
    default: throw StoreError(.unavailable, "\(path) is not a regular file")
    }
    if wasOpen, status.st_size == 0 { throw Self.takenAway(path) }
    // The smallest database has one page of 512 bytes; SQLite would take less for an empty one, and write over it.
    guard status.st_size == 0 || status.st_size >= 512 else {
      throw StoreError(.unavailable, "\(path) is not an SQLite database; name another file, or move this one away")
    }
    guard unsafe faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 else {
      throw .file(.init(call: "access", errno: errno), "\(path) cannot be read and written")
    }
    guard let resolved = unsafe realpath(path, nil) else { throw .file(.init(call: "realpath", errno: errno), path) }
    defer { unsafe free(resolved) }
    // Repaired, it would be another file's name.
    guard let realPath = unsafe String(validatingCString: resolved) else { throw Self.notUTF8(path) }
    self.realPath = realPath
    permissions = UInt32(status.st_mode) & 0o666
    if status.st_size == 0 { try syncFolders() }
  }

  private static func notUTF8(_ path: String) -> StoreError {
    StoreError(.unavailable, "\(path): the folder that it lies in, or the file that it is a link to, has a name that is not UTF-8")
  }

  static func takenAway(_ path: String) -> StoreError {
    StoreError(.unavailable, "\(path) was moved, replaced or deleted while it was open; put it back")
  }

  /// Makes the names of a new file and of the folders made for it durable: SQLite syncs what is in its files, and of folders only the one they lie in.
  ///
  /// All the way up, since another process may have made them and been killed before it came to this.
  private func syncFolders() throws(StoreError) {
    var folder = realPath[...]
    while let slash = folder.utf8.lastIndex(of: UInt8(ascii: "/")) {
      folder = folder[..<slash]
      let folderPath = folder.isEmpty ? "/" : String(folder)
      // One that may not be read was not made by this program.
      guard let descriptor = try? FileDescriptor.open(folderPath, O_RDONLY | O_DIRECTORY) else { continue }
      // Some file systems sync no folders, and say EINVAL.
      guard fsync(descriptor.rawValue) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS else {
        throw .file(.init(call: "fsync", errno: errno), "\(path): the folder \(folderPath) cannot be synced")
      }
    }
  }

  private static func create(_ path: String) throws(StoreError) {
    if let folder = folder(of: path) { try createFolder(folder, for: path) }
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
      // The umask may have taken more.
      _ = fchmod(file.rawValue, 0o600)
    } catch {
      // There now: another process was faster, or it is a link to nothing, of which `stat` will tell.
      guard error.errno == EEXIST else { throw .file(error, "\(path) cannot be created") }
    }
  }

  /// Where a path lies; nil for what lies in the root.
  private static func folder(of path: String) -> String? {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? nil : String(path[..<slash])
  }

  /// Before anything is made in it: a file whose path cannot be told would be left there empty.
  private static func checkName(of folder: String, for path: String) throws(StoreError) {
    guard let resolved = unsafe realpath(folder, nil) else { throw .file(.init(call: "realpath", errno: errno), path) }
    defer { unsafe free(resolved) }
    if unsafe String(validatingCString: resolved) == nil { throw notUTF8(path) }
  }

  private static func createFolder(_ folder: String, for path: String) throws(StoreError) {
    var status = stat()
    if unsafe stat(folder, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else { throw StoreError(.unavailable, "\(path): \(folder) is not a folder") }
      return try checkName(of: folder, for: path)
    }
    guard errno == ENOENT else { throw .file(.init(call: "stat", errno: errno), path) }
    if let outer = self.folder(of: folder) { try createFolder(outer, for: path) }
    if unsafe mkdir(folder, 0o700) == 0 {
      _ = unsafe chmod(folder, 0o700)
    } else if errno != EEXIST {
      throw .file(.init(call: "mkdir", errno: errno), "\(path): the folder \(folder) cannot be created")
    }
  }
}
