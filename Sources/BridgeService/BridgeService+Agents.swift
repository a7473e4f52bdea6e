import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC

/// The methods about stored agents and their memory.
extension BridgeService {
  func createAgent(_ params: AgentCreate.Params, _ ticket: Ticket) throws(RuntimeError) {
    let isStrict = settings.isStrict
    read(ticket) { (engine) throws(RuntimeError) in Self.json(try engine.createAgent(params.agent, isStrict: isStrict)) }
  }

  func updateAgent(_ params: AgentUpdate.Params, _ ticket: Ticket) throws(RuntimeError) {
    let isStrict = settings.isStrict
    read(ticket) { (engine) throws(RuntimeError) in
      Self.json(try engine.updateAgent(params.agentId, to: params.agent, ifVersion: params.ifVersion, isStrict: isStrict))
    }
  }

  func getAgent(_ params: AgentIDParams, _ ticket: Ticket) throws(RuntimeError) {
    read(ticket) { (engine) throws(RuntimeError) in
      var writer = JSONWriter(capacity: 1024)
      Self.write(try engine.agent(params.agentId), to: &writer)
      return CarriedJSON(trusted: writer.finish())
    }
  }

  func listAgents(_ params: AgentList.Params, _ ticket: Ticket) throws(RuntimeError) {
    if let limit = params.limit, limit > 1000 { throw .invalidParams("must be at most 1000", at: "/limit") }
    let limit = try limit(params.limit, default: 50, most: 1000)
    let outbox = outbox
    readFitted(ticket) { (engine) throws(RuntimeError) in
      let page = try engine.agents(limit: limit, cursor: params.cursor)
      return try outbox.page("agents", page.agents, next: page.nextCursor, for: ticket, engine) { agent, writer in
        Self.write(agent, to: &writer)
        return .none
      } cursor: {
        $0.cursor
      }
    }
  }

  func deleteAgent(_ params: AgentIDParams, _ ticket: Ticket) throws(RuntimeError) {
    read(ticket) { (engine) throws(RuntimeError) in
      try engine.deleteAgent(params.agentId)
      return .emptyObject
    }
  }

  // MARK: Memory

  func getMemory(_ params: MemoryGet.Params, _ ticket: Ticket) throws(RuntimeError) {
    read(ticket) { (engine) throws(RuntimeError) in
      var writer = JSONWriter(capacity: 1024)
      writer.beginObject()
      writer.key("blocks")
      writer.beginArray()
      for block in try engine.memory(of: params.agentId, label: params.label) {
        writer.beginObject()
        writer.member("label", block.label)
        writer.member("description", ifPresent: block.description)
        writer.member("value", block.value)
        writer.member("limit", block.limit)
        if block.isReadOnly { writer.member("readOnly", true) }
        writer.member("version", block.version)
        writer.member("updatedAt", block.updatedAt.text)
        writer.endObject()
      }
      writer.endArray()
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  func setMemory(_ params: MemorySet.Params, _ ticket: Ticket) throws(RuntimeError) {
    read(ticket) { (engine) throws(RuntimeError) in
      let version = try engine.setMemory(of: params.agentId, label: params.label, to: params.value, ifVersion: params.ifVersion)
      var writer = JSONWriter()
      writer.beginObject()
      writer.member("label", params.label)
      writer.member("version", version)
      writer.endObject()
      return CarriedJSON(trusted: writer.finish())
    }
  }

  // MARK: Shapes

  private static func json(_ created: RunEngine.Created) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("agentId", created.agentID)
    writer.member("version", created.version)
    if !created.warnings.isEmpty {
      writer.key("warnings")
      writer.beginArray()
      for warning in created.warnings { writer.string(warning) }
      writer.endArray()
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  private static func write(_ agent: StoredAgent, to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("agentId", agent.agentID)
    writer.member("version", agent.version)
    writer.member("agent", agent.shownJSON)
    writer.member("createdAt", agent.createdAt.text)
    writer.member("updatedAt", agent.updatedAt.text)
    if agent.file != nil { writer.member("readOnly", true) }
    writer.endObject()
  }
}
