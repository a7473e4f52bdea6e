import AgentRuntime
import JSON
import POSIXSupport

private typealias T = StoreTrial

extension StoreContract {
  static var log: [StoreCheck] {
    [
      StoreCheck("an append creates a run, whose row and records come back as given") { trial in
        var summary = T.summary(1, status: .queued)
        (summary.parentRunID, summary.sessionID, summary.agentID) = (T.id(101), T.id(102), "an agent ü")
        (summary.owner, summary.epoch, summary.idempotencyKey) = (trial.store.owner, 3, "a key\u{0}ü")
        summary.updatedAt = Timestamp(milliseconds: 1_700_000_009_999)
        summary.metadata = CarriedJSON(trusted: Bytes("{\"b\": \"1\",\"a\":\"\\u0000\"}"))
        let records = [T.event(1, 1, "{\"n\":1}", hidden: "{\"h\":1}"), T.own(2, "{}"), T.event(3, 2, "0")]
        try trial.expect(try trial.append(T.append(records, to: &summary)), .appended)
        try trial.expect(try trial.store.summary(of: summary.runID), summary, "the row")
        try trial.expect(try trial.store.records(of: summary.runID, after: 0, maxBytes: 1 << 20), records, "the log")
      },
      StoreCheck("a later append changes what changes in a run and adds to its log") { trial in
        var summary = try trial.create(1)
        let before = try trial.store.records(of: summary.runID, after: 0, maxBytes: 1 << 20)
        (summary.status, summary.epoch, summary.owner) = (.waitingClientTool, 7, trial.store.owner)
        summary.updatedAt = Timestamp(milliseconds: 1_700_000_001_000)
        let more = [T.own(2, "{\"x\":2}"), T.event(3, 2, "{\"y\":3}")]
        try trial.expect(try trial.append(T.append(more, to: &summary)), .appended)
        try trial.expect(try trial.store.summary(of: summary.runID), summary, "the row")
        try trial.expect(try trial.store.records(of: summary.runID, after: 0, maxBytes: 1 << 20), before + more, "the log")
        try trial.expect(try trial.store.records(of: summary.runID, after: 1, maxBytes: 1 << 20), more, "the rest of the log")
      },
      StoreCheck("an append at another position is a conflict, changes nothing and does not hinder the others of its batch") { trial in
        var first = try trial.create(1)
        try trial.change(&first)
        var second = try trial.create(2)
        var late = first
        late.status = .error
        let stale = Append(expectedPosition: 1, summary: late, records: [T.event(2, 2, "{\"stale\":1}")], position: 2)
        let good = T.append([T.event(2, 2, "{\"good\":1}")], to: &second)
        let ahead = Append(expectedPosition: 5, summary: late, records: [T.event(6, 6, "{}")], position: 6)
        try trial.expect(try trial.submit([stale, good, ahead]), [.conflict, .appended, .conflict])
        try trial.expect(try trial.store.summary(of: first.runID), first, "the row of the conflict")
        try trial.expect(try trial.store.positions(of: [first.runID, second.runID]), [first.runID: 2, second.runID: 2])
      },
      StoreCheck("a run that goes on is appended to where its log ends, in its epoch, and while it is there") { trial in
        var summary = try trial.create(1) { $0.epoch = 1 }
        var other = try trial.create(2) { $0.epoch = 1 }
        func event(_ summary: inout RunSummary, at position: Int, epoch: Int) throws -> AppendResult {
          var append = T.append([T.event(position, position, "{}")], to: &summary)
          append.expectedEpoch = epoch
          return try trial.append(append)
        }
        for position in 2...4 {
          try trial.expect(try event(&summary, at: position, epoch: 1), .appended)
          try trial.expect(try event(&other, at: position, epoch: 1), .appended)
        }
        for (position, epoch) in [(3, 1), (4, 1), (6, 1), (5, 0), (5, 2)] {
          var wrong = summary
          wrong.lastPosition = position - 1
          wrong.lastSequence = position - 1
          try trial.expect(try event(&wrong, at: position, epoch: epoch), .conflict, "position \(position), epoch \(epoch)")
        }
        try trial.expect(try trial.store.summary(of: summary.runID), summary, "the row")
        (summary.status, summary.epoch) = (.success, 2)
        try trial.expect(try event(&summary, at: 5, epoch: 1), .appended, "its end")
        (summary.status, summary.epoch) = (.running, 3)
        try trial.expect(try event(&summary, at: 6, epoch: 2), .appended, "going on after its end")
        try trial.expect(try trial.store.summary(of: summary.runID), summary, "the row")
        try trial.store.delete(run: summary.runID)
        try trial.expect(try event(&summary, at: 7, epoch: 3), .missing)
        try trial.create(3)
        try trial.expect(try event(&summary, at: 8, epoch: 3), .missing, "after another run came")
        try trial.expect(try trial.store.summary(of: other.runID), other, "the other run's row")
      },
      StoreCheck("what can be done meanwhile is done at most once, and before the batch is done") { trial in
        let course = Monitor<[String]>([])
        var summary = try trial.create(1)
        for position in 2...3 {
          let append = T.append([T.event(position, position, "{}")], to: &summary)
          trial.store.submit([append], meanwhile: { course.update { $0.append("meanwhile") } }) { result in
            course.update { $0.append((try? result.get()) == [.appended] ? "done" : "failed") }
          }
        }
        let told = course.withLock { $0 }
        try trial.expect(told.filter { $0 != "meanwhile" }, ["done", "done"])
        try trial.expect(told.count { $0 == "meanwhile" } <= 2 && told.last == "done", true, "\(told)")
      },
      StoreCheck("an append of an older epoch is a conflict, though the log ends where its writer thinks") { trial in
        var summary = try trial.create(1) { $0.epoch = 1 }
        summary.epoch = 2
        try trial.change(&summary)
        let before = summary
        for epoch in [0, 1, 3] {
          var stale = T.append([T.event(3, 3, "{\"stale\":\(epoch)}")], to: &summary)
          stale.expectedEpoch = epoch
          try trial.expect(try trial.append(stale), .conflict, "epoch \(epoch)")
          summary = before
        }
        try trial.expect(try trial.store.summary(of: summary.runID), before)
        summary.epoch = 3
        var claim = T.append([T.own(3, "{\"claim\":3}")], to: &summary)
        claim.expectedEpoch = 2
        try trial.expect(try trial.append(claim), .appended)
        try trial.expect(try trial.store.summary(of: summary.runID), summary)
      },
      StoreCheck("appends of one group are made all or none, and hinder nobody else") { trial in
        var (first, second, third) = (try trial.create(1), try trial.create(2), try trial.create(3))
        let (one, two) = (first, second)
        func grouped(_ append: Append, _ group: Int?) -> Append {
          var append = append
          append.group = group
          return append
        }
        var stale = T.append([T.event(2, 2, "{}")], to: &second)
        stale.expectedPosition = 7
        stale.records[0].position = 8
        stale.summary.lastPosition = 8
        var born = T.summary(4)
        let results = try trial.submit([
          grouped(T.append([T.event(2, 2, "{}")], to: &first), 1), grouped(T.append([T.event(1, 1, "{}")], to: &born), 1),
          grouped(stale, 1),
          T.append([T.event(2, 2, "{}")], to: &third),
        ])
        try trial.expect(results, [.conflict, .conflict, .conflict, .appended])
        try trial.expect(try trial.store.summary(of: one.runID), one, "the row of the first")
        try trial.expect(try trial.store.summary(of: born.runID), nil, "the run that was not made")
        (first, second) = (one, two)
        let again = [
          grouped(T.append([T.event(2, 2, "{}")], to: &first), 2), grouped(T.append([T.event(2, 2, "{}")], to: &second), 2),
          grouped(T.append([T.event(3, 3, "{}")], to: &third), 3),
        ]
        try trial.expect(try trial.submit(again), [.appended, .appended, .appended])
        try trial.expect(
          try trial.store.positions(of: [one.runID, two.runID, third.runID]), [one.runID: 2, two.runID: 2, third.runID: 3])
      },
      StoreCheck("an append without records is a check of its group") { trial in
        var (first, second) = (try trial.create(1), try trial.create(2))
        let before = first
        func check(_ summary: RunSummary, at position: Int) -> Append {
          var append = Append(expectedPosition: position, summary: summary, records: [])
          append.group = 1
          return append
        }
        var append = T.append([T.event(2, 2, "{}")], to: &first)
        append.group = 1
        try trial.expect(try trial.submit([append, check(second, at: 4)]), [.conflict, .conflict])
        try trial.expect(try trial.store.summary(of: first.runID), before)
        second.status = .error
        try trial.expect(try trial.submit([append, check(second, at: 1)]), [.appended, .appended])
        try trial.expect(try trial.store.summary(of: second.runID)?.status, .running, "what is only checked is not changed")
        try trial.expect(try trial.store.positions(of: [first.runID, second.runID]), [first.runID: 2, second.runID: 1])
      },
      StoreCheck("creating a run that is there is a conflict") { trial in
        let summary = try trial.create(1)
        let again = Append(expectedPosition: 0, summary: T.summary(1), records: [T.event(1, 1, "{\"again\":1}")], position: 1)
        try trial.expect(try trial.append(again), .conflict)
        try trial.expect(try trial.store.summary(of: summary.runID), summary)
      },
      StoreCheck("appends to one run follow each other inside a batch") { trial in
        var summary = T.summary(1)
        let batch = [
          T.append([T.event(1, 1, "{}")], to: &summary), T.append([T.event(2, 2, "{}")], to: &summary),
          Append(expectedPosition: 1, summary: summary, records: [T.event(2, 2, "{\"lost\":1}")], position: 2),
        ]
        try trial.expect(try trial.submit(batch), [.appended, .appended, .conflict])
        try trial.expect(
          try trial.store.records(of: summary.runID, after: 0, maxBytes: 1 << 20), [T.event(1, 1, "{}"), T.event(2, 2, "{}")])
      },
      StoreCheck("an idempotency key names one run as long as that is there") { trial in
        let first = try trial.create(1) { $0.idempotencyKey = "k" }
        var second = T.summary(2)
        second.idempotencyKey = "k"
        let creation = T.append([T.event(1, 1, "{}")], to: &second)
        try trial.expect(try trial.append(creation), .keyTaken(first.runID))
        try trial.expect(try trial.store.summary(of: second.runID), nil)
        try trial.expect(try trial.store.run(withIdempotencyKey: "k"), first.runID)
        try trial.expect(try trial.store.run(withIdempotencyKey: "K"), nil)
        try trial.store.delete(run: first.runID)
        try trial.expect(try trial.store.run(withIdempotencyKey: "k"), nil)
        try trial.expect(try trial.append(creation), .appended)
        var third = T.summary(3)
        var fourth = T.summary(4)
        (third.idempotencyKey, fourth.idempotencyKey) = ("same batch", "same batch")
        let both = [T.append([T.event(1, 1, "{}")], to: &third), T.append([T.event(1, 1, "{}")], to: &fourth)]
        try trial.expect(try trial.submit(both), [.appended, .keyTaken(third.runID)])
      },
      StoreCheck("a deleted run is missing, with all that was of it") { trial in
        var summary = try trial.create(1)
        let neighbour = try trial.create(2)
        try trial.store.delete(run: summary.runID)
        try trial.expect(try trial.store.summary(of: summary.runID), nil)
        try trial.expect(try trial.store.records(of: summary.runID, after: 0, maxBytes: 1 << 20), [])
        try trial.expect(try trial.append(T.append([T.event(2, 2, "{}")], to: &summary)), .missing)
        try trial.expect(try trial.store.positions(of: [summary.runID, neighbour.runID]), [neighbour.runID: 1])
        let anew = try trial.create(1)
        try trial.expect(try trial.store.records(of: anew.runID, after: 0, maxBytes: 1 << 20), [T.event(1, 1, "{\"first\":1}")])
      },
      StoreCheck("an unknown run has nothing") { trial in
        let run = T.id(9)
        try trial.expect(try trial.store.summary(of: run), nil)
        try trial.expect(try trial.store.positions(of: [run]), [:])
        try trial.expect(try trial.store.records(of: run, after: 0, maxBytes: 100), [])
        try trial.expect(try trial.store.events(of: run, after: 0, limit: 10, maxBytes: 100).count, 0)
        try trial.store.delete(run: run)
        try trial.expect(try trial.submit([]), [])
      },
    ]
  }
}

extension Append {
  /// One whose summary says the position that its records end at.
  fileprivate init(expectedPosition: Int, summary: RunSummary, records: [LogRecord], position: Int) {
    self.init(expectedPosition: expectedPosition, summary: summary, records: records)
    self.summary.lastPosition = position
  }
}
