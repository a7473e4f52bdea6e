import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC
import Synchronization

/// The requests that a client may send: one line each.
enum MethodTable {
  struct Entry: Sendable {
    var carriedPaths: LazyPaths
    var handle: @Sendable (BridgeService, Ticket) throws(RuntimeError) -> Void
  }

  static let methods: [String: Entry] = {
    var table: [String: Entry] = [:]
    func add<M: WireMethod>(_ method: M.Type, _ handle: @escaping @Sendable (BridgeService, M.Params, Ticket) throws(RuntimeError) -> Void)
    {
      let paths = LazyPaths { M.carriedPaths }
      table[M.name] = Entry(carriedPaths: paths) { (service, ticket) throws(RuntimeError) in
        let params: M.Params
        do throws(JSONError) { params = try M.read(ticket.request.params ?? .emptyObject, carrying: paths.value) } catch {
          throw RuntimeError(error)
        }
        try handle(service, params, ticket)
      }
    }
    add(Initialize.self) { (s, p, t) throws(RuntimeError) in try s.initialize(p, t) }
    add(Ping.self) { (s, p, t) throws(RuntimeError) in t.request.succeed(.emptyObject) }
    add(RPCDiscover.self) { (s, p, t) throws(RuntimeError) in s.discover(t) }
    add(RunStart.self) { (s, p, t) throws(RuntimeError) in try s.start(p, t) }
    add(RunWait.self) { (s, p, t) throws(RuntimeError) in try s.wait(p, t) }
    add(RunSubmitToolResults.self) { (s, p, t) throws(RuntimeError) in try s.submit(p, t) }
    add(RunSubmitApprovals.self) { (s, p, t) throws(RuntimeError) in try s.submit(p, t) }
    add(RunSubmitInput.self) { (s, p, t) throws(RuntimeError) in try s.submit(p, t) }
    add(RunCancel.self) { (s, p, t) throws(RuntimeError) in try s.cancelRun(p, t) }
    add(RunResume.self) { (s, p, t) throws(RuntimeError) in try s.resume(p, t) }
    add(RunPause.self) { (s, p, t) throws(RuntimeError) in try s.pause(p, t) }
    add(RunAddNote.self) { (s, p, t) throws(RuntimeError) in try s.addNote(p, t) }
    add(RunGet.self) { (s, p, t) throws(RuntimeError) in try s.get(p, t) }
    add(RunList.self) { (s, p, t) throws(RuntimeError) in try s.list(p, t) }
    add(RunEvents.self) { (s, p, t) throws(RuntimeError) in try s.events(p, t) }
    add(RunSubscribe.self) { (s, p, t) throws(RuntimeError) in try s.subscribe(p, t) }
    add(RunUnsubscribe.self) { (s, p, t) throws(RuntimeError) in try s.unsubscribe(p, t) }
    add(RunDelete.self) { (s, p, t) throws(RuntimeError) in try s.delete(p, t) }
    add(AgentCreate.self) { (s, p, t) throws(RuntimeError) in try s.createAgent(p, t) }
    add(AgentGet.self) { (s, p, t) throws(RuntimeError) in try s.getAgent(p, t) }
    add(AgentList.self) { (s, p, t) throws(RuntimeError) in try s.listAgents(p, t) }
    add(AgentUpdate.self) { (s, p, t) throws(RuntimeError) in try s.updateAgent(p, t) }
    add(AgentDelete.self) { (s, p, t) throws(RuntimeError) in try s.deleteAgent(p, t) }
    add(MemoryGet.self) { (s, p, t) throws(RuntimeError) in try s.getMemory(p, t) }
    add(MemorySet.self) { (s, p, t) throws(RuntimeError) in try s.setMemory(p, t) }
    add(BlobRead.self) { (s, p, t) throws(RuntimeError) in try s.readBlob(p, t) }
    add(BlobWrite.self) { (s, p, t) throws(RuntimeError) in try s.writeBlob(p, t) }
    add(ToolkitRegister.self) { (s, p, t) throws(RuntimeError) in try s.registerToolkits(p, t) }
    add(ToolkitUnregister.self) { (s, p, t) throws(RuntimeError) in try s.unregisterToolkits(p, t) }
    add(ToolkitList.self) { (s, p, t) throws(RuntimeError) in try s.listToolkits(p, t) }
    add(ToolRegister.self) { (s, p, t) throws(RuntimeError) in try s.registerTools(p, t) }
    add(ToolUnregister.self) { (s, p, t) throws(RuntimeError) in try s.unregisterTools(p, t) }
    add(SessionCreate.self) { (s, p, t) throws(RuntimeError) in try s.createSession(p, t) }
    add(SessionGet.self) { (s, p, t) throws(RuntimeError) in try s.getSession(p, t) }
    add(SessionList.self) { (s, p, t) throws(RuntimeError) in try s.listSessions(p, t) }
    add(SessionDelete.self) { (s, p, t) throws(RuntimeError) in try s.deleteSession(p, t) }
    add(SessionClear.self) { (s, p, t) throws(RuntimeError) in try s.clearSession(p, t) }
    add(SessionMessages.self) { (s, p, t) throws(RuntimeError) in try s.messages(p, t) }
    add(SessionFork.self) { (s, p, t) throws(RuntimeError) in try s.fork(p, t) }
    add(SessionAugment.self) { (s, p, t) throws(RuntimeError) in try s.augmentSession(p, t) }
    add(SessionSubscribe.self) { (s, p, t) throws(RuntimeError) in try s.subscribeSession(p, t) }
    add(SessionUnsubscribe.self) { (s, p, t) throws(RuntimeError) in try s.unsubscribeSession(p, t) }
    return table
  }()
}

/// Places that are worked out when a request first needs them: for all methods at once that would be a fifth of the work of a start.
final class LazyPaths: Sendable {
  private let make: @Sendable () -> CarriedPaths
  private let made = Mutex<CarriedPaths?>(nil)

  init(_ make: @escaping @Sendable () -> CarriedPaths) { self.make = make }

  var value: CarriedPaths {
    made.withLock { made in
      if let made { return made }
      let paths = make()
      made = paths
      return paths
    }
  }
}
