/// Messages as a model is shown them, and where between them those of deleted turns stood.
///
/// A compaction counts messages. When a turn is deleted, its messages go on counting, so that a compaction made before means the same ones after:
/// a place in the log is one in the list as if nothing had been deleted.
struct ShownMessages: Sendable, Equatable {
  /// Messages that are not there any more.
  struct Gap: Sendable, Equatable {
    /// They stood before the entry at this place.
    var place: Int
    var count: Int
  }

  var entries: [TranscriptEntry] = []
  /// In the order of their places.
  private(set) var gaps: [Gap] = []

  init(_ entries: [TranscriptEntry] = []) { self.entries = entries }

  mutating func append(missing count: Int) {
    if count > 0 { gaps.append(Gap(place: entries.count, count: count)) }
  }

  /// The entries that a compaction is about, as far as they are there; nil for one that counts more than there ever were.
  func range(of compaction: Compaction) -> Range<Int>? {
    let end = compaction.first + compaction.count
    guard compaction.first >= 0, compaction.count >= 0, end <= entries.count + gaps.reduce(0, { $0 + $1.count }) else { return nil }
    return place(counted: compaction.first)..<place(counted: end)
  }

  /// How many entries there are before a place that counts the missing ones.
  private func place(counted: Int) -> Int {
    var place = counted
    var before = 0
    for gap in gaps {
      let start = gap.place + before
      if start >= counted { break }
      place -= min(gap.count, counted - start)
      before += gap.count
    }
    return place
  }

  /// The same plan, made for `entries`, as the log has it.
  func counted(_ plan: Compaction) -> Compaction {
    let end = plan.first + plan.count
    var counted = plan
    for gap in gaps {
      // What is missing at an edge stays outside.
      if gap.place <= plan.first { counted.first += gap.count } else if gap.place < end { counted.count += gap.count }
    }
    return counted
  }

  mutating func apply(_ compaction: Compaction) {
    guard let range = range(of: compaction) else { return }
    let end = compaction.first + compaction.count
    let note = compaction.note
    var left: [Gap] = []
    var before = 0
    for gap in gaps {
      let start = gap.place + before
      before += gap.count
      let kept = (before: max(0, min(gap.count, compaction.first - start)), after: max(0, min(gap.count, start + gap.count - end)))
      if kept.before > 0 { left.append(Gap(place: gap.place, count: kept.before)) }
      if kept.after > 0 { left.append(Gap(place: gap.place - range.count + note.count, count: kept.after)) }
    }
    gaps = left
    entries.replaceSubrange(range, with: note)
  }
}
