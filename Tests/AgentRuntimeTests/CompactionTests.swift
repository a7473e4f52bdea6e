import JSON
import Testing

@testable import AgentRuntime

/// What is left out of a conversation that a model cannot read whole.
@Suite struct CompactionTests {
  /// `u10` is a message of ten bytes by the user, `q10` the one that the run began with, `a10` one by the model, `t10` a result.
  private func plan(_ words: String) -> String? {
    var question: TranscriptEntry?
    let entries = words.split(separator: " ").map { word -> TranscriptEntry in
      // With its quotes.
      let letter = word.first == "q" ? "q" : "x"
      let text = StoredValue.inline(CarriedJSON(string: String(repeating: letter, count: Int(word.dropFirst())! - 2)))
      switch word.first {
      case "u": return .user([.text(text)])
      case "q":
        question = .user([.text(text)])
        return .user([.text(text)])
      case "a":
        return .assistant(ModelMessage(messageID: ULID(high: 1, low: 1), text: text, calls: [], usage: Usage(), stopReason: ""))
      default:
        return .tool(
          callID: ULID(high: 1, low: 2), name: "t", result: ToolResult(logged: json("{\"content\":\(text.wire.bytes.string)}")),
          maxBytes: 100)
      }
    }
    return Compaction.plan(for: entries, question: question).map { "\($0.first)+\($0.count)" }
  }

  @Test(
    arguments: [
      // Whole turns, until about half is gone.
      ("u10 a10 u10 a10 u10 a10 u10", "0+4"), ("u10 a10 u10", "0+2"), ("u90 a90 u10 a10 u10", "0+2"),
      // When nothing before the last turn makes room, the older calls of that.
      ("u10 a40 t40 a40 t40 a10", "1+4"), ("u10 a40 t40 t40 a10", "1+3"),
      ("u10 u10 a40 t40 a40 t40 a10", "2+4"), ("u10 a10 u10 a40 t40 a40 t40", "3+2"),
      // A little, when there is no more.
      ("u10 u90", "0+1"), ("u10 a10 u90 a90 t90", "0+2"),
      // What a user says while a turn is at work begins none: what was asked stays.
      ("q10 a10 t10 u10 a40 t40 a40 t40", "1+5"), ("u10 a10 q10 a40 t40 u10 a40 t40", "3+3"), ("q10 a40 t40 u10 a40 t40 u10 a9 t9", "1+6"),
      ("u10 a10 t90 u10 a10 u10 a10 q10", "0+5"),
      // But a turn that ended with its calls is over when the next one begins.
      ("u10 a40 t40 q10", "0+3"),
      // Messages that wait together are one turn.
      ("u10 a10 u10 u10 q10 a40 t40 a40 t40", "5+2"), ("u90 a90 u10 u10 q10 a10 t10", "0+2"), ("u90 u90 q10", "0+2"),
      ("u100", nil), ("u10 a90 t90", nil), ("a10 a10", nil), ("", nil),
    ] as [(String, String?)])
  func `room is made where there is something to leave out`(words: String, expected: String?) {
    #expect(plan(words) == expected)
  }
}
