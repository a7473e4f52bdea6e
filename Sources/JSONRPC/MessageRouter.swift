import JSON

/// Decides what becomes of one frame: a call of the handler, a reply to a request of this side, or a refusal.
struct MessageRouter {
  let peer: Peer
  let handler: any PeerHandler
  /// The input ended before the end of this frame. What is a whole message all the same counts.
  let isUnfinished: Bool

  func route(_ frame: Framer.Frame) {
    switch frame {
    case .message(let text): route(text)
    case .overlong(let head, let tail, let isComplete):
      let reason = "longer than \(peer.limits.maxMessageBytes) bytes"
      let envelope = SalvagedEnvelope(head: head, tail: isComplete ? tail : nil)
      refuse(envelope, peer.errors.tooLarge("the message is \(reason)"), reason: "it is \(reason)", batch: nil)
    case .malformed(let reason):
      respond(nil, peer.errors.parseError(JSONError(.syntax, reason)), batch: nil)
    }
  }

  private func route(_ text: Bytes) {
    do throws(JSONError) {
      switch try CarriedJSON.split(text, limits: peer.limits.json) {
      case .object(let members): route(Message(members: members), batch: nil)
      case .array(let elements) where elements.isEmpty: respond(nil, peer.errors.invalidRequest("the batch is empty"), batch: nil)
      case .array(let elements): route(batch: elements)
      case .scalar: respond(nil, peer.errors.invalidRequest("a message must be an object"), batch: nil)
      }
    } catch {
      refuse(text, error, batch: nil)
    }
  }

  private func route(batch elements: [CarriedJSON]) {
    let batch = Batch()
    for element in elements {
      do throws(JSONError) {
        if case .object(let members) = try CarriedJSON.split(element.bytes, limits: peer.limits.json) {
          route(Message(members: members), batch: batch)
        } else {
          respond(nil, peer.errors.invalidRequest("a message must be an object"), batch: batch)
        }
      } catch {
        refuse(element.bytes, error, batch: batch)
      }
    }
    peer.complete(batch, with: nil)
  }

  private func route(_ message: Message, batch: Batch?) {
    switch message {
    case .request(let id, let method, let params): route(id, method, params, batch)
    case .notification(let method, let params): route(notification: method, params, batch)
    case .answer(let id, let answer): route(id, answer, batch)
    case .invalid(let id, let reason): respond(id, peer.errors.invalidRequest(reason), batch: batch)
    case .shapeless(let id):
      if let id, let pending = peer.exchange.take(id) {
        pending.reply(.broken("it has neither a result nor an error"))
      } else {
        respond(id, peer.errors.invalidRequest("there is no method"), batch: batch)
      }
    }
  }

  // MARK: Requests and notifications

  private func route(_ id: RequestID, _ method: String, _ params: CarriedJSON?, _ batch: Batch?) {
    guard !peer.exchange.isOpen(id) else { return respond(id, peer.errors.invalidRequest("the id is in flight"), batch: batch) }
    guard peer.canName(id) else { return respond(nil, peer.errors.invalidRequest("the id is too long to be answered"), batch: batch) }
    guard handler.knows(method: method) else {
      handler.peer(peer, refusedRequestOf: method)
      return respond(id, peer.errors.methodNotFound(method), batch: batch)
    }
    if let reason = handler.objection(toRequestOf: method) {
      handler.peer(peer, refusedRequestOf: method)
      return respond(id, peer.errors.invalidRequest(reason), batch: batch)
    }
    switch judge(params, of: method) {
    case .unusable(let error):
      handler.peer(peer, refusedRequestOf: method)
      respond(id, error, batch: batch)
    case .notNamed:
      handler.peer(peer, refusedRequestOf: method)
      respond(id, peer.errors.invalidParams("params must be an object", ""), batch: batch)
    case .usable(let params):
      let request = IncomingRequest(id: id, method: method, params: params, peer: peer, batch: batch)
      // Before the handler sees it, and so before the next message is read: a cancel right behind it finds it.
      _ = peer.exchange.begin(id, request)
      batch?.expectOne(id)
      handler.peer(peer, received: request)
    }
  }

  private func route(notification method: String, _ params: CarriedJSON?, _ batch: Batch?) {
    guard handler.knows(method: method) else { return handler.peer(peer, ignored: "a notification of an unknown method") }
    switch judge(params, of: method) {
    case .unusable(let error): respond(nil, error, batch: batch)
    case .notNamed: handler.peer(peer, ignored: "a notification whose params are not an object")
    case .usable(let params): handler.peer(peer, receivedNotification: method, params: params)
    }
  }

  private enum Params {
    case usable(CarriedJSON?)
    case notNamed
    case unusable(RPCError)
  }

  private func judge(_ params: CarriedJSON?, of method: String) -> Params {
    guard let params, !params.isNull else { return .usable(nil) }
    guard params.kind == .object else { return .notNamed }
    do throws(JSONError) {
      try params.check(carrying: handler.carriedPaths(ofMethod: method), limits: peer.limits.json, at: "/params")
      return .usable(params)
    } catch { return .unusable(peer.errors.answer(to: error)) }
  }

  // MARK: Answers

  private func route(_ id: RequestID?, _ answer: Message.Answer, _ batch: Batch?) {
    guard let id else {
      // An error without an id is the other side's word on something it could not read; to answer that could go on for ever.
      if case .result = answer { return respond(nil, peer.errors.invalidRequest("a result needs an id"), batch: batch) }
      return handler.peer(peer, ignored: "an error without an id")
    }
    guard let pending = peer.exchange.take(id) else { return handler.peer(peer, ignored: "an answer to no open request") }
    switch answer {
    case .result(let result):
      do throws(JSONError) {
        try result.check(carrying: pending.carrying, limits: peer.limits.json, at: "/result")
        pending.reply(.result(result))
      } catch { pending.reply(.broken(error.description)) }
    case .error(let error): pending.reply(.error(error))
    case .broken(let reason): pending.reply(.broken(reason))
    }
  }

  // MARK: Refusals

  private func refuse(_ text: Bytes, _ error: JSONError, batch: Batch?) {
    let located = error.located(in: text)
    refuse(SalvagedEnvelope(text), peer.errors.answer(to: located), reason: located.description, batch: batch)
  }

  /// For a message that cannot be used: answers it, unless it is the answer to a request of this side, which then ends.
  private func refuse(_ envelope: SalvagedEnvelope, _ error: RPCError, reason: String, batch: Batch?) {
    if let id = envelope.id, !envelope.hasMethod, peer.exchange.isPending(id) {
      // The other side went while it answered, which is no answer: the request ends with the input, like those that it had not begun to answer.
      if isUnfinished { return handler.peer(peer, ignored: "an answer that ends with the input") }
      if let pending = peer.exchange.take(id) { return pending.reply(.broken(reason)) }
    }
    guard envelope.isAnswer else { return respond(envelope.id, error, batch: batch) }
    if let id = envelope.id, OwnID.number(id) != nil { return handler.peer(peer, ignored: "a broken answer to no open request") }
    // Its id is one of this side's, if of any, so an answer to that id would be taken for one to a request of the other side.
    respond(nil, error, batch: batch)
  }

  private func respond(_ id: RequestID?, _ error: RPCError, batch: Batch?) {
    guard id != nil || peer.answersUnreadable else { return handler.peer(peer, ignored: "something that is no message: \(error.message)") }
    // In a batch the answer waits for the others: until it is sent, another request of this id would have two.
    if let batch { batch.expectOne(id.flatMap { peer.exchange.begin($0, nil) ? $0 : nil }) }
    peer.respond(id, .failure(error), to: batch)
  }
}
