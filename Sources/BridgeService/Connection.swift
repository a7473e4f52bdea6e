import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC
import Synchronization

/// What the bridge knows of its client; set by `initialize` on the reader thread, read everywhere.
final class Connection: Sendable {
  private struct State {
    var isInitialized = false
    var sawRequest = false
    var capabilities = ClientCapabilities()
    var clientName: String?
    var isGone = false
  }

  private let state = Mutex(State())

  var capabilities: ClientCapabilities { state.withLock { $0.capabilities } }
  /// The name that the client gave itself; a long one is cut.
  var clientName: String? { state.withLock { $0.clientName } }
  var isInitialized: Bool { state.withLock { $0.isInitialized } }

  /// The client sends nothing more and answers nothing more.
  var isGone: Bool {
    get { state.withLock { $0.isGone } }
    set { state.withLock { $0.isGone = newValue } }
  }

  var answersInvocations: Bool { state.withLock { $0.capabilities.tools && !$0.isGone } }

  var abilities: ParentAbilities {
    state.withLock { state in
      var abilities = ParentAbilities()
      if state.isGone { return abilities }
      abilities.approvals = state.capabilities.approvals
      abilities.elicitation = state.capabilities.elicitation
      abilities.sampling = state.capabilities.sampling
      abilities.samplingTools = state.capabilities.samplingTools
      return abilities
    }
  }

  /// Takes note of a request other than `initialize`.
  func noteRequest() { state.withLock { $0.sawRequest = true } }

  /// Why `initialize` is not possible now; nil when it is.
  var objectionToInitialize: String? {
    state.withLock { state in
      if state.isInitialized { return "initialize was already done" }
      return state.sawRequest ? "initialize must be the first request" : nil
    }
  }

  /// There is no objection.
  func initialize(_ capabilities: ClientCapabilities, name: String) {
    state.withLock { state in
      state.isInitialized = true
      state.capabilities = capabilities
      state.clientName = String(name.prefix(128))
    }
  }
}
