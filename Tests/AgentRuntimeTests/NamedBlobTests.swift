import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Blobs that the log of a run names go with that run, whoever has stored them.
@Suite struct NamedBlobTests {
  private let world = VirtualWorld()
  private let process: VirtualProcess
  private static let ids = (1...4 as ClosedRange<UInt64>).map { ULID(high: 9, low: $0) }

  init() { process = world.launch(model: ScriptedModel([.call(("a", "{}")), .say("ok")])) }

  @Test func `the names in records are found wherever they stand, and those in texts are not`() {
    func name(_ index: Int) -> String {
      BlobReference(id: Self.ids[index], type: .json, bytes: 9, preview: #"{"$blob":""#).wire.bytes.string
    }
    let text = CarriedJSON(string: name(3)).bytes.string
    var record = StoreTrial.event(1, 1, #"{"data":{"a":[\#(name(0)),\#(text)],"b":\#(name(1)),"$blob":"\#(Self.ids[3])"}}"#)
    record.hidden = Bytes(#"{"x":\#(name(2)),"y":{"$blob":"no id"},"z":{"$blob":""#)
    #expect([record, StoreTrial.own(2, "{}")].namedBlobs == Set(Self.ids[0..<3]))
  }

  @Test func `a result that names a blob makes its run one of those that the blob goes with`() throws {
    let started = process.start("hi", startParams(tools: [clientTool("a")]), delivery: .pause)
    let run = try #require(started.runID)
    let call = try #require(started.outcome?.pendingCalls.first?.callID.text)
    _ = try process.store.appendToBlob(Self.ids[0], type: .string, chunk: Bytes("text"), last: true)
    var result = ToolResult()
    result.content = [.text(.blob(BlobReference(id: Self.ids[0], type: .string, bytes: 4, preview: "text")))]
    _ = process.submit(run, [(call, result)])
    #expect(process.model.shown.last?.last == "a: text")
    #expect(world.disk.blobs(of: run) == [Self.ids[0]])
    process.act { #expect((try? $0.delete(run)) != nil) }
    #expect(world.disk.blobCount == 0)
  }
}
