import AgentRuntime
import JSON

private typealias T = StoreTrial

extension StoreContract {
  static var blobs: [StoreCheck] {
    [
      StoreCheck("a blob of an append is read whole and in parts") { trial in
        var summary = T.summary(1)
        var blobs: [NewBlob] = []
        for (at, size) in [0, 1, 70_000, 262_143, 262_144, 262_145, 1_000_000].enumerated() {
          blobs.append(NewBlob(id: T.id(UInt64(1000 + at)), type: at % 2 == 0 ? .json : .string, value: T.pattern(size, seed: at)))
        }
        try trial.expect(try trial.append(T.append([T.event(1, 1, "{}")], to: &summary, blobs: blobs)), .appended)
        for blob in blobs {
          let found = try trial.store.blob(blob.id)
          try trial.expect(found?.type, blob.type)
          try trial.expect(found?.bytes, blob.value.count)
          try trial.expectParts(of: blob.id, are: blob.value)
        }
        try trial.expect(try trial.store.blob(T.id(5)) == nil, true, "an unknown blob")
        try trial.expect(try trial.store.blobBytes(T.id(5), offset: 0, length: 10), Bytes())
      },
      StoreCheck("the blobs of a conflict are not stored") { trial in
        let summary = try trial.create(1)
        let blob = NewBlob(id: T.id(50), type: .string, value: T.pattern(100))
        var stale = Append(expectedPosition: 7, summary: summary, records: [T.event(8, 8, "{}")], blobs: [blob])
        stale.summary.lastPosition = 8
        try trial.expect(try trial.append(stale), .conflict)
        try trial.expect(try trial.store.blob(blob.id) == nil, true)
      },
      StoreCheck("a blob that a client builds is there when it is complete") { trial in
        let whole = T.pattern(700_000)
        let id = T.id(60)
        var start = 0
        for size in [1, 10_000, 300_000, 0, 389_999] {
          let size = try trial.store.appendToBlob(id, type: .json, chunk: whole[start..<start + size], last: false)
          start = size
          try trial.expect(try trial.store.blob(id) == nil, true, "an incomplete blob")
        }
        try trial.expect(start, 700_000)
        try trial.expect(try trial.store.appendToBlob(id, type: .json, chunk: Bytes(), last: true), 700_000)
        try trial.expect(try trial.store.blob(id)?.bytes, 700_000)
        try trial.expect(try trial.store.blob(id)?.type, .json)
        try trial.expectParts(of: id, are: whole)
        do {
          _ = try trial.store.appendToBlob(id, type: .json, chunk: whole, last: false)
          throw StoreContractFailure(description: "a complete blob grew")
        } catch is StoreError {}
        try trial.expect(try trial.store.blob(id)?.bytes, 700_000)
      },
      StoreCheck("blobs go with the last run that names them") { trial in
        let built = T.id(70)
        let own = NewBlob(id: T.id(71), type: .string, value: T.pattern(300_000))
        _ = try trial.store.appendToBlob(built, type: .string, chunk: T.pattern(5000), last: true)
        var summaries = (1...3).map { T.summary($0) }
        for at in summaries.indices {
          var append = T.append([T.event(1, 1, "{}")], to: &summaries[at], blobs: at == 0 ? [own] : [])
          append.adoptedBlobs = at == 2 ? [T.id(999)] : [built, own.id]
          try trial.expect(try trial.append(append), .appended)
        }
        try trial.store.delete(run: T.id(1))
        try trial.expectParts(of: built, are: T.pattern(5000))
        try trial.expectParts(of: own.id, are: own.value)
        try trial.store.delete(run: T.id(3))
        try trial.expect(try trial.store.blob(built)?.bytes, 5000)
        try trial.store.delete(run: T.id(2))
        for id in [built, own.id] {
          try trial.expect(try trial.store.blob(id) == nil, true, "a blob of deleted runs")
          try trial.expect(try trial.store.blobBytes(id, offset: 0, length: 10), Bytes())
        }
      },
      StoreCheck("the blobs of a run are its own and those that it names") { trial in
        let (own, built, other) = (T.id(80), T.id(81), T.id(82))
        _ = try trial.store.appendToBlob(built, type: .json, chunk: T.pattern(10), last: true)
        var (first, second) = (T.summary(1), T.summary(2))
        var append = T.append([T.event(1, 1, "{}")], to: &first, blobs: [NewBlob(id: own, type: .string, value: T.pattern(20))])
        append.adoptedBlobs = [built]
        try trial.expect(try trial.append(append), .appended)
        append = T.append([T.event(1, 1, "{}")], to: &second, blobs: [NewBlob(id: other, type: .string, value: T.pattern(30))])
        append.adoptedBlobs = [own]
        try trial.expect(try trial.append(append), .appended)
        try trial.expect(try trial.store.blobs(of: first.runID), [own, built])
        try trial.expect(try trial.store.blobs(of: second.runID), [own, other])
        try trial.expect(try trial.store.blobs(of: T.id(3)), [])
      },
      StoreCheck("nobody observes a run that only this process has") { trial in
        let run = try trial.create(1).runID
        try trial.expect(try trial.store.observed(among: [run]), [])
        try trial.store.observe(run, true)
        try trial.expect(try trial.store.observed(among: [run]), [])
        try trial.store.publish([LiveChunk(runID: run, event: Bytes("{}"))])
        try trial.expect(try trial.store.liveChunks(), [])
        try trial.store.observe(run, false)
      },
    ]
  }
}

extension StoreTrial {
  fileprivate func expectParts(of id: ULID, are whole: Bytes) throws {
    let n = whole.count
    let parts = [
      (0, n), (0, 1), (0, n + 100), (1, n), (n / 2, 10), (n - 1, 1), (n - 1, 50), (n, 10), (n + 5, 10), (262_140, 10), (262_144, 262_144),
      (0, 0),
      (100, 300_000),
    ]
    for (offset, length) in parts where offset >= 0 {
      let start = min(offset, n)
      let wanted = whole[start..<min(n, start + length)]
      let found = try store.blobBytes(id, offset: offset, length: length)
      try expect(found == wanted, true, "\(length) of \(n) bytes from \(offset)")
    }
  }
}
