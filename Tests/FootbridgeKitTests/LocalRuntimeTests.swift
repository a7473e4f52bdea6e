import FootbridgeKit
import POSIXSupport
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a program finds that keeps its runs in a `LocalRuntime`.
struct LocalRuntimeTests {
  private let place: Workplace
  private let notes = Notes()

  init() throws { place = try Workplace() }

  private func runtime(_ store: LocalRuntime.Store = .memory) throws -> LocalRuntime {
    try LocalRuntime(store: store, allowsCommands: true) { [notes] in notes.note("log: \($0)") }
  }

  /// How a run went, without its id.
  private func course(_ outcome: LocalOutcome) -> [String?] { [outcome.status, outcome.answer, outcome.error] }

  /// A function that goes on until its task is cancelled.
  private func registerEndless(_ runtime: LocalRuntime, _ called: String = "called") throws {
    try runtime.register("endless", "Goes on.", timeoutMilliseconds: 3_600_000) { [notes] (_: Nothing) in
      notes.note(called)
      do { try await Task.sleep(for: .seconds(3600)) } catch {
        notes.note("stopped")
        throw error
      }
      return "woke"
    }
  }

  /// A run that has called `endless`, for a task to wait for.
  private func begin(_ runtime: LocalRuntime) async throws -> Task<LocalOutcome, any Error> {
    let agent = try place.agent(calling("endless"))
    let task = Task { [notes] in try await runtime.run(agent, "Go on.") { notes.note("began \($0)") } }
    try await waitFor("called")
    return task
  }

  /// The id that `begin` was told.
  private func begun() throws -> String { try #require(notes.seen.first { $0.hasPrefix("began ") }.map { String($0.dropFirst(6)) }) }

  /// Not on a thread of the tasks, of which there are few.
  private func waitFor(_ what: String) async throws {
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      do {
        try Thread.start(name: "waiting") { [notes] in
          do {
            try notes.waitFor(what)
            done.resume()
          } catch { done.resume(throwing: error) }
        }
      } catch { done.resume(throwing: error) }
    }
  }

  // MARK: Arguments

  private struct Trip: Codable, Sendable {
    var kilometres: Double?
    var stops: Int?
  }

  @Test(arguments: ["{}", #"{"kilometres":null,"stops":null}"#, #"{"kilometres":1.5,"stops":2}"#])
  func `a function is called without its optional arguments, and with null for them`(arguments: String) async throws {
    let runtime = try runtime()
    try runtime.register("trip", "A trip.") { (trip: Trip) in "\(trip.kilometres ?? 0) km, \(trip.stops ?? 0) stops" }
    let seen = arguments.contains("1.5") ? "1.5 km, 2 stops" : "0.0 km, 0 stops"
    let outcome = try await runtime.run(
      place.agent(calling("trip", arguments), #"{"text":"There.","expect":{"content":"\#(seen)","isError":false}}"#), "Go.")
    #expect(course(outcome) == ["success", "There.", nil])
  }

  // MARK: Calls of the runtime from its closures

  @Test func `a function can be registered when a run has begun, and the run's functions are called after that`() async throws {
    let runtime = try runtime()
    try runtime.register("first", "One.") { [notes] (_: Nothing) in
      notes.note("first is called")
      return "one"
    }
    let agent = try place.agent(calling("first"), #"{"text":"Done."}"#)
    Task { [notes] in
      let outcome = try await runtime.run(agent, "Go.") { runID in
        // Long enough for the call to be on its way.
        for _ in 0..<200 { sched_yield() }
        do { try runtime.register("second", "Two.") { (_: Nothing) in "two" } } catch { notes.note("\(error)") }
        notes.note("\(runID.utf8.count) characters")
      }
      notes.note("\(course(outcome))")
    }
    let end = "\(["success", "Done.", nil] as [String?])"
    try await waitFor(end)
    #expect(notes.seen == ["26 characters", "first is called", end])
  }

  @Test func `a runtime can be closed when a run has begun, and the run is told how it stands`() async throws {
    let runtime = try runtime(.sqlite(place.database))
    try registerEndless(runtime)
    let agent = try place.agent(calling("endless"), #"{"text":"Done."}"#)
    Task { [notes] in
      let outcome = try await runtime.run(agent, "Go.") { _ in runtime.close() }
      notes.note("run \(outcome.error ?? "is left")")
    }
    try await waitFor("run is left")
    #expect(notes.seen == ["run is left"])
  }

  @Test func `the closure for lines can register and close`() async throws {
    let known = Monitor<LocalRuntime?>(nil)
    let runtime = try LocalRuntime(store: .sqlite(place.database), allowsCommands: true) { [notes] message in
      guard let runtime = known.withLock({ $0 }) else { return }
      do { try runtime.register("second", "Two.") { (_: Nothing) in "two" } } catch { notes.note("\(error)") }
      runtime.close()
      notes.note("closing")
    }
    known.update { $0 = runtime }
    try runtime.register("remove", "Removes the store.") { [place] (_: Nothing) in
      place.removeDatabase()
      return "gone"
    }
    let agent = try place.agent(calling("remove"))
    Task { [notes] in
      do throws(LocalRuntimeError) {
        let outcome = try await runtime.run(agent, "Go.")
        notes.note(outcome.status)
      } catch { notes.note(error.kind) }
    }
    try await waitFor("closing")
    try await waitFor("store.unavailable")
    known.update { $0 = nil }
  }

  // MARK: The end of a run

  @Test func `a run ends with the task that waits for it`() async throws {
    let runtime = try runtime(.sqlite(place.database))
    try registerEndless(runtime)
    let task = try await begin(runtime)
    task.cancel()
    let outcome = try await task.value
    #expect(course(outcome) == ["cancelled", nil, nil])
    try await waitFor("stopped")
    runtime.close()
    // Another program finds it so.
    let other = try self.runtime(.sqlite(place.database))
    #expect(try await other.resume(outcome.runID) == outcome)
  }

  @Test func `cancel ends a run and tells whoever waits for it`() async throws {
    let runtime = try runtime()
    try registerEndless(runtime)
    let task = try await begin(runtime)
    let runID = try begun()
    let outcome = try await runtime.cancel(runID, reason: "no longer wanted")
    #expect(course(outcome) == ["cancelled", nil, nil])
    #expect(try await task.value == outcome)
    try await waitFor("stopped")
    // A run that has ended stays what it is.
    #expect(try await runtime.cancel(runID) == outcome)
  }

  @Test func `a run that another program has at work is cancelled too`() async throws {
    let (one, other) = (try runtime(.sqlite(place.database)), try runtime(.sqlite(place.database)))
    try registerEndless(one)
    let task = try await begin(one)
    let runID = try begun()
    let outcome = try await other.cancel(runID)
    #expect(course(outcome) == ["cancelled", nil, nil])
    #expect(try await task.value == outcome)
  }

  @Test func `a resumed run ends with the task that waits for it`() async throws {
    let first = try runtime(.sqlite(place.database))
    try registerEndless(first)
    let task = try await begin(first)
    first.close()
    let runID = try await task.value.runID

    let second = try runtime(.sqlite(place.database))
    try registerEndless(second, "again")
    let resumed = Task { try await second.resume(runID) }
    try await waitFor("again")
    resumed.cancel()
    #expect(course(try await resumed.value) == ["cancelled", nil, nil])
  }

  @Test func `a task that is cancelled already begins no run, and takes none up`() async throws {
    let runtime = try runtime()
    try runtime.register("never", "Not called.") { [notes] (_: Nothing) in
      notes.note("called")
      return ""
    }
    let done = try await runtime.run(place.agent(#"{"text":"Done."}"#), "Go.")
    let agent = try place.agent(calling("never"))
    for work in [{ try await runtime.run(agent, "Go.") { _ in notes.note("began") } }, { try await runtime.resume(done.runID) }]
      as [@Sendable () async throws -> LocalOutcome]
    {
      let task = Task {
        unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
        return try await work()
      }
      await #expect { try await task.value } throws: { ($0 as? LocalRuntimeError)?.kind == "cancelled" }
    }
    #expect(notes.seen == [])
  }

  @Test func `a resume that is refused cancels nothing with its task`() async throws {
    let (one, other) = (try runtime(.sqlite(place.database)), try runtime(.sqlite(place.database)))
    // At work, and not waiting for a function.
    let agent = try place.agent(#"{"text":"Done.","delayMs":1000}"#)
    let run = Task { [notes] in
      try await one.run(agent, "Go.") { runID in
        notes.note(runID)
        notes.note("began")
      }
    }
    try await waitFor("began")
    let runID = notes.seen[0]
    // Cancelled before the engine has it, while it has it, and after that.
    for yields in 0..<40 {
      let refused = Task { () -> String in
        do throws(LocalRuntimeError) { return try await other.resume(runID).status } catch { return error.kind }
      }
      for _ in 0..<yields { sched_yield() }
      refused.cancel()
      let answer = await refused.value
      // The run may be over by now.
      if answer == "success" { break }
      #expect(["cancelled", "run.leaseHeld"].contains(answer))
    }
    #expect(course(try await run.value) == ["success", "Done.", nil])
  }

  // MARK: After the end

  @Test func `what is asked of a closed runtime is refused`() async throws {
    let runtime = try runtime()
    let agent = try place.agent(#"{"text":"Done."}"#)
    let runID = try await runtime.run(agent, "Go.").runID
    runtime.close()
    for work in [{ try await runtime.run(agent, "Go.") }, { try await runtime.resume(runID) }, { try await runtime.cancel(runID) }]
      as [@Sendable () async throws -> LocalOutcome]
    {
      await #expect { try await work() } throws: { ($0 as? LocalRuntimeError)?.kind == "shuttingDown" }
    }
  }

  // MARK: A name again

  @Test func `a run that has begun keeps the tools it began with, and calls the function that has the name now`() async throws {
    let runtime = try runtime()
    try runtime.register("word", "Says a word.") { (_: Nothing) in "old" }
    let turns = [
      calling("word"), #"{"expect":{"content":"new"},"toolCalls":[{"name":"later","arguments":{}}]}"#,
      #"{"expect":{"isError":true},"text":"Done."}"#,
    ]
    let outcome = try await runtime.run(place.agent(turns[0], turns[1], turns[2]), "Go.") { _ in
      do {
        try runtime.register("word", "Says another.") { (_: Nothing) in "new" }
        try runtime.register("later", "Comes too late.") { (_: Nothing) in "" }
      } catch { notes.note("\(error)") }
    }
    #expect(course(outcome) == ["success", "Done.", nil])
    #expect(notes.seen == [])
  }
}
