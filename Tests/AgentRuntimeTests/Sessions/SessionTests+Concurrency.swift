import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What becomes of a message that comes while a turn is not ended: `agent.messageConcurrency`.
extension SessionTests {
  @Test func `latest: only the newest that waits is run, the inputs of the others stay`() throws {
    let process = launch(holding: ["one"])
    let id = try session(process).sessionID
    let params = strategy("\"latest\"")
    _ = process.start("one", params, session: id)
    let answers = ["two", "three", "four"].map { process.start($0, params, session: id, concurrency: .latest) }
    #expect(answers[0].outcome?.status == .cancelled)
    #expect(answers[1].outcome?.fault?.kind == .runSuperseded)
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect(answers[2].outcome?.status == .success)
    #expect(process.model.shown.last == ["user: one", "assistant: first", "user: two", "user: three", "user: four"])
  }

  @Test func `merge: what waits becomes one turn, the newest's`() throws {
    let process = launch(holding: ["one"])
    let id = try session(process).sessionID
    let params = strategy("\"merge\"")
    _ = process.start("one", params, session: id)
    let answers = ["two", "three", "four"].map { process.start($0, params, session: id, concurrency: .merge) }
    #expect(answers.map(\.isThere) == [false, false, false])
    try process.model.call(0).finish(.say("first"))
    world.settle()
    let last = try #require(answers[2].runID)
    #expect(answers.map { $0.outcome?.status } == [.success, .success, .success])
    #expect(answers.map { $0.outcome?.mergedInto } == [last, last, nil])
    #expect(answers[0].outcome?.answer == answers[2].outcome?.answer)
    #expect(process.model.shown.last == ["user: one", "assistant: first", "user: two", "user: three", "user: four"])
    #expect(process.model.shown.count == 2)
    _ = process.start("five", params, session: id)
    #expect(process.model.shown.last?.suffix(3) == ["user: four", "assistant: re: four", "user: five"])
  }

  /// A branch with a turn that is held, and messages behind it that are to be merged.
  private func merging(_ process: VirtualProcess, _ texts: String...) throws -> (session: ULID, waiting: [Answer], runs: [ULID]) {
    let id = try session(process).sessionID
    let params = strategy("\"merge\"")
    _ = process.start("one", params, session: id)
    let waiting = texts.map { process.start($0, params, session: id, concurrency: .merge) }
    return (id, waiting, try waiting.map { try #require($0.runID) })
  }

  @Test("merge: one that is cancelled before the turn begins is not said", arguments: [0, 1])
  func cancelledBeforeTheMerge(which: Int) throws {
    let process = launch(holding: ["one"])
    let (id, waiting, runs) = try merging(process, "two", "three", "four")
    let cancelled = process.cancel(runs[which]).outcome
    #expect(cancelled?.status == .cancelled && cancelled?.mergedInto == nil)
    try process.model.call(0).finish(.say("first"))
    world.settle()
    let said = ["two", "three"].enumerated().filter { $0.offset != which }.map(\.element)
    #expect(process.model.shown.last == ["user: one", "assistant: first"] + (said + ["four"]).map { "user: \($0)" })
    #expect(waiting[2].outcome?.status == .success)
    let expected = ["user one", "assistant first"] + (said + ["four"]).map { "user \($0)" } + ["assistant re: four"]
    #expect(try texts(process, id) == expected)
    // Another process reads it from the logs.
    #expect(try texts(launch(), id) == expected)
  }

  @Test func `merge: one that is cancelled when the turn has begun stays said`() throws {
    let process = launch(holding: ["one", "three"])
    let (id, waiting, runs) = try merging(process, "two", "three")
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect(process.model.shown.last?.suffix(2) == ["user: two", "user: three"])
    #expect(process.cancel(runs[0]).outcome?.status == .cancelled)
    try process.model.call(1).finish(.say("both"))
    world.settle()
    #expect(waiting[1].outcome?.status == .success)
    #expect(try texts(process, id) == ["user one", "assistant first", "user two", "user three", "assistant both"])
  }

  @Test func `merge: when the newest is cancelled before it begins, nothing is said of those that end with it`() throws {
    let process = launch(holding: ["one"])
    let (id, waiting, runs) = try merging(process, "two", "three")
    #expect(process.cancel(runs[1]).outcome?.status == .cancelled)
    #expect(waiting[0].outcome?.status == .cancelled)
    #expect(waiting[0].outcome?.mergedInto == runs[1])
    try process.model.call(0).finish(.say("first"))
    world.settle()
    _ = process.start("four", startParams(), session: id)
    #expect(process.model.shown.last == ["user: one", "assistant: first", "user: four"])
    #expect(try texts(process, id) == ["user one", "assistant first", "user four", "assistant re: four"])
  }

  @Test func `merge: of a cancel and the begin of the turn at one moment, what was said to the model stays`() throws {
    let process = launch(holding: ["one", "three"])
    let other = launch()
    let (id, _, runs) = try merging(process, "two", "three")
    other.store.beforeSubmit = { [process] _ in
      other.store.beforeSubmit = nil
      process.act { _ in process.model.calls[0].finish(.say("first")) }
    }
    #expect(other.cancel(runs[0]).outcome?.status == .cancelled)
    world.settle()
    #expect(process.model.shown.last?.suffix(2) == ["user: two", "user: three"])
    #expect(try texts(other, id) == ["user one", "assistant first", "user two", "user three"])
  }

  @Test func `merge: a note to one whose turn is at work is seen by that turn, and is the same for all`() throws {
    let process = launch(holding: ["one", "three"])
    let other = launch()
    let (id, waiting, runs) = try merging(process, "two", "three")
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect(process.note(runs[0], "here").error == nil)
    #expect(other.note(runs[0], "there").error == nil)
    try process.model.call(1).finish(.say("both"))
    world.settle()
    let said = ["user: one", "assistant: first", "user: two", "user: three", "assistant: both", "user: here", "user: there"]
    #expect(process.model.shown.last == said)
    #expect(waiting.map { $0.outcome?.answer } == [.inline(json(#""re: there""#)), .inline(json(#""re: there""#))])
    #expect(process.note(runs[0], "late").error?.kind == .runAlreadyTerminal)
    var all = said + ["assistant: re: there"]
    for process in [process, other, launch()] {
      _ = process.start("four", startParams(), session: id)
      all.append("user: four")
      #expect(process.model.shown.last == all)
      all.append("assistant: re: four")
    }
  }

  @Test func `merge: of a note and the begin of the turn at one moment, the note is one to the turn`() throws {
    let process = launch(holding: ["one", "three"])
    let other = launch()
    let (id, _, runs) = try merging(process, "two", "three")
    other.store.beforeSubmit = { [process] _ in
      other.store.beforeSubmit = nil
      process.act { _ in process.model.calls[0].finish(.say("first")) }
    }
    #expect(other.note(runs[0], "hm").error == nil)
    world.settle()
    #expect(process.model.shown.last?.suffix(2) == ["user: two", "user: three"])
    try process.model.call(1).finish(.say("both"))
    world.settle()
    #expect(process.model.shown.last?.suffix(4) == ["user: two", "user: three", "assistant: both", "user: hm"])
    #expect(try texts(other, id).suffix(4) == ["user three", "assistant both", "user hm", "assistant re: hm"])
  }

  @Test("a message that waits, and that another process begins meanwhile, is not stepped over", arguments: ["latest", "merge"])
  func begunMeanwhile(word: String) throws {
    let (driver, process, other) = (launch(holding: ["one"]), launch(holding: ["two"]), launch())
    let id = try session(driver).sessionID
    let params = strategy("\"\(word)\"")
    let concurrency = try MessageConcurrency(reading: CarriedJSON(string: word), at: "")
    _ = driver.start("one", params, session: id)
    let two = try #require(process.start("two", params, wait: false, session: id, concurrency: concurrency).runID)
    try driver.model.call(0).finish(.say("first"))
    driver.turn()
    other.store.beforeSubmit = { batch in
      guard batch.contains(where: { $0.summary.runID == two }) else { return }
      other.store.beforeSubmit = nil
      _ = process.resume(two)
    }
    let three = other.start("three", params, session: id, concurrency: concurrency)
    #expect(other.store.beforeSubmit == nil)
    #expect(process.model.shown.last == ["user: one", "assistant: first", "user: two"])
    #expect(other.model.shown.isEmpty && !three.isThere)
    try process.model.call(0).finish(.say("second"))
    world.settle()
    world.advance(milliseconds: 1000)
    #expect(three.outcome?.status == .success)
    #expect(other.model.shown.last == ["user: one", "assistant: first", "user: two", "assistant: second", "user: three"])
  }

  @Test func `drop: a message that comes too early is refused, and nothing of it is stored`() throws {
    let process = launch(holding: ["one"])
    let id = try session(process).sessionID
    _ = process.start("one", strategy("\"drop\""), session: id)
    let count = world.disk.runIDs.count
    #expect(process.start("two", strategy("\"drop\""), session: id, concurrency: .drop).error?.kind == .runDropped)
    #expect(world.disk.runIDs.count == count)
    try process.model.call(0).finish(.say("first"))
    world.settle()
    #expect(process.start("three", strategy("\"drop\""), session: id, concurrency: .drop).outcome?.status == .success)
  }

  @Test func `debounce: who waits for one that is paused in the quiet time is answered, and it can begin later`() throws {
    let process = launch(holding: [])
    let id = try session(process).sessionID
    let params = strategy(#"{"strategy":"debounce","debounceMs":500}"#)
    let started = process.start("one", params, session: id, concurrency: .debounce(milliseconds: 500))
    let run = try #require(started.runID)
    #expect(process.pause(run).outcome?.status == .paused)
    #expect(started.outcome?.status == .paused)
    #expect(process.engine.isIdle)
    world.advance(milliseconds: 1000)
    #expect(process.look(run)?.status == .paused)
    #expect(process.resume(run).outcome?.status == .success)
  }

  @Test func `debounce: it begins after a quiet time, the newest only`() throws {
    let process = launch()
    let id = try session(process).sessionID
    let params = strategy(#"{"strategy":"debounce","debounceMs":500}"#)
    let first = process.start("one", params, session: id, concurrency: .debounce(milliseconds: 500))
    world.advance(milliseconds: 400)
    let second = process.start("two", params, session: id, concurrency: .debounce(milliseconds: 500))
    #expect(first.outcome?.fault?.kind == .runSuperseded)
    world.advance(milliseconds: 450)
    #expect(!second.isThere)
    world.advance(milliseconds: 100)
    #expect(second.outcome?.status == .success)
    #expect(process.model.shown == [["user: one", "user: two"]])
  }
}
