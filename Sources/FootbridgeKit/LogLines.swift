internal import POSIXSupport
internal import Synchronization

/// Lines for people, said at once on the thread that has them: the engine's, or one that does work for it. They wait for the program's closure,
/// so what waits for them must not be done inside it.
final class LogLines: Sendable {
  private let body: @Sendable (_ message: String) -> Void
  /// Threads that are inside the closure.
  private let inside = Mutex<[Thread.Identity]>([])

  init(_ body: @escaping @Sendable (_ message: String) -> Void) { self.body = body }

  func say(_ message: String) {
    let here = Thread.current
    inside.withLock { $0.append(here) }
    body(message)
    inside.withLock { threads in
      if let last = threads.lastIndex(of: here) { threads.remove(at: last) }
    }
  }

  /// Whether the caller is the closure.
  var areSaidHere: Bool {
    let here = Thread.current
    return inside.withLock { $0.contains(here) }
  }
}
