import JSON

/// Tools that are registered with a stored agent: each change is another version of it.
extension RunEngine {
  /// - Throws: `agent.notFound`; `invalidParams` for a file that is no agent.
  package func checkAgent(_ agentID: String) throws(RuntimeError) { _ = try agent(agentID) }

  /// - Throws: `agent.notFound`; `invalidParams` for a file; what is wrong with the declaration, with a pointer into the params.
  package func changeAgentTools(_ agentID: String, _ change: RegistrationChange) throws(RuntimeError) {
    try checkTools(change.newTools)
    try untilWritten { () throws(RuntimeError) -> Written<Void> in
      let old = try changeableAgent(agentID)
      let agent = try RunParams.read(Agent.self, old.json, at: "/agent", carrying: Agent.carriedPaths)
      var toolbox = Toolbox()
      try toolbox.register(tools: agent.tools ?? [], toolkits: agent.toolkits ?? [], at: .agent, pointer: "/agent")
      try change.apply(to: &toolbox, at: .agent)
      // What its skills refer to is still there: nobody could use the agent otherwise.
      var left = Toolbox()
      try left.register(tools: toolbox[.agent].tools, toolkits: agent.toolkits ?? [], at: .agent, pointer: "/agent")
      let changed = try Self.replacingTools(in: old.json, agent.tools ?? [], with: toolbox[.agent])
      let json = try EnvironmentValues.restored(in: changed, from: old.json, at: "")
      let document = DocumentWrite(
        kind: StoredAgent.kind, id: agentID, expectedVersion: old.version, json: json, updatedAt: host.wallClock())
      return Written((), [document])
    }
  }

  /// The agent with the tools of `registrations`; those that it had keep their bytes, also members that nothing reads.
  private static func replacingTools(
    in json: CarriedJSON, _ known: [Tool], with registrations: Registrations
  ) throws(RuntimeError) -> CarriedJSON {
    let old = json["tools"]?.elements ?? []
    var writer = JSONWriter(capacity: json.bytes.count + 1024)
    writer.beginObject()
    json.forEachMember { name, value in
      guard name != "tools" else { return }
      writer.key(name)
      writer.value(value)
    }
    writer.key("tools")
    writer.beginArray()
    for var tool in registrations.tools {
      if let place = known.firstIndex(of: tool) {
        writer.value(old[place])
        continue
      }
      // Replacing never removes it.
      if registrations.gates.contains(tool.name) { tool.requiresApproval = true }
      do throws(JSONError) { writer.value(try JSONCoding.encode(tool)) } catch { throw RuntimeError(error) }
    }
    writer.endArray()
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}
