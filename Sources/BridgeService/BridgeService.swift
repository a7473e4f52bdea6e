package import AgentRuntime
import BridgeProtocol
package import JSON
package import JSONRPC
import Synchronization

/// What the end of the input says.
package enum OnEOF: String, Sendable, CaseIterable {
  /// A client that said `initialize`, and nothing of draining, has hung up.
  case auto
  /// No more input comes; the work goes on.
  case drain
  /// The client has hung up.
  case exit
}

/// What the executable tells the service.
package struct ServiceSettings: Sendable {
  package var version: String
  package var isStrict: Bool
  package var onEOF: OnEOF
  package var limits: PeerLimits
  package var maxConcurrentRuns: Int
  /// The OpenRPC document, on one line.
  package var openRPC: @Sendable () -> Bytes

  package init(
    version: String, isStrict: Bool, onEOF: OnEOF = .auto, limits: PeerLimits, maxConcurrentRuns: Int,
    openRPC: @escaping @Sendable () -> Bytes
  ) {
    self.version = version
    self.isStrict = isStrict
    self.onEOF = onEOF
    self.limits = limits
    self.maxConcurrentRuns = maxConcurrentRuns
    self.openRPC = openRPC
  }
}

/// Why the connection is over.
package enum ConnectionEnd: Sendable {
  case hungUp
  /// No more input comes; the output is still read.
  case inputEnded
  /// Nobody reads the output.
  case outputLost
}

/// The wire methods on top of the runtime: the parent that the engine talks to, and the handler of what the parent says.
///
/// Requests are decoded on the reader thread and carried out on the engine's; `ping` and cancellations need neither a store nor a queue.
package final class BridgeService: Sendable {
  /// A client that has hung up and takes no byte for so long does not keep the process from ending. One that drains has not, and may take its time.
  package static let patienceMilliseconds = 900

  let settings: ServiceSettings
  let host: any EngineHost
  let connection = Connection()
  /// Called on the reader thread when `initialize` was answered.
  let onInitialize: @Sendable () -> Void
  private let onEnd: @Sendable (ConnectionEnd) -> Void
  /// Called on the reader thread when it has nothing more to pass on, with what another thread may do in its place until this returns.
  private let onRest: @Sendable (_ standIn: @escaping @Sendable () -> Void) -> Void
  private let links = Mutex(Links())

  private struct Links {
    var peer: Peer?
    var outbox: Outbox?
    var invocations: Invocations?
    var questions: Questions?
  }

  package init(
    settings: ServiceSettings, host: any EngineHost, onInitialize: @escaping @Sendable () -> Void = {},
    onRest: @escaping @Sendable (_ standIn: @escaping @Sendable () -> Void) -> Void = { _ in },
    onEnd: @escaping @Sendable (ConnectionEnd) -> Void
  ) {
    self.settings = settings
    self.host = host
    self.onInitialize = onInitialize
    self.onRest = onRest
    self.onEnd = onEnd
  }

  /// To be called once, before the peer starts.
  package func attach(to peer: Peer) {
    let outbox = Outbox(peer: peer, connection: connection, host: host)
    links.withLock { $0 = Links(peer: peer, outbox: outbox, invocations: Invocations(peer: peer), questions: Questions(peer: peer)) }
  }

  var peer: Peer { links.withLock { $0.peer! } }
  var outbox: Outbox { links.withLock { $0.outbox! } }
  var invocations: Invocations { links.withLock { $0.invocations! } }
  var questions: Questions { links.withLock { $0.questions! } }

  // MARK: The end

  /// The client answers nothing more. On the engine's thread.
  package func clientIsGone() { connection.isGone = true }

  /// Sends what waits for room; true when nothing is left. On the engine's thread.
  package func pump(_ engine: RunEngine) -> Bool {
    outbox.pump(engine)
    return !outbox.hasBacklog
  }

  /// Answers whatever is still open, at the very end. On the engine's thread.
  package func answerTheRest() {
    outbox.releaseAll()
    for request in peer.openRequests {
      request.fail(ErrorMapping.rpcError(RuntimeError(.shuttingDown, "the bridge is about to end")))
    }
  }
}

extension BridgeService: PeerHandler {
  package func knows(method: String) -> Bool { MethodTable.methods[method] != nil || WireNotification.fromClient.contains(method) }

  package func carriedPaths(ofMethod method: String) -> CarriedPaths { MethodTable.methods[method]?.carriedPaths.value ?? .none }

  package func objection(toRequestOf method: String) -> String? {
    method == Initialize.name ? connection.objectionToInitialize : nil
  }

  package func peer(_ peer: Peer, refusedRequestOf method: String) {
    if method != Initialize.name { connection.noteRequest() }
  }

  package func peer(_ peer: Peer, received request: IncomingRequest) {
    guard let method = MethodTable.methods[request.method] else {
      // A notification's name with an id.
      _ = request.fail(ErrorMapping.peerErrors.methodNotFound(request.method))
      return
    }
    if request.method != Initialize.name { connection.noteRequest() }
    let ticket = Ticket(request)
    request.onCancel { [weak self, weak ticket] reason in
      if let ticket { self?.cancel(ticket, reason) }
    }
    do throws(RuntimeError) { try method.handle(self, ticket) } catch { ticket.fail(error) }
  }

  package func peer(_ peer: Peer, receivedNotification method: String, params: CarriedJSON?) {
    let params = params ?? .emptyObject
    switch method {
    case WireNotification.cancelled: cancelRequest(params["requestId"], reason: params["reason"]?.stringValue)
    case WireNotification.cancelRequest: cancelRequest(params["id"], reason: nil)
    case WireNotification.progress: progressed(params)
    default: break
    }
  }

  private func progressed(_ params: CarriedJSON) {
    guard let token = params["progressToken"]?.stringValue else { return }
    guard let progress = Progress(reading: params) else {
      return host.log("the client's notifications/progress was ignored: progress and total must be numbers, message a string")
    }
    questions.progressed(token, progress.members)
    if let callID = ULID(token) { invocations.progressed(callID, progress.members) }
  }

  private func cancelRequest(_ id: CarriedJSON?, reason: String?) {
    guard let id = id.flatMap(RequestID.init) else { return }
    peer.openRequest(id)?.cancel(reason: reason)
  }

  /// Cancelling what began a run cancels the run; cancelling anything else ends the waiting.
  private func cancel(_ ticket: Ticket, _ reason: String?) {
    guard ticket.request.method == RunStart.name else {
      ticket.request.fail(ErrorMapping.cancelled())
      return host.post { engine in
        if let wait = ticket.wait { _ = engine.cancelWait(wait) }
      }
    }
    host.post { engine in
      guard let runID = ticket.begunRun else {
        ticket.request.fail(ErrorMapping.cancelled())
        if let wait = ticket.wait { _ = engine.cancelWait(wait) }
        return
      }
      engine.cancel(runID, reason: reason ?? "the request was cancelled", waiting: { _ in }) { [outbox = self.outbox] result in
        let sequence = (try? result.get())?.outcome.lastSequence ?? 0
        outbox.after(sequence, of: runID) { ticket.request.fail(ErrorMapping.cancelled(run: runID)) }
      }
    }
  }

  package func peer(_ peer: Peer, inputEnded reason: InputEnd) {
    if case .readError(let error) = reason { host.log("reading from the client failed: \(error)") }
    onEnd(drains ? .inputEnded : .hungUp)
  }

  package func peer(_ peer: Peer, restsUntilInput standIn: @escaping @Sendable () -> Void) { onRest(standIn) }

  package func patienceAfterInput(of peer: Peer) -> Int? { drains ? nil : Self.patienceMilliseconds }

  private var drains: Bool {
    switch settings.onEOF {
    case .auto: !connection.isInitialized || connection.capabilities.drain
    case .drain: true
    case .exit: false
    }
  }

  package func peerLostOutput(_ peer: Peer) { onEnd(.outputLost) }

  package func peerHasRoom(_ peer: Peer) {
    host.post { [weak self] engine in self?.outbox.pump(engine) }
  }

  package func peer(_ peer: Peer, ignored what: String) { host.log(what) }
}

extension BridgeService: Parent {
  package var answersInvocations: Bool { connection.answersInvocations }

  package func publish(_ run: ULID, _ events: [PublishedEvent]) { outbox.publish(run, events) }

  package func childBegan(_ child: ULID, of run: ULID, in engine: RunEngine) {
    // It was made in the same transaction as the event that names it.
    if outbox.isSubscribed(run) { subscribeFromBeginning(child, engine) }
  }

  package func stream(_ run: ULID, _ delta: StreamedDelta) { outbox.stream(run, delta) }

  package func together(_ body: () -> Void) { peer.together(body) }

  package func streamForeign(_ chunk: LiveChunk) { outbox.streamForeign(chunk) }

  package func invoke(
    _ invocation: ToolInvocation, sent: @escaping @Sendable () -> Void, progress: @escaping @Sendable (CarriedJSON) -> Void,
    reply: @escaping @Sendable (InvocationReply) -> Void
  ) {
    let outbox = outbox
    let invocations = invocations
    invocations.await(invocation)
    outbox.after(invocation.afterSequence, of: invocation.runID) { [host] in
      outbox.whenRoom {
        // What the client does not read waits here; meanwhile the call may have ended, or have been answered elsewhere.
        guard invocations.isWanted(invocation) else { return }
        @Sendable func send(_ params: CarriedJSON) {
          invocations.send(invocation, params, sent: sent, progress: progress) { answer in
            guard case .result(let result, let bytes) = answer, result.namesBlobs else { return reply(answer) }
            host.post { engine in reply(Self.resolved(result, bytes, outbox, engine)) }
          }
        }
        let params = Invocations.params(invocation)
        guard let fitting = outbox.fitting(), !fitting.isReady(params, .none) else { return send(params) }
        host.post { engine in
          guard invocations.isWanted(invocation) else { return }
          do throws(RuntimeError) { send(try outbox.fitted(params, engine, lastResort: .none)) } catch {
            reply(.error("The arguments are too long for the client and could not be stored: \(error.message)", bytes: 0))
          }
        }
      }
    }
  }

  /// The result with the blobs that it names in place of their names.
  private static func resolved(_ result: ToolResult, _ bytes: Int, _ outbox: Outbox, _ engine: RunEngine) -> InvocationReply {
    do throws(RuntimeError) { return .result(try result.resolvingBlobs(outbox, engine, at: ""), bytes: bytes) } catch {
      return .error("The client's result is not usable: \(error.pointer ?? "") \(error.message).", bytes: bytes)
    }
  }

  package var name: String? { connection.clientName }
  package var abilities: ParentAbilities { connection.abilities }

  package func afterPresentAnswers(_ body: @escaping @Sendable () -> Void) {
    // Not before a result that names blobs, which is resolved in a turn of its own.
    peer.afterPresentInput { [host] in host.post { _ in body() } }
  }

  package func cancelInvocation(_ callID: ULID, reason: String) { invocations.cancel(callID, reason: reason) }
  package func closeInvocations(of callID: ULID) { invocations.close(callID) }
}
