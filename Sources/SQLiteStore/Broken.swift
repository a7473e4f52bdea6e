#if FOOTBRIDGE_BROKEN
  import Synchronization

  /// A promise to be broken on purpose, so that the campaigns can show that they notice. In debug builds only: the program that is installed has no such switch.
  package enum Broken: String, Sendable {
    /// Of three transactions one is taken back, and said to be committed.
    case commit
    /// A transaction is committed when the next one begins, and said to be at once.
    case acknowledgement
    /// What was committed is not synced.
    case sync
    /// An append is written over what another process has appended.
    case position

    private static let chosen = Mutex<Broken?>(nil)
    private static let transactions = Atomic<Int>(0)

    /// - Returns: whether there is one of that name.
    package static func choose(_ name: String) -> Bool {
      guard let one = Broken(rawValue: name) else { return false }
      chosen.withLock { $0 = one }
      return true
    }

    var isChosen: Bool { Self.chosen.withLock { $0 == self } }

    /// Whether this transaction is one that is taken back.
    static var skipsCommit: Bool {
      commit.isChosen && transactions.add(1, ordering: .relaxed).newValue % 3 == 0
    }
  }
#endif
