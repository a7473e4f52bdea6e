import AgentRuntime
import JSON
import Testing

@testable import SQLiteStore

@Suite struct PackedEventTests {
  private let run = ULID(milliseconds: 1_700_000_000_000, random: (1, 2))

  private func event(_ sequence: Int, _ type: String, _ rest: String) -> Bytes {
    Bytes("{\"runId\":\"\(run.text)\",\"seq\":\(sequence),\"type\":\"\(type)\",\"time\":\"2026-11-20T10:00:00.000Z\",\"data\":\(rest)}")
  }

  @Test(arguments: ["{}", #"{"a":[1,2]},"_meta":{"traceparent":"x"}"#, #"{"text":"é\"}"}"#])
  func `an event of the usual form is shorter, and the same when it is read`(rest: String) {
    let whole = event(12, "tool.completed", rest)
    let packed = PackedEvent.pack(whole, run: run, sequence: 12, type: "tool.completed")
    #expect(packed.count < whole.count - 80)
    #expect(PackedEvent.unpack(packed, run: run, sequence: 12, type: "tool.completed") == whole)
  }

  @Test(arguments: ["", "{", "{}", "P", "R", "Pabc", "plain", #"{"runId":"other","seq":1}"#])
  func `anything else is the same when it is read`(text: String) {
    let bytes = Bytes(text)
    let packed = PackedEvent.pack(bytes, run: run, sequence: 1, type: "x")
    #expect(PackedEvent.unpack(packed, run: run, sequence: 1, type: "x") == bytes)
  }

  @Test func `an event whose row says something else is kept as it is`() {
    let whole = event(3, "model.started", "{}")
    #expect(PackedEvent.pack(whole, run: run, sequence: 4, type: "model.started") == whole)
    #expect(PackedEvent.pack(whole, run: run, sequence: 3, type: "model.completed") == whole)
  }
}
