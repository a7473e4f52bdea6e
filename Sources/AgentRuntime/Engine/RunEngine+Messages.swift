package import JSON

/// A message of a session, as `session.messages` shows it.
package struct SessionMessage: Sendable {
  package var id: ULID
  package var runID: ULID
  package var entry: TranscriptEntry
  /// Where the messages after it begin.
  package var next: RunEngine.MessageCursor

  /// The ids of a run's messages: the model's messages and the tool results have theirs, the others count on from the run's.
  static func id(of entry: TranscriptEntry, at index: Int, in runID: ULID) -> ULID {
    switch entry {
    case .assistant(let message): message.messageID
    case .tool(let callID, _, _, _): callID
    case .user, .said: ULID(high: runID.high, low: runID.low &+ UInt64(index))
    }
  }

  package func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("id", id.text)
    writer.member("runId", runID.text)
    switch entry {
    case .user(let blocks), .said(let blocks):
      if case .user = entry { writer.member("role", "user") } else { writer.member("role", "assistant") }
      writer.key("content")
      blocks.write(to: &writer)
    case .assistant(let message):
      writer.member("role", "assistant")
      writer.key("content")
      writer.beginArray()
      if message.text != .inline(CarriedJSON(string: "")) {
        writer.beginObject()
        writer.member("type", "text")
        writer.member("text", message.text.wire)
        writer.endObject()
      }
      writer.endArray()
      if !message.calls.isEmpty {
        writer.key("toolCalls")
        writer.beginArray()
        for call in message.calls {
          writer.beginObject()
          writer.member("callId", call.callID.text)
          writer.member("name", call.name)
          writer.member("arguments", call.arguments.wire)
          writer.endObject()
        }
        writer.endArray()
      }
    case .tool(let callID, let name, let result, _):
      writer.member("role", "tool")
      writer.member("callId", callID.text)
      writer.member("name", name)
      writer.member("isError", result.isError)
      result.writeMembers(to: &writer)
    }
    writer.endObject()
  }
}

extension RunEngine {
  /// A place in a branch: the run's and the message's index.
  package struct MessageCursor: Sendable, Equatable {
    package var run = 0
    package var entry = 0

    package init() {}

    package init?(_ text: String) {
      let parts = text.split(separator: ".", omittingEmptySubsequences: false).compactMap { Int($0) }
      guard parts.count == 2, parts[0] >= 0, parts[1] >= 0 else { return nil }
      (run, entry) = (parts[0], parts[1])
    }

    package var text: String { "\(run).\(entry)" }
  }

  /// The messages of a branch in order, at most `limit` from the cursor on.
  package func messages(
    of sessionID: ULID, branchID: ULID?, from cursor: MessageCursor, limit: Int
  ) throws(RuntimeError) -> (messages: [SessionMessage], next: MessageCursor?) {
    let session = try session(sessionID)
    var found: [SessionMessage] = []
    var cursor = cursor
    var before = 0
    for span in try spans(of: try branch(branchID ?? session.mainBranch, of: sessionID)) {
      defer { before += span.turns.count }
      while cursor.run < before + span.turns.count {
        let number = span.turns.lowerBound + cursor.run - before
        guard let runID = try turnRun(span.branch.branchID, number) else { return (found, nil) }
        let count = number == span.turns.upperBound - 1 ? span.lastEntries ?? .max : .max
        for (index, entry) in try sessionEntries(of: runID).prefix(count).enumerated().dropFirst(cursor.entry) {
          if found.count == limit { return (found, cursor) }
          cursor.entry = index + 1
          found.append(SessionMessage(id: SessionMessage.id(of: entry, at: index, in: runID), runID: runID, entry: entry, next: cursor))
        }
        cursor.run += 1
        cursor.entry = 0
      }
    }
    return (found, nil)
  }

  /// Where a message stands, as the base of a branch that goes on after it.
  func findMessage(_ messageID: ULID, in sessionID: ULID) throws(RuntimeError) -> Branch.Base? {
    let branches = try branches(of: sessionID)
    for branch in branches {
      let first = branch.isCleared ? branch.clearedTurns : 0
      // Turns are nearly in the order of their runs' ids, and a message is made after its run: it is near the last run that is not younger.
      var low = first
      var high = branch.turns
      while low < high {
        let middle = (low + high) / 2
        guard let runID = try turnRun(branch.branchID, middle) else { return nil }
        if runID.milliseconds <= messageID.milliseconds { low = middle + 1 } else { high = middle }
      }
      for number in stride(from: low - 1, through: first, by: -1) {
        guard let runID = try turnRun(branch.branchID, number) else { continue }
        if let count = try entriesUpTo(messageID, in: runID) {
          return Branch.Base(branchID: branch.branchID, turns: number + 1, entries: count)
        }
        // A turn that had ended before the message was made has nothing after it.
        let row = try read { () throws(StoreError) in try store.summary(of: runID) }
        if let row, row.status.hasEnded, row.epoch > 0, row.updatedAt.milliseconds < messageID.milliseconds { break }
      }
    }
    return nil
  }

  /// How many of the run's messages there are up to this one, with the results of all calls that stand in them.
  private func entriesUpTo(_ messageID: ULID, in runID: ULID) throws(RuntimeError) -> Int? {
    let entries = try sessionEntries(of: runID)
    guard let place = entries.indices.first(where: { SessionMessage.id(of: entries[$0], at: $0, in: runID) == messageID }) else {
      return nil
    }
    var count = place + 1
    while count < entries.count, case .tool = entries[count] { count += 1 }
    if case .assistant(let message) = entries[count - 1], !message.calls.isEmpty {
      throw .invalidParams("the calls of this message have no results yet", at: "/atMessageId")
    }
    return count
  }
}
