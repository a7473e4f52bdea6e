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

extension LogRecord {
  /// Itself, when all of it is JSON.
  package func checked(of run: ULID) throws(StoreError) -> LogRecord {
    for part in [event, hidden] {
      if let part { _ = try CarriedJSON(stored: part, "the log of run \(run) at position \(position)") }
    }
    return self
  }
}
