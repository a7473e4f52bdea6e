import JSON

/// Where a run stands in a session; in the log with `run.started`.
package struct TurnPlace: Sendable, Equatable {
  package var sessionID: ULID
  package var branchID: ULID
  /// The place in the branch, from 0.
  package var number: Int
  /// The run of the turn before it in this branch.
  package var previous: ULID?

  package init(sessionID: ULID, branchID: ULID, number: Int, previous: ULID?) {
    self.sessionID = sessionID
    self.branchID = branchID
    self.number = number
    self.previous = previous
  }

  init?(reading value: CarriedJSON?) {
    guard let value, let session = value["sessionId"]?.stringValue.flatMap(ULID.init),
      let branch = value["branchId"]?.stringValue.flatMap(ULID.init), let number = value["number"]?.intValue
    else { return nil }
    self.init(sessionID: session, branchID: branch, number: number, previous: value["previous"]?.stringValue.flatMap(ULID.init))
  }

  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("sessionId", sessionID.text)
    writer.member("branchId", branchID.text)
    writer.member("number", number)
    writer.member("previous", ifPresent: previous?.text)
    writer.endObject()
  }
}
