import JSON
import Testing

@testable import AgentRuntime

@Suite struct LiveTextTests {
  private let live = LiveText()
  private let run = ULID(high: 1, low: 1)
  private let other = ULID(high: 1, low: 2)
  private let message = ULID(high: 2, low: 1)

  private func say(_ text: String, _ runID: ULID? = nil) { live.append(runID ?? run, .text(messageID: message, text)) }

  /// The texts of what is passed on to observers of these runs.
  private func take(_ runs: ULID...) -> [String] {
    live.take(Set(runs), at: Timestamp(milliseconds: 0)) { _ in 7 }.map { chunk in
      #expect(chunk.afterSequence == 7)
      return CarriedJSON(trusted: chunk.event)["data"]?["text"]?.stringValue ?? chunk.event.string
    }
  }

  @Test func `text is kept until somebody observes, however late, and then passed on in one piece`() {
    say("a")
    for _ in 0..<1000 { #expect(take(other) == []) }
    say("b")
    #expect(take(run) == ["ab"])
    #expect(live.isEmpty)
    say("c")
    #expect(take(run, other) == ["c"])
  }

  @Test func `a complete message leaves nothing`() {
    say("a")
    say("x", other)
    live.end(run)
    #expect(take(run, other) == ["x"])
  }

  @Test func `what a retry has voided is not passed on later`() {
    say("void")
    live.begin(run)
    say("again")
    #expect(take(other) == [])
    live.pass(run)
    #expect(take(run) == ["again"])
  }

  @Test func `what comes after a retry waits for its event`() {
    say("void")
    live.begin(run)
    say("again")
    #expect(take(run) == ["void"])
    #expect(take(run) == [])
    live.pass(run)
    #expect(take(run) == ["again"])
  }

  @Test func `a text that nobody wanted for too long is not begun in its middle`() {
    say(String(repeating: "x", count: 1 << 20))
    say("the end")
    #expect(take(run) == [])
    live.end(run)
    say("the next")
    #expect(take(run) == ["the next"])
  }

  @Test func `a tool's progress is forgotten when nobody wants it`() {
    live.append(run, .toolProgress(callID: message, .emptyObject))
    say("text")
    for _ in 0..<20 { #expect(take() == []) }
    #expect(take() == [])
    #expect(take(run) == ["text"])
  }
}
