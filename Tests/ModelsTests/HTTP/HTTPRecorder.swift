import JSON
import POSIXSupport
import TestSupport
import Testing

@testable import Models

/// What came of a request: the pieces of the body together, since where they are cut is the network's choice.
struct HTTPAnswer: Sendable, Equatable {
  var status: Int?
  var body = ""
  /// The last event.
  var end: HTTPEvent?

  static func whole(_ body: String, status: Int = 200) -> HTTPAnswer { HTTPAnswer(status: status, body: body, end: .finished) }

  static func failed(_ kind: HTTPFailure.Kind, _ message: String, status: Int? = nil, body: String = "") -> HTTPAnswer {
    HTTPAnswer(status: status, body: body, end: .failed(HTTPFailure(kind, message)))
  }
}

/// Keeps the events of one request, and lets a test wait for them.
final class HTTPRecorder: Sendable {
  private let events = Monitor<[HTTPEvent]>([])

  var handler: @Sendable (HTTPEvent) -> Void {
    { [events] event in events.update { $0.append(event) } }
  }

  private static func answer(_ events: [HTTPEvent]) -> HTTPAnswer {
    var answer = HTTPAnswer()
    for event in events {
      // One that comes after the last one would show as another end.
      switch event {
      case .head(let head): answer.status = head.status
      case .body(let piece): answer.body += piece.string
      case .finished, .failed: answer.end = event
      }
    }
    return answer
  }

  /// Waits for the last event.
  var answer: HTTPAnswer {
    let ended = events.wait(untilMilliseconds: Patience.deadline) { events -> [HTTPEvent]? in
      switch events.last {
      case .finished, .failed: events
      default: nil
      }
    }
    #expect(ended != nil, "no last event came")
    return Self.answer(ended ?? [])
  }

  var head: HTTPHead? {
    events.withLock { events in
      for case .head(let head) in events { return head }
      return nil
    }
  }

  /// Waits until the head has come.
  func waitForHead() {
    let seen: Bool? = events.wait(untilMilliseconds: Patience.deadline) { $0.isEmpty ? nil : true }
    #expect(seen == true, "no head came")
  }

  /// What has come so far.
  var answerSoFar: HTTPAnswer { Self.answer(events.withLock { $0 }) }

  /// Waits until that much of the body has come.
  func waitForBody(_ text: String) {
    let seen: Bool? = events.wait(untilMilliseconds: Patience.deadline) { Self.answer($0).body == text ? true : nil }
    #expect(seen == true, "the body '\(text)' did not come")
  }
}

/// Something that happens once, for threads to wait for.
final class Gate: Sendable {
  private let isOpen = Monitor(false)

  func open() { isOpen.update { $0 = true } }

  func wait() {
    let opened: Bool? = isOpen.wait(untilMilliseconds: Patience.deadline) { $0 ? true : nil }
    #expect(opened == true, "a gate stayed shut")
  }
}

extension HTTPClient {
  /// A client in an environment of its own.
  static func inside(_ environment: [String: String] = [:]) -> HTTPClient { HTTPClient { environment[$0] } }

  func send(_ request: HTTPRequest) -> HTTPRecorder {
    let recorder = HTTPRecorder()
    start(request, recorder.handler)
    return recorder
  }

  /// Sends a small request and waits for what comes of it.
  func answer(_ url: String, _ body: String = "{}") -> HTTPAnswer { send(.post(url, body)).answer }

  /// Waits until the loop has done all that it was asked before.
  func settle() {
    let gate = Gate()
    schedule(afterMilliseconds: 0) { gate.open() }
    gate.wait()
  }
}

extension HTTPRequest {
  static func post(_ url: String, _ body: String = "{}", deadlines: HTTPDeadlines = HTTPDeadlines()) -> HTTPRequest {
    HTTPRequest(
      url: url, headers: [("content-type", "application/json")], body: HTTPBody([Bytes(body)]), deadlines: deadlines)
  }
}
