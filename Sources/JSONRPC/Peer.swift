package import JSON
package import POSIXSupport
import Synchronization

/// One side of a JSON-RPC 2.0 connection: takes requests and makes its own, over one input and one output. Knows no method.
///
/// Two threads work for it until `close`: the reader takes messages apart and calls the handler, the writer writes what would have to wait. The reader
/// waits for input and, past `maxUnreadBytes` of unread responses, for those to be read; for nothing else, so that full pipes on both sides
/// are no deadlock.
package final class Peer: Sendable {
  let errors: PeerErrors
  let limits: PeerLimits
  let input: FileDescriptor
  let output: OutputQueue
  let exchange = Exchange()
  let gate = ReaderGate()
  let presentInput = PresentInput()
  let framing: Framing
  /// Whether a message that cannot be used, and whose id cannot be read, is answered (with the id null).
  let answersUnreadable: Bool
  private let wake: WakeDescriptor
  /// The longest line that the other side can read.
  private let longest = Atomic(Int.max)
  /// Until `start`; the threads hold it afterwards, so that the peer and its owner do not keep each other for ever.
  private let handler: Monitor<(any PeerHandler)?>

  /// Takes the descriptors over. Their `O_NONBLOCK` is not set, and must not be.
  ///
  /// - Parameter answersUnreadable: False for another side that may print what is no message, and to which an answer would be one more of those.
  package init(
    input: consuming FileDescriptor, output: consuming FileDescriptor, framing: Framing = .auto, limits: PeerLimits = PeerLimits(),
    answersUnreadable: Bool = true, errors: PeerErrors, handler: any PeerHandler
  ) throws(SystemError) {
    let wake = try WakeDescriptor()
    self.wake = wake
    input.requestPipeSize(1 << 20)
    self.input = input
    self.output = OutputQueue(output, framing: framing, limits: limits) { wake.signal() }
    self.framing = framing
    self.answersUnreadable = answersUnreadable
    self.limits = limits
    self.errors = errors
    self.handler = Monitor(handler)
  }

  /// Makes the two threads; once.
  package func start() throws(SystemError) {
    try beginInput()
    try beginOutput()
  }

  /// The first half of `start`: takes in what comes, and calls the handler, but sends nothing yet.
  package func beginInput() throws(SystemError) {
    guard let handler = handler.withLock({ $0 }) else { return }
    output.hold()
    try Thread.start(name: "rpc-reader", stackSize: limits.readerStackBytes) { PeerReader(self, self.wake, handler).run() }
  }

  /// The second half: sends what has gathered, and from now on what comes. The caller writes the first of it, so that it waits for no thread.
  package func beginOutput() throws(SystemError) {
    let handler = self.handler.withLock { handler in
      defer { handler = nil }
      return handler
    }
    guard let handler else { return }
    output.release()
    do throws(SystemError) {
      try Thread.start(name: "rpc-writer") { self.output.runWriter { handler.peerHasRoom(self) } }
    } catch {
      close()
      throw error
    }
  }

  // MARK: Requests of the other side

  /// The request with that id, while it is not answered.
  package func openRequest(_ id: RequestID) -> IncomingRequest? { exchange.open(id) }
  package var openRequests: [IncomingRequest] { exchange.allOpen }

  /// Gives up the id and sends the response, or puts it with those of its batch, in which the id stays in flight.
  func answer(_ id: RequestID, _ outcome: Result<CarriedJSON, RPCError>, to batch: Batch?) {
    // Before the response is on its way: from then on the other side may use the id again.
    if batch == nil { exchange.end(id) }
    respond(id, outcome, to: batch)
  }

  /// - Parameter id: Of what is answered; nil when it could not be read.
  func respond(_ id: RequestID?, _ outcome: Result<CarriedJSON, RPCError>, to batch: Batch?) {
    var response = OutgoingMessage.response(id, outcome)
    if case .failure(let error) = outcome, response.count > longestLine - Self.headerBytes {
      let id = id.flatMap { canName($0) ? $0 : nil }
      let room = longestLine - Self.headerBytes - Self.envelopeBytes - (id?.json.bytes.count ?? 4)
      response = .response(id, .failure(errors.shortened(error, room)))
    }
    guard let batch else { return output.enqueue([response], isResponse: true) }
    complete(batch, with: response)
  }

  /// One of those that the batch awaits is done; the last one gives up its ids and sends the responses: in one message, or in several where one would be
  /// too long.
  func complete(_ batch: Batch, with response: OutgoingMessage?) {
    guard let (responses, ids) = batch.complete(with: response) else { return }
    exchange.end(ids)
    output.enqueue(OutgoingMessage.batches(responses, longest: longestLine - Self.headerBytes), isResponse: true)
  }

  // MARK: Long lines

  private static let headerBytes = 32
  private static let envelopeBytes = 48

  /// The longest line that the other side can read. Set, errors become shorter, and ids that leave no room for an answer are refused; results,
  /// requests and notifications are the owner's business.
  package var longestLine: Int {
    get { longest.load(ordering: .relaxed) }
    set { longest.store(newValue, ordering: .relaxed) }
  }

  /// Whether an answer can name that id and say something besides.
  func canName(_ id: RequestID) -> Bool { id.json.bytes.count <= longestLine / 4 }

  // MARK: Messages of this side

  package func notify(_ method: StaticString, _ params: CarriedJSON) {
    output.enqueue([.notification(method, params)], isResponse: false)
  }

  /// Several, with nothing in between; in one write when they are small.
  package func notify(_ notifications: [(StaticString, CarriedJSON)]) {
    output.enqueue(notifications.map { .notification($0.0, $0.1) }, isResponse: false)
  }

  /// Carries out `body`; what it sends leaves together.
  package func together(_ body: () -> Void) { output.together(body) }

  /// Asks the other side. `reply` is called once at most, on the reader thread, and not before this returns the id to a caller on that thread.
  ///
  /// - Parameters:
  ///   - params: Is given the id, for what has to name it. Must be an object or an array.
  ///   - carrying: Which places of the result are only carried; counted from the result.
  ///   - wasWritten: Called when the output has taken all of the request, on any thread.
  @discardableResult
  package func request(
    _ method: StaticString, _ params: (RequestID) -> CarriedJSON, carrying: CarriedPaths = .none,
    wasWritten: (@Sendable () -> Void)? = nil, reply: @escaping @Sendable (PeerReply) -> Void
  ) -> RequestID {
    let (number, id) = exchange.nextID()
    let message = OutgoingMessage.request(id, method, params(id))
    if exchange.await(number, Exchange.Pending(carrying: carrying, reply: reply)) {
      output.enqueue([message], isResponse: false, wasWritten: wasWritten)
    } else {
      wake.signal()
    }
    return id
  }

  /// Whether the other side has the request, or will, and its answer has not come.
  package func isOut(_ id: RequestID) -> Bool { exchange.isOut(id) }

  /// Nobody waits for the answer any more: if it comes it is ignored, and `reply` is not called.
  package func forget(_ id: RequestID) { _ = exchange.take(id) }

  /// Whether much waits to be written. Once true it stays so until `peerHasRoom`, or until the output is lost.
  package var isCongested: Bool { output.isCongested }

  /// Why the output is lost, when it is not for want of a reader: a full disk, say.
  package var outputFailure: SystemError? { output.failure }

  /// Calls `body` when the input that is there now has been passed on, or at once when nothing is read; on the reader thread, mostly, and not after
  /// `stopReading`.
  package func afterPresentInput(_ body: @escaping @Sendable () -> Void) {
    guard presentInput.add(body) else { return body() }
    wake.signal()
  }

  // MARK: Ends

  /// Takes no more input. When it returns (to another thread than the reader) no call of the handler for input is running or will come, and no
  /// `reply` either.
  package func stopReading() {
    gate.close()
    wake.signal()
    gate.awaitClosed()
  }

  /// Waits until all there is to write is in the output. False when it never will be: nobody reads, or nothing was taken for `patience` milliseconds.
  package func flush(patience: Int) -> Bool { output.flush(patience: patience) }

  /// The same, but waits for the other side as long as that keeps the output open, unless `isOver` says now and then that it is enough.
  package func flush(until isOver: () -> Bool) -> Bool { output.flush(patience: .max, isOver: isOver) }

  /// Stops reading, drops what is not written and lets both threads end; the descriptors are closed when the last owner lets go.
  package func close() {
    stopReading()
    output.close()
  }
}
