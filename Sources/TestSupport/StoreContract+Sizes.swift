import AgentRuntime
import JSON

private typealias T = StoreTrial

extension StoreContract {
  static var sizes: [StoreCheck] {
    [
      StoreCheck("records of every size come back byte for byte") { trial in
        var summary = T.summary(1)
        var records: [LogRecord] = []
        for size in [2, 4, 1299, 1300, 1301, 1999, 2600, 2601, 8157, 8158, 16_000, 32_767, 32_768, 32_769, 100_000, 1_000_000] {
          let at = records.count + 1
          var record = LogRecord(position: at, sequence: at, type: "t", event: T.pattern(size, seed: at), hidden: nil)
          if at % 3 == 0 { record.hidden = T.pattern(size / 2, seed: -at) }
          if at % 5 == 0 { (record.event, record.sequence) = (nil, nil) }
          if at % 5 == 1 { record.hidden = T.pattern(size * 2, seed: -at) }
          records.append(record)
        }
        try trial.expect(try trial.append(T.append(records, to: &summary)), .appended)
        let found = try trial.store.records(of: summary.runID, after: 0, maxBytes: 1 << 30)
        try trial.expect(found.map(\.position), records.map(\.position))
        for (a, b) in zip(found, records) { try trial.expect(a == b, true, "record \(b.position)") }
        let events = try trial.store.events(of: summary.runID, after: 0, limit: 1000, maxBytes: 1 << 30)
        let wanted = records.filter { $0.sequence != nil }
        try trial.expect(events.map(\.sequence), wanted.map { $0.sequence ?? 0 })
        for (a, b) in zip(events, wanted) { try trial.expect(a.event == b.event, true, "event \(b.position)") }
      },
      StoreCheck("records come in portions of about the bytes asked for, at least one at a time") { trial in
        var summary = T.summary(1)
        let sizes = [100, 100, 5000, 100, 100]
        let records = sizes.enumerated().map { at, size in
          LogRecord(position: at + 1, sequence: at + 1, type: "t", event: T.pattern(size, seed: at), hidden: nil)
        }
        try trial.expect(try trial.append(T.append(records, to: &summary)), .appended)
        func portion(_ after: Int, _ bytes: Int) throws -> [Int] {
          try trial.store.records(of: summary.runID, after: after, maxBytes: bytes).map(\.position)
        }
        try trial.expect(try portion(0, 200), [1, 2])
        try trial.expect(try portion(0, 0), [1])
        try trial.expect(try portion(0, 250), [1, 2])
        try trial.expect(try portion(2, 10), [3])
        try trial.expect(try portion(2, 5100), [3, 4])
        try trial.expect(try portion(0, 5200), [1, 2, 3])
        try trial.expect(try portion(5, 1000), [])
        try trial.expect(try portion(6, 1000), [])
      },
      StoreCheck("events leave out the runtime's own records and keep to both limits") { trial in
        var summary = T.summary(1)
        var records: [LogRecord] = []
        for sequence in 1...20 {
          for _ in 0..<sequence % 3 { records.append(T.own(records.count + 1, "{}")) }
          records.append(T.event(records.count + 1, sequence, "{\"event\":\(sequence + 100)}"))
        }
        try trial.expect(try trial.append(T.append(records, to: &summary)), .appended)
        for after in 0...20 {
          let events = try trial.store.events(of: summary.runID, after: after, limit: 100, maxBytes: 1 << 20)
          try trial.expect(events.map(\.sequence), Array(after + 1..<21), "after \(after)")
          try trial.expect(events.map(\.event), (after + 1..<21).map { Bytes("{\"event\":\($0 + 100)}") }, "after \(after)")
        }
        func portion(_ after: Int, _ limit: Int, _ bytes: Int) throws -> [Int] {
          try trial.store.events(of: summary.runID, after: after, limit: limit, maxBytes: bytes).map(\.sequence)
        }
        try trial.expect(try portion(3, 2, 1000), [4, 5])
        try trial.expect(try portion(3, 100, 26), [4, 5])
        try trial.expect(try portion(3, 100, 1), [4])
        try trial.expect(try portion(3, 0, 100), [])
      },
      StoreCheck("the logs of many runs that grow together stay apart") { trial in
        var summaries = (1...20).map { T.summary($0) }
        var logs: [[LogRecord]] = Array(repeating: [], count: 20)
        for round in 1...12 {
          var batch: [Append] = []
          for at in summaries.indices {
            let event = T.pattern(round * 397 + at, seed: round * 100 + at)
            let record = LogRecord(position: round, sequence: round, type: "t", event: event, hidden: nil)
            logs[at].append(record)
            batch.append(T.append([record], to: &summaries[at]))
          }
          try trial.expect(try trial.submit(batch), Array(repeating: .appended, count: 20))
        }
        for (summary, log) in zip(summaries, logs) {
          try trial.expect(try trial.store.records(of: summary.runID, after: 0, maxBytes: 1 << 20) == log, true, "\(summary.runID)")
        }
      },
    ]
  }
}
