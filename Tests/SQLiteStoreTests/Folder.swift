import AgentRuntime
import POSIXSupport
import SQLiteStore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// An empty folder of a test's own, removed with all that is in it at the end.
final class Folder: Sendable {
  let path: String

  init() throws {
    var name = Array((Folder.parent + "/store-XXXXXX").utf8CString)
    guard let made = unsafe name.withUnsafeMutableBufferPointer({ unsafe mkdtemp($0.baseAddress!) }) else {
      throw SystemError(call: "mkdtemp", errno: errno)
    }
    path = unsafe String(cString: made)
  }

  private static var parent: String { unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp" }

  deinit { Folder.remove(path) }

  private static func remove(_ path: String) {
    if unsafe unlink(path) == 0 { return }
    for name in names(in: path) { remove(path + "/" + name) }
    _ = unsafe rmdir(path)
  }

  static func names(in path: String) -> [String] {
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  var database: String { path + "/runs.db" }

  func open(_ name: String = "runs.db", at time: Int = 1_700_000_000_000) throws(StoreError) -> SQLiteStore {
    try SQLiteStore.open(path: path + "/" + name, wallClock: { time })
  }

  /// For one of several threads: who waits for the lock may be passed over for long, on a disk that is slow.
  func openPatiently(_ name: String = "runs.db") throws(StoreError) -> SQLiteStore {
    try SQLiteStore.open(path: path + "/" + name, busyMilliseconds: 60_000, wallClock: { 1_700_000_000_000 })
  }
}
