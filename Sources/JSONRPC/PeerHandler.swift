package import JSON
package import POSIXSupport

/// What a peer's owner does with what arrives; knows the methods, which the peer does not.
///
/// All calls but `peerHasRoom` come on the reader thread, or on the one that stands in for it, one at a time, in the order of the wire; until one
/// returns nothing else is read, so none may wait.
package protocol PeerHandler: AnyObject, Sendable {
  /// Whether there is such a method or notification.
  func knows(method: String) -> Bool
  /// Which places of a method's params, counted from the params, are only carried.
  func carriedPaths(ofMethod method: String) -> CarriedPaths

  /// Why a request of the method is invalid now, whatever its params say; nil when it is not.
  func objection(toRequestOf method: String) -> String?

  /// A request that the peer refuses by itself was read; `peer(_:received:)` does not follow.
  func peer(_ peer: Peer, refusedRequestOf method: String)

  /// To be answered once; when nobody keeps the request it is answered with an internal error.
  func peer(_ peer: Peer, received request: IncomingRequest)
  func peer(_ peer: Peer, receivedNotification method: String, params: CarriedJSON?)

  /// No more input comes; once. Afterwards every request of this side that is open gets `.closed`.
  func peer(_ peer: Peer, inputEnded reason: InputEnd)
  /// All that came has been passed on, and the reader thread is about to wait for input. This may take long if `standIn`, which reads until
  /// this has returned, is called on another thread by then; once at most, and not after this has returned.
  func peer(_ peer: Peer, restsUntilInput standIn: @escaping @Sendable () -> Void)
  /// For how many milliseconds another side that has ended the input, which is not read while it leaves too many responses unread, may take none of them
  /// before nobody reads the output; nil for one that may take its time.
  func patienceAfterInput(of peer: Peer) -> Int?
  /// Nobody reads the output any more; once, after the input that was there. Afterwards every request of this side that is open gets `.closed`.
  func peerLostOutput(_ peer: Peer)
  /// What waits to be written has become little, after `isCongested` was true. On the writer thread.
  func peerHasRoom(_ peer: Peer)
  /// Something was dropped that needs no answer: one sentence for the log.
  func peer(_ peer: Peer, ignored what: String)
}

extension PeerHandler {
  package func peer(_ peer: Peer, ignored what: String) {}
  package func peer(_ peer: Peer, restsUntilInput standIn: @escaping @Sendable () -> Void) {}
  package func patienceAfterInput(of peer: Peer) -> Int? { nil }
}

package enum InputEnd: Sendable, Equatable {
  case endOfFile
  case readError(SystemError)
}

extension PeerHandler {
  package func objection(toRequestOf method: String) -> String? { nil }
  package func peer(_ peer: Peer, refusedRequestOf method: String) {}
}

/// How a request of this side ended.
package enum PeerReply: Sendable, Equatable {
  case result(CarriedJSON)
  case error(RPCError)
  /// An answer came, but it is unusable; what is wrong with it.
  case broken(String)
  /// No answer can come any more.
  case closed
}
