package import JSON

/// Something that observers see at once and that is in no log: streamed text, a tool's progress.
package enum StreamedDelta: Sendable {
  case text(messageID: ULID, String)
  case reasoning(messageID: ULID, String)
  /// An object of members besides the call's id.
  case toolProgress(callID: ULID, CarriedJSON)

  /// A text longer than this travels in several events.
  package static let longestText = 32768

  /// What an ephemeral `run.event` says; nil for another event.
  package init?(_ event: Bytes) {
    let event = CarriedJSON(trusted: event)
    guard let type = event["type"]?.stringValue, let data = event["data"] else { return nil }
    if type == "tool.progress" {
      guard let callID = data["callId"]?.stringValue.flatMap(ULID.init) else { return nil }
      self = .toolProgress(callID: callID, data)
      return
    }
    guard let messageID = data["messageId"]?.stringValue.flatMap(ULID.init), let text = data["text"]?.stringValue else { return nil }
    switch type {
    case "text.delta": self = .text(messageID: messageID, text)
    case "reasoning.delta": self = .reasoning(messageID: messageID, text)
    default: return nil
    }
  }

  /// The `params` of the ephemeral `run.event`.
  package func event(of runID: ULID, at time: Timestamp) -> Bytes {
    var writer = JSONWriter(capacity: 256)
    writer.beginObject()
    writer.member("runId", runID)
    switch self {
    case .text: writer.member("type", "text.delta")
    case .reasoning: writer.member("type", "reasoning.delta")
    case .toolProgress: writer.member("type", "tool.progress")
    }
    writer.member("time", time)
    writer.key("data")
    writer.beginObject()
    switch self {
    case .text(let messageID, let text), .reasoning(let messageID, let text):
      writer.member("messageId", messageID)
      writer.member("text", text)
    case .toolProgress(let callID, let members):
      writer.member("callId", callID)
      members.forEachMember { name, value in
        guard name != "callId", name != "progressToken" else { return }
        writer.key(name)
        writer.value(value)
      }
    }
    writer.endObject()
    writer.endObject()
    return writer.finish()
  }

  /// Of its text or members.
  var byteCount: Int {
    switch self {
    case .text(_, let text), .reasoning(_, let text): text.utf8.count
    case .toolProgress(_, let members): members.bytes.count
    }
  }

  package var type: String {
    switch self {
    case .text: "text.delta"
    case .reasoning: "reasoning.delta"
    case .toolProgress: "tool.progress"
    }
  }

  /// The same deltas with neighbouring text of one message in one piece, and no piece longer than an event may be.
  package static func merged(
    _ deltas: [(runID: ULID, delta: StreamedDelta)], longest: Int = longestText
  ) -> [(runID: ULID, delta: StreamedDelta)] {
    var merged: [(runID: ULID, delta: StreamedDelta)] = []
    for (runID, delta) in deltas {
      // Cut as they grow, so that each costs what it is long, however much there is before it.
      if let last = merged.last, last.runID == runID, let joined = last.delta.joined(with: delta) {
        merged.removeLast()
        merged += joined.pieces(longest: longest).map { (runID, $0) }
      } else {
        merged += delta.pieces(longest: longest).map { (runID, $0) }
      }
    }
    return merged
  }

  private func joined(with next: StreamedDelta) -> StreamedDelta? {
    switch (self, next) {
    case (.text(let a, let x), .text(let b, let y)) where a == b: .text(messageID: a, x + y)
    case (.reasoning(let a, let x), .reasoning(let b, let y)) where a == b: .reasoning(messageID: a, x + y)
    default: nil
    }
  }

  /// This delta, cut at character borders where its text is too long for one event.
  package func pieces(longest: Int = longestText) -> [StreamedDelta] {
    switch self {
    case .text(let id, let text): Self.cut(text, longest).map { .text(messageID: id, $0) }
    case .reasoning(let id, let text): Self.cut(text, longest).map { .reasoning(messageID: id, $0) }
    case .toolProgress: [self]
    }
  }

  private static func cut(_ text: String, _ longest: Int) -> [String] {
    if text.utf8.count <= longest { return [text] }
    var pieces: [String] = []
    var rest = text[...]
    while rest.utf8.count > longest {
      var stop = rest.utf8.index(rest.startIndex, offsetBy: longest)
      // Back to where a character begins.
      while stop > rest.startIndex, UTF8.isContinuation(rest.utf8[stop]) { stop = rest.utf8.index(before: stop) }
      // One that is longer than a piece may be is one all the same.
      if stop == rest.startIndex { stop = rest.unicodeScalars.index(after: stop) }
      pieces.append(String(rest[..<stop]))
      rest = rest[stop...]
    }
    if !rest.isEmpty { pieces.append(String(rest)) }
    return pieces
  }
}

package enum EventType {
  /// The `type` of an event as it was logged or streamed.
  package static func read(_ event: Bytes) -> String { CarriedJSON(trusted: event)["type"]?.stringValue ?? "" }
}
