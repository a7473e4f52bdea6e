import AgentRuntime
import EngineHosting
import POSIXSupport
import TestSupport
import Testing

/// Whose thread a turn is taken on.
final class EngineThreadTests {
  private let thread = EngineThread { _ in }

  init() throws {
    try thread.start { [thread] in
      let disk = MemoryDisk()
      let transcript = Transcript()
      return RunEngine(
        store: MemoryStore(disk: disk), host: thread, models: ScriptedModel([]),
        serverTools: ScriptedTools(transcript: transcript) { _ in nil },
        schemas: ScriptedSchemas())
    }
    // The engine is there.
    thread.settle()
  }

  deinit { thread.stop() }

  /// What happened, with the thread that it happened on.
  private final class Notes: Sendable {
    let all = Monitor<[(what: Int, where: Thread.Identity)]>([])
    func note(_ what: Int) { all.update { $0.append((what, Thread.current)) } }
  }

  /// Carries out `body` on a thread of its own, to its end.
  private func onThread(_ body: @escaping @Sendable () -> Void) throws {
    let isDone = Monitor(false)
    try Thread.start(name: "visitor", stackSize: EngineThread.stackSize) {
      body()
      isDone.update { $0 = true }
    }
    isDone.wait { $0 ? () : nil }
  }

  @Test func `few inputs are carried out on the thread that brought them`() throws {
    let notes = Notes()
    try onThread { [thread] in
      thread.rest()
      thread.post { _ in thread.post { _ in notes.note(1) } }
      thread.rest()
      notes.note(2)
    }
    let seen = notes.all.withLock { $0 }
    #expect(seen.map(\.what) == [1, 2])
    #expect(seen[0].where == seen[1].where)
  }

  @Test func `who must not take turns leaves them to the engine's thread`() throws {
    let notes = Notes()
    try onThread { [thread] in
      thread.rest()
      thread.post { _ in notes.note(1) }
      thread.rest(takesTurns: false)
      notes.all.wait { $0.isEmpty ? nil : () }
      notes.note(2)
    }
    let seen = notes.all.withLock { $0 }
    #expect(seen.map(\.what) == [1, 2])
    #expect(seen[0].where != seen[1].where)
  }

  @Test func `another thread stands in while a turn takes long, each time`() throws {
    let notes = Notes()
    try onThread { [thread] in
      thread.rest()
      for round in 1...3 {
        thread.post { _ in notes.all.wait { $0.contains { $0.what == round } ? () : nil } }
        thread.rest(standIn: { notes.note(round) })
      }
      notes.note(4)
    }
    let seen = notes.all.withLock { $0 }
    #expect(seen.map(\.what) == [1, 2, 3, 4])
    #expect(seen[0].where != seen[3].where)
  }

  @Test func `what others bring during a visit is carried out, and a waiting one is answered`() throws {
    let notes = Notes()
    try onThread { [thread] in
      thread.rest()
      thread.post { _ in
        try? Thread.start(name: "other") {
          notes.note(1)
          thread.perform { _ in notes.note(2) }
          notes.note(3)
        }
        notes.all.wait { $0.isEmpty ? nil : () }
      }
      thread.rest()
      notes.all.wait { $0.count == 3 ? () : nil }
    }
    #expect(notes.all.withLock { $0.map(\.what) } == [1, 2, 3])
  }
}
