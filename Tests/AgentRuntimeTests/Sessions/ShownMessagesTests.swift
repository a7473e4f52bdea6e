import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Compactions count messages of deleted turns as if they were there.
@Suite struct ShownMessagesTests {
  private func message(_ number: Int) -> TranscriptEntry { .user([.text("\(number)")]) }

  private let summary = StoredValue.inline(CarriedJSON(string: "summary"))

  /// Turns of one to four messages, some of them deleted: with the missing ones as nil, and as they are shown.
  private func turns(_ random: inout Chance) -> (whole: [TranscriptEntry?], shown: ShownMessages) {
    var whole: [TranscriptEntry?] = []
    var shown = ShownMessages()
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      let entries = (0..<Int.random(in: 1...4, using: &random)).map { message(whole.count + $0) }
      if Bool.random(using: &random) {
        whole += entries
        shown.entries += entries
      } else {
        whole += entries.map { _ in nil }
        shown.append(missing: entries.count)
      }
    }
    return (whole, shown)
  }

  private func range(in count: Int, _ random: inout Chance) -> Range<Int> {
    let ends = [Int.random(in: 0...count, using: &random), Int.random(in: 0...count, using: &random)].sorted()
    return ends[0]..<ends[1]
  }

  @Test func `a compaction leaves out the same messages, whichever turns are deleted`() {
    var random = Chance(1)
    for _ in 0..<5000 {
      var (whole, shown) = turns(&random)
      for _ in 0..<3 {
        let left = range(in: whole.count, &random)
        let compaction = Compaction(first: left.lowerBound, count: left.count, summary: Bool.random(using: &random) ? summary : nil)
        #expect(shown.range(of: compaction).map { Array(shown.entries[$0]) } == whole[left].compactMap(\.self))
        whole.replaceSubrange(left, with: compaction.note)
        shown.apply(compaction)
        #expect(shown.entries == whole.compactMap(\.self))
      }
    }
  }

  @Test func `a plan for what is shown is counted so that it means the same messages`() {
    var random = Chance(2)
    for _ in 0..<5000 {
      var (whole, shown) = turns(&random)
      let left = range(in: shown.entries.count, &random)
      if left.isEmpty { continue }
      let compaction = shown.counted(Compaction(first: left.lowerBound, count: left.count, summary: nil))
      #expect(shown.range(of: compaction) == left)
      whole.removeSubrange(compaction.first..<compaction.first + compaction.count)
      var rest = shown.entries
      rest.removeSubrange(left)
      shown.apply(compaction)
      #expect(shown.entries == rest && whole.compactMap(\.self) == rest)
    }
  }

  @Test func `a compaction that counts more than there was changes nothing`() {
    var shown = ShownMessages([message(1)])
    shown.append(missing: 2)
    shown.apply(Compaction(first: 0, count: 4, summary: nil))
    #expect(shown.entries == [message(1)])
    shown.apply(Compaction(first: 0, count: 3, summary: nil))
    #expect(shown.entries == [])
  }
}
