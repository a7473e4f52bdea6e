import JSON

/// Questions to the user: calls of the built-in tool `ask_user`.
extension RunMachine {
  mutating func requestInput(_ call: Call, _ asker: OwnerID?) {
    do throws(RuntimeError) {
      let question = try question(of: call)
      append(
        .inputRequested(
          callID: call.callID, message: store(.inline(question.message)), schema: store(.inline(question.schema)), asker: asker))
    } catch { complete(call.callID, .failure("The question could not be asked: \(error.message)")) }
  }

  /// - Throws: `store.unavailable` when the call's arguments cannot be read.
  func question(of call: Call) throws(RuntimeError) -> Question {
    let arguments: CarriedJSON
    do throws(StoreError) { arguments = try load(call.arguments) } catch { throw RuntimeError(error) }
    do throws(Question.Unaskable) { return try Question(arguments) } catch { throw RuntimeError(.internalError, error.words) }
  }

  /// What is wrong with the answer to a question.
  func problem(of answer: InputAnswer, for call: Call) throws(RuntimeError) -> String? {
    guard answer.action == .accept, let content = answer.content else { return nil }
    guard content.kind == .object else { return "the content must be a JSON object" }
    if let pointer = content.firstDuplicateMember() { return "the content has a member twice, at \(pointer)" }
    let failures = context.failures(try question(of: call).schema, content)
    return failures.isEmpty ? nil : "the content does not fit the form: \(failures.joined(separator: "; "))"
  }

  /// An answer that fits. After `cancel` the question waits for another.
  mutating func take(_ answer: InputAnswer, for call: Call, by door: ApprovalDecision.Door) {
    let content = answer.content.map { store(.inline($0)) }
    append(.inputAnswered(callID: call.callID, InputGiven(action: answer.action, by: door, client: context.parentName, content: content)))
    perform(.withdraw(callID: call.callID, reason: "answered elsewhere"))
    switch answer.action {
    case .accept:
      var result = ToolResult()
      result.structuredContent = answer.content.map { .inline($0) }
      complete(call.callID, result)
    case .decline: complete(call.callID, .failure("The user declined to answer."))
    case .cancel: break
    }
  }
}
