package import AgentRuntime
import CSQLite
import JSON
import POSIXSupport

/// The log of runs in one SQLite file, which several processes of one machine may share.
///
/// Write-ahead log, one connection, one transaction for a batch; `submit` completes on the caller's thread. A failed read or write of the disk
/// poisons the store: every later call answers `unavailable` until `reopen`.
///
/// Unchecked, because: all calls come from one thread at a time, the engine's, as `RunStore` demands; whoever opens the store hands it over.
package final class SQLiteStore: RunStore, @unchecked Sendable {
  /// How durable a commit is when it completes.
  package enum Synchronous: String, Sendable, CaseIterable {
    /// Survives a power cut.
    case full
    /// Survives a crash of the process; a power cut may take the last commits. https://sqlite.org/pragma.html#pragma_synchronous
    case normal
  }

  package private(set) var owner: OwnerID

  let path: String
  private let synchronous: Synchronous
  private let busyMilliseconds: Int
  let wallClock: @Sendable () -> Int

  private var isClosed = false
  /// The checkpoint that a big transaction left out is still to be made.
  package private(set) var isUntidy = false
  /// nil when closed, and after a `reopen` that failed.
  private var connection: Connection?
  /// nil for a store in memory.
  private var files: Files?
  /// Why there is no connection, when that is no choice.
  private var absence: StoreError?
  var live: LiveBoard?
  private var keepsLease = false

  let appends = AppendStatements()
  /// The rows of runs that were appended to. One may have become another run's: `AppendStatements.advance` looks.
  var knownRows: [ULID: Int] = [:]
  let runs = RunStatements()
  let blobs = BlobStatements()
  let documents = DocumentStatements()
  private let dataVersion = Statement("PRAGMA data_version")
  private var lastDataVersion = 0

  /// What a store on a disk has besides its connection.
  private final class Files {
    let file: StoreFile
    let lock: WriteLock
    var leases: LeaseBoard?

    init(_ file: StoreFile, _ lock: consuming WriteLock) {
      self.file = file
      self.lock = lock
    }
  }

  /// Opens the store, making the file and its folders when they are missing.
  ///
  /// - Parameters:
  ///   - path: a file, or `:memory:`.
  ///   - busyMilliseconds: how long a call waits for another process that writes.
  ///   - wallClock: milliseconds since 1970.
  /// - Throws: a `StoreError` that says which file, why, and what to do.
  package static func open(
    path: String, synchronous: Synchronous = .full, busyMilliseconds: Int = 5000, wallClock: @escaping @Sendable () -> Int
  ) throws(StoreError) -> SQLiteStore {
    let store = SQLiteStore(path: path, synchronous: synchronous, busyMilliseconds: busyMilliseconds, wallClock: wallClock)
    try store.connect(keeping: nil)
    _ = try store.changedByOthers()
    return store
  }

  private init(path: String, synchronous: Synchronous, busyMilliseconds: Int, wallClock: @escaping @Sendable () -> Int) {
    self.path = path
    self.synchronous = synchronous
    self.busyMilliseconds = busyMilliseconds
    self.wallClock = wallClock
    owner = OwnerID(number: 1)
  }

  deinit { close() }

  private func connect(keeping previous: OwnerID?) throws(StoreError) {
    if path == ":memory:" {
      let connection = try Connection(file: path, path: "the store in memory", busyMilliseconds: busyMilliseconds)
      try connection.execute("PRAGMA temp_store = MEMORY")
      try Schema.migrate(connection)
      self.connection = connection
      return
    }
    let file = try StoreFile(preparing: path, wasOpen: previous != nil)
    if files == nil || files?.file.realPath != file.realPath || files?.lock.isInPlace == false {
      (files, live) = (nil, nil)
      files = Files(file, try WriteLock.open(file, keeping: previous))
    }
    guard let files else { return }
    owner = files.lock.owner
    // The whole opening under the lock: two processes must not both set up the file, and the one that is alone may clear up.
    try files.lock.acquire(timeoutMilliseconds: busyMilliseconds)
    defer { files.lock.release() }
    if live == nil {
      do throws(SystemError) {
        files.leases = try LeaseBoard(lockFile: file.lockPath, own: owner) { files.lock.hasOpen($0) }
      } catch { throw .file(error, "\(path): its lock file \(file.lockPath) cannot be used") }
      if keepsLease { files.leases?.keep(true) }
      if files.lock.isAlone { LiveBoard.remove(at: file) }
      live = LiveBoard(file, owner)
    }
    try files.lock.settle(file)
    let connection = try Connection.open(file, synchronous: synchronous, busyMilliseconds: busyMilliseconds) {
      files.lock.rememberFailedSync()
    }
    // Without room on the disk it fails, and reading must work nevertheless.
    try? removeLooseBlobs(olderThanMilliseconds: 7 * 24 * 3_600_000, connection)
    if let poison = connection.poison { throw poison }
    self.connection = connection
  }

  /// The connection, if it may be believed.
  func ready() throws(StoreError) -> Connection {
    guard let connection else { throw absence ?? .closed(path) }
    if let poison = connection.poison { throw poison }
    return connection
  }

  /// One transaction: all of `body` or nothing, synced when this returns.
  ///
  /// - Parameters:
  ///   - isBig: leaves out the checkpoint that would be part of the commit, and of those after it; `tidy` makes up for it.
  ///   - meanwhile: called at most once, when the commit waits for the disk.
  func write<T>(isBig: Bool = false, meanwhile: (() -> Void)? = nil, _ body: (Connection) throws(StoreError) -> T) throws(StoreError) -> T {
    let connection = try ready()
    if let files { try files.lock.acquire(timeoutMilliseconds: busyMilliseconds) }
    defer { files?.lock.release() }
    let result = try connection.transaction(isBig: isBig || isUntidy, meanwhile: meanwhile, body)
    isUntidy = isUntidy || isBig
    return result
  }

  /// Copies the log into the database after a big transaction.
  package func tidy() {
    isUntidy = false
    guard let files, let connection = try? ready(), (try? files.lock.acquire(timeoutMilliseconds: busyMilliseconds)) != nil else { return }
    connection.checkpoint(SQLITE_CHECKPOINT_PASSIVE)
    files.lock.release()
  }

  package func isAlive(_ owner: OwnerID) -> Bool {
    guard files != nil else { return owner == self.owner && connection != nil }
    return owner == self.owner || leaseLeft(of: owner) != 0
  }

  package func leaseLeft(of owner: OwnerID) -> Int? {
    guard let files, owner != self.owner else { return nil }
    guard files.lock.hasOpen(owner) else { return 0 }
    return files.leases?.left(of: owner)
  }

  package func keepLease(_ isNeeded: Bool) {
    keepsLease = isNeeded
    files?.leases?.keep(isNeeded)
  }

  /// Whether the process has the store open, frozen or not.
  func hasOpen(_ owner: OwnerID) -> Bool { files?.lock.hasOpen(owner) ?? (owner == self.owner) }

  package func changedByOthers() throws(StoreError) -> Bool {
    let version = try ready().int(dataVersion) ?? 0
    defer { lastDataVersion = version }
    return version != lastDataVersion
  }

  /// Streamed text, for a caller that only reads; nil while nobody in any process observes.
  func openLive() throws(StoreError) -> LiveBoard? {
    _ = try ready()
    guard let live else { return nil }
    if !live.isOpen {
      guard live.exists else { return nil }
      // Setting it up may write.
      try withLiveLock { (live) throws(StoreError) in try live.open(creating: false) }
    }
    return live.isOpen ? live : nil
  }

  /// Holds the right to write streamed text.
  func withLiveLock(_ body: (LiveBoard) throws(StoreError) -> Void) throws(StoreError) {
    _ = try ready()
    guard let files, let live else { return }
    try files.lock.acquire(.live, timeoutMilliseconds: busyMilliseconds)
    defer { files.lock.release(.live) }
    try body(live)
  }

  /// After a failure that poisoned the store: what was committed is there, what was not is gone. This process keeps its number.
  ///
  /// A store in memory has nothing to come back to.
  package func reopen() throws(StoreError) {
    if isClosed { throw .closed(path) }
    if connection != nil, connection?.poison == nil { return }
    if path == ":memory:" {
      _ = try ready()
      return
    }
    rescueLog()
    connection?.close(checkpoint: false)
    connection = nil
    do throws(StoreError) { try connect(keeping: owner) } catch {
      absence = error
      throw error
    }
    // Whatever others did meanwhile is a change.
    lastDataVersion = -1
  }

  /// Brings what is in a log that was taken away into the database, unless another process may have begun a new one.
  private func rescueLog() {
    guard let connection, connection.hasLostLog, !connection.hasMoved, let files, files.lock.isInPlace else { return }
    guard (try? files.lock.acquire(timeoutMilliseconds: busyMilliseconds)) != nil else { return }
    defer { files.lock.release() }
    if files.lock.isAlone { connection.checkpoint(SQLITE_CHECKPOINT_FULL) }
  }

  package func close() {
    isClosed = true
    rescueLog()
    live?.close()
    let (connection, files) = (connection, files)
    (self.connection, self.files, live, absence) = (nil, nil, nil, nil)
    guard let connection else { return }
    guard let files else { return connection.close(checkpoint: false) }
    // Closing may checkpoint; without the lock it must not.
    let isLocked = (try? files.lock.acquire(timeoutMilliseconds: 1000)) != nil
    let isAlone = isLocked && files.lock.isAlone
    if isAlone {
      LiveBoard.remove(at: files.file)
      connection.rewindLog(of: files.file)
    }
    connection.close(checkpoint: isAlone)
    if isLocked { files.lock.release() }
  }
}
