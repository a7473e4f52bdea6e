import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC
import Synchronization

/// The requests to the parent that are no `tool.invoke`: `sampling/createMessage`, `approval.request`, `elicitation/create`.
final class Questions: Sendable {
  private let peer: Peer
  /// What takes the progress of a request, by its token.
  private let listeners = Mutex<[String: @Sendable (CarriedJSON) -> Void]>([:])

  init(peer: Peer) { self.peer = peer }

  /// Sends the request, unless it was cancelled while it waited for its place in line.
  func send(
    _ request: ParentRequest, _ question: Question, progress: @escaping @Sendable (CarriedJSON) -> Void,
    reply: @escaping @Sendable (ParentReply) -> Void
  ) {
    if let token = request.progressToken { listeners.withLock { $0[token] = progress } }
    let isWanted = question.send { registered in
      peer.request(
        Self.name(of: request.method),
        { id in
          registered(id)
          return request.params
        }, carrying: request.carrying,
        reply: { [weak self] answer in
          self?.forget(request)
          guard question.finish() else { return }
          switch answer {
          case .result(let json): reply(.result(json))
          case .error(let error): reply(.error(code: error.code, message: error.message))
          case .broken(let what): reply(.broken(what))
          case .closed: break
          }
        })
    }
    if !isWanted { forget(request) }
  }

  private func forget(_ request: ParentRequest) {
    if let token = request.progressToken { listeners.withLock { $0[token] = nil } }
  }

  /// From the reader thread.
  func progressed(_ token: String, _ params: CarriedJSON) { listeners.withLock { $0[token] }?(params) }

  /// Takes back a request that is out, or that waits for its turn.
  fileprivate func cancel(_ id: RequestID, _ request: ParentRequest, reason: String) {
    forget(request)
    peer.withdraw(id, reason: reason)
    peer.forget(id)
  }

  private static func name(of method: ParentRequest.Method) -> StaticString {
    switch method {
    case .createMessage: ReverseRequest.createMessage
    case .approval: ReverseRequest.approval
    case .elicitation: ReverseRequest.elicitation
    }
  }
}

/// One request to the parent, from the wish to send it to its end.
final class Question: ParentExchange {
  private enum State {
    case waiting
    case out(RequestID)
    case over
  }

  private let state = Mutex(State.waiting)
  private let questions: Questions
  private let request: ParentRequest

  init(_ request: ParentRequest, _ questions: Questions) {
    self.request = request
    self.questions = questions
  }

  /// - Returns: false when it was cancelled before.
  fileprivate func send(_ body: ((RequestID) -> Void) -> Void) -> Bool {
    let isWanted = state.withLock { state in if case .waiting = state { true } else { false } }
    guard isWanted else { return false }
    // Known before the message can be on its way, so that a cancel finds it.
    body { id in
      state.withLock { state in
        if case .waiting = state { state = .out(id) }
      }
    }
    return true
  }

  fileprivate func finish() -> Bool {
    state.withLock { state in
      defer { state = .over }
      if case .over = state { return false }
      return true
    }
  }

  func cancel(reason: String) {
    let id = state.withLock { state -> RequestID? in
      defer { state = .over }
      if case .out(let id) = state { return id }
      return nil
    }
    if let id { questions.cancel(id, request, reason: reason) }
  }
}
