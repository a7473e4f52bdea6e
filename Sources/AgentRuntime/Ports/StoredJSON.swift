package import JSON

/// JSON as a store hands it back. A disk can change a byte without a word, and what is carried must be valid wherever it goes.
extension CarriedJSON {
  /// - Parameter place: what it is, for the error.
  package init(stored bytes: Bytes, _ place: @autoclosure () -> String) throws(StoreError) {
    let limits = JSONLimits(maxDepth: .max, maxNodes: .max)
    do throws(JSONError) { self = try CarriedJSON(validating: bytes, limits: limits) } catch {
      throw StoreError(.damaged, "\(place()) is damaged: it is not JSON any more (\(error.message))")
    }
  }
}

extension [LogRecord] {
  /// Itself, when it is what a log that ends at `lastPosition` has behind `position`, or the beginning of that: no record is missing, and all are JSON.
  ///
  /// A database that was repaired can have lost rows; what rests on such a log would be decided on half of what happened.
  package func checked(of run: ULID, after position: Int, lastPosition: Int) throws(StoreError) -> [LogRecord] {
    var expected = position
    for record in self {
      expected += 1
      guard record.position == expected else { throw .missingRecord(expected, of: run) }
      try record.check(of: run)
    }
    if isEmpty, position < lastPosition { throw .missingRecord(position + 1, of: run) }
    return self
  }
}

extension StoreError {
  fileprivate static func missingRecord(_ position: Int, of run: ULID) -> StoreError {
    StoreError(.damaged, "the log of run \(run) is damaged: the record at position \(position) is missing")
  }

  /// Some bytes of a blob are not in the store, though its row says so.
  package static func missingPart(of blob: ULID) -> StoreError {
    StoreError(.damaged, "blob \(blob) is damaged: a part of it is missing")
  }
}

extension LogRecord {
  fileprivate func check(of run: ULID) throws(StoreError) {
    for part in [event, hidden] {
      if let part { _ = try CarriedJSON(stored: part, "the log of run \(run) at position \(position)") }
    }
  }
}
