import JSON

extension RunEngine {
  /// The parts of the system prompt, the most lasting first: the agent's instructions, those of expanded toolkits and active skills, the shared
  /// state and the context items.
  func systemPrompt(of run: LiveRun) -> [String] {
    let toolbox = run.state.toolbox
    return [run.state.agent.instructions].compactMap { $0 } + toolbox.prompts + [toolbox.shownState].compactMap { $0 }
  }
}
