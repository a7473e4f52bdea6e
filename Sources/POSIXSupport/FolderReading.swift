#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What is in a folder.
package enum FolderReading {
  /// The names in it, in no order, without `.` and `..`; a name that is not UTF-8 has U+FFFD in it.
  /// - Throws: the call that failed, with the path as its subject.
  package static func names(in path: String) throws(SystemError) -> [String] {
    guard let folder = unsafe opendir(path) else { throw .last("opendir", subject: path) }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while true {
      // Only errno tells the end from a failure.
      errno = 0
      guard let entry = unsafe readdir(folder) else {
        if errno != 0 { throw .last("readdir", subject: path) }
        return names
      }
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
  }
}
