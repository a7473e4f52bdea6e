/// The world around the engine: time, chance, and the thread that it runs on.
package protocol EngineHost: AnyObject, Sendable {
  func wallClock() -> Timestamp
  /// Milliseconds that only grow.
  func monotonicClock() -> Int
  func random() -> (UInt64, UInt64)
  /// Has `body` called on the engine's thread, which is whichever takes the next turn: one at a time; from any thread, in the order of the calls.
  func post(_ body: @escaping @Sendable (RunEngine) -> Void)
  /// For people, on stderr.
  func log(_ message: String)
}

extension EngineHost {
  func newID() -> ULID { ULID(milliseconds: wallClock().milliseconds, random: random()) }
}
