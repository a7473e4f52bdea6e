import JSON

/// The agent's MCP servers are heard before every model turn, so that it is offered what there is.
extension RunMachine {
  /// Whether they have been; otherwise they are asked, and the turn begins when they have answered.
  mutating func hearServers() -> Bool {
    guard state.agent.hasServers, !beside.hasHeardServers else { return true }
    if !beside.isAskingServers { perform(.askServers) }
    beside.isAskingServers = true
    return false
  }

  /// They have all told what they offer, or failed to.
  package mutating func serversAnswered() {
    beside.isAskingServers = false
    beside.hasHeardServers = true
    advance(cause: .resume)
    beside.hasHeardServers = false
  }

  /// A server had the run's model answer something.
  mutating func sampled(_ usage: Usage) {
    guard !state.status.hasEnded else { return }
    var counted = Usage()
    counted += usage
    counted.modelCalls = 1
    counted.toolCalls = 0
    append(.sampled(counted))
  }

  /// What is wrong with arguments by the tool's `inputSchema`; nothing where only its server can judge that.
  func failures(of arguments: CarriedJSON, for tool: Tool?) -> [String] {
    guard let schema = tool?.schema, tool?.route?.isUnjudged != true else { return [] }
    return context.failures(schema, arguments)
  }
}
