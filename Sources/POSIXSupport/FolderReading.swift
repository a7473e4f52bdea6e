#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What is in a folder.
package enum FolderReading {
  /// The names in it, in no order, without `.` and `..`; as bytes, since a name need not be UTF-8.
  /// - Throws: the call that failed, with the path as its subject.
  package static func names(in path: String) throws(SystemError) -> [[UInt8]] {
    guard let folder = unsafe opendir(path) else { throw .last("opendir", subject: path) }
    defer { unsafe closedir(folder) }
    var names: [[UInt8]] = []
    while true {
      // Only errno tells the end from a failure.
      errno = 0
      guard let entry = unsafe readdir(folder) else {
        if errno != 0 { throw .last("readdir", subject: path) }
        return names
      }
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
      if name != [0x2E], name != [0x2E, 0x2E] { names.append(name) }
    }
  }
}
