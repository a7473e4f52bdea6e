import JSON

extension RunEngine {
  /// The parts of the system prompt, the most lasting first: the agent's instructions, the schema of the answer, the instructions of expanded
  /// toolkits and active skills, the memory, the shared state and the context items, and which MCP servers offer nothing. The memory is read anew
  /// for every turn.
  func systemPrompt(of state: RunState) throws(StoreError) -> [String] {
    let toolbox = state.toolbox
    let memory = try memoryPrompt(of: state)
    let schema = state.params.outputSchema.map { schema in
      "Your final answer must be nothing but JSON that fits this JSON Schema:\n\(schema.bytes.string)"
    }
    return [state.agent.instructions, schema].compactMap { $0 } + toolbox.prompts
      + [memory, toolbox.shownState, toolbox.shownFailures].compactMap { $0 }
  }

  /// The blocks that the run's agent declares, as they are in the store now; nil when there are none.
  ///
  ///     Your memory. It outlasts this conversation; ...
  ///
  ///     <memory_block label="user" characters="20" limit="20000">
  ///     <description>What is known about the user.</description>
  ///     <value>
  ///     Likes short answers.
  ///     </value>
  ///     </memory_block>
  ///
  /// in the order of the agent; `read_only="true"` after the limit where it applies, no description where there is none. The value stands as it
  /// is: a model has to repeat it to the letter.
  private func memoryPrompt(of state: RunState) throws(StoreError) -> String? {
    guard readsMemory(state), let agentID = state.storedAgent?.agentID, let declared = state.agent.memory else { return nil }
    let blocks = try blocks(of: agentID, labels: declared.map(\.label))
    if blocks.isEmpty { return nil }
    let words =
      "Your memory. It outlasts this conversation; keep in it what you will need later. Change it with memory_replace, memory_insert and "
      + "memory_rethink. The blocks are shown as they are now; the line breaks next to <value> and </value> do not belong to them."
    return ([words] + blocks.map(\.prompt)).joined(separator: "\n\n")
  }
}

extension RunEngine {
  /// Whether its system prompt has blocks that are in the store.
  func readsMemory(_ state: RunState) -> Bool { state.storedAgent != nil && state.agent.memory?.isEmpty == false }
}

extension StoredBlock {
  fileprivate var prompt: String {
    var lines = [
      "<memory_block label=\"\(label)\" characters=\"\(characters)\" limit=\"\(limit)\"\(isReadOnly ? " read_only=\"true\"" : "")>"
    ]
    if let description, !description.isEmpty { lines.append("<description>\(description)</description>") }
    lines += ["<value>", value, "</value>", "</memory_block>"]
    return lines.joined(separator: "\n")
  }
}
