import JSON
import Synchronization
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// Requests from parts: what is kept must be what would be made.
@Suite struct TranscriptRendererTests {
  private let large = BlobReference(id: Sample.callB, type: .string, bytes: 100_000, preview: "")

  /// A long conversation with everything in it.
  private func transcript(_ turns: Int) throws -> [TranscriptEntry] {
    var transcript = [Sample.user("Go.")]
    for turn in 0..<turns {
      let calls = (0...turn % 3).map { (ULID(high: UInt64(turn) + 10, low: UInt64($0)), "tool\($0)", "{\"turn\":\(turn)}") }
      let notes =
        "{\"provider\":\"anthropic\",\"model\":\"m\",\"parts\":[{\"type\":\"text\",\"bytes\":4}\(calls.map { ",{\"type\":\"call\",\"id\":\"toolu_\($0.0.text)\"}" }.joined())]}"
      transcript.append(try Sample.said(turn % 5 == 4 ? "" : "look", calls, notes: turn % 2 == 0 ? notes : nil))
      for (index, call) in calls.enumerated() {
        if turn % 7 == 3, index == 0 {
          var result = ToolResult()
          result.content = [.text(.blob(large))]
          transcript.append(.tool(callID: call.0, name: call.1, result: result, maxBytes: turn % 14 == 3 ? 1 << 20 : 1000))
        } else {
          let json =
            "{\"content\":[{\"type\":\"text\",\"text\":\"rows \(turn)\"},{\"type\":\"image\",\"data\":\"\(Sample.png)\",\"mimeType\":\"image/png\"}],\"isError\":\(turn % 4 == 1)}"
          transcript.append(try Sample.tool(call.0, call.1, json))
        }
      }
      if turn % 6 == 5 { transcript.append(Sample.user("note \(turn)")) }
    }
    return transcript
  }

  /// Counts what is read from the store.
  private final class Store: Sendable {
    private let count = Mutex(0)
    private let text = CarriedJSON(string: String(repeating: "ü\n", count: 33_333))
    var loads: Int { count.withLock { $0 } }
    var load: @Sendable (StoredValue) throws(StoreError) -> CarriedJSON {
      { [self] value in
        guard case .blob = value else { return value.wire }
        count.withLock { $0 += 1 }
        return text
      }
    }
  }

  @Test(arguments: ["anthropic:m", "openai:m", "openai-responses:m"])
  func `a request after many turns is the one that is made from scratch`(model: String) throws {
    let all = try transcript(80)
    let cache = ModelCache()
    let store = Store()
    var end = 1
    var checked = 0
    while end <= all.count {
      // A turn begins after results or notes, never between the results of a batch.
      if end == all.count || !isTool(all[end]) {
        let grown = try Sample.body(model, Array(all[..<end]), tools: [Sample.tool("a")], cache: cache, load: store.load)
        let fresh = try Sample.body(model, Array(all[..<end]), tools: [Sample.tool("a")], load: Store().load)
        #expect(grown.bytes == fresh.bytes, "after \(end) entries")
        checked += 1
      }
      end += 1
    }
    #expect(checked > 90)
  }

  /// As a branch takes over what was made for the one it leaves: of all lengths, also those that end within a batch of results.
  @Test(arguments: ["anthropic:m", "openai:m", "openai-responses:m"])
  func `a request after part of a conversation is the one that is made from scratch`(model: String) throws {
    let all = try transcript(80)
    let cache = ModelCache()
    let store = Store()
    // Turn by turn, so that parts are joined.
    for end in 1...all.count where end == all.count || !isTool(all[end]) {
      _ = try Sample.body(model, Array(all[..<end]), cache: cache, load: store.load)
    }
    for end in stride(from: 0, through: all.count, by: 3) {
      var shared = Array(all[..<end])
      if case .assistant? = shared.last { shared.removeLast() }
      let own = cache.prefix(shared.count)
      for _ in 0..<2 {
        shared.append(Sample.user("On from \(end)."))
        let grown = try Sample.body(model, shared, tools: [Sample.tool("a")], cache: own, load: store.load)
        let fresh = try Sample.body(model, shared, tools: [Sample.tool("a")], load: Store().load)
        #expect(grown.bytes == fresh.bytes, "after \(end) entries")
        shared.append(try Sample.said("yes", []))
      }
    }
    let whole = try Sample.body(model, all, cache: cache, load: store.load)
    #expect(whole.bytes == (try Sample.body(model, all, load: Store().load)).bytes)
  }

  private func isTool(_ entry: TranscriptEntry) -> Bool {
    if case .tool = entry { true } else { false }
  }

  @Test func `a large value is read for each request, unless little of it is shown`() throws {
    let all = try transcript(14)
    let cache = ModelCache()
    let store = Store()
    _ = try Sample.body("openai:m", all, cache: cache, load: store.load)
    #expect(store.loads == 2)
    _ = try Sample.body("openai:m", all, cache: cache, load: store.load)
    #expect(store.loads == 3)
  }

  @Test func `beyond its budget nothing more is kept, and requests are the same`() throws {
    let all = try transcript(30)
    let cache = ModelCache()
    let format = ChatFormat(agent: try Sample.agent("openai:m"), model: "m", base: "")
    let whole = try TranscriptRenderer.render(all, as: format, cache: ModelCache(), load: Store().load)
    for end in 1...all.count where end == all.count || !isTool(all[end]) {
      let part = Array(all[..<end])
      let small = try TranscriptRenderer.render(part, as: format, cache: cache, budget: 2000, load: Store().load)
      #expect(try small.pieces.joined == TranscriptRenderer.render(part, as: format, cache: ModelCache(), load: Store().load).pieces.joined)
    }
    #expect(whole.pieces.joined.count > 2000)
  }

  @Test func `parts made for another model or provider are not used`() throws {
    let all = try transcript(6)
    let cache = ModelCache()
    for model in ["anthropic:m", "anthropic:other", "openai:m", "openai-responses:m", "anthropic:m"] {
      #expect(try Sample.body(model, all, cache: cache).bytes == Sample.body(model, all).bytes)
    }
    // A transcript that became shorter is another one.
    #expect(try Sample.body("anthropic:m", Array(all[..<3]), cache: cache).bytes == Sample.body("anthropic:m", Array(all[..<3])).bytes)
  }

  /// As many messages or more, with the same beginning or with none: those that are not the same are never sent.
  @Test(arguments: ["anthropic:m", "openai:m", "openai-responses:m", "parent:m"])
  func `parts made of other messages are not used`(model: String) throws {
    let agent = try Sample.agent(model)
    let format: any TranscriptFormat =
      switch model {
      case "anthropic:m": AnthropicFormat(agent: agent, model: "m", base: "")
      case "openai:m": ChatFormat(agent: agent, model: "m", base: "")
      case "openai-responses:m": ResponsesFormat(agent: agent, model: "m", base: "")
      default: SamplingFormat(model: "m")
      }
    func bytes(_ entries: [TranscriptEntry], _ cache: ModelCache) throws -> String {
      try TranscriptRenderer.render(entries, as: format, cache: cache, load: Store().load).pieces.joined.string
    }
    let secret = try [
      Sample.user("My secret."), Sample.said("calling", [(Sample.callA, "a", "{}")]),
      Sample.tool(Sample.callA, "a", #"{"content":"the secret's result"}"#),
    ]
    let others = [Sample.user("What is 2+2?"), Sample.user("In words."), Sample.user("Be brief."), Sample.user("Now.")]
    for other in [Array(others[..<3]), others, Array(secret[..<1]) + others, Array(secret[..<2]) + others, Array(others[..<1])] {
      let cache = ModelCache()
      #expect(try bytes(secret, cache).contains("secret's result"))
      #expect(try bytes(other, cache) == bytes(other, ModelCache()))
      #expect(try bytes(secret, cache) == bytes(secret, ModelCache()))
    }
    // Also of a conversation that is so long that parts are joined.
    let long = try transcript(40)
    let cache = ModelCache()
    for end in 1...long.count where end == long.count || !isTool(long[end]) { _ = try bytes(Array(long[..<end]), cache) }
    let changed = long.map { entry in if case .tool = entry { entry } else { Sample.user("another") } }
    #expect(try bytes(changed, cache) == bytes(changed, ModelCache()))
  }

  @Test func `a request of a thousand turns has few pieces`() throws {
    let cache = ModelCache()
    let format = ChatFormat(agent: try Sample.agent("openai:m"), model: "m", base: "")
    var entries = [Sample.user("Go.")]
    for turn in 0..<1000 {
      let id = ULID(high: 3, low: UInt64(turn))
      entries += [try Sample.said("", [(id, "a", "{}")]), try Sample.tool(id, "a", "{\"content\":\"x\"}")]
      _ = try TranscriptRenderer.render(entries, as: format, cache: cache, load: { (value) throws(StoreError) in value.wire })
    }
    let rendered = try TranscriptRenderer.render(entries, as: format, cache: cache, load: { (value) throws(StoreError) in value.wire })
    #expect(rendered.pieces.count < 200)
    #expect(rendered.pieces.joined.string.split(separator: "\"role\":\"tool\"").count == 1001)
  }
}
