import JSON
import Testing

@testable import AgentRuntime

@Suite struct StreamedDeltaTests {
  private let run = ULID(high: 1, low: 1)
  private let other = ULID(high: 1, low: 2)
  private let message = ULID(high: 2, low: 1)
  private let next = ULID(high: 2, low: 2)

  private func lines(_ deltas: [(runID: ULID, delta: StreamedDelta)]) -> [String] {
    deltas.map { entry in
      switch entry.delta {
      case .text(let id, let text): "\(entry.runID.low) text \(id.low) \(text)"
      case .reasoning(let id, let text): "\(entry.runID.low) reasoning \(id.low) \(text)"
      case .toolProgress(let id, let members): "\(entry.runID.low) progress \(id.low) \(members.bytes.string)"
      }
    }
  }

  @Test func `neighbouring text of one message is joined, everything else keeps its place`() {
    let deltas: [(runID: ULID, delta: StreamedDelta)] = [
      (run, .text(messageID: message, "a")), (run, .text(messageID: message, "b")), (run, .text(messageID: next, "c")),
      (run, .reasoning(messageID: next, "d")), (run, .reasoning(messageID: next, "e")), (run, .text(messageID: next, "f")),
      (other, .text(messageID: next, "g")), (run, .text(messageID: next, "h")), (run, .toolProgress(callID: next, .emptyObject)),
      (run, .toolProgress(callID: next, .emptyObject)), (run, .text(messageID: next, "i")),
    ]
    #expect(
      lines(StreamedDelta.merged(deltas)) == [
        "1 text 1 ab", "1 text 2 c", "1 reasoning 2 de", "1 text 2 f", "2 text 2 g", "1 text 2 h", "1 progress 2 {}", "1 progress 2 {}",
        "1 text 2 i",
      ])
    #expect(lines(StreamedDelta.merged([])) == [])
  }

  @Test("a long text travels in pieces that end between characters", arguments: ["a", "é", "€", "😀", "e\u{301}"])
  func pieces(character: String) {
    for prefix in ["", "x", "xx", "xxx"] {
      let text = prefix + String(repeating: character, count: 100_000 / character.utf8.count)
      let pieces = StreamedDelta.text(messageID: message, text).pieces().map { piece -> String in
        if case .text(message, let text) = piece { text } else { "" }
      }
      #expect(pieces.joined() == text)
      #expect(pieces.count == 4)
      #expect(pieces.allSatisfy { $0.utf8.count <= StreamedDelta.longestText })
      #expect(pieces.dropLast().allSatisfy { $0.utf8.count > StreamedDelta.longestText - 4 })
    }
  }

  @Test func `text that is joined is cut as it grows, into pieces as long as they may be`() {
    let parts = (0..<40).map { String(repeating: "\($0 % 10)é€", count: 100 + 97 * $0) }
    let merged = StreamedDelta.merged(parts.map { (run, .text(messageID: message, $0)) }, longest: 1000)
    let pieces = merged.map { entry in if case .text(message, let text) = entry.delta { text } else { "" } }
    #expect(pieces.joined() == parts.joined())
    #expect(pieces.allSatisfy { $0.utf8.count <= 1000 })
    #expect(pieces.dropLast().allSatisfy { $0.utf8.count > 1000 - 4 })
  }

  @Test func `a text of the greatest length is one piece`() {
    let text = String(repeating: "x", count: StreamedDelta.longestText)
    #expect(StreamedDelta.reasoning(messageID: message, text).pieces().count == 1)
    #expect(StreamedDelta.reasoning(messageID: message, text + "x").pieces().count == 2)
  }

  @Test func `an event says what it is of, and has no number`() {
    let time = Timestamp(milliseconds: 1_795_168_800_000)
    #expect(
      StreamedDelta.text(messageID: message, "say \"hi\"").event(of: run, at: time).string
        == #"{"runId":"\#(run.text)","type":"text.delta","time":"2026-11-20T10:00:00.000Z","data":{"messageId":"\#(message.text)","text":"say \"hi\""}}"#
    )
    let progress = json(#"{"progress":1,"callId":"forged","progressToken":"x","message":"half"}"#)
    #expect(
      StreamedDelta.toolProgress(callID: next, progress).event(of: run, at: time).string
        == #"{"runId":"\#(run.text)","type":"tool.progress","time":"2026-11-20T10:00:00.000Z","data":{"callId":"\#(next.text)","progress":1,"message":"half"}}"#
    )
  }
}
