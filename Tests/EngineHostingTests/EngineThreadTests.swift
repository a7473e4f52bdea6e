import EngineHosting
import POSIXSupport
import TestSupport
import Testing

@testable import AgentRuntime

/// Whose thread a turn is taken on.
final class EngineThreadTests {
  private let thread = EngineThread { _ in }

  init() throws {
    try Self.start(thread, nil)
    // The engine is there.
    try onThread { [thread] in thread.settle() }
  }

  deinit { thread.stop() }

  /// - Parameter held: is let go with the engine.
  private static func start(_ thread: EngineThread, _ held: Held?) throws {
    try thread.start {
      let tools = ScriptedTools(transcript: Transcript()) { _ in withExtendedLifetime(held) { nil } }
      return RunEngine(
        store: MemoryStore(disk: MemoryDisk()), host: thread, models: ScriptedModel([]), serverTools: tools, schemas: ScriptedSchemas())
    }
  }

  /// Counts that it was let go.
  private final class Held: Sendable {
    private let released: Monitor<Int>
    init(_ released: Monitor<Int>) { self.released = released }
    deinit { released.update { $0 += 1 } }
  }

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
    try isDone.wait(for: "the visitor's end") { $0 ? () : nil }
  }

  /// Has `body` carried out in a turn that the caller takes itself. The engine's thread may come first, and its last turn may not be over.
  private static func visit(_ thread: EngineThread, standIn: EngineThread.StandIn? = nil, _ body: @escaping @Sendable () -> Void) {
    let own = Thread.current
    var isMine = false
    while !isMine {
      let taken = Monitor<Bool?>(nil)
      thread.post { _ in
        let isMine = Thread.current == own
        if isMine { body() }
        taken.update { $0 = isMine }
      }
      thread.rest(standIn: standIn)
      isMine = taken.wait { $0 } ?? false
    }
  }

  @Test func `few inputs are carried out on the thread that brought them`() throws {
    let notes = Notes()
    try onThread { [thread] in
      thread.rest()
      Self.visit(thread) { thread.post { _ in notes.note(1) } }
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
        Self.visit(thread, standIn: { notes.note(round) }) { notes.all.wait { $0.contains { $0.what == round } ? () : nil } }
      }
      notes.note(4)
    }
    let seen = notes.all.withLock { $0 }
    #expect(seen.map(\.what) == [1, 2, 3, 4])
    #expect(seen[0].where != seen[3].where)
  }

  @Test func `a timer that a visit sets rings on the engine's thread, though nobody comes any more`() throws {
    let notes = Notes()
    try onThread { [thread] in
      thread.rest()
      for (what, milliseconds) in [(1, 30), (2, 60), (3, 1)] {
        thread.post { engine in _ = engine.after(milliseconds: milliseconds) { notes.note(what) } }
        thread.rest()
      }
      notes.all.wait { $0.count == 3 ? () : nil }
    }
    #expect(Set(notes.all.withLock { $0.map(\.what) }) == [1, 2, 3])
  }

  @Test func `what was brought before the end is carried out, whoever is in the middle of a turn`() throws {
    let notes = Notes()
    try onThread { [thread] in
      thread.rest()
      thread.post { _ in
        thread.post { _ in notes.note(1) }
        thread.stop()
        thread.post { _ in notes.note(2) }
      }
      thread.rest()
      notes.all.wait { $0.count == 2 ? () : nil }
    }
    #expect(notes.all.withLock { $0.map(\.what) } == [1, 2])
  }

  @Test func `what comes after the end is let go`() throws {
    let released = Monitor(0)
    let thread = EngineThread { _ in }
    try Self.start(thread, Held(released))
    thread.stop()
    // The engine is gone, and its thread with it.
    try released.wait(for: "the engine's end") { $0 == 1 ? () : nil }
    let held = Held(released)
    // As what a run's work reports does, it holds the thread.
    thread.post { [thread] _ in withExtendedLifetime((held, thread)) {} }
    _ = consume held
    try released.wait(for: "the end of what came late") { $0 == 2 ? () : nil }
  }

  @Test func `nothing stays undone when many bring work, take turns and stand in at once`() throws {
    let (threads, rounds) = (6, 3000)
    let (done, left) = (Monitor(0), Monitor(threads))
    for number in 0..<threads {
      try Thread.start(name: "one of many", stackSize: EngineThread.stackSize) { [thread] in
        for round in 0..<rounds {
          // Each waits for what it brought, as one does whose client waits for an answer.
          let answered = Monitor(false)
          thread.post { engine in
            let answer: @Sendable () -> Void = {
              done.withLock { $0 += 1 }
              answered.update { $0 = true }
            }
            if round % 50 == number { _ = engine.after(milliseconds: round % 3, answer) } else { answer() }
          }
          // The last ones are no visitors: they wake the engine's thread.
          if number < 4 { thread.rest(takesTurns: (number + round) % 3 > 0, standIn: {}) }
          answered.wait { $0 ? () : nil }
        }
        left.update { $0 -= 1 }
      }
    }
    try left.wait(for: "the end of the last", minutes: 5) { $0 == 0 ? () : nil }
    #expect(done.withLock { $0 } == threads * rounds)
  }

  @Test func `who waits only so long for a turn that does not end goes on without it`() throws {
    let (isOver, answers) = (Monitor(false), Monitor<[Bool]>([]))
    thread.post { _ in isOver.wait { $0 ? () : nil } }
    try onThread { [thread] in
      let value = thread.perform(within: 20) { _ in 1 }
      let isSettled = thread.settle(within: 20)
      answers.update { $0 = [value == nil, !isSettled] }
      isOver.update { $0 = true }
    }
    #expect(answers.withLock { $0 } == [true, true])
    try onThread { [thread] in
      let value = thread.perform(within: 60_000) { _ in 1 }
      let isSettled = thread.settle(within: 60_000)
      answers.update { $0 = [value == 1, isSettled] }
    }
    #expect(answers.withLock { $0 } == [true, true])
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
