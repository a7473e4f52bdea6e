import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC

/// `initialize` and `rpc.discover`.
extension BridgeService {
  func initialize(_ params: Initialize.Params, _ ticket: Ticket) throws(RuntimeError) {
    connection.initialize(params.capabilities, name: params.clientInfo.name)
    if let most = params.capabilities.maxMessageBytes { peer.longestLine = most }
    let version = ProtocolVersion.known.contains(params.protocolVersion) ? params.protocolVersion : ProtocolVersion.newest
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("protocolVersion", version)
    writer.key("serverInfo")
    writer.beginObject()
    writer.member("name", "footbridge")
    writer.member("version", settings.version)
    writer.endObject()
    writer.key("capabilities")
    writer.beginObject()
    writer.endObject()
    writer.key("limits")
    writer.beginObject()
    writer.member("maxMessageBytes", settings.limits.maxMessageBytes)
    writer.member("maxDepth", settings.limits.json.maxDepth)
    writer.member("maxNodes", settings.limits.json.maxNodes)
    writer.member("maxConcurrentRuns", settings.maxConcurrentRuns)
    writer.member("maxUnreadBytes", settings.limits.maxUnreadBytes)
    writer.endObject()
    writer.endObject()
    ticket.request.succeed(CarriedJSON(trusted: writer.finish()))
    onInitialize()
  }

  func discover(_ ticket: Ticket) {
    let document = CarriedJSON(trusted: settings.openRPC())
    if connection.capabilities.maxMessageBytes == nil { ticket.request.succeed(document) } else { read(ticket) { _ in document } }
  }
}
