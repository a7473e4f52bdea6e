import AgentRuntime
import JSON

private typealias T = StoreTrial

extension StoreContract {
  static var documents: [StoreCheck] {
    [
      StoreCheck("a document is read as it was written, with its version") { trial in
        try trial.expect(try trial.store.document("agent", "a"), nil)
        try trial.expect(try trial.store.write([trial.write("a", 0, #"{"n":1.0}"#)]), true)
        try trial.expect(try trial.store.document("agent", "a"), trial.document("a", 1, #"{"n":1.0}"#))
        try trial.expect(try trial.store.document("other", "a"), nil)
        try trial.expect(try trial.store.write([trial.write("a", 1, "{}")]), true)
        try trial.expect(try trial.store.document("agent", "a"), trial.document("a", 2, "{}"))
        try trial.expect(try trial.store.write([trial.write("a", 2, nil)]), true)
        try trial.expect(try trial.store.document("agent", "a"), nil)
      },
      StoreCheck("a change of what others have changed is no change, nor are those beside it") { trial in
        try trial.expect(try trial.store.write([trial.write("a", 0, "1")]), true)
        for version in [0, 2] {
          try trial.expect(try trial.store.write([trial.write("b", 0, "1"), trial.write("a", version, "2")]), false)
        }
        try trial.expect(try trial.store.write([trial.write("c", 1, nil)]), false)
        try trial.expect(try trial.store.documents(matching: DocumentQuery(kind: "agent")), [trial.document("a", 1, "1")])
      },
      StoreCheck("documents are listed by kind and prefix, in the order of their bytes, forwards and backwards") { trial in
        let ids = ["a", "a/1", "a/2", "a/\u{e4}", "a/\u{1F600}", "b"]
        try trial.expect(try trial.store.write(ids.reversed().map { trial.write($0, 0, "1") }), true)
        var query = DocumentQuery(kind: "agent")
        func list() throws -> [String] { try trial.store.documents(matching: query).map(\.id) }
        try trial.expect(try list(), ids)
        query.limit = 2
        try trial.expect(try list(), ["a", "a/1"])
        query.after = "a/1"
        try trial.expect(try list(), ["a/2", "a/\u{e4}"])
        query.prefix = "a/"
        query.limit = 10
        try trial.expect(try list(), Array(ids[2..<5]))
        query.isDescending = true
        query.after = nil
        try trial.expect(try list(), ids[1..<5].reversed())
        query.after = "a/2"
        try trial.expect(try list(), ["a/1"])
        query.kind = "other"
        try trial.expect(try list(), [])
      },
      StoreCheck("a document is put back with its version, unless there is one") { trial in
        try trial.expect(try trial.store.documentKinds(), [])
        var old = trial.document("a", 7, "{}")
        try trial.expect(try trial.store.restore(old), true)
        try trial.expect(try trial.store.document("agent", "a"), old)
        old.version = 8
        try trial.expect(try trial.store.restore(old), false)
        try trial.expect(try trial.store.document("agent", "a")?.version, 7)
        try trial.expect(try trial.store.write([trial.write("a", 7, "1")]), true)
        try trial.expect(try trial.store.document("agent", "a")?.version, 8)
        (old.kind, old.id) = ("session", "b")
        try trial.expect(try trial.store.restore(old), true)
        try trial.expect(try trial.store.documentKinds(), ["agent", "session"])
      },
      StoreCheck("an append and its documents are one: both or neither") { trial in
        var run = T.summary(1)
        var first = T.append([T.event(1, 1, "{}")], to: &run)
        first.documents = [trial.write("a", 0, "1")]
        try trial.expect(try trial.append(first), .appended)
        try trial.expect(try trial.store.document("agent", "a")?.version, 1)
        var late = run
        var stale = T.append([T.event(2, 2, "{}")], to: &late)
        stale.documents = [trial.write("a", 0, "2")]
        try trial.expect(try trial.append(stale), .conflict)
        try trial.expect(try trial.store.summary(of: run.runID), run)
        var behind = stale
        behind.expectedPosition = 0
        behind.documents = [trial.write("a", 1, "2")]
        try trial.expect(try trial.append(behind), .conflict)
        try trial.expect(try trial.store.document("agent", "a")?.version, 1)
        var new = T.summary(2)
        var creating = T.append([T.event(1, 1, "{}")], to: &new)
        creating.documents = [trial.write("a", 0, "2")]
        try trial.expect(try trial.append(creating), .conflict)
        try trial.expect(try trial.store.summary(of: new.runID), nil)
      },
    ]
  }
}

extension StoreTrial {
  fileprivate static var time: Timestamp { Timestamp(milliseconds: 1_700_000_000_000) }

  fileprivate func write(_ id: String, _ version: Int, _ json: String?) -> DocumentWrite {
    DocumentWrite(
      kind: "agent", id: id, expectedVersion: version, json: json.map { CarriedJSON(trusted: Bytes($0)) }, updatedAt: Self.time)
  }

  fileprivate func document(_ id: String, _ version: Int, _ json: String) -> Document {
    Document(kind: "agent", id: id, version: version, updatedAt: Self.time, json: CarriedJSON(trusted: Bytes(json)))
  }
}
