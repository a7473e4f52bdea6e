package import JSON

/// How messages are told apart on a stream of bytes.
package enum Framing: String, Sendable, CaseIterable {
  /// By the first byte.
  case auto
  /// One message a line.
  case line
  /// A `Content-Length` header before each message, as in the Language Server Protocol.
  case header
}

/// What a peer takes before it refuses or waits.
package struct PeerLimits: Sendable, Equatable {
  /// A longer message is refused, and skipped without being held.
  package var maxMessageBytes: Int
  package var json: JSONLimits
  /// Responses that the other side has not read; beyond it nothing more is read from it.
  package var maxUnreadBytes: Int
  /// What waits to be written; beyond it `Peer.isCongested`.
  package var congestedBytes: Int
  /// Of the reader thread; more is needed when the handler works on it (`PeerHandler.peer(_:restsUntilInput:)`).
  package var readerStackBytes = 512 << 10

  package init(
    maxMessageBytes: Int = 256 << 20, json: JSONLimits = JSONLimits(), maxUnreadBytes: Int = 64 << 20, congestedBytes: Int = 1 << 20
  ) {
    self.maxMessageBytes = maxMessageBytes
    self.json = json
    self.maxUnreadBytes = maxUnreadBytes
    self.congestedBytes = congestedBytes
  }
}
