import JSON

/// One server-sent event.
struct SSEEvent: Sendable, Equatable {
  /// "message" when the stream names none.
  var name: String
  /// Its `data` lines, joined by line feeds.
  var data: Bytes
}

/// The stream has an event, or a line, that is larger than its reader allows.
struct SSEError: Error, Sendable, Equatable {
  var message: String
}
