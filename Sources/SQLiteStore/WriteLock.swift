import AgentRuntime
import POSIXSupport

/// The side file `-lock`: one byte for the right to write, one for each process that has the store open.
///
/// SQLite 3.7.0 to 3.51.2 can lose pages when one connection checkpoints while another writes into a log that was just reset
/// (https://sqlite.org/wal.html#walresetbug). So every write transaction, checkpoint, opening and closing of every process holds the first byte,
/// whatever its SQLite: a fixed one beside a faulty one must not wake the fault either. It also costs less than SQLite's own busy waiting.
struct WriteLock: ~Copyable {
  /// The byte for the log's database, and that for the database of streamed text.
  enum Part: Int {
    case log = 0
    case live = 1
  }

  private static let firstOwner = 16

  private let file: FileLock
  private let path: String
  let owner: OwnerID

  /// Takes a number that no living process has; the caller holds nothing yet.
  ///
  /// A number is 52 random bits: none is ever used twice, without a table to write when the store opens. The kernel tells who lives.
  static func open(_ store: StoreFile, keeping previous: OwnerID? = nil) throws(StoreError) -> WriteLock {
    do throws(SystemError) {
      let file = try FileLock(path: store.lockPath, mode: store.permissions)
      var number = previous?.number ?? anyNumber()
      while try !file.tryLock(byte: firstOwner + number) { number = anyNumber() }
      return WriteLock(file: file, path: store.path, owner: OwnerID(number: number))
    } catch { throw .file(error, "\(store.path): its lock file \(store.lockPath) cannot be used") }
  }

  private init(file: consuming FileLock, path: String, owner: OwnerID) {
    self.file = file
    self.path = path
    self.owner = owner
  }

  private static func anyNumber() -> Int { Int(Random.random128().0 >> 12) | 1 }

  /// Waits for the right to write.
  borrowing func acquire(_ part: Part = .log, timeoutMilliseconds: Int) throws(StoreError) {
    let taken: Bool
    do throws(SystemError) {
      taken = try file.lock(byte: part.rawValue, timeoutMilliseconds: timeoutMilliseconds)
    } catch { throw .file(error, "\(path): its lock file cannot be locked") }
    guard taken else { throw .locked(path) }
  }

  borrowing func release(_ part: Part = .log) { file.unlock(byte: part.rawValue) }

  /// Whether the process has the store open. True also when the kernel does not say: claiming a run that is driven does more harm than leaving
  /// one.
  borrowing func hasOpen(_ other: OwnerID) -> Bool {
    guard other != owner else { return true }
    guard other.number > 0, other.number < 1 << 53 else { return false }
    let byte = Self.firstOwner + other.number
    return (try? file.isLockedElsewhere(bytes: byte..<byte + 1)) ?? true
  }

  /// Whether no other process has the store open. Stays true while the caller holds the right to write.
  var isAlone: Bool {
    !((try? file.isLockedElsewhere(bytes: Self.firstOwner..<1 << 54)) ?? true)
  }

  var isInPlace: Bool { file.isInPlace }

  /// Remembers for whoever has the store for itself next that a sync has failed. In the cache of the kernel, as long as that may be wrong: a power cut
  /// takes both. If that fails too, the next process cannot know.
  borrowing func rememberFailedSync() { try? file.setMark(true) }

  /// What a failed sync left in doubt is made certain. The caller holds the right to write, and has not opened the database yet.
  borrowing func settle(_ store: StoreFile) throws(StoreError) {
    do throws(SystemError) { guard try file.isMarked, isAlone else { return } } catch {
      throw .file(error, "\(path): its lock file cannot be read")
    }
    try LogFile.settle(store)
    do throws(SystemError) { try file.setMark(false) } catch { throw .file(error, "\(path): its lock file cannot be written") }
  }
}
