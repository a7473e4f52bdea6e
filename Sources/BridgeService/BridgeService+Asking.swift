package import AgentRuntime
package import JSON

/// The port's questions to the client: `approval.request`, `elicitation/create`, `sampling/createMessage`.
extension BridgeService {
  package func ask(
    _ request: ParentRequest, progress: @escaping @Sendable (CarriedJSON) -> Void, reply: @escaping @Sendable (ParentReply) -> Void
  ) -> any ParentExchange {
    let outbox = outbox
    let questions = questions
    let question = Question(request, questions)
    let taken = Self.resolving(request.method, outbox, host, reply)
    outbox.after(request.afterSequence, of: request.runID) { [host] in
      outbox.whenRoom {
        guard let fitting = outbox.fitting(), !fitting.isReady(request.params, .none) else {
          return questions.send(request, question, progress: progress, reply: taken)
        }
        host.post { engine in
          var fitted = request
          do throws(RuntimeError) { fitted.params = try outbox.fitted(request.params, engine, lastResort: .none) } catch {
            return reply(.broken("it is too long for the client and could not be stored: \(error.message)"))
          }
          questions.send(fitted, question, progress: progress, reply: taken)
        }
      }
    }
    return question
  }

  /// Puts the blob that an answer names in place of its name: new arguments, or the content of an answer.
  private static func resolving(
    _ method: ParentRequest.Method, _ outbox: Outbox, _ host: any EngineHost, _ reply: @escaping @Sendable (ParentReply) -> Void
  ) -> @Sendable (ParentReply) -> Void {
    let member: String
    switch method {
    case .createMessage: return reply
    case .approval: member = "arguments"
    case .elicitation: member = "content"
    }
    return { answer in
      guard case .result(let json) = answer, json[member]?.hasMember("$blob") == true else { return reply(answer) }
      host.post { engine in
        do throws(RuntimeError) {
          reply(
            .result(
              try json.mapMembers { (name, value) throws(RuntimeError) in
                name.text == member ? try value.resolvingBlob(outbox, engine, at: "/" + member) : value
              }))
        } catch { reply(.broken("\(error.pointer ?? "") \(error.message)")) }
      }
    }
  }
}
