import AgentRuntime
import JSON
import Testing

@testable import BridgeService

/// What is streamed to a client that does not read.
@Suite struct WaitingDeltasTests {
  private let one = ULID(high: 1, low: 1)
  private let other = ULID(high: 1, low: 2)
  private let first = ULID(high: 2, low: 1)
  private let second = ULID(high: 2, low: 2)

  private func output(_ call: ULID, _ stream: String, _ text: String) -> StreamedDelta {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("stream", stream)
    writer.member("text", text)
    writer.endObject()
    return .toolProgress(callID: call, CarriedJSON(trusted: writer.finish()))
  }

  private func progress(_ call: ULID, _ number: Int) throws -> StreamedDelta {
    .toolProgress(callID: call, try CarriedJSON(validating: Bytes(#"{"progress":\#(number)}"#)))
  }

  /// What there is of runs that are ready, in words.
  private func take(_ waiting: inout WaitingDeltas, longestOutput: Int = 1000, _ ready: (ULID) -> Bool = { _ in true }) -> [String] {
    waiting.take(longestOutput: longestOutput, ready).map { entry in
      switch entry.delta {
      case .text(let message, let text): "\(entry.runID.low) text \(message.low) \(text)"
      case .reasoning(let message, let text): "\(entry.runID.low) reasoning \(message.low) \(text)"
      case .toolProgress(let call, let members): "\(entry.runID.low) progress \(call.low) \(members.bytes.string)"
      }
    }
  }

  @Test func `text is joined with the last of its run, whatever other runs say in between`() {
    var waiting = WaitingDeltas()
    for piece in ["a", "b"] {
      waiting.add(one, .text(messageID: first, piece))
      waiting.add(other, .text(messageID: second, piece))
    }
    waiting.add(one, .reasoning(messageID: first, "c"))
    waiting.add(one, .text(messageID: first, "d"))
    waiting.add(other, .text(messageID: second, "e"))
    #expect(take(&waiting) == ["1 text 1 ab", "2 text 2 abe", "1 reasoning 1 c", "1 text 1 d"])
    #expect(waiting.isEmpty)
  }

  @Test func `the output of commands is joined by call and stream, and of other progress the last counts`() throws {
    var waiting = WaitingDeltas()
    for number in 1...300 {
      waiting.add(one, output(first, "stdout", "\(number % 10)"))
      waiting.add(one, output(first, "stderr", "e"))
      waiting.add(one, output(second, "stdout", "s"))
      waiting.add(other, try progress(ULID(high: 3, low: 3), number))
    }
    let digits = (1...300).map { "\($0 % 10)" }.joined()
    #expect(
      take(&waiting) == [
        #"1 progress 1 {"stream":"stdout","text":"\#(digits)"}"#,
        #"1 progress 1 {"stream":"stderr","text":"\#(String(repeating: "e", count: 300))"}"#,
        #"1 progress 2 {"stream":"stdout","text":"\#(String(repeating: "s", count: 300))"}"#, #"2 progress 3 {"progress":300}"#,
      ])
  }

  @Test func `of a long output the newest whole lines are kept, and how much is left out is said`() {
    var waiting = WaitingDeltas()
    let line = String(repeating: "x", count: 99) + "\n"
    for _ in 0..<10_000 { waiting.add(one, output(first, "stdout", line)) }
    waiting.add(one, output(first, "stdout", "the end"))
    // 1,000,007 bytes in all; the newest 250 begin inside of a line.
    #expect(
      take(&waiting, longestOutput: 250) == [
        #"1 progress 1 {"stream":"stdout","text":"[999800 bytes left out]\n\#(line.dropLast())\n\#(line.dropLast())\nthe end"}"#
      ])
    for _ in 0..<100 { waiting.add(one, output(first, "stdout", "ä€")) }
    #expect(take(&waiting, longestOutput: 4) == [#"1 progress 1 {"stream":"stdout","text":"[497 bytes left out]\n€"}"#])
  }

  @Test func `what is not ready, and what is not dropped, waits on and is joined with what comes`() throws {
    var waiting = WaitingDeltas()
    waiting.add(one, .text(messageID: first, "a"))
    waiting.add(other, .text(messageID: second, "b"))
    waiting.add(other, output(first, "stdout", "o"))
    waiting.add(other, output(second, "stdout", "p"))
    waiting.add(other, try progress(second, 1))
    #expect(take(&waiting) { $0 == one } == ["1 text 1 a"])
    waiting.dropProgress(of: second)
    waiting.add(one, .text(messageID: first, "c"))
    waiting.add(other, output(first, "stdout", "q"))
    waiting.add(other, .text(messageID: second, "d"))
    #expect(take(&waiting) { $0 == other } == ["2 text 2 bd", #"2 progress 1 {"stream":"stdout","text":"oq"}"#])
    waiting.drop(one)
    #expect(waiting.isEmpty)
  }
}
