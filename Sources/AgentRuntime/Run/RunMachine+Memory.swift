import JSON

/// Calls of the memory tools: decided here, on the block as it is in the store, and written together with their results.
///
/// An edit and its `tool.completed` are one append, so a crash loses or doubles neither. Who has changed the block in between makes the append a
/// conflict, and the call is decided again on what the block then is.
extension RunMachine {
  /// Carries out the memory calls that wait.
  /// - Returns: false when nothing else can be done now.
  mutating func settleMemoryCalls(cause: ResumeCause) -> Bool {
    guard state.agent.memory?.isEmpty == false else { return true }
    let calls = state.pendingServerCalls.filter { MemoryTool(rawValue: $0.name) != nil }
    if calls.isEmpty { return true }
    if state.owner != context.own, !context.hasPlace {
      perform(.waitForPlace)
      return false
    }
    drive(cause: cause)
    if state.pauseRequested { return true }
    for call in calls {
      // A document has one next version, so the second edit of a block waits until the first is in the store.
      guard settle(call) else {
        perform(.continueCalls)
        return false
      }
    }
    return true
  }

  /// - Returns: false when the block has a change already that is not in the store yet.
  private mutating func settle(_ call: Call) -> Bool {
    let result: ToolResult
    do throws(StoreError) {
      guard let decided = try decide(call) else { return false }
      result = decided
    } catch { result = .failure("The memory could not be read from the store: \(error.message)") }
    append(.toolStarted(callID: call.callID, attempt: call.attempt + 1, sender: context.own))
    complete(call.callID, result)
    return true
  }

  private mutating func decide(_ call: Call) throws(StoreError) -> ToolResult? {
    guard let agentID = state.storedAgent?.agentID,
      let (label, edit) = MemoryTool(rawValue: call.name)?.edit(try load(call.arguments))
    else { return .failure("The arguments do not fit the tool's inputSchema.") }
    let labels = (state.agent.memory ?? []).map(\.label)
    guard labels.contains(label) else {
      return .failure("There is no memory block \"\(label.prefix(64))\". There are: \(labels.joined(separator: ", ")).")
    }
    let id = StoredBlock.documentID(agentID, label)
    if documents.contains(where: { $0.kind == StoredBlock.kind && $0.id == id }) || !context.claimDocument(StoredBlock.kind, id) {
      return nil
    }
    guard let document = try context.document(StoredBlock.kind, id) else {
      return .failure("The memory block \"\(label)\" is gone: the agent was deleted.")
    }
    var block = try StoredBlock(document)
    if block.isReadOnly { return .failure("The memory block \"\(label)\" is read-only.") }
    let value: String
    do throws(MemoryEdit.Refusal) { value = try edit.applied(to: block.value) } catch { return .failure(error.message) }
    let length = MemoryBlock.length(of: value)
    guard length <= block.limit else {
      return .failure(
        "The memory block \"\(label)\" would have \(length) characters; its limit is \(block.limit). It was not changed: shorten it first.")
    }
    if !value.utf8.elementsEqual(block.value.utf8) {
      block.value = value
      documents += try block.writes(by: .call(run: state.runID, call: call.callID), at: context.now, context.document)
    }
    var result = ToolResult()
    result.content = [.text("The memory block \"\(label)\" now has \(length) of \(block.limit) characters.")]
    result.isPlainText = true
    return result
  }
}
