/// What keeps this bridge from driving a run, or from taking a declaration: models, commands and MCP servers, of agents and of those in their tools.
extension RunEngine {
  // MARK: A run

  /// - Throws: what keeps this bridge from going on with the run; without a place, which would not be one in what was asked.
  func checkDrivable(_ state: RunState) throws(RuntimeError) {
    do throws(RuntimeError) {
      _ = try models.provider(for: state.agent, hasTools: state.mayHaveTools, parent: parent?.abilities)
      try checkDrivable(state.toolbox.allTools, at: "")
      try checkServers(of: state.agent, at: "")
    } catch {
      var error = error
      error.pointer = nil
      throw error
    }
  }

  /// The error that keeps a new run from being driven, with its place in the params of `run.start`. One that the session or the connection registered
  /// has none.
  func placed(_ error: RuntimeError, in params: RunParams, isStored: Bool) -> RuntimeError {
    do throws(RuntimeError) {
      do throws(RuntimeError) { try checkDrivable(params.agent, at: "/agent") } catch {
        throw isStored ? error.ofStoredAgent : error
      }
      try checkDrivable(params.tools, at: "/tools")
      for (index, toolkit) in params.toolkits.enumerated() { try checkDrivable(toolkit.tools, at: "/toolkits/\(index)/tools") }
      for (tools, place) in params.augmentation?.newTools(at: "/augmentation") ?? [] { try checkDrivable(tools, at: place) }
    } catch { return error }
    return error
  }

  /// - Throws: what keeps this bridge from running tools, and the agents in them.
  private func checkDrivable(_ tools: [Tool], at pointer: String) throws(RuntimeError) {
    for (index, tool) in tools.enumerated() where tool.target == .server {
      let place = "\(pointer)/\(index)"
      try checkHosted(tool, at: place)
      // One that is named is looked for when it is called.
      if let agent = try SubAgent.inlineAgent(of: tool, at: place) { try checkDrivable(agent, at: place + "/agent") }
    }
  }

  func checkDrivable(_ agent: Agent, at pointer: String) throws(RuntimeError) {
    let lists = SubAgent.toolLists(of: agent, at: pointer)
    let hasTools = agent.askUser == true || agent.hasServers || lists.contains { !$0.tools.isEmpty }
    do throws(RuntimeError) { _ = try models.provider(for: agent, hasTools: hasTools, parent: parent?.abilities) } catch {
      throw error.moved(under: pointer)
    }
    try checkServers(of: agent, at: pointer)
    for (tools, place) in lists { try checkDrivable(tools, at: place) }
  }

  // MARK: A declaration

  /// A bridge that runs no commands stores none either: another one on the store would run them.
  func refuseTools(of agent: Agent, at pointer: String) throws(RuntimeError) {
    try checkServers(of: agent, at: pointer)
    for (tools, place) in SubAgent.toolLists(of: agent, at: pointer) { try refuse(tools, at: place) }
  }

  func refuse(_ tools: [Tool], at pointer: String) throws(RuntimeError) {
    for (index, tool) in tools.enumerated() where tool.target == .server {
      let place = "\(pointer)/\(index)"
      if let agent = try SubAgent.inlineAgent(of: tool, at: place) { try refuseTools(of: agent, at: place + "/agent") }
      try checkHosted(tool, at: place)
    }
  }

  /// Judges the models of an agent and of those in its tools, as far as that needs neither a key nor a client: what is missing here and now may be
  /// there when the agent is used.
  func checkModels(of agent: Agent, at pointer: String) throws(RuntimeError) {
    let lists = SubAgent.toolLists(of: agent, at: pointer)
    do throws(RuntimeError) {
      _ = try models.provider(for: agent, hasTools: agent.hasServers || lists.contains { !$0.tools.isEmpty }, parent: nil)
    } catch {
      let isWrong = error.kind == .modelUnknownProvider || error.kind == .invalidParams
      if isWrong { throw error.moved(to: pointer + (error.pointer ?? "/model")) }
    }
    for (tools, place) in lists { try checkModels(ofAgentsIn: tools, at: place) }
  }

  func checkModels(ofAgentsIn tools: [Tool], at pointer: String) throws(RuntimeError) {
    for (index, tool) in tools.enumerated() {
      let place = "\(pointer)/\(index)"
      if let agent = try SubAgent.inlineAgent(of: tool, at: place) { try checkModels(of: agent, at: place + "/agent") }
    }
  }

  private func checkHosted(_ tool: Tool, at pointer: String) throws(RuntimeError) {
    guard tool.isHosted else { return }
    do throws(RuntimeError) { try serverTools.check(tool) } catch { throw error.moved(to: error.pointer ?? pointer) }
  }
}

extension RuntimeError {
  /// The error about a value that stands at `pointer`; without a place it keeps none.
  func moved(under pointer: String) -> RuntimeError {
    var error = self
    error.pointer = error.pointer.map { pointer + $0 }
    return error
  }

  /// An error with a place below `/agent`, about a stored agent: nothing in the params is at fault but its id.
  var ofStoredAgent: RuntimeError {
    guard let place = pointer, place.utf8.starts(with: "/agent/".utf8) else { return self }
    var error = moved(to: "/agentId")
    error.message = "the stored agent cannot be used: \(place.dropFirst("/agent".count)): \(message)"
    return error
  }

  func moved(to pointer: String) -> RuntimeError {
    var error = self
    error.pointer = pointer
    return error
  }
}
