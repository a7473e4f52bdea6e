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

  /// Without its header a log is an empty one. The caller has closed the database, holds the write lock, and no process has it open.
  static func empty(_ log: Int32, of file: StoreFile) {
    // Some other program that has the log open may write on behind what it knows of it.
    guard !isOpenElsewhere(file) else { return }
    let zeros = [UInt8](repeating: 0, count: headerBytes)
    // Where it cannot be written, the next opening reads what is in the database already.
    _ = unsafe zeros.withUnsafeBytes { raw in unsafe pwrite(log, raw.baseAddress, raw.count, 0) }
  }

  /// By the lock on the `-shm` file that every SQLite with an open log holds, the "dead man switch": https://www.sqlite.org/walformat.html#locks
  private static func isOpenElsewhere(_ file: StoreFile) -> Bool {
    let shared: FileDescriptor
    do throws(SystemError) { shared = try FileDescriptor.open(file.realPath + "-shm", O_RDWR) } catch { return error.errno != ENOENT }
    var switchByte = flock()
    switchByte.l_type = Int16(F_WRLCK)
    switchByte.l_whence = Int16(SEEK_SET)
    switchByte.l_start = 128
    switchByte.l_len = 1
    return unsafe fcntl(shared.rawValue, F_GETLK, &switchByte) != 0 || switchByte.l_type != Int16(F_UNLCK)
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
