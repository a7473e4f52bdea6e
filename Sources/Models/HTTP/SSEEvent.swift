import JSON

/// One server-sent event.
struct SSEEvent: Sendable, Equatable {
  /// "message" when the stream names none.
  var name: String
  /// Its `data` lines, joined by line feeds.
  var data: Bytes

  /// Whether it is the word with which OpenAI's streams end, and those of many servers that resemble them.
  var isDone: Bool { data.count < 64 && data.withoutBlanks == Self.done }

  private static let done = Bytes("[DONE]")
}

/// The stream has an event, or a line, that is larger than its reader allows.
struct SSEError: Error, Sendable, Equatable {
  var message: String
}
