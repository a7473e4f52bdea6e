import JSON

/// What becomes of a conversation that a model cannot read whole: `agent.compaction`.
package enum CompactionStrategy: String, Sendable, Codable {
  /// The run ends with `model.contextOverflow`.
  case none
  /// Older messages are left out.
  case truncate
  /// Older messages give place to a summary that the model makes.
  case summarize
}

/// Messages that a model is not shown any more; the log keeps them.
package struct Compaction: Sendable, Equatable {
  /// Of the messages as they were shown before, those of turns that are deleted by now among them.
  package var first: Int
  package var count: Int
  /// What stands for them.
  package var summary: StoredValue?

  func writeMembers(to writer: inout JSONWriter) {
    writer.member("first", first)
    writer.member("count", count)
    writer.member("summary", ifPresent: summary?.wire)
  }

  /// What is shown in their place.
  var note: [TranscriptEntry] { summary.map { [.user([.text(.inline(CarriedJSON(string: Self.heading))), .text($0)])] } ?? [] }

  static func write(_ compactions: [Compaction], to writer: inout JSONWriter) {
    writer.beginArray()
    for compaction in compactions {
      writer.beginObject()
      compaction.writeMembers(to: &writer)
      writer.endObject()
    }
    writer.endArray()
  }

  private static let heading = "Summary of the conversation so far:"

  /// What to leave out so that about half remains: whole turns from the beginning, or, when these are little beside the last turn, the older calls
  /// of that with their results. A call is never parted from its result, and what the run was asked stays.
  ///
  /// - Parameter question: The last message of the user that the run began with. What a user says after it, a note or word of an approval, begins no
  ///   turn.
  /// - Returns: nil when nothing can be left out.
  static func plan(for entries: [TranscriptEntry], question: TranscriptEntry?) -> Compaction? {
    let total = entries.reduce(0) { $0 + $1.byteCount }
    var before: [Int] = [0]
    for entry in entries { before.append((before.last ?? 0) + entry.byteCount) }
    func best(_ places: [Int], from first: Int) -> Compaction? {
      guard let last = places.last else { return nil }
      let place = places.first { before[$0] - before[first] >= total / 2 } ?? last
      return Compaction(first: first, count: place - first)
    }
    let last = question.flatMap { entries.lastIndex(of: $0) } ?? entries.lastIndex(where: \.isUser) ?? 0
    let older = best(beginnings(of: entries, upTo: last), from: 0)
    // What stands there may be the summary of what was there before: to make another of it makes no room.
    if let older, before[older.count] >= total / 4 { return older }
    guard last < entries.count, entries[last].isUser else { return older }
    let steps = entries.indices.filter { index in if case .assistant = entries[index] { index > last + 1 } else { false } }
    if let found = best(steps, from: last + 1) ?? older { return found }
    // Messages that wait together are one turn: the first of them go when there is nothing else.
    return best(entries.indices.filter { $0 > 0 && $0 <= last && entries[$0].isUser }, from: 0)
  }

  /// Where a turn begins, up to the last one's question. In a turn that is over, a note after calls is no beginning; one that came after an answer
  /// cannot be told from one.
  private static func beginnings(of entries: [TranscriptEntry], upTo question: Int) -> [Int] {
    func isFirst(_ index: Int) -> Bool { index > 0 && entries[index].isUser && !entries[index - 1].isUser }
    var last = question
    while last > 0, !isFirst(last) { last -= 1 }
    return entries.indices.filter { index in
      if index >= last { return index == last && isFirst(index) }
      if case .tool? = index > 0 ? entries[index - 1] : nil { return false }
      return isFirst(index)
    }
  }
}

extension TranscriptEntry {
  var isUser: Bool { if case .user = self { true } else { false } }
}

extension Compaction {
  init?(reading value: CarriedJSON) {
    guard let first = value["first"]?.intValue, let count = value["count"]?.intValue else { return nil }
    self.init(first: first, count: count, summary: value["summary"].map(StoredValue.init(wire:)))
  }
}
