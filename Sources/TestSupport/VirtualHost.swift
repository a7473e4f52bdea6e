package import AgentRuntime
import POSIXSupport
import Synchronization

/// Time that passes when the test says so; shared by the processes of a test.
package final class VirtualClock: Sendable {
  private let elapsed = Atomic(0)
  private let readingCount = Atomic(0)
  /// 2026-11-20T10:00:00.000Z
  private static let start = 1_795_168_800_000

  package init() {}

  /// Milliseconds since the test began.
  package var milliseconds: Int { elapsed.load(ordering: .sequentiallyConsistent) }
  package var wall: Timestamp {
    readingCount.add(1, ordering: .sequentiallyConsistent)
    return Timestamp(milliseconds: Self.start + milliseconds)
  }

  /// How often somebody has asked for the time of day.
  package var readings: Int { readingCount.load(ordering: .sequentiallyConsistent) }

  package func advance(to milliseconds: Int) {
    precondition(milliseconds >= self.milliseconds, "time does not go back")
    elapsed.store(milliseconds, ordering: .sequentiallyConsistent)
  }
}

/// The engine's world in a test: a clock that stands still, chance that repeats itself, a mailbox that the test drains.
package final class VirtualHost: EngineHost {
  private struct State {
    var mailbox: [@Sendable (RunEngine) -> Void] = []
    var messages: [String] = []
    var isClosed = false
    var chance: UInt64
  }

  package let clock: VirtualClock
  private let state: Monitor<State>

  /// - Parameter seed: Another one for each process of a test, or they would make the same ids.
  package init(clock: VirtualClock = VirtualClock(), seed: UInt64) {
    self.clock = clock
    state = Monitor(State(chance: seed &* 0xD134_2543_DE82_EF95 | 1))
  }

  package func wallClock() -> Timestamp { clock.wall }
  package func monotonicClock() -> Int { clock.milliseconds }

  package func random() -> (UInt64, UInt64) {
    state.withLock { state in
      func next() -> UInt64 {
        // SplitMix64.
        state.chance &+= 0x9E37_79B9_7F4A_7C15
        var z = state.chance
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
      }
      return (next(), next())
    }
  }

  package func post(_ body: @escaping @Sendable (RunEngine) -> Void) { state.update { $0.mailbox.append(body) } }
  package func log(_ message: String) { state.withLock { $0.messages.append(message) } }

  package var hasMail: Bool { state.withLock { !$0.mailbox.isEmpty } }
  /// What the engine said to people.
  package var messages: [String] { state.withLock { $0.messages } }

  package func takeMailbox() -> [@Sendable (RunEngine) -> Void] {
    state.withLock { state in
      defer { state.mailbox = [] }
      return state.mailbox
    }
  }

  /// Waits for mail, for a test whose engine has a thread of its own; nil when there will be none.
  package func awaitMail() -> [@Sendable (RunEngine) -> Void]? {
    state.wait { state -> [@Sendable (RunEngine) -> Void]?? in
      if state.mailbox.isEmpty { return state.isClosed ? .some(nil) : nil }
      defer { state.mailbox = [] }
      return state.mailbox
    } ?? nil
  }

  /// No mail comes after what is there.
  package func close() { state.update { $0.isClosed = true } }

  package func emptyMailbox() { state.withLock { $0.mailbox = [] } }
}
