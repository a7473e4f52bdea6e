import AgentRuntime
import JSON
import JSONRPC
import Synchronization

/// A request that is being worked on, and what its cancellation has to do.
final class Ticket: Sendable {
  let request: IncomingRequest

  private struct State {
    var wait: WaitToken?
    /// The run that this very request began.
    var begunRun: ULID?
  }

  private let state = Mutex(State())

  init(_ request: IncomingRequest) { self.request = request }

  var wait: WaitToken? {
    get { state.withLock { $0.wait } }
    set { state.withLock { $0.wait = newValue } }
  }

  var begunRun: ULID? {
    get { state.withLock { $0.begunRun } }
    set { state.withLock { $0.begunRun = newValue } }
  }

  /// What the id takes of the answer beyond what one usually does.
  var idBytes: Int { max(0, request.id.json.bytes.count - 64) }

  func fail(_ error: RuntimeError) { request.fail(ErrorMapping.rpcError(error)) }
}
