package import AgentRuntime
package import POSIXSupport

/// The thread that the engine and its store work on, and the mailbox in front of it.
package final class EngineThread: EngineHost {
  private struct Mailbox {
    var inputs: [@Sendable (RunEngine) -> Void] = []
    var isClosed = false
  }

  private let mailbox = Monitor(Mailbox())
  private let write: @Sendable (_ message: String) -> Void

  package init(log: @escaping @Sendable (_ message: String) -> Void) { write = log }

  package func wallClock() -> Timestamp { Timestamp(milliseconds: Clock.wallMilliseconds()) }
  package func monotonicClock() -> Int { Clock.monotonicMilliseconds() }
  package func random() -> (UInt64, UInt64) { Random.random128() }
  package func log(_ message: String) { write(message) }

  package func post(_ body: @escaping @Sendable (RunEngine) -> Void) {
    mailbox.update { $0.inputs.append(body) }
  }

  /// Begins the thread; `make` is called on it, before anything that was posted.
  package func start(_ make: @escaping @Sendable () -> RunEngine) throws(SystemError) {
    try Thread.start(name: "engine", stackSize: 8 << 20) { [self] in
      let engine = make()
      var due: Int?
      while true {
        let inputs = mailbox.wait(untilMilliseconds: due) { mailbox -> [@Sendable (RunEngine) -> Void]? in
          guard !mailbox.inputs.isEmpty || mailbox.isClosed else { return nil }
          defer { mailbox.inputs = [] }
          return mailbox.inputs
        }
        due = engine.turn(inputs ?? [])
        if mailbox.withLock({ $0.isClosed && $0.inputs.isEmpty }) { return }
      }
    }
  }

  /// Ends the thread when everything posted before is done.
  package func stop() { mailbox.update { $0.isClosed = true } }

  /// Waits until `body` was carried out on the engine's thread, with everything that was posted before; what it decided is durable then.
  package func perform<Value: Sendable>(_ body: @escaping @Sendable (RunEngine) -> Value) -> Value {
    let result = Monitor<Value?>(nil)
    post { engine in
      let value = body(engine)
      result.update { $0 = value }
    }
    // No deadline: the engine's thread always comes round.
    return result.wait { $0 }!
  }

  /// Waits until what `perform` and the inputs before it decided has been committed, published and answered.
  package func settle() {
    _ = perform { _ in true }
    _ = perform { _ in true }
  }
}
