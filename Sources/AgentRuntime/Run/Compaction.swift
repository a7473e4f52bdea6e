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

  /// As the member `compactions`, unless there are none.
  static func write(_ compactions: [Compaction], to writer: inout JSONWriter) {
    if compactions.isEmpty { return }
    writer.key("compactions")
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
  /// of that with their results. A call is never parted from its result.
  /// - Returns: nil when nothing can be left out.
  static func plan(for entries: [TranscriptEntry]) -> Compaction? {
    let total = entries.reduce(0) { $0 + $1.byteCount }
    var before: [Int] = [0]
    for entry in entries { before.append((before.last ?? 0) + entry.byteCount) }
    func best(_ places: [Int], from first: Int) -> Compaction? {
      guard let last = places.last else { return nil }
      let place = places.first { before[$0] - before[first] >= total / 2 } ?? last
      return Compaction(first: first, count: place - first)
    }
    let turns = entries.indices.filter { index in if case .user = entries[index] { index > 0 } else { false } }
    let older = best(turns, from: 0)
    // What stands there may be the summary of what was there before: to make another of it makes no room.
    if let older, before[older.count] >= total / 4 { return older }
    let last = turns.last ?? 0
    guard last < entries.count, case .user = entries[last] else { return older }
    let steps = entries.indices.filter { index in if case .assistant = entries[index] { index > last + 1 } else { false } }
    return best(steps, from: last + 1) ?? older
  }
}

extension Compaction {
  init?(reading value: CarriedJSON) {
    guard let first = value["first"]?.intValue, let count = value["count"]?.intValue else { return nil }
    self.init(first: first, count: count, summary: value["summary"].map(StoredValue.init(wire:)))
  }
}
