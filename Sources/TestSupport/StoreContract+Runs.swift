import AgentRuntime
import JSON

private typealias T = StoreTrial

extension StoreContract {
  static var runs: [StoreCheck] {
    [
      StoreCheck("this process lives, and one that never was does not") { trial in
        try trial.expect(trial.store.isAlive(trial.store.owner), true)
        try trial.expect(trial.store.isAlive(OwnerID(number: trial.store.owner.number + 1)), false)
        try trial.expect(trial.store.isAlive(OwnerID(number: 0)), false)
      },
      StoreCheck("this process's own commits are not changes by others") { trial in
        _ = try trial.store.changedByOthers()
        try trial.create(1)
        try trial.expect(try trial.store.changedByOthers(), false)
      },
      StoreCheck("opening a usable store again changes nothing, a closed one stays closed") { trial in
        let summary = try trial.create(1)
        let owner = trial.store.owner
        try trial.store.reopen()
        try trial.expect(trial.store.owner, owner)
        try trial.expect(try trial.store.summary(of: summary.runID), summary)
        try trial.expect(try trial.store.changedByOthers(), false)
        trial.store.close()
        do {
          try trial.store.reopen()
          throw StoreContractFailure(description: "a closed store was opened again")
        } catch is StoreError {}
      },
      StoreCheck("positions are told of the runs that exist") { trial in
        var first = try trial.create(1)
        let second = try trial.create(2)
        try trial.change(&first)
        try trial.expect(
          try trial.store.positions(of: [second.runID, T.id(3), first.runID]), [first.runID: 2, second.runID: 1])
        try trial.expect(try trial.store.positions(of: []), [:])
      },
      StoreCheck("orphans are the runs that are claimed or running and that no living process drives") { trial in
        let dead = OwnerID(number: trial.store.owner.number + 1)
        try trial.create(1, status: .running)
        try trial.create(2, status: .running) { $0.owner = dead }
        try trial.create(3, status: .running) { $0.owner = trial.store.owner }
        try trial.create(4, status: .queued)
        try trial.create(5, status: .queued) { $0.owner = dead }
        try trial.create(6, status: .waitingClientTool)
        try trial.create(7, status: .paused)
        try trial.create(8, status: .success) { $0.owner = dead }
        try trial.expect(Set(try trial.store.orphans()), [T.id(1), T.id(2), T.id(5)])
        var second = try trial.store.summary(of: T.id(2))!
        (second.status, second.owner) = (.waitingApproval, nil)
        try trial.change(&second)
        var fifth = try trial.store.summary(of: T.id(5))!
        fifth.owner = trial.store.owner
        try trial.change(&fifth)
        try trial.expect(Set(try trial.store.orphans()), [T.id(1)])
      },
    ]
  }

  static var lists: [StoreCheck] {
    [
      StoreCheck("runs are listed newest first, page by page") { trial in
        for number: UInt64 in [3, 1, 5, 2, 4] { try trial.create(number) }
        try trial.expect(try trial.list { $0.limit = 2 }, [5, 4])
        try trial.expect(
          try trial.list {
            $0.limit = 2
            $0.before = T.id(4)
          }, [3, 2])
        try trial.expect(try trial.list { $0.before = T.id(2) }, [1])
        try trial.expect(try trial.list { $0.before = T.id(1) }, [])
        try trial.expect(try trial.list { $0.limit = 0 }, [])
      },
      StoreCheck("a listed run is its whole row") { trial in
        var summary = try trial.create(1) {
          ($0.parentRunID, $0.sessionID, $0.agentID, $0.idempotencyKey) = (T.id(2), T.id(3), "clerk", "k")
          $0.metadata = CarriedJSON(trusted: Bytes("{\"a\":\"b\"}"))
        }
        (summary.owner, summary.epoch) = (trial.store.owner, 2)
        try trial.change(&summary)
        try trial.expect(try trial.store.runs(matching: RunQuery()), [summary])
      },
      StoreCheck("every status, and every pair of statuses, is found through all changes") { trial in
        let statuses = RunStatus.allCases
        var summaries: [RunSummary] = []
        for number in 0..<20 { summaries.append(try trial.create(UInt64(number), status: statuses[number % statuses.count])) }
        for round in 0..<3 {
          for a in statuses {
            for b in statuses {
              let wanted = summaries.filter { $0.status == a || $0.status == b }.map(\.runID.low).sorted(by: >)
              try trial.expect(try trial.list { $0.statuses = [a, b] }, wanted, "round \(round): \(a) and \(b)")
              let page = try trial.list {
                $0.statuses = [a, b]
                $0.before = T.id(11)
                $0.limit = 2
              }
              try trial.expect(page, Array(wanted.filter { $0 < 11 }.prefix(2)), "round \(round): a page of \(a) and \(b)")
            }
          }
          for at in summaries.indices {
            summaries[at].status = statuses[(at + 3 * round + 1) % statuses.count]
            try trial.change(&summaries[at])
          }
        }
      },
      StoreCheck("runs are found by session, also with a status") { trial in
        for number: UInt64 in 1...6 {
          try trial.create(number, status: number % 3 == 0 ? .success : .running) {
            if number != 5 { $0.sessionID = T.id(100 + number % 2) }
          }
        }
        try trial.expect(try trial.list { $0.sessionID = T.id(101) }, [3, 1])
        try trial.expect(try trial.list { $0.sessionID = T.id(100) }, [6, 4, 2])
        try trial.expect(
          try trial.list {
            $0.sessionID = T.id(100)
            $0.statuses = [.running, .error]
            $0.before = T.id(4)
          }, [2])
        try trial.expect(try trial.list { $0.sessionID = T.id(7) }, [])
      },
      StoreCheck("runs are found by the metadata they have, however it is written") { trial in
        let texts = [
          "{}", "{\"user\":\"ann\"}", "{ \"user\" : \"\\u0061nn\", \"team\":\"x\" }", "{\"user\":\"bob\",\"team\":\"ann\"}",
          "{\"q\":\"say \\\"hi\\\"\\n\"}", "{\"us\\u0065r\":\"ann\"}", "{\"user\":\"Ann\"}", "{\"user\":\"\"}",
        ]
        for (at, text) in texts.enumerated() {
          try trial.create(UInt64(at), status: at == 2 ? .error : .success) { $0.metadata = CarriedJSON(trusted: Bytes(text)) }
        }
        try trial.create(100)
        try trial.expect(try trial.list { $0.metadata = ["user": "ann"] }, [5, 2, 1])
        try trial.expect(try trial.list { $0.metadata = ["user": "ann", "team": "x"] }, [2])
        try trial.expect(try trial.list { $0.metadata = ["q": "say \"hi\"\n"] }, [4])
        try trial.expect(try trial.list { $0.metadata = ["user": ""] }, [7])
        try trial.expect(try trial.list { $0.metadata = ["nobody": "ann"] }, [])
        let page = try trial.list {
          $0.metadata = ["user": "ann"]
          $0.statuses = [.success, .error]
          $0.limit = 2
        }
        try trial.expect(page, [5, 2])
      },
    ]
  }
}

extension StoreTrial {
  /// The numbers of the runs that a query finds.
  fileprivate func list(_ change: (inout RunQuery) -> Void) throws -> [UInt64] {
    var query = RunQuery()
    change(&query)
    return try store.runs(matching: query).map(\.runID.low)
  }
}
