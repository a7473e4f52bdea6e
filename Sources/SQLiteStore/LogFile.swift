import AgentRuntime
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The `-wal` file, where its bytes matter: https://sqlite.org/fileformat2.html#walformat
enum LogFile {
  private static let headerBytes = 32
  private static let frameHeaderBytes = 24

  /// Writes what is valid in the log once more, as it is, and syncs it.
  ///
  /// After a sync that failed, the kernel may take pages for written that are not: reading shows them, no later sync writes them, and a power cut
  /// takes them (https://www.usenix.org/conference/atc20/presentation/rebello). SQLite would read a transaction from them that it had refused, or the
  /// beginning of a log behind which it then puts more. Once written again, they are on the disk or the sync fails again.
  ///
  /// The caller holds the write lock, and no process has the database open.
  static func settle(_ file: StoreFile) throws(StoreError) {
    let path = file.realPath + "-wal"
    do throws(SystemError) {
      let descriptor: FileDescriptor
      do throws(SystemError) { descriptor = try FileDescriptor.open(path, O_RDWR) } catch {
        if error.errno == ENOENT { return }
        throw error
      }
      guard let header = try rewrite(headerBytes, at: 0, descriptor) else { return }
      let pageBytes = Int(header[8]) << 24 | Int(header[9]) << 16 | Int(header[10]) << 8 | Int(header[11])
      guard (512...65536).contains(pageBytes) else { return }
      let salts = header[16..<24]
      var offset = headerBytes
      // Frames with other salts are from before the log was last begun.
      while let frame = try rewrite(frameHeaderBytes + pageBytes, at: offset, descriptor), frame[8..<16] == salts {
        offset += frame.count
      }
      guard fsync(descriptor.rawValue) == 0 else { throw SystemError(call: "fsync", errno: errno) }
    } catch {
      throw .file(error, "\(file.path): a sync had failed, and what is in its log cannot be synced now; look at the disk, and try again")
    }
  }

  /// The bytes there, written over themselves; nil at the end of the file.
  private static func rewrite(
    _ count: Int, at offset: Int, _ descriptor: borrowing FileDescriptor
  ) throws(SystemError) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    let isThere = unsafe bytes.withUnsafeMutableBytes { room in
      unsafe pread(descriptor.rawValue, room.baseAddress, count, off_t(offset)) == count
    }
    guard isThere else { return nil }
    let taken = unsafe bytes.withUnsafeBytes { raw in unsafe pwrite(descriptor.rawValue, raw.baseAddress, count, off_t(offset)) }
    guard taken >= 0 else { throw SystemError(call: "write", errno: errno) }
    guard taken == count else { throw SystemError(call: "write", errno: ENOSPC) }
    return bytes
  }
}
