package import AgentRuntime
import POSIXSupport

/// Who lives, as last seen: the leases of the other processes.
final class Leases {
  /// A heartbeat comes every two seconds (`Watch`), and a process that missed three of them is taken for dead: within `Lease.milliseconds`.
  static let longestSilenceMilliseconds = 7000
  /// What was seen counts for so long.
  private static let freshMilliseconds = 1000

  private struct Lease {
    var isFresh: Bool
    var process: ProcessIdentity
  }

  private var seen: [OwnerID: Lease] = [:]
  private var seenAt: Int?
  /// Not in the table when it was last read: left, or dead for long.
  private var gone: Set<OwnerID> = []

  /// By the server's clock, one for all. After a restart of the server everybody has the time of a lease to come back.
  static let all = Query(
    """
    SELECT number, machine, process, process_start,
      greatest(beat, pg_postmaster_start_time()) > clock_timestamp() - interval '\(longestSilenceMilliseconds) milliseconds' FROM footbridge.owners
    """)

  /// - Parameter read: asks the database; nil when it does not answer.
  func isAlive(_ owner: OwnerID, read: () -> Answer?) -> Bool {
    let now = Clock.monotonicMilliseconds()
    let isOld = seenAt.map { now - $0 > Self.freshMilliseconds } ?? true
    if isOld || (seen[owner] == nil && !gone.contains(owner)) {
      // Taking a run that is driven does more harm than leaving one: where nobody says, all live that are not known to have ended.
      guard let answer = read() else { return seen[owner].map { !$0.process.hasEnded } ?? true }
      take(answer, at: now)
      if seen[owner] == nil { gone.insert(owner) }
    }
    guard let lease = seen[owner], lease.isFresh else { return false }
    // The kernel is asked each time: on this machine an end shows at once.
    return !lease.process.hasEnded
  }

  private func take(_ answer: Answer, at now: Int) {
    seen = [:]
    for row in 0..<answer.count {
      let owner = OwnerID(number: answer.int(row, 0))
      let process = ProcessIdentity(machine: answer.text(row, 1), number: answer.int(row, 2), start: answer.int(row, 3))
      seen[owner] = Lease(isFresh: answer.bool(row, 4), process: process)
    }
    gone = gone.filter { seen[$0] == nil }
    if gone.count > 10_000 { gone = [] }
    seenAt = now
  }
}

extension PostgresStore {
  package func isAlive(_ owner: OwnerID) -> Bool {
    if owner == self.owner { return true }
    guard owner.number > 0 else { return false }
    return leases.isAlive(owner) { try? perform(Leases.all) }
  }

  package func leaseLeft(of owner: OwnerID) -> Int? { isAlive(owner) ? nil : 0 }

  /// Nothing: from the first write on, `Watch` shows all the time that this process lives.
  package func keepLease(_ isNeeded: Bool) {}
}
